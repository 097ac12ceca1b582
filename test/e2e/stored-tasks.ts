/** What a root's session keeps of its tasks, asked for: it is the same before and after a restart. */
import type { TaskStub } from "../../src/keeper/stored-root.ts";
import { isEnded } from "../../src/tasks/task.ts";
import { type Play, textOf } from "./stage.ts";

export async function storedTasks(play: Play): Promise<readonly TaskStub[]> {
  return (await play.stored())?.tasks ?? [];
}

/** A task, once it is stored as it should be. */
export async function untilTask(
  play: Play,
  name: string,
  isTrue: (task: TaskStub) => boolean = () => true,
): Promise<TaskStub> {
  let found: TaskStub | undefined;
  const isThere = async () => {
    found = (await storedTasks(play)).find(({ title }) => title === name);
    return found !== undefined && isTrue(found);
  };
  await play.until(`the task "${name}" is as it should be`, isThere);
  if (found === undefined) throw new Error("unreachable: the task was seen");
  return found;
}

export async function untilAllReconciled(play: Play): Promise<readonly TaskStub[]> {
  let tasks: readonly TaskStub[] = [];
  const isTrue = async () => {
    tasks = await storedTasks(play);
    return tasks.length > 0 && tasks.every(isReconciled);
  };
  await play.until("every outcome was told and answered", isTrue);
  return tasks;
}

/** It is written down that its turn has begun. */
export function isStarted(task: TaskStub): boolean {
  return task.status === "queued" && task.waits.for === "sign";
}

/** It is written down that it waits for a slot. */
export function isWaiting(task: TaskStub): boolean {
  return task.status === "queued" && task.waits.for === "slot";
}

/** It is written down that its end was told and answered. */
export function isReconciled(task: TaskStub): boolean {
  return isEnded(task) && task.delivery.state === "reconciled";
}

/** How often a root was told these words, in one message or in several. */
export async function toldTimes(play: Play, words: string): Promise<number> {
  const users = (await play.messages()).filter(({ info }) => info.role === "user");
  return users.map(textOf).join("\n").split(words).length - 1;
}
