import type { Decision, WaitReason } from "../goals/gate.ts";

/** What makes two decisions the same for a reader: a deadline that moves a little does not make another one. */
export function decisionKey(decision: Decision): string {
  switch (decision.kind) {
    case "continue":
      return `continue ${decision.prompt}`;
    case "stop":
      return `stop ${decision.reason.why}`;
    case "wait":
      return decision.reasons.map(reasonKey).join("; ");
  }
}

function reasonKey(reason: WaitReason): string {
  switch (reason.why) {
    case "task-live":
      return `${reason.why} ${reason.taskID} ${reason.status}`;
    case "outcome-untold":
    case "outcome-unanswered":
      return `${reason.why} ${reason.taskID}`;
    case "ask-open":
      return `${reason.why} ${reason.sessionID} ${reason.kind} ${reason.about}`;
    case "undone":
      return `${reason.why} ${reason.sessionID}`;
    case "root-busy":
    case "provider-retries":
    case "user-message-unanswered":
    case "back-off":
    case "usage-limit":
    case "quiet":
    case "asleep":
      return reason.why;
  }
}

/** As if their keys were compared, without making them: a root may wait for a thousand tasks. */
export function isSameDecision(one: Decision, other: Decision): boolean {
  if (one.kind !== "wait" || other.kind !== "wait") return decisionKey(one) === decisionKey(other);
  const { reasons } = other;
  return one.reasons.length === reasons.length && one.reasons.every((reason, at) => isSameReason(reason, reasons[at]));
}

function isSameReason(one: WaitReason, other: WaitReason | undefined): boolean {
  if (other === undefined) return false;
  if (one.why === "task-live" && other.why === "task-live")
    return one.taskID === other.taskID && one.status === other.status;
  return reasonKey(one) === reasonKey(other);
}
