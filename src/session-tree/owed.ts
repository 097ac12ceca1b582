import type { Goal } from "../goals/goal.ts";
import { BEGINS_WITHIN_MS, HOST_TELLS_WITHIN_MS, isLive, type Task } from "../tasks/task.ts";
import type { Books } from "./books.ts";
import { isInterrupted, isWithin, type Native, type Node, sessionsOf, type Tree } from "./tree.ts";

/**
 * Something that is still to come below a root. `until` (epoch ms): what happens by itself if nothing comes by then is
 * that it is not waited for any more. Without one it ends with an event: a session that works always comes to an end.
 */
export type SessionTreeOwed = {
  readonly sessionID: string;
  readonly title: string;
  readonly until?: number;
} & (
  | { readonly why: "session-busy" | "session-retrying" }
  /** A message of the user's, a continuation or a report stands unanswered in a session that is idle. */
  | { readonly why: "unanswered" }
  /** It was never asked anything: the first prompt of the root, or of a child just made, may be on its way. */
  | { readonly why: "not-started" }
  /** OpenCode has not reported the end of one of its own background tasks to the session that sent it off. */
  | { readonly why: "report-untold" }
  /** By the books of goalkeeper, or of another plugin that uses its library (`key`). */
  | { readonly why: "task-live" | "outcome-untold" | "outcome-unanswered"; readonly key: string }
  | { readonly why: "goal-active" | "wrapup-owed" }
);

/** How long an idle session may leave a message unanswered: on a loaded machine its turn begins that late. */
export const ANSWER_BEGINS_WITHIN_MS = 5_000;
/** A first prompt starts OpenCode's instance of the directory, which takes seconds before anything of it is seen. */
export const FIRST_PROMPT_WITHIN_MS = 15_000;
/**
 * Who keeps books acts at once, and holds back for 30 s at most, for a message of the user's. When nothing at all has
 * worked for longer than that, it sleeps or is gone: only the user makes it go on.
 */
export const BOOKS_SLEEP_AFTER_MS = 45_000;

/** Much longer than a continuation takes to go out, on a loaded machine, too. */
export const GOAL_SLEEPS_AFTER_MS = 15_000;
/** Of the plugin's own: the clock of its machine may be another one. */
const LONGEST_BACK_OFF_MS = 60_000;
/** With `resume_on_start` a restarted OpenCode takes over what a dead one has left, within about a second. */
export const TAKEN_OVER_WITHIN_MS = 5_000;

/** What is still to come below the root, and in it. Empty: nothing does, as far as is known. */
export function owedOf(tree: Tree, now: number): readonly SessionTreeOwed[] {
  const nodes = sessionsOf(tree);
  const works = [...tree.nodes.values()].some(({ activity }) => activity !== "idle");
  const booksUntil = works ? Number.POSITIVE_INFINITY : tree.heardAt + BOOKS_SLEEP_AFTER_MS;
  const all: readonly SessionTreeOwed[] = [
    ...nodes.flatMap((node) => workOf(tree, node)),
    ...[...tree.natives.values()].flatMap((native) => reportOf(tree, native)),
    ...tree.books.flatMap((books) => bookedOf(tree, books, booksUntil)),
  ];
  return all.filter(({ until }) => until === undefined || until > now);
}

/** The earliest moment at which something is not waited for any more; `Infinity` if never. */
export function owedDeadline(owed: readonly SessionTreeOwed[]): number {
  return Math.min(...owed.map(({ until }) => until ?? Number.POSITIVE_INFINITY));
}

function workOf(tree: Tree, node: Node): readonly SessionTreeOwed[] {
  const { id: sessionID, title, activity, since } = node;
  const isRoot = sessionID === tree.rootID;
  switch (activity) {
    case "busy":
      return isRoot ? [] : [{ why: "session-busy", sessionID, title }];
    case "retrying":
      return isRoot ? [] : [{ why: "session-retrying", sessionID, title }];
    case "idle": {
      const isNew = node.asked === "" && node.answered === "" && !(isRoot && tree.failure !== undefined);
      // The clock of the machine that has made it may be another one.
      const until = isRoot ? since + FIRST_PROMPT_WITHIN_MS : Math.min(node.createdAt, since) + BEGINS_WITHIN_MS;
      if (isNew && !isInterrupted(tree)) return [{ why: "not-started", sessionID, title, until }];
      const isSettled = isRoot && tree.failure !== undefined;
      const isAnswered = node.asked <= node.answered || isSettled;
      return isAnswered ? [] : [{ why: "unanswered", sessionID, title, until: since + ANSWER_BEGINS_WITHIN_MS }];
    }
  }
}

