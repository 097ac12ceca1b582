import { closest } from "../closest.ts";
import { excerpt } from "../delivery/frame.ts";
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

/** What begins with a word of the command and is no longer than this is a slip ("resume now", "stop it"). */
const LONGEST_SLIP = 3;
/** A word that is longer than this is none of ours. */
const LONGEST_WORD = 30;

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
      : `"${excerpt(taken.rest, SHOWN)}" takes no limits, an objective does`;
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
  const known = WORDS.get(text.length > LONGEST_WORD ? text : text.toLowerCase());
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
  if (word.length > LONGEST_WORD) return "";
  return word.toLowerCase().replace(/[^\p{L}]/gu, "");
}

interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly isInQuotes: boolean;
}

interface Taken {
  /** What is left when the flags are taken off. */
  readonly rest: string;
  readonly budget: Partial<Budget>;
  readonly isAny: boolean;
  readonly problem?: string;
}

/** A flag at one of the ends, and how many tokens it has. */
interface Found {
  readonly flag: Flag;
  readonly value: string | undefined;
  readonly length: number;
}

/** Flags stand before or behind the objective: in the midst of it, or in quotes, they are part of it. */
function takeFlags(text: string): Taken {
  const tokens = tokensOf(text);
  const budget: Partial<Budget> = {};
  const seen = new Set<string>();
  let [from, to] = [0, tokens.length];
  const taken = (problem?: string): Taken => {
    const rest = from < to ? text.slice(tokens[from]?.start, tokens[to - 1]?.end) : "";
    return { rest, budget, isAny: seen.size > 0, ...(problem === undefined ? {} : { problem }) };
  };
  for (;;) {
    const { rest } = taken();
    if (unquote(rest) !== undefined) return taken();
    const before = flagBefore(tokens, from, to);
    const found = before ?? flagBehind(tokens, from, to);
    if (found === undefined) return taken();
    const problem = problemOf(found, seen);
    if (before === undefined) to -= found.length;
    else from += found.length;
    if (problem !== undefined) return taken(problem);
    seen.add(found.flag.name);
    Object.assign(budget, READERS[found.flag.name]?.(found.value ?? ""));
  }
}

function problemOf({ flag, value }: Found, seen: ReadonlySet<string>): string | undefined {
  const { name, written } = flag;
  const reader = READERS[name];
  if (reader === undefined || !flag.isDouble) return unknown(written, name);
  if (seen.has(name)) return `--${name} is said twice`;
  if (value === undefined) return `--${name} has no value; ${EXPECTED[name]} was expected`;
  const read = reader(value);
  if (read === undefined) return `--${name} is "${excerpt(value, SHOWN)}"; ${EXPECTED[name]} was expected`;
  return Object.values(read).every(Number.isSafeInteger)
    ? undefined
    : `--${name} is "${excerpt(value, SHOWN)}"; a smaller number was expected`;
}

/** At the beginning nothing but a flag begins with a dash. */
function flagBefore(tokens: readonly Token[], from: number, to: number): Found | undefined {
  const flag = flagOf(tokens[from]);
  if (flag === undefined || from >= to || (!flag.isAscii && !isNear(flag.name))) return undefined;
  let next = from + 1;
  while (next < to && isSeparator(tokens[next])) next++;
  const given = next < to ? tokens[next] : undefined;
  if (flag.value !== undefined) return { flag, value: flag.value, length: 1 };
  if (given === undefined || flagOf(given)?.isDouble === true) return { flag, value: undefined, length: next - from };
  return { flag, value: plainValue(given.text), length: next - from + 1 };
}

function flagBehind(tokens: readonly Token[], from: number, to: number): Found | undefined {
  const last = tokens[to - 1];
  if (last === undefined || to <= from || last.isInQuotes) return undefined;
  const own = flagOf(last);
  if (own?.value !== undefined) return isMeant(own) ? { flag: own, value: own.value, length: 1 } : undefined;
  // It has no value: it may be the last word of what the user wants.
  if (own !== undefined && isNear(own.name)) return { flag: own, value: undefined, length: 1 };
  let at = isSeparator(last) ? to - 1 : to - 2;
  while (at >= from && isSeparator(tokens[at])) at--;
  const token = at < from ? undefined : tokens[at];
  const flag = token?.isInQuotes === true ? undefined : flagOf(token);
  if (flag === undefined || flag.value !== undefined || !isMeant(flag)) return undefined;
  return { flag, value: isSeparator(last) ? undefined : plainValue(last.text), length: to - at };
}

