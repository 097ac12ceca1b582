import { frame } from "../delivery/frame.ts";
import { leftBehindNotice, outcomeNotice, overdueNotice, reminderNotice, waitingNotice } from "../delivery/notice.ts";
import type { Message } from "../delivery/outbox.ts";
import { type Decision, reportReasons, UNANSWERED_HOLDS_MS } from "../goals/gate.ts";
import type { Goal } from "../goals/goal.ts";
import { continuationText, wrapUpText } from "../goals/prompts.ts";
import type { Root } from "../goals/root.ts";
import { isTellingOverdue } from "../goals/run-hold.ts";
import { type EndedTask, isEnded, isLive, isOursToTell, isUntold, type LiveTask, type Task } from "../tasks/task.ts";

export interface Composition {
  readonly root: Root;
  readonly goal: Goal | undefined;
  readonly decision: Decision;
  /** All tasks of the root. */
  readonly tasks: readonly Task[];
  /** Those of them that the root is told about: nobody nearer to them is left. */
  readonly addressed: readonly Task[];
  readonly now: number;
  readonly ids: { message(after: string): string; part(): string };
  /** An id that is made behind this one stands behind all that was heard of the session. */
  readonly after: string;
  readonly hasReadTool: boolean;
  /** How long a success may wait for the tasks beside it. */
  readonly holdMs: number;
  /** Tasks for which a turn that is ending is to be kept open: of `opencode run`. */
  readonly waitsFor: readonly Task[];
}

/**
 * What should be said in a root now, if anything. What the outbox would tell never holds the gate: if the gate says
 * continue, every pending outcome rides in that prompt; if not, it is reported by itself.
 */
export function compose(composition: Composition): Message | undefined {
  const { root, goal, decision, tasks, addressed, now, waitsFor } = composition;
  const untold = addressed.filter(isUntold);
  const unanswered = tasks.filter(isEnded).filter((task) => reminderAt(task, root) <= now);
  const isEnding = root.activity.kind === "ending" && reportReasons(root, now).length === 0;
  // What is to be told would have to be stored first, and the turn ends in a few milliseconds.
  if (isEnding && waitsFor.length > 0 && (decision.kind !== "continue" || untold.length > 0))
    return message(composition, "waiting", [waitingNotice(waitsFor)], [], [], []);
  if (decision.kind === "continue" && goal !== undefined) {
    const overdue = tasks.filter(isLive).filter((task) => decision.overdueTaskIDs.includes(task.id));
    const prompt =
      decision.prompt === "wrapup"
        ? wrapUpText(goal, goal.status === "limited" ? goal.limit : "")
        : continuationText(goal);
    const towards = message(composition, decision.prompt, [prompt], untold, unanswered, overdue);
    return { ...towards, goalID: goal.id };
  }
  const left = isTellingOverdue(root, now) ? tasks.filter(isLive) : [];
  if (left.length > 0) {
    const lines = [leftBehindNotice(left)];
    const named = message(composition, "task-outcome", lines, untold, unanswered, []);
    return { ...named, overdueTaskIDs: left.map(({ id }) => id) };
  }
  const retryAt = goal?.status === "active" ? Math.max(goal.retryAt, goal.quotaUntil) : 0;
  const backedOff = retryAt > now && root.activity.kind !== "held";
  if (backedOff || reportReasons(root, now).length > 0) return undefined;
  const awaited = addressed.filter((task) => isEnded(task) || isWaitedFor(task, root, now));
  const due = unanswered.length > 0 || reportAt(awaited, composition.holdMs) <= now;
  return due ? message(composition, "task-outcome", [], untold, unanswered, []) : undefined;
}

/** Nobody answers a task that asks, and beyond its ceiling a held turn waits for none. */
function isWaitedFor({ id }: LiveTask, { activity, asks, wait }: Root, now: number): boolean {
  const isOver = activity.kind === "held" && wait !== undefined && wait.until <= now;
  return !isOver && asks.every(({ sessionID }) => sessionID !== id);
}

