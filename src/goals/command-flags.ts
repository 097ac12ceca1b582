import { closest } from "../closest.ts";
import { excerpt } from "../delivery/frame.ts";
import type { Budget } from "./budget.ts";
import { QUOTED_LENGTH, quote, unquote } from "./quotes.ts";

interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly isInQuotes: boolean;
}

/** What was said, taken apart. */
export interface Taken {
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

/** `--turns 5` and the like, as people type and paste them. In the midst of an objective, or in quotes, they are part of it. */
export function takeFlags(text: string): Taken {
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
  if (read === undefined) return `--${name} is ${quote(value)}; ${EXPECTED[name]} was expected`;
  return Object.values(read).every(Number.isSafeInteger)
    ? undefined
    : `--${name} is ${quote(value)}; a smaller number was expected`;
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
  const written = `${dashes}${excerpt(name, QUOTED_LENGTH)}`;
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

function isNear(name: string): boolean {
  return closest(name, FLAGS, 1).length > 0;
}

function unknown(written: string, name: string): string {
  const near = closest(name, FLAGS, 2);
  const begun = near.length > 0 ? near : FLAGS.filter((flag) => flag.startsWith(name) || name.includes(flag));
  const [meant] = begun;
  const flags = meant === undefined ? "--turns, --tokens or --minutes" : `--${meant}`;
  return `${written} is no limit; ${flags} was expected, or the objective in quotes`;
}