/** Other things are written with a dash, too: `-n 5`, or a thought —like this. */
function isMeant({ name, isDouble, isAscii }: Flag): boolean {
  return isNear(name) || (isDouble && isAscii);
}

interface Flag {
  readonly name: string;
  readonly written: string;
  /** Phones and documents make one long dash of two. */
  readonly isDouble: boolean;
  readonly isAscii: boolean;
  /** Where it is written in one word: `--turns=5`. */
  readonly value: string | undefined;
}

const FLAG = /^([-\u2010-\u2015\u2212]+)([^\s\-\u2010-\u2015\u2212=:"][^\s=:"]*)(.*)$/s;

function flagOf(token: Token | undefined): Flag | undefined {
  if (token === undefined || token.isInQuotes) return undefined;
  const [, dashes = "", name = "", more = ""] = FLAG.exec(token.text) ?? [];
  if (name === "") return undefined;
  const value = plainValue(more);
  const written = `${dashes}${excerpt(name, SHOWN)}`;
  return {
    name: name.toLowerCase(),
    written,
    isDouble: dashes !== "-",
    isAscii: dashes === "-" || dashes === "--",
    value: value === "" ? undefined : value,
  };
}

/** Of `--turns =5`, `--turns: 5` and `--turns "5"`. */
function plainValue(text: string): string {
  const value = text.replace(/^[=:]+/, "");
  return unquote(value) ?? value;
}

function isSeparator(token: Token | undefined): boolean {
  return token !== undefined && /^[=:]+$/.test(token.text);
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  // A quote that nobody closes is a mark of inches.
  const hasPairs = text.split('"').length % 2 === 1;
  let isOpen = false;
  for (const match of text.matchAll(/\S+/g)) {
    const [found] = match;
    const start = match.index;
    tokens.push({ text: found, start, end: start + found.length, isInQuotes: hasPairs && isOpen });
    if ((found.split('"').length - 1) % 2 === 1) isOpen = !isOpen;
  }
  return tokens;
}

/** Each gives what was said, however large; undefined: it is no such number. */
const READERS: Readonly<Record<string, (value: string) => Partial<Budget> | undefined>> = {
  turns: (value) => (/^[1-9]\d*$/.test(value) ? { turns: Number(value) } : undefined),
  tokens(value) {
    const [, count, unit = ""] = /^(\d+(?:\.\d+)?)([km]?)$/i.exec(value) ?? [];
    const tokens = Math.round(Number(count) * { "": 1, k: 1_000, m: 1_000_000 }[unit.toLowerCase() as "" | "k" | "m"]);
    return tokens > 0 ? { tokens } : undefined;
  },
  minutes(value) {
    const ms = /^\d+(?:\.\d+)?$/.test(value) ? Math.round(Number(value) * 60_000) : 0;
    return ms > 0 ? { ms } : undefined;
  },
};

const FLAGS = ["turns", "tokens", "minutes"] as const;

const EXPECTED: Readonly<Record<string, string>> = {
  turns: "a whole number, 1 or more",
  tokens: "a number like 50000, 100k or 1.5M",
  minutes: "a number above 0",
};

/** Of what somebody has said, in what is said of it. */
const SHOWN = 40;

function isNear(name: string): boolean {
  return name.length <= LONGEST_WORD && closest(name, FLAGS, 1).length > 0;
}

function unknown(written: string, name: string): string {
  const near = name.length > LONGEST_WORD ? [] : closest(name, FLAGS, 2);
  const begun = near.length > 0 ? near : FLAGS.filter((flag) => flag.startsWith(name) || name.includes(flag));
  const [meant] = begun;
  const flags = meant === undefined ? "--turns, --tokens or --minutes" : `--${meant}`;
  return `${written} is no limit; ${flags} was expected, or the objective in quotes`;
}

const CLOSING: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  "\u201c": "\u201d",
  "\u2018": "\u2019",
  "\u201e": "\u201c",
};

/** What stands in quotes; undefined: it does not, or with a bare quote inside they are the user's own. */
function unquote(text: string): string | undefined {
  const opening = text.charAt(0);
  const closing = CLOSING[opening];
  if (closing === undefined || text.length < 2 || !text.endsWith(closing)) return undefined;
  const inner = text.slice(1, -1);
  if (opening !== '"') return inner.includes(closing) || inner.includes(opening) ? undefined : inner.trim();
  for (let index = 0; index < inner.length; index++) {
    if (inner[index] === '"') return undefined;
    // What is escaped is not looked at; the closing quote must not be.
    if (inner[index] === "\\" && ++index === inner.length) return undefined;
  }
  return inner.replaceAll('\\"', '"').trim();
}
