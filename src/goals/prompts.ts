import { escapedExcerpt, escapeText } from "../delivery/frame.ts";
import type { Goal } from "./goal.ts";

/** A continuation repeats this much of the objective; `get_goal` gives the whole. */
const REMINDER_LENGTH = 240;

/**
 * Added to the system prompt while a session has a goal. Byte-stable through a goal's life: no counter, no clock,
 * no objective, so that provider prompt caches keep working.
 */
export const SYSTEM_TEXT =
  "This session pursues a goal. Text in <goalkeeper> tags comes from the goalkeeper plugin. When your turn ends and " +
  "background tasks still run, you are woken when they end: do not poll. When the goal is met, call update_goal with " +
  'status "complete" and evidence; if only the user can help, with status "blocked" and the blocker.';

/** The body of the user's own message that starts a goal. */
export function goalText(objective: string): string {
  return `Pursue this goal until it is met:\n<objective>\n${escapeText(objective)}\n</objective>`;
}

/** At most about 150 tokens: it is sent once per turn. */
export function continuationText(goal: Goal): string {
  return (
    `Go on towards the goal: ${escapedExcerpt(goal.objective, REMINDER_LENGTH)}\n` +
    'Do the next step now. When everything is done and checked, call update_goal with status "complete" and evidence. ' +
    'If you cannot go on without the user, call it with status "blocked" and the blocker.'
  );
}

export function wrapUpText(goal: Goal, limit: string): string {
  return (
    `The limit of this goal is reached (${limit}): ${escapedExcerpt(goal.objective, REMINDER_LENGTH)}\n` +
    "Start nothing new. Say in a few lines what is done, what is left and what you would do next, and end your turn."
  );
}
