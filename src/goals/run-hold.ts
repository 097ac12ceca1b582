import type { IsBefore } from "../tasks/message-order.ts";
import { type EndedTask, isEnded, isLive, isOursToTell, isWaiting, type LiveTask, type Task } from "../tasks/task.ts";
import type { Decision, WaitReason } from "./gate.ts";
import { isUndecided, type Root, type RunWait } from "./root.ts";

/** What `opencode run` may wait for: what ends by itself. */
export type HoldReason = Extract<WaitReason, { readonly why: "task-live" | "outcome-untold" }>;

/** Why the turn goes on. */
export type ReleaseReason =
  | "nothing-owed"
  /** A task has not completed, and the agent can do something about it. */
  | "failure"
  /** The goal goes on beside what still works. */
  | "goal-continues"
  | "ceiling"
  | "interrupted";

export type Hold =
  | { readonly kind: "hold"; readonly reasons: readonly HoldReason[]; readonly until: number }
  | { readonly kind: "release"; readonly why: ReleaseReason };

export interface HoldView {
  /** Whether tasks are waited for; else only what is on its way anyhow. */
  readonly waits: boolean;
  readonly root: Root;
  /** The order of its messages. */
  readonly isBefore: IsBefore;
  readonly tasks: readonly Task[];
  /** What the gate would answer if the turn were over. */
  readonly decision: Decision;
  /** The tasks that the root itself is told about. */
  readonly addressed: readonly Task[];
  /** A message of ours is on its way and not stored yet. */
  readonly isSending: boolean;
  /** The goal may go on, and the message for that has no id yet that is stored: at the end of the turn it is too late. */
  readonly isPreparing: boolean;
  /**
   * False when another process keeps the books by now, or when they could not be written several times in a row: then
   * nothing can be told here, and nothing starts.
   */
  readonly canTell: boolean;
  readonly now: number;
}

/**
 * May the turn of an `opencode run` go on, at whose end the process exits? Weaker than the gate, because the turn that it
 * holds is the one that would answer: it waits for tasks and for what is not stored in the root yet, never for an
 * answer and never for a question.
 */
export function decideHold(view: HoldView): Hold {
  const { root, decision, isSending, now } = view;
  if (isUndecided(root.presence) || root.presence.kind === "quiet") return release("interrupted");
  const wait = root.wait ?? { until: Number.POSITIVE_INFINITY, overdueTold: false };
  const reasons = view.waits ? holdReasons(view, wait) : [];
  if (isSending) return { kind: "hold", reasons, until: wait.until };
  if (view.addressed.some((task) => isEnded(task) && wasJustToldOfFailure(task, view))) return release("failure");
  if (view.isPreparing) return { kind: "hold", reasons, until: wait.until };
  if (reasons.length === 0) return release("nothing-owed");
  // Nothing more can be told before the agent has read what is stored: to wait for that would be to wait for itself.
  const stuck = hasUnread(view) ? readyToTell(view, wait) : [];
  if (stuck.length > 0) return release(whyRead(stuck, wait, now));
  if (reasons.some(({ why }) => why === "outcome-untold")) return { kind: "hold", reasons, until: wait.until };
  if (decision.kind === "continue") return release("goal-continues");
  if (wait.until > now) return { kind: "hold", reasons, until: wait.until };
  return isTellingOverdue(root, now) && view.canTell && !hasUnread(view)
    ? { kind: "hold", reasons, until: wait.until }
    : release("ceiling");
}

/** Whether the agent is to be told now which tasks still work: nobody waits for them any longer. */
export function isTellingOverdue({ activity, wait }: Root, now: number): boolean {
  return activity.kind === "held" && wait !== undefined && wait.until <= now && !wait.overdueTold;
}

type TaskView = Pick<HoldView, "root" | "tasks" | "addressed" | "canTell" | "now">;

/** What is waited for. */
export function holdReasons(view: TaskView, wait: RunWait): readonly HoldReason[] {
  const { tasks, now } = view;
  const { until } = wait;
  const live = awaited(view).map(
    (task): HoldReason => ({ why: "task-live", taskID: task.id, title: task.title, status: shown(task), until }),
  );
  const others = tasks.filter(isEnded).filter((task) => mayBeToldByOthers(task, now));
  return [...live, ...[...readyToTell(view, wait), ...others].map((task) => untold(task, until))];
}

/** A task that asks something has nobody to answer it. */
function awaited({ root, tasks, canTell }: TaskView): readonly LiveTask[] {
  const asking = new Set(root.asks.map(({ sessionID }) => sessionID));
  return tasks.filter(isLive).filter((task) => !asking.has(task.id) && (canTell || task.status !== "queued"));
}

/** What is ours to tell, and may be told now: a success may wait for what was launched beside it, as long as anybody does. */
function readyToTell(view: TaskView, { until }: RunWait): readonly EndedTask[] {
  const ours = view.canTell ? view.addressed.filter(isOursToTell) : [];
  return awaited(view).length === 0 || until <= view.now ? ours : ours.filter(({ status }) => status !== "completed");
}

/** Something is stored in the turn that its step has not read: it goes on, whatever we do. */
function hasUnread({ root: { activity, lastMessageID }, isBefore }: Pick<HoldView, "root" | "isBefore">): boolean {
  return activity.kind === "held" && isBefore(activity.readID, lastMessageID);
}

function whyRead(stuck: readonly EndedTask[], { until }: RunWait, now: number): ReleaseReason {
  if (until <= now) return "ceiling";
  return stuck.some(({ status }) => status !== "completed") ? "failure" : "nothing-owed";
}

/** One whose prompt is on its way waits for nothing any more. */
function shown(task: LiveTask): LiveTask["status"] {
  return task.status === "queued" && !isWaiting(task) ? "running" : task.status;
}

function untold({ id: taskID, title, delivery }: EndedTask, ceiling: number): HoldReason {
  const until = delivery.state === "pending" && delivery.teller !== "goalkeeper" ? delivery.until : ceiling;
  return { why: "outcome-untold", taskID, title, until };
}

function mayBeToldByOthers({ delivery }: EndedTask, now: number): boolean {
  return delivery.state === "pending" && delivery.teller !== "goalkeeper" && delivery.until > now;
}

/** Also before the hold, while the step was written: its message has not read it. */
function wasJustToldOfFailure(
  { status, delivery }: EndedTask,
  { root: { id, activity }, isBefore }: Pick<HoldView, "root" | "isBefore">,
): boolean {
  if (status === "completed" || delivery.state !== "delivered" || activity.kind !== "held") return false;
  return !delivery.byTurn && delivery.sessionID === id && isBefore(activity.readID, delivery.messageID);
}

function release(why: ReleaseReason): Hold {
  return { kind: "release", why };
}
