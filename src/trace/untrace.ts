import type { StopReason, WaitReason, WayOut } from "../goals/gate.ts";
import type { Goal, PausedBy } from "../goals/goal.ts";
import type { TraceText } from "./event-schema.ts";
import type { TracedStopReason, TracedWaitReason, TraceRecord } from "./schema.ts";

/** The way back from a record to what `goals/words.ts` has words for. */

/** A text, or how long it was. */
export function shownText(text: TraceText): string {
  return typeof text === "string" ? text : `(${text} characters)`;
}

/** OpenCode appends the agent to the title of a task's session. */
export function shortTitle(title: string): string {
  return title.replace(/ \(@\S+ subagent\)$/, "");
}

export function toWaitReason(traced: TracedWaitReason): WaitReason {
  const { until, endedBy: _endedBy, ...reason } = traced;
  const wayOut: WayOut = until === undefined ? { endedBy: "user" } : { until };
  switch (reason.why) {
    case "provider-retries":
      return { ...wayOut, ...reason, message: shownText(reason.message) };
    case "ask-open":
      return { ...wayOut, ...reason, about: shownText(reason.about) };
    case "task-live":
    case "outcome-untold":
    case "outcome-unanswered":
      return { ...wayOut, ...reason, title: shortTitle(reason.title) };
    case "back-off":
    case "usage-limit":
    case "undone":
    case "root-busy":
    case "user-message-unanswered":
    case "quiet":
    case "asleep":
      return { ...wayOut, ...reason };
  }
}

export function toStopReason(traced: TracedStopReason): StopReason {
  switch (traced.why) {
    case "paused":
      return { why: traced.why, by: traced.by, reason: shownText(traced.reason) };
    case "blocked":
      return { why: traced.why, blocker: shownText(traced.blocker) };
    case "no-goal":
    case "auto-continue-off":
    case "complete":
    case "restricted-agent":
    case "unable-agent":
      return traced;
    case "limited":
      return { why: traced.why, limit: traced.limit, ...(traced.isCut === true ? { isCut: true } : {}) };
  }
}

/** As much of a goal as its state's words need. */
export function toGoal(record: Extract<TraceRecord, { kind: "goal" }>): Goal | undefined {
  const { at, to, turns, failures, idleTurns, ageMs } = record;
  const reason = shownText(record.reason ?? "");
  const base = {
    id: record.goalID,
    objective: shownText(record.objective),
    startedAt: at - ageMs,
    budget: {},
    allowedAt: at - ageMs,
    turns,
    tokens: record.tokens ?? { own: 0, tasks: 0 },
    failures,
    quotaUntil: record.quotaUntil ?? 0,
    quotaHits: 0,
    idleTurns,
    retryAt: record.retryAt ?? 0,
    releases: {},
  };
  switch (to) {
    case undefined:
      return undefined;
    case "active":
      return { ...base, status: to };
    case "paused":
      // Only compared with "user": a reader of a newer trace may meet others.
      return { ...base, status: to, by: (record.by ?? "user") as PausedBy, reason, at };
    case "complete":
      return { ...base, status: to, evidence: [], at };
    case "blocked":
      return { ...base, status: to, blocker: reason, at };
    case "limited":
      return { ...base, status: to, limit: record.limit ?? "its budget", wrapUp: record.isCut ? "cut" : "owed", at };
  }
}
