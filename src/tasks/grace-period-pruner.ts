import type { Answer, TurnError } from "../host/port.ts";
import { base } from "./lifecycle.ts";
import type { Reading } from "./outcome.ts";
import type { Doubt, LiveTask, MissingTask, Outcome, TaskTiming, TerminalStatus } from "./task.ts";

/** Looks at an unreadable task back off from one second to this. */
const LONGEST_BACK_OFF_MS = 30_000;

/** What was found when the host was asked about one task. */
export interface Look {
  /** The status list shows it as working. */
  readonly shown: Answer<boolean>;
  /** The parent's children list names it. */
  readonly listed: Answer<boolean>;
  readonly reading: Answer<Reading>;
}

export type Verdict =
  | { readonly kind: "alive" }
  | { readonly kind: "ended"; readonly status: TerminalStatus; readonly outcome: Outcome }
  | { readonly kind: "look-again"; readonly at: number };

/**
 * Absence proves nothing by itself: a doubted task goes missing, is looked at, and only the end of the grace period
 * lets its transcript settle it. After a restart the first look is at once, because a finished transcript needs no
 * grace.
 */
export function doubt(task: LiveTask, why: Doubt, now: number, timing: TaskTiming): MissingTask {
  if (task.status === "missing") return task;
  const graceUntil = now + timing.graceMs;
  return {
    ...base(task),
    status: "missing",
    doubt: why,
    since: now,
    graceUntil,
    lookAt: why === "restart" ? now : graceUntil,
    looks: 0,
  };
}

/**
 * What a look at a missing task proves. `lost` needs all three questions answered and none showing it alive or
 * finished, or that the host says its session does not exist; an unanswered question means to look again. One of which an
 * error was the last that was heard is `failed` instead.
 */
export function settleMissing(task: MissingTask, look: Look, now: number, timing: TaskTiming): Verdict {
  if (look.shown.kind === "known" && look.shown.value) return { kind: "alive" };
  const reading = look.reading.kind === "known" ? look.reading.value : undefined;
  const text = reading === undefined ? {} : { text: reading.text, usage: reading.usage };
  if (reading?.kind === "finished") return { kind: "ended", status: "completed", outcome: text };
  if (reading?.kind === "failed")
    return { kind: "ended", status: "failed", outcome: { ...text, error: reading.error } };
  if (reading?.kind === "aborted" && (task.doubt !== "restart" || task.interruptedAt !== undefined)) {
    return { kind: "ended", status: "cancelled", outcome: { ...text, reason: "it was aborted" } };
  }
  if (now < task.graceUntil) return { kind: "look-again", at: task.graceUntil };
  const answered = look.shown.kind !== "unknown" && look.listed.kind !== "unknown" && look.reading.kind !== "unknown";
  const isOver = (reason: string): Verdict => {
    const error = look.reading.kind === "gone" ? undefined : heardError(task);
    if (error !== undefined) return { kind: "ended", status: "failed", outcome: { ...text, error } };
    return { kind: "ended", status: "lost", outcome: { ...text, reason } };
  };
  if (answered || look.reading.kind === "gone") return isOver(lostReason(task, look));
  const ceiling = timing.ceilingMs === 0 ? Number.POSITIVE_INFINITY : task.since + timing.ceilingMs;
  if (now >= Math.max(ceiling, task.graceUntil)) return isOver("OpenCode did not answer about it");
  const backOffMs = Math.min(1_000 * 2 ** Math.max(task.looks - 1, 0), LONGEST_BACK_OFF_MS);
  return { kind: "look-again", at: Math.min(now + backOffMs, Math.max(ceiling, now + 1)) };
}

/** Its turn has ended with it, and what it has written says nothing yet: with snapshots a slow git delays that. */
function heardError({ doubt, run }: MissingTask): TurnError | undefined {
  return doubt === "idle-unfinished" ? run.error : undefined;
}

function lostReason(task: MissingTask, look: Look): string {
  if (look.reading.kind === "gone") return "its session does not exist any more";
  if (look.listed.kind === "known" && !look.listed.value) return "its session disappeared while it was working";
  switch (task.doubt) {
    case "restart":
      return "OpenCode stopped while it was working";
    case "idle-unfinished":
    case "no-status":
      return "OpenCode stopped showing it before it had finished";
  }
}
