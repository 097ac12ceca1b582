import type { Tone } from "./saying.ts";
import type { TimelineLine } from "./timeline.ts";

/** Gives a text the look of its tone. */
export type Painter = (text: string, tone: Tone) => string;

export interface TimelineTextOptions {
  /** Columns of the screen. @default unlimited */
  readonly width?: number;
  /** @default none: plain text */
  readonly paint?: Painter;
}

const TIME = 9;
const WHO = 20;
const plain: Painter = (text) => text;

/** One line of a timeline for a screen: time, session, what happened; broken where the screen ends. */
export function timelineText(line: TimelineLine, { width, paint = plain }: TimelineTextOptions = {}): string {
  const time = `+${(line.ms / 1_000).toFixed(1)}s`.padStart(TIME);
  const who = line.who === "main" || !line.who.startsWith("“") ? line.who : `task ${line.who}`;
  const indent = " ".repeat(TIME + 2 + WHO + 1);
  const column = width === undefined ? Number.POSITIVE_INFINITY : Math.max(width - indent.length, 20);
  const [first = "", ...rest] = wrap(line.what, column);
  const head = `${paint(time, "dim")}  ${paint(fit(who, WHO), line.who === "main" ? "plain" : line.tone)} ${paint(first, line.tone)}`;
  return [head, ...rest.map((more) => `${indent}${paint(more, line.tone)}`)].join("\n");
}

/** Colours for a terminal; plain text where there is none or the user wants none (https://no-color.org). */
export function painterFor(
  stream: { readonly isTTY?: boolean | undefined },
  env: Readonly<Record<string, string | undefined>>,
): Painter {
  const wanted = stream.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
  return wanted ? (text, tone) => (tone === "plain" ? text : `\u001b[${CODES[tone]}m${text}\u001b[0m`) : plain;
}

const CODES: Readonly<Record<Exclude<Tone, "plain">, number>> = { dim: 2, good: 32, warn: 33, bad: 31 };

function fit(text: string, width: number): string {
  const characters = [...text];
  if (characters.length <= width) return text + " ".repeat(width - characters.length);
  const quote = text.endsWith("”") ? "”" : "";
  return `${characters.slice(0, width - 1 - quote.length).join("")}…${quote}`;
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
