import { excerpt } from "../delivery/frame.ts";
import type { TaskView } from "../library/task-manager.ts";
import { type EndedTask, isEnded, isLive, type Task } from "../tasks/task.ts";
import { duration } from "../time/duration.ts";
import { counts, mostRelevant, stateWords, unstableMark, usageWords, voiceWords, whyWords } from "./task-words.ts";
import { TASKS_COMMAND } from "./tasks-command.ts";

/** What a person reads with `/tasks`. */

/** More would push everything else off the screen. */
const MOST_SHOWN = 40;
/** A toast has a few short lines. */
const MOST_BRIEF = 5;
const MOST_NAMED = 10;
const TITLE_LENGTH = 80;
const BRIEF_TITLE_LENGTH = 32;
const SAID_LENGTH = 60;

const NONE = "There are no background tasks in this session.";

export interface TaskBoard {
  /** Every task that is shown: its number is its place, from 1. */
  readonly ids: readonly string[];
  readonly said: string;
  /** The same for a toast: what is under way, and what has ended last. */
  readonly brief: string;
}

/** All tasks of a root, numbered: those that are under way, and those that have ended last. */
export function taskBoard(views: readonly TaskView[], now: number): TaskBoard {
  if (views.length === 0) return { ids: [], said: NONE, brief: NONE };
  const shown = mostRelevant(views, MOST_SHOWN);
  const ids = shown.map(({ task }) => task.id);
  const left = views.length - shown.length;
  const head = `Background tasks: ${counts(views)}.`;
  return {
    ids,
    said: [
      head,
      ...shown.map((view, index) => entry(view, index + 1, ids, now)),
      ...(left === 0 ? [] : [`${left} more are left out.`]),
      ...(views.some(({ task }) => isLive(task))
        ? [`${CANCEL_ONE} ends one; ${CANCEL_ALL} ends everything that the agent has launched.`]
        : []),
    ].join("\n"),
    brief: [head, ...briefLines(shown, now)].join("\n"),
  };
}

/** What a person has ended, and what becomes of it. */
export function cancelledText(ended: readonly Task[]): string {
  if (ended.length === 0) return "Nothing was cancelled: nothing that the agent has launched is queued or running.";
  const titles = ended.slice(0, MOST_NAMED).map(title).join(", ");
  const left = ended.length - MOST_NAMED;
  const kept = ended.length === 1 ? "What it has said is kept" : "What they have said is kept";
  return `Cancelled: ${titles}${left > 0 ? ` and ${left} more` : ""}. ${kept}, and the agent is told.`;
}

export function endedAlready(task: EndedTask): string {
  return `Nothing was cancelled: ${title(task)} had ended already (${task.status}).`;
}

export function noSuchTask(which: number | string): string {
  const what = typeof which === "number" ? `number ${which} in the list` : which;
  return `Nothing was cancelled: there is no task ${what}. /${TASKS_COMMAND} shows those that there are.`;
}

export function unclearText(said: string): string {
  return `"${excerpt(said, SAID_LENGTH)}" was not understood, and nothing was changed. Say /${TASKS_COMMAND}, ${CANCEL_ONE} or ${CANCEL_ALL}.`;
}

/** The tasks of a session in which another process works. */
export function elsewhereText({ brief }: TaskBoard, pid: number): string {
  return `${brief}\nAnother OpenCode process (${pid}) runs them: see and cancel them there.`;
}

const CANCEL_ONE = `/${TASKS_COMMAND} cancel <number>`;
const CANCEL_ALL = `/${TASKS_COMMAND} cancel all`;

function entry(view: TaskView, number: number, ids: readonly string[], now: number): string {
  const { task, usage } = view;
  const above = ids.indexOf(task.parentID);
  const indent = " ".repeat(`${number}. `.length);
  const what = [voiceWords(task), task.id, ...(above < 0 ? [] : [`of ${above + 1}`])].filter((word) => word !== "");
  const facts = [stateWords(task, now, view), ...(isEnded(task) ? endFacts(task, now) : []), ...usageWords(usage)];
  const why = whyWords(task);
  return [
    `${number}. ${title(task)}${unstableMark(task)} (${what.join(", ")})`,
    `${indent}${facts.join(", ")}`,
    ...(why === undefined ? [] : [`${indent}${why}`]),
  ].join("\n");
}

function endFacts({ endedAt, delivery }: EndedTask, now: number): readonly string[] {
  return [`${duration(now - endedAt)} ago`, ...reported(delivery)];
}

function reported(delivery: EndedTask["delivery"]): readonly string[] {
  switch (delivery.state) {
    case "not-owed":
      return [];
    case "pending":
      return ["the agent is still to be told"];
    case "delivered":
      return ["the agent was told and has not answered yet"];
    case "reconciled":
      return ["the agent was told"];
    case "undelivered":
      return ["the agent could not be told"];
  }
}

function briefLines(shown: readonly TaskView[], now: number): readonly string[] {
  const numbered = shown.map((view, index) => ({ view, number: index + 1 }));
  const live = numbered.filter(({ view }) => isLive(view.task));
  const ended = numbered.filter(({ view }) => isEnded(view.task)).reverse();
  const lines = [...live, ...ended]
    .slice(0, MOST_BRIEF)
    .map(({ view, number }) => `${number}. ${excerpt(view.task.title, BRIEF_TITLE_LENGTH)}: ${briefState(view, now)}`);
  const left = Math.max(0, live.length - lines.length);
  return [...lines, ...(left === 0 ? [] : [`… and ${left} more`])];
}

function briefState({ task }: TaskView, now: number): string {
  return isEnded(task)
    ? `${task.status} ${duration(now - task.endedAt)} ago`
    : `${task.status} ${duration(now - task.run.startedAt)}`;
}

function title(task: Task): string {
  return `"${excerpt(task.title, TITLE_LENGTH)}"`;
}
