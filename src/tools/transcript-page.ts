import type { TranscriptMessage, TranscriptPart } from "../host/port.ts";

/** OpenCode cuts a tool result at 2,000 lines and at 51,200 bytes. A character has three bytes at most, half a pair two. */
const PAGE_LENGTH = 15_000;
const PAGE_LINES = 1_500;
/** What is shown of the input and of the output of a tool call. */
const INPUT_LENGTH = 500;
const OUTPUT_LENGTH = 2_000;

export interface Page {
  readonly text: string;
  /** Where the next page begins; undefined: this one is the last. */
  readonly next: number | undefined;
}

/**
 * One page of a text. While the text only grows, a page that is followed by another one stays what it is.
 *
 * @param offset in characters (UTF-16 units); a surrogate pair is never split
 * @param settled what follows may still change, so that no page begins behind it
 */
export function pageOf(text: string, offset: number, settled = text.length): Page {
  const start = boundary(text, Math.min(offset, text.length));
  const end = boundary(text, Math.min(start + PAGE_LENGTH, lineEnd(text, start), text.length));
  if (end === text.length) return { text: text.slice(start), next: undefined };
  const next = settled > start ? Math.min(end, settled) : end;
  return { text: text.slice(start, next), next };
}

export interface Rendering {
  readonly text: string;
  /** What follows after it can still change: a tool call works. */
  readonly settled: number;
  /** Where each message begins. */
  readonly starts: readonly number[];
}

/**
 * A transcript as a model reads it, in its true order: what was said, and the tool calls with their beginnings and
 * ends. Reasoning is left out. What was rendered stays when messages are added.
 */
export function renderTranscript(messages: readonly TranscriptMessage[]): Rendering {
  let text = "";
  let settled: number | undefined;
  const starts: number[] = [];
  for (const [index, message] of messages.entries()) {
    const before = index === 0 ? "" : "\n\n";
    starts.push(text.length + before.length);
    text += `${before}[${index + 1}] ${speaker(message)}`;
    for (const part of message.parts) {
      if (part.type === "tool" && (part.state === "running" || part.state === "pending")) settled ??= text.length;
      text += shown(part);
    }
    if (message.parts.length === 0 && message.role === "user") text += `\n${middleCut(message.rawText, INPUT_LENGTH)}`;
    if (message.error !== undefined) text += `\n! ${message.error.name}: ${message.error.message}`;
  }
  return { text, settled: settled ?? text.length, starts };
}

/** The whole text if OpenCode lets it through in a tool result, else its end: that is where a result is. */
export function lastPage(text: string): string {
  if (text.length <= PAGE_LENGTH && text.split("\n").length <= PAGE_LINES) return text;
  const lines = text.slice(boundary(text, Math.max(0, text.length - PAGE_LENGTH))).split("\n");
  const kept = lines.slice(-PAGE_LINES).join("\n");
  return `[${text.length - kept.length} characters before this are left out]\n${kept}`;
}

function speaker({ role, summary, compaction }: TranscriptMessage): string {
  if (summary) return "assistant, a summary of what was before";
  return compaction ? "user, asks for a summary" : role;
}

function shown(part: TranscriptPart): string {
  switch (part.type) {
    case "text":
      return `\n${part.text}`;
    case "reasoning":
      return "";
    case "tool":
      return `\n> ${part.tool} ${middleCut(part.input, INPUT_LENGTH)}\n${result(part)}`;
  }
}

function result({ state, output }: Extract<TranscriptPart, { type: "tool" }>): string {
  switch (state) {
    case "pending":
    case "running":
      return `  ${state}`;
    case "completed":
      return `  completed: ${middleCut(output, OUTPUT_LENGTH)}`;
    case "error":
      return `  error: ${middleCut(output, OUTPUT_LENGTH)}`;
  }
}

/** Both ends of a long text: what it is about, and what came of it. */
function middleCut(text: string, length: number): string {
  if (text.length <= length) return text;
  const head = boundary(text, length / 2);
  const rest = boundary(text, text.length - length / 2);
  return `${text.slice(0, head)} [${rest - head} characters are left out] ${text.slice(rest)}`;
}

/** Half a surrogate pair is not valid text for a provider. */
function boundary(text: string, at: number): number {
  return /[\uD800-\uDBFF]/.test(text.charAt(at - 1)) && /[\uDC00-\uDFFF]/.test(text.charAt(at)) ? at - 1 : at;
}

/** Behind the last line that fits on a page. */
function lineEnd(text: string, start: number): number {
  let end = start;
  for (let lines = 0; lines < PAGE_LINES; lines++) {
    const at = text.indexOf("\n", end);
    if (at < 0) return text.length;
    end = at + 1;
  }
  return end;
}
