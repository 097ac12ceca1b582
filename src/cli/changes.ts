import type { Goal } from "../goals/goal.ts";
import type { SessionTreeSession, SessionTreeState } from "../session-tree/state.ts";
import type { RunEvent } from "./events.ts";

/** What has changed from one state of the tree to the next, one event each. Pure. */
export function changes(before: SessionTreeState | undefined, after: SessionTreeState): readonly RunEvent[] {
  const events: RunEvent[] = [];
  const known = new Map(before?.sessions.map((session) => [session.id, session]));
  for (const session of after.sessions) {
    const earlier = known.get(session.id);
    known.delete(session.id);
    // One that has done nothing yet is no news, and neither are the ended ones of an earlier run.
    if (session.status !== (earlier?.status ?? "idle")) events.push(sessionEvent(session, session.status));
  }
  for (const session of known.values()) events.push(sessionEvent(session, "deleted"));
  const { goal } = after;
  // A goal of an earlier run is no news either.
  if (goal !== undefined && before !== undefined && isNews(before.goal, goal)) events.push(goalEvent(goal));
  const waits = waitsOf(after);
  if (JSON.stringify(before === undefined ? [] : names(waitsOf(before))) !== JSON.stringify(names(waits)))
    events.push({ type: "waiting", for: waits });
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
  return before?.id !== after.id || before.status !== after.status || before.turns !== after.turns;
}

/** While the root works itself, what else works is shown by its own events. */
function waitsOf({ rootIsIdle, owed }: SessionTreeState): SessionTreeState["owed"] {
  return rootIsIdle ? owed.filter(({ why }) => why !== "unanswered" && why !== "not-started") : [];
}

function names(owed: SessionTreeState["owed"]): readonly string[] {
  return owed.map(({ why, sessionID }) => `${why} ${sessionID}`).sort();
}

function sessionEvent(
  { id, parentID, title }: SessionTreeSession,
  status: "busy" | "idle" | "retrying" | "deleted",
): Extract<RunEvent, { type: "session" }> {
  return { type: "session", sessionID: id, ...(parentID === undefined ? {} : { parentID }), title, status };
}
