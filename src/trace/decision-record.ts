import type { Decision, StopReason, WaitReason } from "../goals/gate.ts";
import type { Hold } from "../goals/run-hold.ts";
import type { TracedDecision, TracedHold, TracedStopReason, TracedWaitReason } from "./schema.ts";
import type { Texts } from "./texts.ts";

/** What the gate has answered, without its texts. */
export function tracedDecision(decision: Decision, text: Texts): TracedDecision {
  switch (decision.kind) {
    case "continue":
      return { kind: decision.kind, prompt: decision.prompt, overdueTaskIDs: [...decision.overdueTaskIDs] };
    case "wait":
      return { kind: decision.kind, reasons: decision.reasons.map((reason) => tracedWait(reason, text)) };
    case "stop":
      return { kind: decision.kind, reason: tracedStop(decision.reason, text) };
  }
}

/** Who paused a goal says whether the reason is in our words or in those of a provider or a file system. */
export function pauseReason(by: string, reason: string, text: Texts): string | number {
  return by === "error" || by === "storage" ? text(reason) : reason;
}

function tracedWait(reason: WaitReason, text: Texts): TracedWaitReason {
  const wayOut = "until" in reason ? { until: finite(reason.until) } : { endedBy: reason.endedBy };
  switch (reason.why) {
    case "provider-retries":
      return { why: reason.why, ...wayOut, message: text(reason.message) };
    case "task-live":
      return { why: reason.why, ...wayOut, taskID: reason.taskID, title: reason.title, status: reason.status };
    case "outcome-untold":
    case "outcome-unanswered":
      return { why: reason.why, ...wayOut, taskID: reason.taskID, title: reason.title };
    case "ask-open":
      return { why: reason.why, ...wayOut, sessionID: reason.sessionID, kind: reason.kind, about: text(reason.about) };
    case "undone":
      return { why: reason.why, ...wayOut, sessionID: reason.sessionID };
    case "back-off":
      return { why: reason.why, ...wayOut, failures: reason.failures };
    case "root-busy":
    case "usage-limit":
    case "user-message-unanswered":
    case "quiet":
    case "asleep":
      return { why: reason.why, ...wayOut };
  }
}

/** Both kinds of reasons are among those of the gate. */
export function tracedHold(hold: Hold, text: Texts): TracedHold {
  return hold.kind === "release"
    ? { kind: hold.kind, why: hold.why }
    : { kind: hold.kind, reasons: hold.reasons.map((reason) => tracedWait(reason, text)), until: finite(hold.until) };
}

/** JSON has no infinity. */
function finite(moment: number): number | undefined {
  return Number.isFinite(moment) ? moment : undefined;
}

function tracedStop(reason: StopReason, text: Texts): TracedStopReason {
  switch (reason.why) {
    case "no-goal":
    case "auto-continue-off":
    case "complete":
      return { why: reason.why };
    case "paused":
      return { why: reason.why, by: reason.by, reason: pauseReason(reason.by, reason.reason, text) };
    case "blocked":
      return { why: reason.why, blocker: text(reason.blocker) };
    case "limited":
      return { why: reason.why, limit: reason.limit, isCut: reason.isCut };
    case "restricted-agent":
      return { why: reason.why, agent: reason.agent };
    case "unable-agent":
      return { why: reason.why, agent: reason.agent, lacks: reason.lacks };
  }
}
