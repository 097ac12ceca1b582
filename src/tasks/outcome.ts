import type { TranscriptMessage, TurnError, Usage } from "../host/port.ts";
import { KEPT_TEXT_LENGTH, type Run } from "./task.ts";

/** What the transcript of a child says about one of its runs; `usage` is that of all its runs. */
export type Reading = { readonly text: string; readonly usage: Usage } & (
  | { readonly kind: "finished" }
  | { readonly kind: "failed"; readonly error: TurnError }
  | { readonly kind: "aborted" }
  /** `begun`: there is an answer to its prompt, or the beginning of one. */
  | { readonly kind: "unfinished"; readonly begun: boolean }
);

/** Set by OpenCode on the assistant message of an aborted turn, and on that turn's `session.error`. */
export const ABORT_ERROR = "MessageAbortedError";

/** What we name that error where we have aborted the turn ourselves: it is nobody's interrupt. */
export const OUR_ABORT_ERROR = "GoalkeeperAbortError";

export const NO_USAGE: Usage = { tokens: 0, cost: 0 };

/** Finish reasons after which the turn goes on: the model wants tools, or the provider did not say. */
const UNFINISHED = new Set(["tool-calls", "unknown"]);

/**
 * Reads how the run that answers `promptID` ended: by the last non-summary assistant message that answers it or a
 * later user message. Without `promptID` the whole transcript is the run. A summary never settles a run.
 */
export function readOutcome(transcript: readonly TranscriptMessage[], promptID?: string): Reading {
  const usage = totalUsage(transcript);
  const start = promptID === undefined ? 0 : transcript.findIndex((message) => message.id === promptID);
  // The prompt is gone (a revert, a compaction that dropped it), or was never stored with what it says: nothing can be
  // said about this run.
  if (start < 0 || (promptID !== undefined && transcript[start]?.torn === true))
    return { kind: "unfinished", text: "", usage, begun: false };
  const run = transcript.slice(start).filter((message) => !message.summary);
  const answers = run.filter((message) => message.role === "assistant");
  const text = keep(answers.findLast((message) => message.text !== "")?.text ?? "");
  const read = { text, usage };
  const last = run.findLast((message) => !(message.role === "user" && message.compaction));
  if (last === undefined || last.role !== "assistant")
    return { ...read, kind: "unfinished", begun: answers.length > 0 };
  if (last.error !== undefined) {
    return last.error.name === ABORT_ERROR
      ? { ...read, kind: "aborted" }
      : { ...read, kind: "failed", error: last.error };
  }
  // An abort while the provider is retried completes the message and says nothing else.
  if (last.completedAt !== undefined && last.finish === undefined) return { ...read, kind: "aborted" };
  const finished = last.completedAt !== undefined && last.finish !== undefined && !UNFINISHED.has(last.finish);
  return finished ? { ...read, kind: "finished" } : { ...read, kind: "unfinished", begun: true };
}

/** What all model requests of a session have cost together, its summaries included. */
export function totalUsage(transcript: readonly TranscriptMessage[]): Usage {
  return transcript.reduce(
    (sum, { usage }) =>
      usage === undefined ? sum : { tokens: sum.tokens + usage.tokens, cost: sum.cost + usage.cost },
    NO_USAGE,
  );
}

/**
 * Reads how a run ended, also where the process was killed before the run's prompt was known: a resumed session holds
 * the finished earlier run, and only what came after the resume belongs to this one.
 */
export function readRun(transcript: readonly TranscriptMessage[], run: Run): Reading {
  if (run.promptID !== undefined || run.number === 1) return readOutcome(transcript, run.promptID);
  const prompt = transcript.find(({ role, createdAt }) => role === "user" && createdAt >= run.startedAt);
  return prompt === undefined
    ? { kind: "unfinished", text: "", usage: totalUsage(transcript), begun: false }
    : readOutcome(transcript, prompt.id);
}

/** The end of a long text is what matters: that is where an agent puts its result. */
export function keep(text: string): string {
  // Half a surrogate pair at the cut would not be valid text.
  return text.length <= KEPT_TEXT_LENGTH ? text : text.slice(-KEPT_TEXT_LENGTH).replace(/^[\uDC00-\uDFFF]/, "");
}

/** Orders messages by their numeric creation time (9 comes before 10); those of one moment stay as they came. */
export function byCreation(a: { readonly createdAt: number }, b: { readonly createdAt: number }): number {
  return a.createdAt - b.createdAt;
}
