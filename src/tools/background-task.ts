import * as z from "zod/mini";
import { excerpt } from "../delivery/frame.ts";
import { text } from "../host/raw.ts";
import type { TaskOutput } from "../library/task-manager.ts";
import { parseModel } from "../tasks/launch-voice.ts";
import { LaunchError } from "../tasks/launcher.ts";
import { type EndedTask, isEnded, type Task } from "../tasks/task.ts";
import { Arguments } from "./arguments.ts";
import { handOver, resolveCaller, type TaskToolDependencies } from "./context.ts";
import { described, type Tool, type ToolCall } from "./define.ts";
import { knownTasks, noTaskID } from "./known-tasks.ts";
import { callOf, endWords, outputHead, placeWords, taskName, textTitle, voiceWords } from "./task-words.ts";
import { lastPage } from "./transcript-page.ts";

/** The title of a session is shown on one line. */
const TITLE_LENGTH = 80;
const MODEL = '"provider/model"';

/** Launches a task, or resumes one that has ended. It never waits for it. */
export function backgroundTask(deps: TaskToolDependencies): Tool {
  return {
    description:
      "Run a sub-agent in the background. Returns its task id at once; its result is reported to you by itself. " +
      "Go on with other work or end your turn: do not wait or poll. " +
      "With task_id: go on with an ended task.",
    args: {
      description: described(z.optional(z.string()), "What it does, in 3 to 8 words; with task_id it keeps its own"),
      prompt: described(z.string(), "Its whole task: it knows nothing of this conversation"),
      agent: described(z.optional(z.string()), 'Default: "general"'),
      model: described(z.optional(z.string()), `${MODEL}; default: the agent's, else yours`),
      task_id: described(z.optional(z.string()), "An ended task to go on with"),
      unstable: described(z.optional(z.boolean()), "Whether its results must be verified; default: by its model"),
    },
    async execute(input, context) {
      const args = new Arguments(input);
      const description = args.word("description");
      const prompt = args.text("prompt");
      const agent = args.word("agent", "the name of an agent");
      const model = args.read("model", MODEL, (value) => parseModel((text(value) ?? "").trim()));
      const taskID = args.word("task_id", "the id of a task");
      const unstable = args.flag("unstable");
      if (args.problems !== "") return refused(args.problems);
      if (prompt === undefined) return refused('"prompt" is missing; the whole task in words was expected.');
      const wrong = taskID === undefined ? undefined : noTaskID(taskID);
      if (wrong !== undefined) return refused(wrong);
      const wishes = { agent, model, unstable };
      const { rootID } = await resolveCaller(context.sessionID, deps);
      try {
        if (taskID !== undefined) return await resume(deps, { taskID, prompt, ...wishes }, context);
        const title = excerpt(description ?? prompt, TITLE_LENGTH);
        return await launch(deps, { description: title, prompt, ...wishes }, context);
      } catch (error) {
        if (!(error instanceof LaunchError)) throw error;
        const isKnown = taskID === undefined || deps.keeper.rootOf(taskID) === rootID;
        return `${refused(error.message)}${isKnown ? "" : knownTasks(rootID, deps)}`;
      }
    },
  };
}

type Tasks = TaskToolDependencies["tasks"];
type Wishes<T extends "launch" | "resume"> = Omit<
  Parameters<Tasks[T]>[0],
  "parentID" | "callerID" | "messageID" | "signal"
>;

async function launch(deps: TaskToolDependencies, wishes: Wishes<"launch">, context: ToolCall): Promise<string> {
  const { sessionID: parentID, abort: signal } = context;
  const task = await deps.tasks.launch({ ...wishes, parentID, signal });
  return begun(deps, "Launched", task, context);
}

async function resume(deps: TaskToolDependencies, wishes: Wishes<"resume">, context: ToolCall): Promise<string> {
  const { tasks, now } = deps;
  const before = await unreadText(tasks, wishes.taskID);
  const { sessionID: callerID, messageID, abort: signal } = context;
  const { task, earlier } = await tasks.resume({ ...wishes, callerID, messageID, signal });
  const said = begun(deps, `Resumed (run ${task.run.number})`, task, context);
  if (earlier === undefined) return said;
  const read = before?.task?.run.number === earlier.run.number ? before.text : "";
  return `${said}\n\n${untold(earlier, read, now())}`;
}

/** A record may not have the text of its outcome yet, and once the next run has begun nobody looks for it. */
async function unreadText(tasks: Tasks, taskID: string): Promise<TaskOutput | undefined> {
  const task = tasks.get(taskID);
  return task !== undefined && isEnded(task) && task.outcome.text === undefined ? tasks.output(taskID) : undefined;
}

function begun({ tasks }: TaskToolDependencies, what: string, task: Task, context: ToolCall): string {
  if (isEnded(task)) {
    handOver(tasks, task, context);
    return `${endWords(task)} It will not run.`;
  }
  const voice = voiceWords(task);
  return [
    `${what}: ${taskName(task)}${voice === "" ? "" : `, ${voice}`}. ${placeWords(task, tasks.view(task).queuePosition)}`,
    "Its result will be reported to you by itself: go on with other work, or end your turn. Do not poll.",
    ...(task.launch?.unstable === true ? ["Results of this model must be verified before you rely on them."] : []),
    `To read it: ${callOf("background_output", { task_id: task.id })}`,
  ].join("\n");
}

/** What nobody had been told when the next run began. */
function untold(task: EndedTask, read: string, now: number): string {
  const { text = read, error, reason, usage = { tokens: 0, cost: 0 } } = task.outcome;
  const output = { taskID: task.id, task, status: task.status, text, error: error?.message, reason, usage };
  const said = text === "" ? [] : [lastPage(text)];
  return [`Not reported before: ${outputHead(output, now)}`, textTitle(output), ...said].join("\n");
}

function refused(why: string): string {
  return `${why} Nothing was started.`;
}
