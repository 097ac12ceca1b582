import type { TaskRun } from "../host/port.ts";
import { type EndedTask, KEPT_TEXT_LENGTH, type LiveTask, type TerminalStatus } from "../tasks/task.ts";
import { escapeText, excerpt, type FrameKind, readFrame, tail } from "./frame.ts";

/** What a notice carries of one task's output; the whole is in the child session. */
const OUTPUT_LENGTH = 4_000;
/** What a notice carries of all outputs together: it is read in one model request. */
const OUTPUTS_LENGTH = 24_000;
/** So many tasks are named each by itself. */
const MOST_NAMED = 60;
const ERROR_LENGTH = 1_000;
const LAST_WORDS_LENGTH = 300;

/** Stands at every task whose model is not to be relied on. */
export const UNSTABLE_MARK = "(unstable model: verify)";

export interface NoticeContext {
  /** How many of the parent's tasks still work at this moment. */
  readonly live: number;
  /** Whether the parent has the tool that reads the whole of a result. */
  readonly hasReadTool: boolean;
}

/** What a parent is told about ended tasks: true counts first, then each task once. */
export function outcomeNotice(tasks: readonly EndedTask[], context: NoticeContext): string {
  if (tasks.length === 0) return "";
  const { live } = context;
  const others = live === 0 ? "" : ` ${live} still ${live === 1 ? "works" : "work"}.`;
  // What went wrong is named before what went well.
  const ordered = [...tasks].sort(
    (one, other) => Number(one.status === "completed") - Number(other.status === "completed"),
  );
  const named = tasks.length > MOST_NAMED ? ordered.slice(0, MOST_NAMED) : tasks;
  const room = Math.min(OUTPUT_LENGTH, Math.floor(OUTPUTS_LENGTH / named.length));
  const left = tasks.length - named.length;
  return [
    `Background tasks ended: ${counts(tasks)}.${others}`,
    ...named.map((task) => outcomeLine(task, room, context)),
    ...(left === 0 ? [] : [`${left} more have ended.${context.hasReadTool ? " background_output() lists them." : ""}`]),
  ].join("\n");
}

/** Tasks whose ceiling has passed: the agent must know that they still work, and not wait for them. */
export function overdueNotice(tasks: readonly LiveTask[]): string {
  if (tasks.length === 0) return "";
  const lines = tasks.map((task) => `- ${name(task)}: still ${task.status}`);
  return ["Background tasks that still run. Go on with other work; do not wait for them:", ...lines].join("\n");
}

/** What `opencode run` has waited for until its ceiling: the process ends with the turn, and these with the process. */
export function leftBehindNotice(tasks: readonly LiveTask[]): string {
  if (tasks.length === 0) return "";
  const lines = tasks.map((task) => `- ${name(task)}: still ${task.status}`);
  return [
    "Background tasks that still run. Nobody waits for them any longer: they end when your turn ends. Use what they have said so far, and say what is missing:",
    ...lines,
  ].join("\n");
}

/** A turn has ended before tasks that it has started, and the process would end with it. */
export function waitingNotice(tasks: readonly (EndedTask | LiveTask)[]): string {
  const lines = tasks.map((task) => `- ${name(task)}`);
  return [
    "Your turn has ended before these background tasks. It is kept open for them; how they ended is told in messages after this one. There is nothing to do before:",
    ...lines,
  ].join("\n");
}

/** Outcomes that the host has told and nobody has answered (its wake-up can get lost). */
export function reminderNotice(tasks: readonly EndedTask[]): string {
  if (tasks.length === 0) return "";
  const lines = tasks.map((task) => `- ${name(task)}: ${task.status}, reported above`);
  return ["These background tasks were reported and not answered yet:", ...lines].join("\n");
}

/** Kinds of messages that tell how tasks ended. */
const TELLING: ReadonlySet<string> = new Set(["continuation", "wrapup", "task-outcome"] satisfies FrameKind[]);
/** A lost task as {@link outcomeNotice} names it. */
const LOST_LINE = /^- ".*?" \((ses_[0-9A-Za-z]+)\)(?: \(run (\d+)\))?(?: \(unstable[^)]*\))?: LOST\b/gm;

/** The lost tasks that a message tells, whichever manager has sent it: several may keep books on one task. */
export function readLost(text: string): readonly TaskRun[] {
  if (!TELLING.has(readFrame(text)?.kind ?? "")) return [];
  // What a task has said is not what we say.
  const ours = text.replace(/<output>\n[\s\S]*?\n<\/output>/g, "");
  return [...ours.matchAll(LOST_LINE)].map(([, taskID = "", run = "1"]) => ({ taskID, run: Number(run) }));
}

/** "2 completed, 1 failed" */
export function counts(tasks: readonly EndedTask[]): string {
  const order: readonly TerminalStatus[] = ["completed", "failed", "cancelled", "lost"];
  return order
    .map((status) => ({ status, count: tasks.filter((task) => task.status === status).length }))
    .filter(({ count }) => count > 0)
    .map(({ status, count }) => `${count} ${status}`)
    .join(", ");
}

function outcomeLine(task: EndedTask, room: number, context: NoticeContext): string {
  const { outcome } = task;
  const again = task.run.number === 1 ? "" : ` (run ${task.run.number})`;
  const named = `- ${name(task)}${again}${task.launch?.unstable === true ? ` ${UNSTABLE_MARK}` : ""}`;
  switch (task.status) {
    case "completed":
      return `${named}: completed${output(task, room, context)}`;
    case "failed":
      return `${named}: failed: ${failure(outcome)}${output(task, room, context)}`;
    case "cancelled":
      return `${named}: cancelled${because(outcome.reason)}.${lastWords(task, context)}`;
    case "lost":
      return `${named}: LOST${because(outcome.reason)}. It will not report any more: do not wait for it. Check what it has done and do again what is missing.${lastWords(task, context)}`;
  }
}

function name(task: EndedTask | LiveTask): string {
  return `"${escapeText(excerpt(task.title, 80))}" (${task.id})`;
}

function failure({ error, reason }: EndedTask["outcome"]): string {
  return escapeText(excerpt(error?.message ?? reason ?? "no error was given", ERROR_LENGTH));
}

function because(reason: string | undefined): string {
  return reason === undefined ? "" : ` (${escapeText(excerpt(reason, ERROR_LENGTH))})`;
}

function output(task: EndedTask, room: number, context: NoticeContext): string {
  const { text = "" } = task.outcome;
  if (text === "") return "";
  return `\n<output>\n${escapeText(tail(text, room))}\n</output>${whole(task, room, context)}`;
}

function lastWords(task: EndedTask, context: NoticeContext): string {
  const { text = "" } = task.outcome;
  if (text === "") return "";
  return ` Its last words: ${escapeText(excerpt(text, LAST_WORDS_LENGTH))}${whole(task, LAST_WORDS_LENGTH, context)}`;
}

function whole({ id, outcome: { text = "" } }: EndedTask, shownLength: number, { hasReadTool }: NoticeContext): string {
  if (!hasReadTool || text.length <= shownLength) return "";
  // Of a very long one the record keeps the end alone; its transcript has everything.
  const call = { task_id: id, ...(text.length < KEPT_TEXT_LENGTH - 1 ? {} : { full: true }) };
  return `\nThe whole of it: background_output(${escapeText(JSON.stringify(call))})`;
}
