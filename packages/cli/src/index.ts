export { runWhither } from "./ask/program.js";
export { runWhitherctl } from "./ctl/program.js";
export type { Terminal, TextSink } from "./terminal.js";
export type { AskedResolver, OpenResolver, WhitherRun } from "./whither-run.js";
