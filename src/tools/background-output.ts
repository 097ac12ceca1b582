import * as z from "zod/mini";
import { TaskNotFoundError } from "../library/task-manager.ts";
import { type EndedTask, isEnded, isLive, type Task } from "../tasks/task.ts";
import { Arguments } from "./arguments.ts";
import { handOver, isBelow, resolveCaller, type TaskToolDependencies } from "./context.ts";
import { described, type Tool, type ToolCall } from "./define.ts";
import { knownTasks, notOfThisTree } from "./known-tasks.ts";
import { callOf, outputHead, taskList, taskName, textTitle, unstableMark } from "./task-words.ts";
import { pageOf, renderTranscript } from "./transcript-page.ts";

const USUAL_WAIT_SECONDS = 60;
const LONGEST_WAIT_SECONDS = 600;

/** How a task is read: its result, or its transcript from a message on; a page from `offset` on. */
interface Wish {
  readonly full: boolean;
  readonly last: number;
  readonly offset: number;
}

/** Lists the tasks, or reads one. Reading takes nothing away, and is the delivery of an ended one. */
export function backgroundOutput(deps: TaskToolDependencies): Tool {
  const { tasks, keeper, now } = deps;
  return {
    description:
      "Read a background task: its result, or what there is so far. Without task_id: list all. " +
      "Results are reported to you by themselves, so do not poll; wait only if you have nothing else to do.",
    args: {
      task_id: z.optional(z.string()),
      wait: described(z.optional(z.boolean()), "Until it has ended; without task_id: until all of yours have"),
      timeout_seconds: described(z.optional(z.number()), `For wait; default ${USUAL_WAIT_SECONDS}, at most 600`),
      full: described(z.optional(z.boolean()), "The whole transcript"),
      last: described(z.optional(z.number()), "Only the last messages of the transcript: how many"),
      offset: described(z.optional(z.number()), "Character at which the page begins"),
    },
    async execute(input, context) {
      const args = new Arguments(input);
      const taskID = args.word("task_id", "the id of a task");
      const waits = args.flag("wait") ?? false;
      const seconds = args.number("timeout_seconds", `a number of seconds, at most ${LONGEST_WAIT_SECONDS},`, {
        most: LONGEST_WAIT_SECONDS,
        fractions: true,
      });
      const last = args.number("last", "a whole number of messages") ?? 0;
      const offset = args.number("offset", "a whole number of characters") ?? 0;
      const wish = { full: (args.flag("full") ?? false) || last > 0, last, offset };
      if (args.problems !== "") return `${args.problems} Nothing was read.`;
      const { rootID } = await resolveCaller(context.sessionID, deps);
      const awaited = waits ? (seconds ?? USUAL_WAIT_SECONDS) : 0;
      if (taskID === undefined) {
        const own = keeper.tasks(rootID).filter((task) => task.parentID === context.sessionID && isLive(task));
        const ids = own.map(({ id }) => id);
        await wait(deps, ids, awaited, context);
        const list = taskList(tasks.list(rootID), context.sessionID, now());
        return wish.full ? `"task_id" is needed to read a transcript. ${list}` : list;
      }
      const refusal = await notOfThisTree(taskID, rootID, deps);
      if (refusal !== undefined) return `${refusal} Nothing was read.`;
      // Who waits for itself, or for a task above it, would wait in vain.
      const inVain = taskID === context.sessionID || isBelow(context.sessionID, taskID, deps);
      const waited = inVain ? 0 : awaited;
      await wait(deps, [taskID], waited, context);
      const task = tasks.get(taskID);
      // OpenCode waits a quarter of a second for an aborted tool: no time to ask it anything.
      if (context.abort?.aborted === true && task !== undefined && isLive(task))
        return `${taskName(task)} is ${task.status}. The wait was interrupted, and nothing was read.`;
      try {
        return await read(deps, taskID, wish, waited, context);
      } catch (error) {
        if (error instanceof TaskNotFoundError) return `${error.message}${knownTasks(rootID, deps)}`;
        throw error;
      }
    },
  };
}

async function wait(
  { tasks }: TaskToolDependencies,
  taskIDs: readonly string[],
  seconds: number,
  { sessionID: callerID, abort: signal }: ToolCall,
): Promise<void> {
  if (seconds === 0) return;
  await Promise.all(taskIDs.map((taskID) => tasks.wait(taskID, { timeoutMs: seconds * 1_000, signal, callerID })));
}

/** What is said of a task, and its record at that moment: it may have changed while OpenCode was asked. */
interface Said {
  readonly text: string;
  readonly task: Task | undefined;
}

async function read(
  deps: TaskToolDependencies,
  taskID: string,
  wish: Wish,
  waited: number,
  context: ToolCall,
): Promise<string> {
  const { text, task } = wish.full ? await transcript(deps, taskID, wish) : await result(deps, taskID, wish.offset);
  if (task === undefined) return text;
  if (isEnded(task)) {
    if (isUntold(task)) handOver(deps.tasks, task, context);
    return text;
  }
  if (waited === 0) return text;
  const reader = deps.keeper.manager.readerOf(task);
  const told = reader === context.sessionID ? "you by itself" : reader;
  return `${text}\n[It has not ended within ${waited} seconds. Its result will be reported to ${told}.]`;
}

/** About its own tasks OpenCode may be telling just now. */
function isUntold({ delivery, origin }: EndedTask): boolean {
  if (delivery.state === "pending") return delivery.teller === "goalkeeper" || origin === "launched";
  return delivery.state === "undelivered";
}

async function result({ tasks, now }: TaskToolDependencies, taskID: string, offset: number): Promise<Said> {
  const output = await tasks.output(taskID);
  const { task, text } = output;
  const head = `${outputHead(output, now(), task && tasks.view(task))}\n${textTitle(output)}`;
  if (text === "") return { text: head, task };
  return { text: `${head}\n${paged({ text, settled: text.length, call: { task_id: taskID } }, offset)}`, task };
}

async function transcript(deps: TaskToolDependencies, taskID: string, { last, offset }: Wish): Promise<Said> {
  const { tasks } = deps;
  const task = tasks.get(taskID);
  try {
    const { text, settled, starts } = renderTranscript(await tasks.transcript(taskID));
    const from = last === 0 ? 0 : (starts.at(-last) ?? 0);
    const readable = { text, settled, call: { task_id: taskID, full: true } };
    const title = task === undefined ? taskID : `${taskName(task)}${unstableMark(task)}`;
    const goesOn = task !== undefined && isLive(task) ? task.status : undefined;
    return { text: `Transcript of ${title}:\n${paged(readable, Math.max(offset, from), goesOn)}`, task };
  } catch (error) {
    if (!(error instanceof TaskNotFoundError) || task === undefined) throw error;
    const kept = await result(deps, taskID, 0);
    return { ...kept, text: `${error.message} This is what the record keeps:\n${kept.text}` };
  }
}

interface Readable {
  readonly text: string;
  readonly settled: number;
  /** With which it is read. */
  readonly call: Readonly<Record<string, unknown>>;
}

/** @param goesOn the status of a task whose text will grow */
function paged({ text, settled, call }: Readable, offset: number, goesOn?: string): string {
  const from = (next: number) => callOf("background_output", { ...call, offset: next });
  const page = pageOf(text, offset, settled);
  const body = page.text === "" ? `[There is nothing from character ${offset} on: it has ${text.length}.]` : page.text;
  if (page.next !== undefined) return `${body}\n[More: ${from(page.next)}]`;
  return goesOn === undefined ? body : `${body}\n[It is ${goesOn}. What comes next: ${from(settled)}]`;
}
