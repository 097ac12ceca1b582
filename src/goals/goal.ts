import type { ProviderError } from "../host/port.ts";
import { type Budget, type SpentTokens, spentLimit } from "./budget.ts";
import { usedTokens } from "./overrun.ts";
import type { TurnBy } from "./root.ts";
import { troubleOf } from "./trouble.ts";

/** Who or what paused a goal. Only the user's `/goal resume` ends a pause. */
export type PausedBy = "user" | "error" | "no-progress" | "restricted-agent" | "unable-agent" | "storage";

export interface Evidence {
  readonly claim: string;
  readonly tool_call_ids?: readonly string[] | undefined;
}

interface GoalBase {
  readonly id: string;
  readonly objective: string;
  readonly startedAt: number;
  /** What was said with the objective; for the rest the options hold. */
  readonly budget: Partial<Budget>;
  /** Since when the present allowance is used up: the start, or the last resume. */
  readonly allowedAt: number;
  /** Continuations whose turn has started, since then. */
  readonly turns: number;
  /** What was used since then. */
  readonly tokens: SpentTokens;
  /** Consecutive failures to get a turn going, or turns that ended with an error. */
  readonly failures: number;
  /** No continuation before this moment; 0 when nothing is backed off. */
  readonly retryAt: number;
  /** No continuation before the provider's usage limit is over; 0: there is none. */
  readonly quotaUntil: number;
  /** How often in a row the usage limit was met. */
  readonly quotaHits: number;
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
    | {
        readonly status: "limited";
        readonly limit: string;
        /** `cut`: a turn that went on far beyond the limit was ended, and nothing follows it. */
        readonly wrapUp: "owed" | "sent" | "cut";
        /** The tokens of the present allowance when it was reached, or its wrap-up began. An earlier version had none. */
        readonly spent?: number | undefined;
        readonly at: number;
      }
  );

export type GoalEvent =
  | { readonly type: "set"; readonly id: string; readonly objective: string; readonly budget?: Partial<Budget> }
  /** Another objective for the same goal: what it has used stays used. */
  | { readonly type: "edit"; readonly objective: string }
  /** A model request of the session, or of a task below it, has come to its end. */
  | { readonly type: "spent"; readonly by: keyof SpentTokens; readonly tokens: number }
  /** Something of its budget is used up: it wraps up. `isFar`: so far that its tasks are ended for it. */
  | { readonly type: "limit-reached"; readonly limit: string; readonly isFar?: true }
  /** Far more than its budget is used up, and the turn that does so is ended: nothing wraps up. */
  | { readonly type: "overrun"; readonly limit: string }
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
      readonly by: TurnBy;
      readonly progressed: boolean;
      readonly error: ProviderError | undefined;
    };

export interface GoalLimits {
  /** Of a goal with which nothing else was said. */
  readonly budget: Budget;
  /** Consecutive failures before the goal pauses. */
  readonly maxPromptFailures: number;
  /** Continuation turns without progress before the goal pauses; 0: off. */
  readonly noProgressTurns: number;
}

const LONGEST_BACK_OFF_MS = 60_000;
/** A usage limit whose end nobody knows is tried again after this, then twice as long, and so on. */
const FIRST_QUOTA_WAIT_MS = 60_000;
const LONGEST_QUOTA_WAIT_MS = 3_600_000;

