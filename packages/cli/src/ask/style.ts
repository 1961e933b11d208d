// Colour, only on a terminal and without NO_COLOR.

import { createColors } from "picocolors";
import type { Terminal } from "../terminal.js";

type Paint = (text: string) => string;

export interface Colors {
  readonly dim: Paint;
  readonly bold: Paint;
  readonly green: Paint;
  readonly red: Paint;
}

/** https://no-color.org: any non-empty value switches colour off. */
export function colorsFor({ stdout, env }: Pick<Terminal, "stdout" | "env">): Colors {
  const plain = (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  return createColors(stdout.isTTY === true && !plain);
}
