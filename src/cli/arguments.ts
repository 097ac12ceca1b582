import { parseArgs } from "node:util";
import { UsageError } from "./errors.ts";

export type Format = "text" | "json";

/** What is asked: a prompt, a goal to be pursued, or that the goal of a session goes on. */
export type Mode = "prompt" | "goal" | "resume";

export interface RunSettings {
  /** Undefined: it is read from the standard input; with `resume` there is none. */
  readonly prompt: string | undefined;
  readonly mode: Mode;
  readonly format: Format;
  /** Address of a server that listens already. */
  readonly attach: string | undefined;
  /** A new session, one by its id, or the one that was used last. */
  readonly session: { readonly kind: "new" } | { readonly kind: "id"; readonly id: string } | { readonly kind: "last" };
  readonly agent: string | undefined;
  readonly model: { readonly providerID: string; readonly modelID: string } | undefined;
  readonly title: string | undefined;
  readonly directory: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly auto: boolean;
}

export type Command =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "run"; readonly settings: RunSettings };

const OPTIONS = {
  goal: { type: "boolean" },
  resume: { type: "boolean" },
  format: { type: "string" },
  attach: { type: "string" },
  session: { type: "string", short: "s" },
  continue: { type: "boolean", short: "c" },
  agent: { type: "string" },
  model: { type: "string", short: "m" },
  title: { type: "string" },
  dir: { type: "string" },
  timeout: { type: "string" },
  auto: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

/** Longer ones overflow a timer: about 24 days. */
const LONGEST_TIMEOUT_SECONDS = 2_147_483;

/**
 * Reads the command line.
 *
 * @throws UsageError that says what was wrong and what was expected
 */
export function parseCommand(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  const [command, ...words] = positionals;
  if (values.help || command === "help") return { kind: "help" };
  if (values.version) return { kind: "version" };
  if (command === undefined) throw new UsageError("A command is missing; `run` was expected.");
  if (command !== "run") throw new UsageError(`The command is ${JSON.stringify(command)}; \`run\` was expected.`);
  const { attach, agent, title, dir, session } = values;
  if (values.resume) checkResume(values, words);
  if (session !== undefined && values.continue)
    throw new UsageError("--session and --continue are both given; one of them was expected.");
  if (title !== undefined && (session !== undefined || values.continue))
    throw new UsageError("--title is given for a session that exists already; it names a new one.");
  const settings: RunSettings = {
    prompt: words.length === 0 ? undefined : required("the prompt", words.join(" ")),
    mode: values.resume ? "resume" : values.goal ? "goal" : "prompt",
    format: format(values.format),
    attach: attach === undefined ? undefined : address(attach),
    session: values.continue ? { kind: "last" } : session === undefined ? { kind: "new" } : sessionID(session),
    agent: agent === undefined ? undefined : required("--agent", agent),
    model: values.model === undefined ? undefined : model(values.model),
    title: title === undefined ? undefined : required("--title", title),
    directory: dir === undefined ? undefined : required("--dir", dir),
    timeoutMs: values.timeout === undefined ? undefined : milliseconds(values.timeout),
    auto: values.auto ?? false,
  };
  return { kind: "run", settings };
}

/** The goal, its agent and its model are those of the session. */
function checkResume(values: Readonly<Record<string, string | boolean | undefined>>, words: readonly string[]): void {
  if (words.length > 0) throw new UsageError("--resume is given with a prompt; the goal goes on as it is.");
  if (values.session === undefined && !values.continue)
    throw new UsageError("--resume is given without a session; -s <id> or -c was expected.");
  for (const other of ["goal", "agent", "model"] as const)
    if (values[other] !== undefined)
      throw new UsageError(`--resume and --${other} are both given; the goal goes on as it is.`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: withNegatives(args), options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(refusal(error instanceof Error ? error.message : String(error)));
  }
}

/** A number below zero is a value, and no option: what is wrong with it is said where the value is read. */
function withNegatives(args: readonly string[]): string[] {
  const end = args.indexOf("--");
  const isNegative = (at: number) =>
    args[at - 1] === "--timeout" && (end < 0 || at < end) && /^-[\d.]/.test(args[at] ?? "");
  return args.flatMap((arg, at) => (isNegative(at) ? [] : isNegative(at + 1) ? [`${arg}=${args[at + 1]}`] : [arg]));
}

/** Node's first sentence says it all; the others are about how to write what begins with a dash. */
function refusal(message: string): string {
  const missing = /^Option '(.+?)(?: <value>)?' (?:argument is ambiguous|argument missing)/.exec(message)?.[1];
  if (missing !== undefined) return `${missing} has no value; one was expected.`;
  const said = message.split("\n")[0]?.split(". ")[0] ?? "";
  return `${said.replace(/\.$/, "")}.`;
}

function format(value = "text"): Format {
  if (value === "text" || value === "json") return value;
  throw new UsageError(`--format is ${JSON.stringify(value)}; text or json was expected.`);
}

function address(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return value;
  throw new UsageError(`--attach is ${JSON.stringify(value)}; an address like http://127.0.0.1:4096 was expected.`);
}

function sessionID(value: string): RunSettings["session"] {
  if (/^ses_\w+$/.test(value)) return { kind: "id", id: value };
  throw new UsageError(`--session is ${JSON.stringify(value)}; an id like ses_… was expected.`);
}

function model(value: string): RunSettings["model"] {
  const slash = value.indexOf("/");
  if (slash > 0 && slash < value.length - 1)
    return { providerID: value.slice(0, slash), modelID: value.slice(slash + 1) };
  throw new UsageError(`--model is ${JSON.stringify(value)}; provider/model was expected.`);
}

function milliseconds(value: string): number {
  const seconds = Number(value);
  if (value.trim() !== "" && seconds > 0 && seconds <= LONGEST_TIMEOUT_SECONDS) return Math.ceil(seconds * 1_000);
  throw new UsageError(
    `--timeout is ${JSON.stringify(value)}; seconds were expected, more than 0 and at most ${LONGEST_TIMEOUT_SECONDS}.`,
  );
}

function required(what: string, value: string): string {
  if (value.trim() !== "") return value;
  throw new UsageError(`${what} is empty; a text was expected.`);
}
