import type { TurnError } from "../host/port.ts";

/** Who or what paused a goal. Only the user's `/goal resume` ends a pause. */
export type PausedBy = "user" | "error" | "no-progress" | "restricted-agent" | "storage";

export interface Evidence {
  readonly claim: string;
  readonly tool_call_ids?: readonly string[] | undefined;
}

interface GoalBase {
  readonly id: string;
  readonly objective: string;
  readonly startedAt: number;
  /** Continuations whose turn has started, since the goal began or was resumed. */
  readonly turns: number;
  /** Consecutive failures to get a turn going, or turns that ended with an error. */
  readonly failures: number;
  /** No continuation before this moment; 0 when nothing is backed off. */
  readonly retryAt: number;
  /** Continuation turns in a row without a successful tool call. */
  readonly idleTurns: number;
  /** When a live task last stopped holding the goal back for one continuation, by task id. */
  readonly releases: Readonly<Record<string, number>>;
}

export type Goal = GoalBase &
  (
    | { readonly status: "active" }
    | { readonly status: "paused"; readonly by: PausedBy; readonly reason: string; readonly at: number }
    | { readonly status: "complete"; readonly evidence: readonly Evidence[]; readonly at: number }
    | { readonly status: "blocked"; readonly blocker: string; readonly at: number }
    | { readonly status: "limited"; readonly limit: string; readonly wrapUp: "owed" | "sent"; readonly at: number }
  );

export type GoalEvent =
  | { readonly type: "set"; readonly id: string; readonly objective: string }
  | { readonly type: "pause"; readonly by: PausedBy; readonly reason: string }
  | { readonly type: "resume"; readonly liveTaskIDs: readonly string[] }
  | { readonly type: "complete"; readonly evidence: readonly Evidence[] }
  | { readonly type: "blocked"; readonly blocker: string }
  | { readonly type: "clear" }
  /** The turn of one of our prompts has started. `releasedTaskIDs`: still running, named in it. */
  | { readonly type: "continued"; readonly releasedTaskIDs: readonly string[] }
  | { readonly type: "wrapped-up" }
  | { readonly type: "prompt-failed"; readonly reason: string }
  | {
      readonly type: "turn-ended";
      readonly by: "continuation" | "user" | "report";
      readonly progressed: boolean;
      readonly error: TurnError | undefined;
    };

export interface GoalLimits {
  /** Continuations per goal; 0: no limit. */
  readonly maxAutoTurns: number;
  /** Consecutive failures before the goal pauses. */
  readonly maxPromptFailures: number;
  /** Continuation turns without progress before the goal pauses; 0: off. */
  readonly noProgressTurns: number;
}

const LONGEST_BACK_OFF_MS = 60_000;
/** The host compacts and goes on by itself after these; they are no failure of the turn. */
const HANDLED_BY_HOST = new Set(["ContextOverflowError"]);
/** Trying again cannot help: the user has to change something. */
const NEEDS_USER = new Set(["ProviderAuthError"]);

/** What an event means for a goal. Undefined: there is none (any more). Events of a wrong state change nothing. */
export function transitionGoal(
  goal: Goal | undefined,
  event: GoalEvent,
  now: number,
  limits: GoalLimits,
): Goal | undefined {
  if (event.type === "set") {
    const fresh = { turns: 0, failures: 0, retryAt: 0, idleTurns: 0, releases: {} };
    return { id: event.id, objective: event.objective, startedAt: now, ...fresh, status: "active" };
  }
  if (goal === undefined) return undefined;
  switch (event.type) {
    case "clear":
      return undefined;
    case "pause":
      // Nothing but its wrap-up is still to come.
      if (goal.status === "limited" && goal.wrapUp === "owed") return { ...goal, wrapUp: "sent" };
      return goal.status === "active" ? pause(goal, event.by, event.reason, now) : goal;
    case "resume":
      return resume(goal, event.liveTaskIDs);
    case "complete":
      return goal.status === "complete"
        ? goal
        : { ...base(goal), status: "complete", evidence: event.evidence, at: now };
    case "blocked":
      return goal.status === "active" ? { ...base(goal), status: "blocked", blocker: event.blocker, at: now } : goal;
    case "continued":
      return continued(goal, event.releasedTaskIDs, now);
    case "wrapped-up":
      return goal.status === "limited" ? { ...goal, wrapUp: "sent" } : goal;
    case "prompt-failed":
      return failed(goal, event.reason, now, limits);
    case "turn-ended":
      return turnEnded(goal, event, now, limits);
  }
}

