// A process that simulates the seeds it is sent, one after the other, and reports each.
import { simulate } from "./world.js";

process.on("message", (work: { readonly seed: number; readonly hours: number }) => {
  void simulate(work).then(
    (report) => process.send?.({ report }),
    (error: unknown) => process.send?.({ seed: work.seed, error: describe(error) }),
  );
});
process.send?.("ready");

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