/** What an event means for a goal. Undefined: there is none (any more). Events of a wrong state change nothing. */
export function transitionGoal(
  goal: Goal | undefined,
  event: GoalEvent,
  now: number,
  limits: GoalLimits,
): Goal | undefined {
  if (event.type === "set") {
    const { id, objective, budget = {} } = event;
    return { id, objective, budget, startedAt: now, ...allowance(now), releases: {}, status: "active" };
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
      return resume(goal, event.liveTaskIDs, now);
    case "edit":
      return goal.status === "complete" ? goal : { ...goal, objective: event.objective, idleTurns: 0 };
    case "spent":
      return { ...goal, tokens: { ...goal.tokens, [event.by]: goal.tokens[event.by] + event.tokens } };
    case "limit-reached":
      return goal.status === "active" ? limited(goal, event.limit, now) : goal;
    case "overrun":
      return overran(goal, event.limit, now);
    case "complete":
      return goal.status === "complete"
        ? goal
        : { ...base(goal), status: "complete", evidence: event.evidence, at: now };
    case "blocked":
      return goal.status === "active" ? { ...base(goal), status: "blocked", blocker: event.blocker, at: now } : goal;
    case "continued":
      return continued(goal, event.releasedTaskIDs, now);
    case "wrapped-up":
      // Before it nothing was used up but by what it had to wait for.
      return goal.status === "limited" ? { ...goal, wrapUp: "sent", spent: usedTokens(goal), at: now } : goal;
    case "prompt-failed":
      return failed(goal, event.reason, now, limits);
    case "turn-ended":
      return turnEnded(goal, event, now, limits);
  }
}

/** The earliest moment at which the goal by itself would decide otherwise. */
export function goalDeadline(goal: Goal | undefined, now: number): number {
  if (goal?.status !== "active") return Number.POSITIVE_INFINITY;
  return Math.min(...[goal.retryAt, goal.quotaUntil].filter((at) => at > now), Number.POSITIVE_INFINITY);
}

function base(goal: Goal): GoalBase {
  const { id, objective, budget, startedAt, releases } = goal;
  const { allowedAt, turns, tokens, failures, retryAt, quotaUntil, quotaHits, idleTurns } = goal;
  const used = { allowedAt, turns, tokens, failures, retryAt, quotaUntil, quotaHits, idleTurns };
  return { id, objective, budget, startedAt, releases, ...used };
}

/** Nothing is used up, nothing has failed. */
function allowance(now: number) {
  const calm = { failures: 0, retryAt: 0, quotaUntil: 0, quotaHits: 0, idleTurns: 0 };
  return { allowedAt: now, turns: 0, tokens: { own: 0, tasks: 0 }, ...calm };
}

function limited(goal: Goal, limit: string, now: number): Goal {
  return { ...base(goal), status: "limited", limit, wrapUp: "owed", spent: usedTokens(goal), at: now };
}

function overran(goal: Goal, limit: string, now: number): Goal {
  const cut = { wrapUp: "cut", spent: usedTokens(goal) } as const;
  if (goal.status === "limited") return { ...goal, ...cut };
  return goal.status === "active" ? { ...base(goal), status: "limited", limit, ...cut, at: now } : goal;
}

function pause(goal: Goal, by: PausedBy, reason: string, now: number): Goal {
  return { ...base(goal), status: "paused", by, reason, at: now };
}

/** A fresh allowance. On a goal that is active it lets go, once, what holds it back without a ceiling. */
function resume(goal: Goal, liveTaskIDs: readonly string[], now: number): Goal {
  if (goal.status === "complete") return goal;
  if (goal.status === "active") {
    const released = Object.fromEntries(liveTaskIDs.map((id) => [id, RELEASED_BY_USER]));
    const calm = { failures: 0, retryAt: 0, quotaUntil: 0, quotaHits: 0 };
    return { ...goal, ...calm, releases: { ...goal.releases, ...released } };
  }
  return { ...base(goal), ...allowance(now), status: "active" };
}

/** Stands for "let go once, now" in {@link GoalBase.releases}. */
export const RELEASED_BY_USER = 0;

function continued(goal: Goal, released: readonly string[], now: number): Goal {
  // Every task that is live now is among them: what ended since needs no release any more.
  const releases = Object.fromEntries(released.map((id) => [id, now]));
  return { ...goal, turns: goal.turns + 1, releases };
}