/** The earliest moment at which the goal by itself would decide otherwise. */
export function goalDeadline(goal: Goal | undefined, now: number): number {
  return goal?.status === "active" && goal.retryAt > now ? goal.retryAt : Number.POSITIVE_INFINITY;
}

function base(goal: Goal): GoalBase {
  const { id, objective, startedAt, turns, failures, retryAt, idleTurns, releases } = goal;
  return { id, objective, startedAt, turns, failures, retryAt, idleTurns, releases };
}

function pause(goal: Goal, by: PausedBy, reason: string, now: number): Goal {
  return { ...base(goal), status: "paused", by, reason, at: now };
}

/** A fresh allowance. On a goal that is active it lets go, once, what holds it back without a ceiling. */
function resume(goal: Goal, liveTaskIDs: readonly string[]): Goal {
  if (goal.status === "complete") return goal;
  if (goal.status === "active") {
    const released = Object.fromEntries(liveTaskIDs.map((id) => [id, RELEASED_BY_USER]));
    return { ...goal, failures: 0, retryAt: 0, releases: { ...goal.releases, ...released } };
  }
  return { ...base(goal), turns: 0, failures: 0, retryAt: 0, idleTurns: 0, status: "active" };
}

/** Stands for "let go once, now" in {@link GoalBase.releases}. */
export const RELEASED_BY_USER = 0;

function continued(goal: Goal, released: readonly string[], now: number): Goal {
  // Every task that is live now is among them: what ended since needs no release any more.
  const releases = Object.fromEntries(released.map((id) => [id, now]));
  return { ...goal, turns: goal.turns + 1, releases };
}

function failed(goal: Goal, reason: string, now: number, limits: GoalLimits): Goal {
  if (goal.status !== "active") return goal;
  const failures = goal.failures + 1;
  const counted = { ...goal, failures, retryAt: now + Math.min(1_000 * 2 ** (failures - 1), LONGEST_BACK_OFF_MS) };
  return failures >= limits.maxPromptFailures
    ? pause(counted, "error", `${failures} turns in a row failed: ${reason}`, now)
    : counted;
}

/** Lack of progress is counted in our continuations only; a report of ours in between changes nothing. */
function idleTurnsAfter(goal: Goal, turn: Extract<GoalEvent, { type: "turn-ended" }>): number {
  if (turn.progressed || turn.by === "user") return 0;
  return turn.by === "continuation" ? goal.idleTurns + 1 : goal.idleTurns;
}

function turnEnded(
  goal: Goal,
  turn: Extract<GoalEvent, { type: "turn-ended" }>,
  now: number,
  limits: GoalLimits,
): Goal {
  if (goal.status !== "active") return goal;
  const { error } = turn;
  if (error !== undefined && !HANDLED_BY_HOST.has(error.name)) {
    const said = `${error.name}: ${error.message}`;
    return NEEDS_USER.has(error.name) || error.statusCode === 401 || error.statusCode === 403
      ? pause(goal, "error", said, now)
      : failed(goal, said, now, limits);
  }
  const idleTurns = idleTurnsAfter(goal, turn);
  const isUnchanged = goal.failures === 0 && goal.retryAt === 0 && goal.idleTurns === idleTurns;
  const rested = isUnchanged ? goal : { ...goal, failures: 0, retryAt: 0, idleTurns };
  if (limits.noProgressTurns > 0 && idleTurns >= limits.noProgressTurns) {
    return pause(rested, "no-progress", `${idleTurns} turns in a row without a successful tool call`, now);
  }
  const spent = limits.maxAutoTurns > 0 && rested.turns >= limits.maxAutoTurns;
  return spent
    ? {
        ...base(rested),
        status: "limited",
        limit: limits.maxAutoTurns === 1 ? "1 turn" : `${limits.maxAutoTurns} turns`,
        wrapUp: "owed",
        at: now,
      }
    : rested;
}
