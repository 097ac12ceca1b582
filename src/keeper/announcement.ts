import { excerpt } from "../delivery/frame.ts";
import { counts } from "../delivery/notice.ts";
import type { Ask } from "../goals/asks.ts";
import type { Goal } from "../goals/goal.ts";
import { AFTER_UNDO, goalState } from "../goals/words.ts";
import type { TaskChange } from "../tasks/background-task-manager.ts";
import { isLive, isUntold, type Task } from "../tasks/task.ts";
import type { KeeperConfig } from "./config.ts";
import type { Effect } from "./messages.ts";

/** A toast has a few short lines. */
const ASKED_LENGTH = 100;
const TITLE_LENGTH = 60;

/** OpenCode stores a message before its text: a process that dies in between leaves nothing of what was written. */
export const MESSAGE_LOST = "Your last message was lost when OpenCode stopped. Write it again.";

export type Announcement = Pick<Extract<Effect, { type: "toast" }>, "variant" | "message">;

/**
 * What a person is shown when the status of a task has changed: what went wrong, and that the last one of what was
 * launched has ended.
 *
 * @param all every task of the root, this one as it is now
 */
export function announcement(
  { status, origin, title }: Task,
  event: TaskChange["event"],
  all: readonly Task[],
): Announcement | undefined {
  if (status === "completed" && origin === "launched") return lastOne(all);
  const isFailed = status === "failed" && (origin === "launched" || origin === "background");
  // Nobody has asked for that: it went silent.
  const isStale = status === "cancelled" && event === "clock";
  if (status !== "lost" && !isFailed && !isStale) return undefined;
  const message = `Background task ${isStale ? "silent, cancelled" : status}: ${title}`;
  return { variant: isFailed ? "error" : "warning", message };
}

/**
 * What a person is shown when something is asked that holds the goal: perhaps in a session at which nobody looks.
 *
 * @param title of the task that asks; undefined: the main session does
 * @param waits what waits for the user
 */
export function askAnnouncement(
  { kind, about }: Ask,
  title: string | undefined,
  waits: "the goal" | "a report about tasks",
): Announcement {
  const where = title === undefined ? "" : ` in "${excerpt(title, TITLE_LENGTH)}"`;
  const what =
    kind === "undo"
      ? `messages are undone${where}: ${AFTER_UNDO}.`
      : `a ${kind} is open${where}: ${excerpt(about, ASKED_LENGTH)}`;
  return {
    variant: "warning",
    message: `${waits === "the goal" ? "The goal" : "A report about tasks"} waits for you: ${what}`,
  };
}

/** What a person is shown when his interrupt reaches what we have launched. */
export function interruptAnnouncement(
  tasks: readonly Task[],
  { cancelOnInterrupt, command }: Pick<KeeperConfig, "cancelOnInterrupt" | "command">,
  isGoalPaused: boolean,
): Announcement | undefined {
  const launched = tasks.filter((task) => isLive(task) && task.origin === "launched").length;
  if (launched === 0) return undefined;
  const which = `${launched} background task${launched === 1 ? "" : "s"}`;
  const what = cancelOnInterrupt
    ? `${which} cancelled, too. What they have said is kept. (on_interrupt: "keep" lets them work on.)`
    : `${which} still at work.`;
  // One toast replaces the other: this one says what that of the goal has said.
  const goal = isGoalPaused ? ` The goal is paused; /${command} resume goes on.` : "";
  return { variant: "warning", message: `Interrupted: ${what}${goal}` };
}

/** What a person is shown when a goal has used so much that what worked for it was ended. */
export function overrunAnnouncement(
  goal: Goal,
  ended: readonly Task[],
  atWork: readonly Task[],
  { command }: Pick<KeeperConfig, "command">,
): Announcement {
  const cancelled =
    ended.length === 0 ? "" : ` ${ended.length} background task${ended.length === 1 ? "" : "s"} cancelled.`;
  const names = atWork.map(({ title }) => `"${excerpt(title, TITLE_LENGTH)}"`).join(", ");
  const others = names === "" ? "" : ` Still at work: ${names}.`;
  return { variant: "warning", message: `Goal ${goalState(goal)}.${cancelled}${others} /${command} resume goes on.` };
}

function lastOne(all: readonly Task[]): Announcement | undefined {
  const launched = all.filter((task) => task.origin === "launched");
  if (launched.some(isLive)) return undefined;
  const numbers = counts(launched.filter(isUntold));
  return numbers === "" ? undefined : { variant: "info", message: `Background tasks ended: ${numbers}.` };
}
