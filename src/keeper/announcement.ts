import { excerpt } from "../delivery/frame.ts";
import { counts } from "../delivery/notice.ts";
import type { Ask } from "../goals/root.ts";
import type { TaskChange } from "../tasks/background-task-manager.ts";
import { isLive, isUntold, type Task } from "../tasks/task.ts";
import type { Effect } from "./messages.ts";

/** A toast has a few short lines. */
const ASKED_LENGTH = 100;
const TITLE_LENGTH = 60;

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
 */
export function askAnnouncement({ kind, about }: Ask, title: string | undefined): Announcement {
  const where = title === undefined ? "" : ` in "${excerpt(title, TITLE_LENGTH)}"`;
  const message = `The goal waits for you: a ${kind} is open${where}: ${excerpt(about, ASKED_LENGTH)}`;
  return { variant: "warning", message };
}

function lastOne(all: readonly Task[]): Announcement | undefined {
  const launched = all.filter((task) => task.origin === "launched");
  if (launched.some(isLive)) return undefined;
  const numbers = counts(launched.filter(isUntold));
  return numbers === "" ? undefined : { variant: "info", message: `Background tasks ended: ${numbers}.` };
}
