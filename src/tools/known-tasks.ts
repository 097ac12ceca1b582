import type { TaskToolDependencies } from "./context.ts";
import { callOf, taskName } from "./task-words.ts";

/** More names would be of no help. */
const FEW = 10;

/** What a model may have meant instead, behind a message about an id that nobody knows. */
export function knownTasks(rootID: string, { keeper }: Pick<TaskToolDependencies, "keeper">): string {
  const tasks = keeper.tasks(rootID);
  if (tasks.length === 0) return " This session has no background tasks.";
  if (tasks.length > FEW) return ` ${callOf("background_output", {})} lists the tasks of this session.`;
  return ` The tasks of this session: ${tasks.map(taskName).join(", ")}.`;
}

/** Why an id names no task of this session's tree; undefined if it does, or if the books do not know it. */
export function notOfThisTree(
  taskID: string,
  rootID: string,
  { keeper }: Pick<TaskToolDependencies, "keeper">,
): string | undefined {
  if (taskID === rootID) return `${taskID} is the main session and not a task.${knownTasks(rootID, { keeper })}`;
  const root = keeper.manager.get(taskID)?.rootID ?? keeper.manager.tree.rootOf(taskID);
  if (root === undefined || root === rootID) return undefined;
  return `The task ${taskID} belongs to another session.${knownTasks(rootID, { keeper })}`;
}
