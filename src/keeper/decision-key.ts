import type { Decision } from "../goals/gate.ts";

/** What makes two decisions the same for a reader: a deadline that moves a little does not make another one. */
export function decisionKey(decision: Decision): string {
  switch (decision.kind) {
    case "continue":
      return `continue ${decision.prompt}`;
    case "stop":
      return `stop ${decision.reason.why}`;
    case "wait":
      return decision.reasons
        .map((reason) =>
          [reason.why, "taskID" in reason ? reason.taskID : "", "status" in reason ? reason.status : ""].join(" "),
        )
        .join("; ");
  }
}
