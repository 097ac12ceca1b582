import type { EndedTask, LiveTask, TerminalStatus } from "../tasks/task.ts";
import { escapeText, excerpt, tail } from "./frame.ts";

/** What a notice carries of one task's output; the whole is in the child session. */
const OUTPUT_LENGTH = 4_000;
const ERROR_LENGTH = 1_000;
const LAST_WORDS_LENGTH = 300;

/** Stands at every task whose model is not to be relied on. */
export const UNSTABLE_MARK = "(unstable model: verify)";

/**
 * What a parent is told about ended tasks: true counts first, then each task once.
 *
 * @param live how many of the parent's tasks still work at this moment
 */
export function outcomeNotice(tasks: readonly EndedTask[], live: number): string {
  if (tasks.length === 0) return "";
  const others = live === 0 ? "" : ` ${live} still ${live === 1 ? "works" : "work"}.`;
  return [`Background tasks ended: ${counts(tasks)}.${others}`, ...tasks.map(outcomeLine)].join("\n");
}

/** Tasks whose ceiling has passed: the agent must know that they still work, and not wait for them. */
export function overdueNotice(tasks: readonly LiveTask[]): string {
  if (tasks.length === 0) return "";
  const lines = tasks.map((task) => `- ${name(task)}: still ${task.status}`);
  return ["Background tasks that still run. Go on with other work; do not wait for them:", ...lines].join("\n");
}

/** Outcomes that the host has told and nobody has answered (its wake-up can get lost). */
export function reminderNotice(tasks: readonly EndedTask[]): string {
  if (tasks.length === 0) return "";
  const lines = tasks.map((task) => `- ${name(task)}: ${task.status}, reported above`);
  return ["These background tasks were reported and not answered yet:", ...lines].join("\n");
}

function counts(tasks: readonly EndedTask[]): string {
  const order: readonly TerminalStatus[] = ["completed", "failed", "cancelled", "lost"];
  return order
    .map((status) => ({ status, count: tasks.filter((task) => task.status === status).length }))
    .filter(({ count }) => count > 0)
    .map(({ status, count }) => `${count} ${status}`)
    .join(", ");
}

function outcomeLine(task: EndedTask): string {
  const { outcome } = task;
  const named = `- ${name(task)}${task.launch?.unstable === true ? ` ${UNSTABLE_MARK}` : ""}`;
  switch (task.status) {
    case "completed":
      return `${named}: completed${output(task)}`;
    case "failed":
      return `${named}: failed: ${failure(outcome)}${output(task)}`;
    case "cancelled":
      return `${named}: cancelled${because(outcome.reason)}${lastWords(task)}`;
    case "lost":
      return `${named}: LOST${because(outcome.reason)}. It will not report any more: do not wait for it. Check what it has done and do again what is missing.${lastWords(task)}`;
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

function output(task: EndedTask): string {
  const { text = "" } = task.outcome;
  if (text === "") return "";
  return `\n<output>\n${escapeText(tail(text, OUTPUT_LENGTH))}\n</output>${whole(task, OUTPUT_LENGTH)}`;
}

function lastWords(task: EndedTask): string {
  const { text = "" } = task.outcome;
  if (text === "") return "";
  return ` Its last words: ${escapeText(excerpt(text, LAST_WORDS_LENGTH))}${whole(task, LAST_WORDS_LENGTH)}`;
}

/** Only who has launched a task has the tool that reads it. */
function whole({ id, launch, outcome: { text = "" } }: EndedTask, shownLength: number): string {
  if (launch === undefined || text.length <= shownLength) return "";
  return `\nThe whole of it: background_output(${escapeText(JSON.stringify({ task_id: id }))})`;
}
