import type { Goal } from "../goals/goal.ts";
import type { SessionTreeSession, SessionTreeState } from "../session-tree/state.ts";
import type { SessionTreeTask } from "../session-tree/tasks.ts";
import type { RunEvent } from "./events.ts";

type EndedTask = Exclude<SessionTreeTask, { status: "working" }>;

/**
 * What has changed from one state of the tree to the next, one event each. Pure.
 *
 * @param isNew the session was made for this run: all that is in it is news
 */
export function changes(
  before: SessionTreeState | undefined,
  after: SessionTreeState,
  isNew = false,
): readonly RunEvent[] {
  const events: RunEvent[] = [];
  const known = new Map(before?.sessions.map((session) => [session.id, session]));
  for (const session of after.sessions) {
    const earlier = known.get(session.id);
    known.delete(session.id);
    // One that has done nothing yet is no news, and neither are the ended ones of an earlier run.
    if (session.status !== (earlier?.status ?? "idle")) events.push(sessionEvent(session, session.status));
  }
  for (const session of known.values()) events.push(sessionEvent(session, "deleted"));
  for (const task of after.tasks)
    if (before !== undefined && hasEnded(before, task, isNew)) events.push({ type: "task", ...task });
  const { goal } = after;
  // A goal of an earlier run is no news either.
  if (goal !== undefined && before !== undefined && isNews(before.goal, goal)) events.push(goalEvent(goal));
  return events;
}

export function goalEvent(goal: Goal): Extract<RunEvent, { type: "goal" }> {
  const { status, objective, turns } = goal;
  const detail = detailOf(goal);
  return { type: "goal", status, objective, turns, ...(detail === undefined ? {} : { detail }) };
}

function detailOf(goal: Goal): string | undefined {
  switch (goal.status) {
    case "active":
      return undefined;
    case "paused":
      return goal.reason;
    case "complete":
      return goal.evidence.map(({ claim }) => claim).join("; ");
    case "blocked":
      return goal.blocker;
    case "limited":
      return goal.limit;
  }
}

export function isNews(before: Goal | undefined, after: Goal): boolean {
  return (
    before?.id !== after.id ||
    before.status !== after.status ||
    before.turns !== after.turns ||
    endedAt(before) !== endedAt(after)
  );
}

/** One that was resumed may end again in the very same way. */
function endedAt(goal: Goal): number | undefined {
  return goal.status === "active" ? undefined : goal.at;
}

/**
 * A task that nobody has seen at work is news only where its session was known: the transcript of an old session is read
 * when the run has begun already, and what it tells of is long over.
 */
function hasEnded(before: SessionTreeState, task: SessionTreeTask, isNew: boolean): task is EndedTask {
  if (task.status === "working") return false;
  const isIt = (one: { readonly sessionID: string }) => one.sessionID === task.sessionID;
  const earlier = before.tasks.find(isIt);
  return earlier === undefined
    ? isNew || before.sessions.some(({ id }) => id === task.sessionID)
    : earlier.status !== task.status;
}

function sessionEvent(
  { id, parentID, title }: SessionTreeSession,
  status: "busy" | "idle" | "retrying" | "deleted",
): Extract<RunEvent, { type: "session" }> {
  return { type: "session", sessionID: id, ...(parentID === undefined ? {} : { parentID }), title, status };
}
