import { excerpt } from "../delivery/frame.ts";
import { askRoot, type TaskToolDependencies } from "./context.ts";
import { callOf, taskName } from "./task-words.ts";

/** More names would be of no help. */
const FEW = 10;
const LONGEST_ID = 60;

/** What a model may have meant instead, behind a message about an id that nobody knows. */
export function knownTasks(rootID: string, { keeper }: Pick<TaskToolDependencies, "keeper">): string {
  const tasks = keeper.tasks(rootID);
  if (tasks.length === 0) return " This session has no background tasks.";
  if (tasks.length > FEW) return ` ${callOf("background_output", {})} lists the tasks of this session.`;
  return ` The tasks of this session: ${tasks.map(taskName).join(", ")}.`;
}

/** OpenCode refuses to be asked about anything else. */
const SESSION_ID = /^ses/;

/** What is wrong with an id that cannot be a task's; undefined if it can. */
export function noTaskID(taskID: string): string | undefined {
  if (SESSION_ID.test(taskID)) return undefined;
  return (
    `${excerpt(JSON.stringify(taskID), LONGEST_ID)} is no task of goalkeeper's: the ids of its tasks begin with "ses_". ` +
    "If another plugin gave you this id, only a tool of that plugin knows it, and this one is not it: do not ask again."
  );
}

/**
 * Why an id names no task of this session's tree; undefined if it does, or if OpenCode does not know it either.
 *
 * @throws HostSilentError when OpenCode would have to say, and does not answer
 */
export async function notOfThisTree(
  taskID: string,
  rootID: string,
  { keeper, host }: Pick<TaskToolDependencies, "keeper" | "host">,
): Promise<string | undefined> {
  const wrong = noTaskID(taskID);
  if (wrong !== undefined) return `${wrong}${knownTasks(rootID, { keeper })}`;
  const { manager } = keeper;
  const known = manager.get(taskID)?.rootID ?? manager.tree.rootOf(taskID);
  const root = known ?? (await askRoot(taskID, host));
  if (taskID === root) {
    const session = await host.session(taskID);
    if (session.kind === "gone") return undefined;
    return `${taskID} is ${taskID === rootID ? "the" : "a"} main session and not a task.${knownTasks(rootID, { keeper })}`;
  }
  return root === rootID
    ? undefined
    : `The task ${taskID} belongs to another session.${knownTasks(rootID, { keeper })}`;
}