/** OpenCode reports within milliseconds of the child's end. One that was cancelled is never reported. */
function reportOf(tree: Tree, { id, parentID, title, calledIn, toldIn }: Native): readonly SessionTreeOwed[] {
  if (toldIn > calledIn || !isWithin(tree, parentID) || isInterrupted(tree)) return [];
  const child = tree.nodes.get(id);
  // While it works it is owed for that already.
  if (child !== undefined && child.activity !== "idle") return [];
  const until = Math.max(child?.since ?? 0, tree.nodes.get(parentID)?.since ?? 0) + HOST_TELLS_WITHIN_MS;
  return [{ why: "report-untold", sessionID: id, title, until }];
}

function bookedOf(tree: Tree, { key, stored }: Books, sleepsAt: number): readonly SessionTreeOwed[] {
  const { goal, owner, tasks } = stored;
  // Another instance may take them over, when it starts.
  const takenOverBy = tree.gone.has(owner.instance) ? tree.joinedAt + TAKEN_OVER_WITHIN_MS : Number.POSITIVE_INFINITY;
  const until = Math.min(sleepsAt, takenOverBy);
  return [
    ...tasks.flatMap((task) => taskOf(tree, key, task, until)),
    ...(goal === undefined || isInterrupted(tree) ? [] : goalOf(tree, goal, until, takenOverBy)),
  ].map(bounded);
}

function taskOf(tree: Tree, key: string, task: Task, until: number): readonly SessionTreeOwed[] {
  const { id: sessionID, title } = task;
  if (isLive(task)) return [{ why: "task-live", key, sessionID, title, until }];
  // After the user's interrupt nobody is told anything until the user writes.
  if (isInterrupted(tree)) return [];
  const { delivery } = task;
  switch (delivery.state) {
    case "pending": {
      // It ended by the user's interrupt, which an idle root shows in no message: it is told when the user writes.
      const tellBy = task.interruptedAt === undefined ? until : Math.min(until, tree.heardAt + ANSWER_BEGINS_WITHIN_MS);
      return [{ why: "outcome-untold", key, sessionID, title, until: tellBy }];
    }
    case "delivered": {
      const reader = tree.nodes.get(delivery.sessionID);
      if (reader === undefined || reader.activity !== "idle") return [];
      const answerBy = Math.min(until, reader.since + ANSWER_BEGINS_WITHIN_MS);
      return [{ why: "outcome-unanswered", key, sessionID, title, until: answerBy }];
    }
    case "not-owed":
    case "reconciled":
    case "undelivered":
      return [];
  }
}

function goalOf(tree: Tree, goal: Goal, until: number, takenOverBy: number): readonly SessionTreeOwed[] {
  const owed = { sessionID: tree.rootID, title: goal.objective };
  switch (goal.status) {
    case "active": {
      const quotaOver = quotaUntil(tree, goal);
      const sleepsAt =
        quotaOver === undefined ? Math.min(until, continuesBy(tree, goal)) : Math.min(quotaOver, takenOverBy);
      return [{ why: "goal-active", ...owed, until: sleepsAt }];
    }
    case "limited":
      return goal.wrapUp === "owed" ? [{ why: "wrapup-owed", ...owed, until }] : [];
    case "paused":
    case "complete":
    case "blocked":
      return [];
  }
}

/** When nothing is owed to it a goal goes on at once, or after its back-off: one that does not, sleeps. */
function continuesBy({ books, heardAt, nodes, rootID }: Tree, goal: Goal): number {
  const root = nodes.get(rootID);
  const waitsForAnswer = root !== undefined && root.asked > root.answered;
  const waitsForTask = books.some(({ stored }) => stored.tasks.some(mayHold));
  const works = [...nodes.values()].some(({ activity }) => activity !== "idle");
  if (works || waitsForAnswer || waitsForTask) return Number.POSITIVE_INFINITY;
  return Math.max(heardAt, Math.min(goal.retryAt, heardAt + LONGEST_BACK_OFF_MS)) + GOAL_SLEEPS_AFTER_MS;
}

/** A usage limit may take hours, in which nothing is heard; then the goal goes on by itself. */
function quotaUntil({ heardAt }: Tree, goal: Goal): number | undefined {
  const notBefore = Math.max(goal.retryAt, goal.quotaUntil);
  return notBefore > heardAt + LONGEST_BACK_OFF_MS ? notBefore + GOAL_SLEEPS_AFTER_MS : undefined;
}

function mayHold(task: Task): boolean {
  return isLive(task) || task.delivery.state === "pending" || task.delivery.state === "delivered";
}

/** While something works there is no bound: leaves out an `until` that says so. */
function bounded(owed: SessionTreeOwed): SessionTreeOwed {
  if (owed.until !== Number.POSITIVE_INFINITY) return owed;
  const { until: _never, ...rest } = owed;
  return rest;
}
