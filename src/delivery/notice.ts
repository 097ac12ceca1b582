import type { EndedTask, LiveTask, TerminalStatus } from "../tasks/task.ts";
import { escapeText, excerpt, tail } from "./frame.ts";

/** What a notice carries of one task's output; the whole is in the child session. */
const OUTPUT_LENGTH = 4_000;
const ERROR_LENGTH = 1_000;
const LAST_WORDS_LENGTH = 300;

/** What a parent is told about ended tasks: true counts first, then each task once. */
export function outcomeNotice(tasks: readonly EndedTask[]): string {
  if (tasks.length === 0) return "";
  return [`Background tasks ended: ${counts(tasks)}.`, ...tasks.map(outcomeLine)].join("\n");
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
  switch (task.status) {
    case "completed":
      return `- ${name(task)}: completed${output(outcome.text)}`;
    case "failed":
      return `- ${name(task)}: failed: ${failure(outcome)}${output(outcome.text)}`;
    case "cancelled":
      return `- ${name(task)}: cancelled${because(outcome.reason)}${lastWords(outcome.text)}`;
    case "lost":
      return `- ${name(task)}: LOST${because(outcome.reason)}. It will not report any more: do not wait for it. Check what it has done and do again what is missing.${lastWords(outcome.text)}`;
  }
}

function name(task: EndedTask | LiveTask): string {
  return `"${escapeText(excerpt(task.title, 80))}" (${task.id})`;
}

function failure({ error, reason }: EndedTask["outcome"]): string {
  return escapeText(excerpt(error?.message ?? reason ?? "no error was given", ERROR_LENGTH));
}

function because(reason: string | undefined): string {
  return reason === undefined ? "" : ` (${escapeText(reason)})`;
}

function output(text: string | undefined): string {
  return text === undefined || text === "" ? "" : `\n<output>\n${escapeText(tail(text, OUTPUT_LENGTH))}\n</output>`;
}

function lastWords(text: string | undefined): string {
  return text === undefined || text === "" ? "" : ` Its last words: ${escapeText(excerpt(text, LAST_WORDS_LENGTH))}`;
}
