import type { Budget } from "./budget.ts";
import { takeFlags } from "./command-flags.ts";
import { quote, unquote } from "./quotes.ts";

/** What a user says with `/goal …`. */
export type GoalCommand =
  | { readonly type: "show" }
  | { readonly type: "why" }
  | { readonly type: "list" }
  | { readonly type: "set"; readonly objective: string; readonly budget: Partial<Budget> }
  | { readonly type: "edit"; readonly objective: string }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  | { readonly type: "clear" }
  /** Cannot be what it seems to be: taken for an objective it would replace the goal. `problem`: what is wrong with it. */
  | { readonly type: "unclear"; readonly said: string; readonly problem?: string };

const WORDS: ReadonlyMap<string, GoalCommand> = new Map([
  ["", { type: "show" }],
  ["status", { type: "show" }],
  ["why", { type: "why" }],
  ["list", { type: "list" }],
  ["pause", { type: "pause" }],
  ["resume", { type: "resume" }],
  ["clear", { type: "clear" }],
] as const);

const NEAR_MISSES: ReadonlySet<string> = new Set(
  "abort cancel continue delete disable done edit end exit go halt help kill off on quit reset restart start stop unpause".split(
    " ",
  ),
);

/** What begins with a word of the command and is no longer than this is a slip ("resume now", "stop it"). */
const LONGEST_SLIP = 3;

const EDIT_TAKES = "edit takes an objective alone, in quotes if it has flags; limits are said with a new goal";

/**
 * Reads the arguments of the command. They may be pasted, and long: nothing here takes more than linear time.
 *
 * @param command the name of the command, without its slash
 * @param isQuotedByHost in `opencode run`, which puts quotes of its own around everything that has a space
 * @example parseGoalCommand("make the build pass --turns 5", "goal")
 * // { type: "set", objective: "make the build pass", budget: { turns: 5 } }
 */
export function parseGoalCommand(args: string, command: string, isQuotedByHost = false): GoalCommand {
  const trimmed = args.trim();
  const given = isQuotedByHost ? (unquote(trimmed) ?? trimmed) : trimmed;
  const text = withoutName(given, command);
  const quoted = unquote(text);
  // In quotes a flag is a part of the objective.
  if (quoted !== undefined) return readWords(withoutName(quoted, command), text);
  const taken = takeFlags(text);
  const edited = afterEdit(taken.rest);
  if (edited !== undefined) return readEdit(edited, text, taken.isAny || taken.problem !== undefined);
  if (taken.problem !== undefined) return isSlip(text) ? unclear(text) : unclear(text, taken.problem);
  if (!taken.isAny) return readWords(text, text);
  const read = readWords(unquote(taken.rest) ?? taken.rest, text);
  if (read.type === "set") return { ...read, budget: taken.budget };
  if (read.type === "unclear") return read;
  const problem =
    taken.rest === ""
      ? "an objective is missing beside the limits"
      : `${quote(taken.rest)} takes no limits, an objective does`;
  return unclear(text, problem);
}

/**
 * What a person has said behind the name of a command. `opencode run --command goal "fix it"` hands it over in quotes,
 * and OpenCode's completion leaves `/goal ` in the prompt, so that people type it twice.
 *
 * @param command the name of the command, without its slash
 */
export function spokenArguments(args: string, command: string): string {
  const trimmed = args.trim();
  return withoutName(unquote(trimmed) ?? trimmed, command);
}

function withoutName(text: string, command: string): string {
  const name = `/${command}`;
  let start = 0;
  for (;;) {
    while (isSpace(text, start)) start++;
    const end = start + name.length;
    if (!text.startsWith(name, start) || (end < text.length && !isSpace(text, end))) return text.slice(start).trim();
    start = end;
  }
}

function isSpace(text: string, index: number): boolean {
  return /\s/.test(text.charAt(index));
}

/** What has no flags: a word of the command, a slip, or an objective. */
function readWords(text: string, said: string): GoalCommand {
  const edited = afterEdit(text);
  if (edited !== undefined) return readEdit(edited, said, false);
  const known = WORDS.get(text.toLowerCase());
  if (known !== undefined) return known;
  return isSlip(text) ? unclear(said) : { type: "set", objective: text, budget: {} };
}

/** Limits belong to a goal, and an objective may have flags of its own: none are guessed at here. */
function readEdit(edited: string, said: string, hasFlags: boolean): GoalCommand {
  if (hasFlags) return unclear(said, EDIT_TAKES);
  const quoted = unquote(edited);
  const objective = quoted ?? edited;
  if (objective === "") return unclear(said);
  const own = quoted === undefined ? takeFlags(edited) : undefined;
  return own?.isAny === true || own?.problem !== undefined ? unclear(said, EDIT_TAKES) : { type: "edit", objective };
}

/** What stands behind `edit`; undefined: something else is said. */
function afterEdit(text: string): string | undefined {
  return /^edit(?!\S)/i.test(text) ? text.slice("edit".length).trim() : undefined;
}

function unclear(said: string, problem?: string): GoalCommand {
  return problem === undefined ? { type: "unclear", said } : { type: "unclear", said, problem };
}

function isSlip(text: string): boolean {
  let count = 0;
  let first = "";
  for (const [word] of text.matchAll(/\S+/g)) {
    if (++count > LONGEST_SLIP) return false;
    if (count === 1) first = bare(word);
  }
  return NEAR_MISSES.has(first) || (first !== "" && WORDS.has(first));
}

/** A word without what people put around it: dashes, quotes, marks. */
function bare(word: string): string {
  return word.toLowerCase().replace(/[^\p{L}]/gu, "");
}
