// `whither completion` and `whitherctl completion`: what may be typed where, read from the commands themselves, as a
// script for bash, zsh or fish. The script decides by itself: no process is started while somebody types.

import { Argument, Command } from "commander";
import { jsonOption } from "./options.js";
import { print, type Terminal } from "./terminal.js";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** What may follow a command: its own commands, options and the words that an argument takes. */
export interface CompletionPoint {
  /** Words after the program's name that lead here; [] for the program itself. */
  readonly path: readonly string[];
  readonly words: readonly string[];
}

/** The points of a program's commands; `extra` are words of the program itself. */
export function completionPoints(
  program: Command,
  extra: readonly string[] = [],
): readonly CompletionPoint[] {
  return pointsOf(program, []).map((point) =>
    point.path.length === 0 ? { ...point, words: [...point.words, ...extra] } : point,
  );
}

function pointsOf(command: Command, path: readonly string[]): readonly CompletionPoint[] {
  const help = command.createHelp();
  const children = help.visibleCommands(command);
  const options = help
    .visibleOptions(command)
    .flatMap(({ long }) => (long === undefined ? [] : [long]));
  const choices = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  const words = [...children.map((child) => child.name()), ...choices, ...options];
  const below = children.flatMap((child) => pointsOf(child, [...path, child.name()]));
  const here = { path, words: [...new Set(words)] };
  return words.length === 0 ? below : [here, ...below];
}

/** The script, which ends in a newline. Where nothing is known, files are offered. */
export function completionScript(
  shell: Shell,
  of: { readonly program: string; readonly points: readonly CompletionPoint[] },
): string {
  return scripts[shell](of.program, of.points);
}

type Script = (program: string, points: readonly CompletionPoint[]) => string;

const joined = (words: readonly string[]): string => words.join(" ");
/** Words here hold letters, digits and `+-=,`: nothing that a shell would read otherwise between these. */
const quoted = (words: readonly string[]): string => `'${joined(words)}'`;
const paths = (points: readonly CompletionPoint[]): readonly string[] =>
  points.filter(({ path }) => path.length > 0).map(({ path }) => quoted(path));

const bash: Script = (
  program,
  points,
) => `# ${program} in bash: source <(${program} completion bash)
_${program}() {
  local at= word words=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${at:+$at }$word" in
      ${paths(points).join("|")}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at" in
${points.map(({ path, words }) => `    ${quoted(path)}) words=${quoted(words)} ;;`).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${program} ${program}
`;

const zsh: Script = (program, points) => `#compdef ${program}
# ${program} in zsh: source <(${program} completion zsh)
_${program}() {
  local at= word
  local -a known
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "\${at:+$at }$word" in
      ${paths(points).join("|")}) at="\${at:+$at }$word" ;;
    esac
  done
  case "$at" in
${points.map(({ path, words }) => `    ${quoted(path)}) known=(${joined(words)}) ;;`).join("\n")}
  esac
  compadd -- $known || _files
}
compdef _${program} ${program}
`;

const fish: Script = (program, points) => `# ${program} in fish: ${program} completion fish | source
function __${program}_at
  set -l at ''
  for word in (commandline -opc)[2..]
    switch (string trim -- "$at $word")
      case ${paths(points).join(" ")}
        set at (string trim -- "$at $word")
    end
  end
  echo $at
end
${points
  .map(
    ({ path, words }) =>
      `complete -c ${program} -n 'test (__${program}_at) = "${joined(path)}"' -a ${quoted(words)}`,
  )
  .join("\n")}
`;

const scripts: Readonly<Record<Shell, Script>> = { bash, zsh, fish };

/** The command; `points` are asked for when it runs, since they include itself. */
export function completionCommand(
  terminal: Terminal,
  of: {
    readonly program: string;
    readonly points: () => Promise<readonly CompletionPoint[]> | readonly CompletionPoint[];
  },
): Command {
  const { program } = of;
  return new Command("completion")
    .description("print a script that completes commands and options in your shell")
    .addArgument(new Argument("<shell>", "which shell").choices(shells))
    .addOption(jsonOption())
    .addHelpText(
      "after",
      `\nExample:\n  ${program} completion bash > ~/.local/share/bash-completion/completions/${program}`,
    )
    .action(async (shell: Shell, { json }: { readonly json?: true }) => {
      const script = completionScript(shell, { program, points: await of.points() });
      print(terminal, { json: json === true, value: { shell, script }, text: script });
    });
}