/** What should be said in a task whose turn has finished, about tasks of its own. */
export function composeReport(
  sessionID: string,
  addressed: readonly Task[],
  composition: Pick<Composition, "now" | "ids" | "after" | "holdMs" | "hasReadTool">,
): Message | undefined {
  const { now, holdMs } = composition;
  const unanswered = addressed.filter(isEnded).filter((task) => unansweredAt(task, sessionID) <= now);
  if (unanswered.length === 0 && reportAt(addressed, holdMs) > now) return undefined;
  return message({ ...composition, addressed }, "task-outcome", [], addressed.filter(isUntold), unanswered, []);
}

/** Tasks that end together are found to have ended one after the other: each is looked at by itself. */
const ENDING_TOGETHER_MS = 1_000;

/**
 * When what is owed is to be reported: a failure, loss or foreign cancel at once, successes when nothing that was
 * launched beside them still works, and not much later. One whose turn is over just now, and of which it is being found
 * out how, is waited for a moment. `Infinity` if nothing is owed.
 */
export function reportAt(addressed: readonly Task[], holdMs: number): number {
  const owed = addressed.filter(isOursToTell);
  const [first] = owed;
  if (first === undefined) return Number.POSITIVE_INFINITY;
  const bad = owed.some((task) => task.status !== "completed");
  const othersWork = addressed.some((task) => isLive(task) && task.origin === "launched");
  const firstAt = Math.min(...owed.map((task) => task.endedAt));
  if (!bad && othersWork) return firstAt + holdMs;
  return addressed.some(isEnding) ? firstAt + ENDING_TOGETHER_MS : 0;
}

function isEnding(task: Task): boolean {
  const rests = task.status === "running" && (task.observed.kind === "idle" || task.observed.kind === "aborted");
  return rests && task.origin !== "adopted";
}

/** The outcomes that a user's message takes along. */
export function handOver(tasks: readonly Task[], hasReadTool: boolean): string | undefined {
  const untold = tasks.filter(isUntold);
  return untold.length === 0 ? undefined : outcomeNotice(untold, { live: working(tasks), hasReadTool });
}

/** When the next reminder of an unanswered outcome is due; `Infinity` if none. */
export function reminderDeadline(root: Root, tasks: readonly Task[], now: number): number {
  const due = tasks.filter(isEnded).map((task) => reminderAt(task, root));
  return Math.min(Number.POSITIVE_INFINITY, ...due.filter((at) => at > now));
}

function reminderAt(task: EndedTask, root: Root): number {
  if (root.activity.kind !== "idle") return Number.POSITIVE_INFINITY;
  return Math.max(unansweredAt(task, root.id), root.activity.since + UNANSWERED_HOLDS_MS);
}

/** From when on an outcome that was told to a session, which does not work, is to be told again. */
export function unansweredAt({ origin, delivery }: EndedTask, sessionID: string): number {
  const isOpen = delivery.state === "delivered" && !delivery.byTurn && delivery.sessionID === sessionID;
  // What others made is theirs to tell.
  return isOpen && origin !== "adopted" ? delivery.at + UNANSWERED_HOLDS_MS : Number.POSITIVE_INFINITY;
}

function message(
  { ids, after, addressed, hasReadTool }: Pick<Composition, "ids" | "after" | "addressed" | "hasReadTool">,
  kind: Message["kind"],
  lines: readonly string[],
  untold: readonly EndedTask[],
  unanswered: readonly EndedTask[],
  overdue: readonly LiveTask[],
): Message {
  const id = ids.message(after);
  const outcomes = outcomeNotice(untold, { live: working(addressed), hasReadTool });
  const body = [...lines, outcomes, reminderNotice(unanswered), overdueNotice(overdue)].filter((part) => part !== "");
  return {
    id,
    partID: ids.part(),
    kind,
    text: frame(kind, id, body.join("\n\n")),
    outcomes: [...untold, ...unanswered].map((task) => ({ taskID: task.id, run: task.run.number })),
    overdueTaskIDs: overdue.map((task) => task.id),
  };
}

/** Those that the reader knows to work: what others made is theirs. */
function working(addressed: readonly Task[]): number {
  return addressed.filter((task) => isLive(task) && task.origin !== "adopted").length;
}
