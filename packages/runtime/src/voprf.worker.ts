// The thread of the VOPRF pool: libsodium's ristretto255, one message after the other.
import { loadSodiumVoprf } from "@whither/crypto/node";
import { buffersOf, packBytes, unpackBytes } from "./packed-bytes.js";
import { systemRandom } from "./random.js";
import type { EvaluateOutcome, EvaluateTask, VoprfResult, VoprfTask } from "./voprf-messages.js";
import { failedReply, serveWorker, type WorkerAnswer, type WorkerReply } from "./worker-port.js";

const voprf = await loadSodiumVoprf();
const randomBytes = (n: number): Uint8Array => systemRandom.bytes(n);

serveWorker<VoprfTask, VoprfResult>((task): WorkerAnswer<VoprfResult> => {
  switch (task.kind) {
    case "evaluate": {
      const outcomes = task.tasks.map(evaluate);
      const transfer = outcomes.flatMap((outcome) =>
        outcome.kind === "done" ? buffersOf(outcome.response.evaluated) : [],
      );
      return { response: { kind: "evaluate", outcomes }, transfer };
    }
    case "blind": {
      const batch = voprf.blind(unpackBytes(task.inputs), randomBytes);
      const blinds = packBytes(batch.blinds);
      const blinded = packBytes(batch.blinded);
      const response: VoprfResult = { kind: "blind", blinds, blinded };
      return { response, transfer: buffersOf(blinds, blinded) };
    }
    case "finalize": {
      const { publicKey, proof } = task;
      const outputs = packBytes(
        voprf.finalize({
          publicKey,
          proof,
          inputs: unpackBytes(task.inputs),
          blinds: unpackBytes(task.blinds),
          blinded: unpackBytes(task.blinded),
          evaluated: unpackBytes(task.evaluated),
        }),
      );
      return { response: { kind: "finalize", outputs }, transfer: buffersOf(outputs) };
    }
  }
});

/** A failing evaluation fails alone, not those that share its message. */
function evaluate(task: EvaluateTask): WorkerReply<EvaluateOutcome> {
  const startMs = performance.now();
  try {
    const { secretKey, publicKey } = task;
    const blinded = unpackBytes(task.blinded);
    const batch = voprf.evaluateBlinded({ secretKey, publicKey, blinded, randomBytes });
    const evaluated = packBytes(batch.evaluated);
    const cpuMs = performance.now() - startMs;
    return { kind: "done", response: { evaluated, proof: batch.proof, cpuMs } };
  } catch (error) {
    return failedReply(error);
  } finally {
    task.secretKey.fill(0);
  }
}
