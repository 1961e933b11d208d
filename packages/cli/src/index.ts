export { runWhither } from "./ask/program.js";
export type { OpenResolver, WhitherRun } from "./ask/program.js";
export type { AskedResolver } from "./ask/lookup.js";
export { runWhitherctl } from "./ctl/program.js";
export type { Terminal, TextSink } from "./terminal.js";
