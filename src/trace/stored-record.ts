import type { StoredRoot } from "../keeper/stored-root.ts";
import type { TraceText } from "./event-schema.ts";
import type { Texts } from "./texts.ts";

/** Who runs a task, in a trace: this instance, or another one. The name of a machine is none of a trace's business. */
export const HERE = "here";
const ELSEWHERE = "elsewhere";

/** Ids, states, and names that are no prompt and no output. Any other string is a text: what is new cannot leak. */
const FACTS: ReadonlySet<string> = new Set([
  ...["id", "self", "tool_call_ids", "origin", "status", "state", "teller", "kind", "for", "by", "wrapUp"],
  ...["title", "limit", "name", "agent", "variant"],
]);
const IS_ID = /IDs?$/;
/** What else is a text, and may be a length. */
const TEXTS: ReadonlySet<string> = new Set(["objective", "blocker", "reason", "message", "text", "prompt"]);

type Tree = Readonly<Record<string, unknown>>;
type Change = (value: unknown, key: string, inside: Tree, at: string) => unknown;

/** A stored root as a trace keeps it: all of it, with texts as `text` has them. {@link storedRoot} is the way back. */
export function tracedRoot(stored: StoredRoot, runner: string, text: Texts): Record<string, unknown> {
  return walk(stored, "", (value, key, inside, at) => {
    if (typeof value !== "string" || FACTS.has(key) || IS_ID.test(key)) return value;
    if (key === "runner") return value === runner ? HERE : ELSEWHERE;
    return key === "reason" && isOurs(inside, at) ? value : text(value);
  });
}

/** Texts of which only the length is known are as long as they were. */
export function storedRoot(traced: Tree): StoredRoot {
  const root = walk(traced, "", (value, key, _inside, at) => {
    const isText = TEXTS.has(key) || (key === "claim" && at === "evidence");
    return isText && typeof value === "number" ? filler(value) : value;
  });
  // What was written is a root with other texts.
  return root as unknown as StoredRoot;
}

/** A text of the same length. */
export function filler(text: TraceText): string {
  return typeof text === "string" ? text : ".".repeat(text);
}

/** The reasons of an outcome, and of a pause that is not about an error, are in our words. */
function isOurs({ by }: Tree, at: string): boolean {
  return at === "outcome" || (at === "goal" && by !== "error" && by !== "storage");
}

/** @param at the key under which the object stands, or the list that it is in */
function walk(tree: object, at: string, change: Change): Record<string, unknown> {
  const inside = tree as Tree;
  const changed = (value: unknown, key: string): unknown => {
    if (Array.isArray(value)) return value.map((item) => changed(item, key));
    return typeof value === "object" && value !== null ? walk(value, key, change) : change(value, key, inside, at);
  };
  return Object.fromEntries(Object.entries(inside).map(([key, value]) => [key, changed(value, key)]));
}
