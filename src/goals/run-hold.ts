import { type EndedTask, isEnded, isLive, isOursToTell, isWaiting, type LiveTask, type Task } from "../tasks/task.ts";
import type { Decision, WaitReason } from "./gate.ts";
import type { Root, RunWait } from "./root.ts";

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
  if (root.presence.kind === "quieting" || root.presence.kind === "quiet") return release("interrupted");
  const wait = root.wait ?? { until: Number.POSITIVE_INFINITY, overdueTold: false };
  const reasons = view.waits ? holdReasons(view, wait) : [];
  if (isSending) return { kind: "hold", reasons, until: wait.until };
  if (view.addressed.some((task) => isEnded(task) && wasJustToldOfFailure(task, root))) return release("failure");
  if (view.isPreparing) return { kind: "hold", reasons, until: wait.until };
  if (reasons.length === 0) return release("nothing-owed");
  if (reasons.some(({ why }) => why === "outcome-untold")) return { kind: "hold", reasons, until: wait.until };
  if (decision.kind === "continue") return release("goal-continues");
  if (wait.until > now) return { kind: "hold", reasons, until: wait.until };
  return isTellingOverdue(root, now) && view.canTell
    ? { kind: "hold", reasons, until: wait.until }
    : release("ceiling");
}

/** Whether the agent is to be told now which tasks still work: nobody waits for them any longer. */
export function isTellingOverdue({ activity, wait }: Root, now: number): boolean {
  return activity.kind === "held" && wait !== undefined && wait.until <= now && !wait.overdueTold;
}

/** What is waited for. A task that asks something has nobody to answer it. */
export function holdReasons(
  { root, tasks, addressed, canTell, now }: Pick<HoldView, "root" | "tasks" | "addressed" | "canTell" | "now">,
  { until }: RunWait,
): readonly HoldReason[] {
  const asking = new Set(root.asks.map(({ sessionID }) => sessionID));
  const live = tasks
    .filter(isLive)
    .filter((task) => !asking.has(task.id) && (canTell || task.status !== "queued"))
    .map((task): HoldReason => ({ why: "task-live", taskID: task.id, title: task.title, status: shown(task), until }));
  const ours = canTell ? addressed.filter(isOursToTell) : [];
  // A success may wait for what was launched beside it, as long as anybody does.
  const ready = live.length === 0 || until <= now ? ours : ours.filter(({ status }) => status !== "completed");
  const others = tasks.filter(isEnded).filter((task) => mayBeToldByOthers(task, now));
  return [...live, ...[...ready, ...others].map((task) => untold(task, until))];
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
function wasJustToldOfFailure({ status, delivery }: EndedTask, { id, activity }: Root): boolean {
  if (status === "completed" || delivery.state !== "delivered" || activity.kind !== "held") return false;
  return !delivery.byTurn && delivery.sessionID === id && delivery.messageID > activity.readID;
}

function release(why: ReleaseReason): Hold {
  return { kind: "release", why };
}