/** `notBefore`: when the provider says that it works again. */
function failed(goal: Goal, reason: string, now: number, limits: GoalLimits, notBefore = 0): Goal {
  if (goal.status !== "active") return goal;
  const failures = goal.failures + 1;
  const backedOff = now + Math.min(1_000 * 2 ** (failures - 1), LONGEST_BACK_OFF_MS);
  const counted = { ...goal, failures, retryAt: Math.max(backedOff, notBefore) };
  return failures >= limits.maxPromptFailures
    ? pause(counted, "error", `${inARow(failures)} failed: ${reason}`, now)
    : counted;
}

/**
 * The provider says no for a while. That is no failure, and no turn is tried before it is over. The end that it names is
 * believed once: one that is short, and wrong every time, would cost a turn every time.
 */
function outOfQuota(goal: Goal, until: number | undefined, now: number): Goal {
  if (goal.status !== "active") return goal;
  const { quotaHits } = goal;
  const hit = { ...goal, quotaHits: quotaHits + 1 };
  if (until !== undefined && quotaHits === 0) return { ...hit, quotaUntil: until };
  const doublings = until === undefined ? quotaHits : quotaHits - 1;
  const waitMs = Math.min(FIRST_QUOTA_WAIT_MS * 2 ** doublings, LONGEST_QUOTA_WAIT_MS);
  return { ...hit, quotaUntil: Math.max(until ?? 0, now + waitMs) };
}

/** Lack of progress is counted in our continuations only; a report of ours in between changes nothing. */
function idleTurnsAfter(goal: Goal, turn: Extract<GoalEvent, { type: "turn-ended" }>): number {
  if (turn.progressed || turn.by === "user" || turn.by === "goal") return 0;
  return turn.by === "continuation" ? goal.idleTurns + 1 : goal.idleTurns;
}

function turnEnded(
  goal: Goal,
  turn: Extract<GoalEvent, { type: "turn-ended" }>,
  now: number,
  limits: GoalLimits,
): Goal {
  if (goal.status !== "active") return goal;
  return turn.error === undefined
    ? turnCompleted(goal, turn, now, limits)
    : turnFailed(goal, turn, turn.error, now, limits);
}

function turnFailed(
  goal: Goal & { readonly status: "active" },
  turn: Extract<GoalEvent, { type: "turn-ended" }>,
  error: ProviderError,
  now: number,
  limits: GoalLimits,
): Goal {
  const said = `${error.name}: ${error.message}`;
  const trouble = troubleOf(error, now);
  switch (trouble.kind) {
    case "handled-by-host":
      return turnCompleted(goal, turn, now, limits);
    case "needs-user":
      return pause(goal, "error", `${said} (${trouble.fix})`, now);
    case "usage-limit":
      return outOfQuota(goal, trouble.until, now);
    case "transport":
      return failed(goal, said, now, limits, trouble.until);
    case "other":
      return failed(goal, said, now, limits);
  }
}

function turnCompleted(
  goal: Goal & { readonly status: "active" },
  turn: Extract<GoalEvent, { type: "turn-ended" }>,
  now: number,
  limits: GoalLimits,
): Goal {
  const idleTurns = idleTurnsAfter(goal, turn);
  const calm = { failures: 0, retryAt: 0, quotaUntil: 0, quotaHits: 0, idleTurns };
  const isUnchanged = Object.entries(calm).every(([key, value]) => goal[key as keyof typeof calm] === value);
  const rested = isUnchanged ? goal : { ...goal, ...calm };
  if (limits.noProgressTurns > 0 && idleTurns >= limits.noProgressTurns) {
    return pause(rested, "no-progress", `${inARow(idleTurns)} without a successful tool call`, now);
  }
  const limit = spentLimit(rested, now, limits.budget);
  return limit === undefined ? rested : limited(rested, limit, now);
}

function inARow(turns: number): string {
  return turns === 1 ? "1 turn" : `${turns} turns in a row`;
}
