import { duration } from "../time/duration.ts";
import type { Goal } from "./goal.ts";

/** What a goal may use up before it wraps up. 0: no limit. */
export interface Budget {
  /** Continuations. */
  readonly turns: number;
  /** Of the session and of the tasks below it, all kinds together. */
  readonly tokens: number;
  readonly ms: number;
}

/** Tokens that were used since the goal began, or was resumed: in its own session, and in its tasks. */
export interface SpentTokens {
  readonly own: number;
  readonly tasks: number;
}

/** The budget of a goal: what was said with it, else what the options say. */
export function budgetOf({ budget }: Pick<Goal, "budget">, limits: Budget): Budget {
  return { ...limits, ...budget };
}

/** The limit that is used up, in words; undefined while there is something left of everything. */
export function spentLimit(goal: Goal, now: number, limits: Budget): string | undefined {
  const { turns, tokens, ms } = budgetOf(goal, limits);
  if (turns > 0 && goal.turns >= turns) return turns === 1 ? "1 turn" : `${turns} turns`;
  if (tokens > 0 && goal.tokens.own + goal.tokens.tasks >= tokens) return limitWords.tokens(tokens);
  return ms > 0 && now - goal.allowedAt >= ms ? limitWords.ms(ms) : undefined;
}

export const limitWords = {
  tokens: (count: number) => `${shortNumber(count)} tokens`,
  ms: duration,
} as const;

/** `100000` is "100k", `1500000` is "1.5M". */
export function shortNumber(count: number): string {
  if (count < 1_000) return `${count}`;
  // 999,950 and more would be rounded to "1000k".
  const [divisor, unit] = count < 999_950 ? [1_000, "k"] : [1_000_000, "M"];
  return `${Math.round((count / divisor) * 10) / 10}${unit}`;
}
