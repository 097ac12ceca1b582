import * as z from "zod/mini";
import { isOwn } from "../library/task-manager.ts";
import { isEnded, isLive, type Task } from "../tasks/task.ts";
import { Arguments } from "./arguments.ts";
import { handOver, isBelow, resolveCaller, type TaskToolDependencies } from "./context.ts";
import { described, type Tool, type ToolCall } from "./define.ts";
import { knownTasks, notOfThisTree } from "./known-tasks.ts";
import { callOf, endWords, taskName } from "./task-words.ts";

const REASON = "its agent cancelled it";
/** More would be cut by OpenCode. */
const MOST_NAMED = 20;

/** Ends tasks of the caller. Its result is the delivery of how they ended. */
export function backgroundCancel(deps: TaskToolDependencies): Tool {
  return {
    description: "Cancel one background task (task_id), or all of yours (all: true). What they have said is kept.",
    args: {
      task_id: z.optional(z.string()),
      all: described(z.optional(z.boolean()), "All of yours, and theirs"),
    },
    async execute(input, context) {
      const args = new Arguments(input);
      const taskID = args.word("task_id", "the id of a task");
      const all = args.flag("all") ?? false;
      if (args.problems !== "") return `${args.problems} Nothing was cancelled.`;
      if (taskID !== undefined && all)
        return 'Either "task_id" or "all" was expected, not both. Nothing was cancelled.';
      const { rootID } = await resolveCaller(context.sessionID, deps);
      if (all) return cancelAll(deps, rootID, context);
      if (taskID === undefined)
        return `"task_id" or "all" is missing. Nothing was cancelled.${knownTasks(rootID, deps)}`;
      return cancelOne(deps, taskID, rootID, context);
    },
  };
}

async function cancelOne(
  deps: TaskToolDependencies,
  taskID: string,
  rootID: string,
  context: ToolCall,
): Promise<string> {
  const { tasks } = deps;
  const refusal = await notOfThisTree(taskID, rootID, deps);
  if (refusal !== undefined) return `${refusal} Nothing was cancelled.`;
  const task = tasks.get(taskID);
  if (task === undefined)
    return `There is no record of ${taskID}: it ended long ago, or never was. Nothing was cancelled.${knownTasks(rootID, deps)}`;
  if (!isBelow(taskID, context.sessionID, deps))
    return `${taskName(task)} is not a task of yours, and only its own session or one above may cancel it. Nothing was cancelled.`;
  if (isEnded(task))
    return `${taskName(task)} had ended already: ${task.status}. Read it with ${callOf("background_output", { task_id: taskID })}`;
  const live = below(deps, rootID, context);
  await tasks.cancel(taskID, REASON);
  return told(deps, live, context);
}

async function cancelAll(deps: TaskToolDependencies, rootID: string, context: ToolCall): Promise<string> {
  const { tasks } = deps;
  const live = below(deps, rootID, context);
  // A task whose parent has ended before it is nobody else's any more.
  await Promise.all([
    tasks.cancelAll(context.sessionID, REASON),
    ...live.filter(isOwn).map(({ id }) => tasks.cancel(id, REASON)),
  ]);
  if (live.length === 0) return "You have no task that is queued or running.";
  return told(deps, live, context);
}

/** The caller's live tasks, and theirs. */
function below(deps: TaskToolDependencies, rootID: string, { sessionID }: ToolCall): readonly Task[] {
  return deps.keeper.tasks(rootID).filter((task) => isLive(task) && isBelow(task.id, sessionID, deps));
}

/** Those of `before` that have ended now, each handed over. */
function told({ tasks }: TaskToolDependencies, before: readonly Task[], context: ToolCall): string {
  const ended = before.flatMap(({ id }) => tasks.get(id) ?? []).filter(isEnded);
  for (const task of ended) handOver(tasks, task, context);
  const named = ended.slice(0, MOST_NAMED).map((task) => `- ${endWords(task)}`);
  const left = ended.length - named.length;
  return [
    `Cancelled: ${ended.length}. No more will be reported of ${ended.length === 1 ? "it" : "them"}.`,
    ...named,
    ...(left === 0 ? [] : [`${left} more were cancelled, too.`]),
  ].join("\n");
}
