import type { Budget } from "./budget.ts";

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

/**
 * Reads the arguments of the command.
 *
 * @param command the name of the command, without its slash
 * @example parseGoalCommand("make the build pass --turns 5", "goal")
 * // { type: "set", objective: "make the build pass", budget: { turns: 5 } }
 */
export function parseGoalCommand(args: string, command: string): GoalCommand {
  const said = spokenArguments(args, command);
  const word = said.toLowerCase();
  const known = WORDS.get(word);
  if (known !== undefined) return known;
  const bare = word.replace(/[.!?]+$/, "");
  if (NEAR_MISSES.has(bare) || (bare !== word && WORDS.has(bare))) return { type: "unclear", said };
  const edited = /^edit\s+(.+)$/is.exec(said)?.[1];
  return edited === undefined ? readObjective(said) : { type: "edit", objective: edited.trim() };
}

/**
 * What a person has said behind the name of a command. `opencode run --command goal "fix it"` hands it over in quotes,
 * and OpenCode's completion leaves `/goal ` in the prompt, so that people type it twice.
 *
 * @param command the name of the command, without its slash
 */
export function spokenArguments(args: string, command: string): string {
  let said = unquote(args.trim()).trim();
  const again = `/${command}`;
  while (said === again || said.startsWith(`${again} `)) said = said.slice(again.length).trim();
  return said;
}

/** Flags stand before or behind the objective: in the midst of it they are part of it. */
const FLAG_BEFORE = /^--(turns|tokens|minutes)(?:[ =]+(\S+))?(?:\s+|$)/;
const FLAG_BEHIND = /(?:^|\s)--(turns|tokens|minutes)(?:[ =]+(\S+))?$/;

function readObjective(said: string): GoalCommand {
  const budget: { -readonly [K in keyof Budget]?: number } = {};
  let objective = said;
  for (let flag = flagOf(objective); flag !== null; flag = flagOf(objective)) {
    const [found, name = "", value] = flag;
    const read = READERS[name]?.(value ?? "");
    if (read === undefined) return { type: "unclear", said, problem: expected(name, value) };
    Object.assign(budget, read);
    objective = (flag.index === 0 ? objective.slice(found.length) : objective.slice(0, flag.index)).trim();
  }
  return objective === ""
    ? { type: "unclear", said, problem: "an objective is missing beside the limits" }
    : { type: "set", objective: unquote(objective), budget };
}

function flagOf(objective: string): RegExpExecArray | null {
  return FLAG_BEFORE.exec(objective) ?? FLAG_BEHIND.exec(objective);
}

const READERS: Readonly<Record<string, (value: string) => Partial<Budget> | undefined>> = {
  turns: (value) => (/^[1-9]\d*$/.test(value) ? { turns: Number(value) } : undefined),
  tokens(value) {
    const [, count, unit = ""] = /^(\d+(?:\.\d+)?)([km]?)$/i.exec(value) ?? [];
    const tokens = Math.round(Number(count) * { "": 1, k: 1_000, m: 1_000_000 }[unit.toLowerCase() as "" | "k" | "m"]);
    return tokens > 0 ? { tokens } : undefined;
  },
  minutes(value) {
    const ms = /^\d+(?:\.\d+)?$/.test(value) ? Number(value) * 60_000 : 0;
    return ms > 0 ? { ms } : undefined;
  },
};

const EXPECTED: Readonly<Record<string, string>> = {
  turns: "a whole number, 1 or more",
  tokens: "a number like 50000, 100k or 1.5M",
  minutes: "a number above 0",
};

function expected(name: string, value: string | undefined): string {
  const got = value === undefined ? "has no value" : `is "${value}"`;
  return `--${name} ${got}; ${EXPECTED[name]} was expected`;
}

function unquote(text: string): string {
  // With a bare quote inside they are the user's own.
  return /^"(?:[^"\\]|\\.)*"$/s.test(text) ? text.slice(1, -1).replaceAll('\\"', '"') : text;
}
