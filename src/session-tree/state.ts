import type { HostAsk } from "../goals/asks.ts";
import type { Goal } from "../goals/goal.ts";
import { isGoalkeepers } from "./books.ts";
import { owedOf, type SessionTreeOwed } from "./owed.ts";
import { type SessionTreeTask, tasksOf } from "./tasks.ts";
import { type Activity, sessionsOf, type Tree } from "./tree.ts";

export interface SessionTreeSession {
  readonly id: string;
  /** Undefined for the root. */
  readonly parentID: string | undefined;
  readonly title: string;
  readonly status: Activity;
}

/** A root session and what is below it, at one moment. */
export interface SessionTreeState {
  readonly rootID: string;
  readonly rootIsIdle: boolean;
  /** The root first, then all sessions below it, oldest first; the ended ones, too. */
  readonly sessions: readonly SessionTreeSession[];
  /** By what is written down about them: those that work, and how the others ended. */
  readonly tasks: readonly SessionTreeTask[];
  /** What is still to come, and why it is waited for. */
  readonly owed: readonly SessionTreeOwed[];
  /** Open questions and permission requests of all these sessions: each holds up its session until somebody answers. */
  readonly asks: readonly HostAsk[];
  /** The goal that goalkeeper's plugin pursues in the root, or has pursued last. */
  readonly goal: Goal | undefined;
}

export function stateOf(tree: Tree, now: number, owed = owedOf(tree, now)): SessionTreeState {
  const { rootID } = tree;
  const sessions = sessionsOf(tree).map(({ id, parentID, title, activity }) => ({
    id,
    parentID: id === rootID ? undefined : parentID,
    title,
    status: activity,
  }));
  const ids = new Set(sessions.map(({ id }) => id));
  const isRoot = ({ id }: SessionTreeSession) => id === rootID;
  return {
    rootID,
    rootIsIdle: tree.nodes.get(rootID)?.activity === "idle",
    sessions: [...sessions.filter(isRoot), ...sessions.filter((session) => !isRoot(session))],
    tasks: tasksOf(tree),
    owed,
    asks: tree.asks.filter(({ sessionID }) => ids.has(sessionID)),
    goal: tree.books.find(isGoalkeepers)?.stored.goal,
  };
}
