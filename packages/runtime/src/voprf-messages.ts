// What the VOPRF pool and its threads say to one another. One message carries several small
// evaluations of one tick; each keeps its own proof, result and failure.
import type { PackedBytes } from "./packed-bytes.js";
import type { WorkerReply } from "./worker-port.js";

export interface EvaluateTask {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly blinded: PackedBytes;
}

export type VoprfTask =
  | { readonly kind: "evaluate"; readonly tasks: readonly EvaluateTask[] }
  | { readonly kind: "blind"; readonly inputs: PackedBytes }
  | {
      readonly kind: "finalize";
      readonly publicKey: Uint8Array;
      readonly inputs: PackedBytes;
      readonly blinds: PackedBytes;
      readonly blinded: PackedBytes;
      readonly evaluated: PackedBytes;
      readonly proof: Uint8Array;
    };

export interface EvaluateOutcome {
  readonly evaluated: PackedBytes;
  readonly proof: Uint8Array;
  readonly cpuMs: number;
}

export type VoprfResult =
  | { readonly kind: "evaluate"; readonly outcomes: readonly WorkerReply<EvaluateOutcome>[] }
  | { readonly kind: "blind"; readonly blinds: PackedBytes; readonly blinded: PackedBytes }
  | { readonly kind: "finalize"; readonly outputs: PackedBytes };
