import { excerpt } from "../delivery/frame.ts";
import { shortTitle } from "./untrace.ts";

export type Tone = "plain" | "dim" | "good" | "warn" | "bad";

/** What one record says to a stranger. */
export interface Saying {
  readonly what: string;
  /** @default "plain" */
  readonly tone?: Tone;
}

export function taskName(title: string): string {
  return `“${excerpt(shortTitle(title), 24)}”`;
}

export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
