import { frame } from "../delivery/frame.ts";
import { outcomeNotice, overdueNotice, reminderNotice } from "../delivery/notice.ts";
import type { Message } from "../delivery/outbox.ts";
import { type Decision, rootReasons, UNANSWERED_HOLDS_MS } from "../goals/gate.ts";
import type { Goal } from "../goals/goal.ts";
import { continuationText, wrapUpText } from "../goals/prompts.ts";
import type { Root } from "../goals/root.ts";
import { type EndedTask, isEnded, isLive, isOursToTell, isUntold, type LiveTask, type Task } from "../tasks/task.ts";

export interface Composition {
  readonly root: Root;
  readonly goal: Goal | undefined;
  readonly decision: Decision;
  readonly tasks: readonly Task[];
  readonly now: number;
  readonly ids: { message(after: string): string; part(): string };
}

/**
 * What should be said in a root now, if anything. What the outbox would tell never holds the gate: if the gate says
 * continue, every pending outcome rides in that prompt; if not, a failure, loss or foreign cancel goes out at once,
 * successes when no launched sibling still works.
 */
export function compose(composition: Composition): Message | undefined {
  const { root, goal, decision, tasks, now } = composition;
  const untold = tasks.filter(isUntold);
  const unanswered = tasks.filter(isEnded).filter((task) => reminderAt(task, root) <= now);
  if (decision.kind === "continue" && goal !== undefined) {
    const overdue = tasks.filter(isLive).filter((task) => decision.overdueTaskIDs.includes(task.id));
    const prompt =
      decision.prompt === "wrapup"
        ? wrapUpText(goal, goal.status === "limited" ? goal.limit : "")
        : continuationText(goal);
    return message(composition, decision.prompt, [prompt], untold, unanswered, overdue);
  }
  const backedOff = goal?.status === "active" && goal.retryAt > now;
  if (backedOff || rootReasons(root, now).length > 0) return undefined;
  const owed = untold.filter(isOursToTell);
  const bad = owed.some((task) => task.status !== "completed");
  const launchedWork = tasks.some((task) => isLive(task) && task.origin === "launched");
  const due = unanswered.length > 0 || (owed.length > 0 && (bad || !launchedWork));
  return due ? message(composition, "task-outcome", [], untold, unanswered, []) : undefined;
}

/** The outcomes that a user's message takes along. */
export function handOver(tasks: readonly Task[]): string | undefined {
  const untold = tasks.filter(isUntold);
  return untold.length === 0 ? undefined : outcomeNotice(untold);
}

/** When the next reminder of an unanswered outcome is due; `Infinity` if none. */
export function reminderDeadline(root: Root, tasks: readonly Task[], now: number): number {
  const due = tasks.filter(isEnded).map((task) => reminderAt(task, root));
  return Math.min(Number.POSITIVE_INFINITY, ...due.filter((at) => at > now));
}

function reminderAt(task: EndedTask, root: Root): number {
  const { delivery } = task;
  const waits =
    delivery.state === "delivered" &&
    !delivery.byTurn &&
    delivery.sessionID === root.id &&
    root.activity.kind === "idle";
  return waits ? Math.max(delivery.at, root.activity.since) + UNANSWERED_HOLDS_MS : Number.POSITIVE_INFINITY;
}

function message(
  { root, ids }: Composition,
  kind: Message["kind"],
  lines: readonly string[],
  untold: readonly EndedTask[],
  unanswered: readonly EndedTask[],
  overdue: readonly LiveTask[],
): Message {
  const id = ids.message(root.lastMessageID);
  const body = [...lines, outcomeNotice(untold), reminderNotice(unanswered), overdueNotice(overdue)].filter(
    (part) => part !== "",
  );
  return {
    id,
    partID: ids.part(),
    kind,
    text: frame(kind, id, body.join("\n\n")),
    outcomes: [...untold, ...unanswered].map((task) => ({ taskID: task.id, run: task.run.number })),
    overdueTaskIDs: overdue.map((task) => task.id),
  };
}
