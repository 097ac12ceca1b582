import { budgetOf, limitWords } from "./budget.ts";
import type { Goal, GoalLimits } from "./goal.ts";
import type { TurnBy } from "./root.ts";

/**
 * A budget is looked at when a turn is over, for a turn that is cut off is worth less than one that ends. But OpenCode
 * leaves a turn neither after an answer with an unknown finish nor while a compaction never gets small, and a step can
 * hang: beyond this much of its budget a goal waits for no end.
 */
const ENDS_AT = 1.25;
/** A wrap-up is as short as the model makes it, whatever the budget was. */
const WRAPS_UP_WITHIN_MS = 60_000;

/**
 * The budget that is used up so far that what works for the goal is to be ended, in words; undefined while it may work.
 * A wrap-up begins behind the limit: its own use is measured from there.
 */
export function overrun(goal: Goal, by: TurnBy | undefined, now: number, limits: GoalLimits): string | undefined {
  const { tokens } = budgetOf(goal, limits.budget);
  if (tokens > 0 && usedTokens(goal) >= mostTokens(goal, tokens)) return limitWords.tokens(tokens);
  return now >= mostTime(goal, by, limits) ? limitWords.ms(budgetOf(goal, limits.budget).ms) : undefined;
}

/** When its time will be used up so far; `Infinity` when it never will, or is already. */
export function overrunDeadline(goal: Goal | undefined, by: TurnBy | undefined, now: number, limits: GoalLimits) {
  const at = goal === undefined ? Number.POSITIVE_INFINITY : mostTime(goal, by, limits);
  return at > now ? at : Number.POSITIVE_INFINITY;
}

export function usedTokens({ tokens }: Pick<Goal, "tokens">): number {
  return tokens.own + tokens.tasks;
}

function mostTokens(goal: Goal, budget: number): number {
  switch (goal.status) {
    case "active":
      return budget * ENDS_AT;
    case "limited":
      return Math.max(goal.spent ?? 0, budget) + budget * (ENDS_AT - 1);
    case "paused":
    case "complete":
    case "blocked":
      return Number.POSITIVE_INFINITY;
  }
}

function mostTime(goal: Goal, by: TurnBy | undefined, limits: GoalLimits): number {
  const { ms } = budgetOf(goal, limits.budget);
  if (ms === 0) return Number.POSITIVE_INFINITY;
  if (goal.status === "active") return goal.allowedAt + ms * ENDS_AT;
  const wrapsUp = goal.status === "limited" && by === "wrapup";
  return wrapsUp ? goal.at + Math.max(ms * (ENDS_AT - 1), WRAPS_UP_WITHIN_MS) : Number.POSITIVE_INFINITY;
}
