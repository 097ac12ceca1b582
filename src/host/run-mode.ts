import { isMainThread } from "node:worker_threads";

/** How OpenCode was started, as far as it matters: `opencode run` exits when its turn ends. */
export interface RunMode {
  readonly format: "text" | "json";
}

/** The commands of OpenCode 1.18. Its options may stand before the command, and some of them take a value. */
const COMMANDS: ReadonlySet<string> = new Set(
  "acp agent attach auth completion console db debug export github import mcp models plugin pr providers run serve session stats uninstall upgrade web".split(
    " ",
  ),
);

/** The name of the command with which OpenCode was started; undefined for the TUI, and in a worker of it. */
function commandOf(argv: readonly string[], inMainThread: boolean): string | undefined {
  return inMainThread ? argv.slice(2).find((arg) => COMMANDS.has(arg)) : undefined;
}

/** `opencode acp`: an editor is at the other end of stdin and stdout. */
export function isEditorMode(argv: readonly string[] = process.argv, inMainThread = isMainThread): boolean {
  return commandOf(argv, inMainThread) === "acp";
}

/**
 * The only place that knows how to tell `opencode run`. Its plugins run in the main thread of its own process, whose
 * arguments are `["bun", "/$bunfs/root/src/index.js", "run", …]`. Under `opencode run --attach` they run in the server
 * instead, and those of the TUI in a worker.
 */
export function runMode(argv: readonly string[] = process.argv, inMainThread = isMainThread): RunMode | undefined {
  if (commandOf(argv, inMainThread) !== "run") return undefined;
  const args = argv.slice(2);
  const isJson = args.some((arg, at) => arg === "--format=json" || (arg === "--format" && args[at + 1] === "json"));
  return { format: isJson ? "json" : "text" };
}
