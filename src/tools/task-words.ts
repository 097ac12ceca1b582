import { excerpt } from "../delivery/frame.ts";
import { UNSTABLE_MARK } from "../delivery/notice.ts";
import type { Usage } from "../host/port.ts";
import type { TaskOutput, TaskView } from "../library/task-manager.ts";
import { type EndedTask, isEnded, isLive, KEPT_TEXT_LENGTH, type LiveTask, type Task } from "../tasks/task.ts";
import { duration } from "../time/duration.ts";

/** What models read about tasks, beside the notices, and what people read in the same words. */

const TITLE_LENGTH = 80;
const ERROR_LENGTH = 1_000;
const REASON_LENGTH = 300;
const LAST_WORDS_LENGTH = 300;
/** Of the reason in a list, and of all reasons in it together. */
const WHY_LENGTH = 120;
const WHYS_LENGTH = 4_000;
/** More would be cut by OpenCode. */
const MOST_LISTED = 100;
const UNDECIDED = "the model that OpenCode chooses";

/** A call that can be made as it stands. */
export function callOf(tool: string, args: Readonly<Record<string, unknown>>): string {
  return `${tool}(${JSON.stringify(args)})`;
}

export function taskName({ id, title }: Pick<Task, "id" | "title">): string {
  return `"${excerpt(title, TITLE_LENGTH)}" (${id})`;
}

/** Said of every task whose model is not to be relied on. */
export function unstableMark({ launch }: Task): string {
  return launch?.unstable === true ? ` ${UNSTABLE_MARK}` : "";
}

/** All tasks of a tree: how many there are, and a line for each. */
export function taskList(views: readonly TaskView[], callerID: string, now: number): string {
  if (views.length === 0) return "There are no background tasks in this session. Nothing is waited for.";
  const shown = mostRelevant(views, MOST_LISTED);
  const room = Math.min(WHY_LENGTH, Math.floor(WHYS_LENGTH / shown.length));
  const own = shown.filter(({ task }) => task.parentID === callerID);
  const others = shown.filter(({ task }) => task.parentID !== callerID);
  const left = views.length - shown.length;
  return [
    `Background tasks: ${counts(views)}.`,
    ...own.map((view) => `- ${listed(view, now, room)}`),
    ...(others.length === 0 ? [] : ["Of other sessions here:"]),
    ...others.map((view) => `- ${listed(view, now, room)}, of ${view.task.parentID}`),
    ...(left === 0 ? [] : [`${left} more are left out.`]),
  ].join("\n");
}

/** What there is of a task beside its text. Of an ended one it says the same each time. */
export function outputHead({ taskID, task, status, error, reason, usage }: TaskOutput, now: number, view?: TaskView) {
  const what = [
    task === undefined
      ? `${taskID}: ${withoutRecord(status)}`
      : `${taskName(task)}${unstableMark(task)}: ${stateWords(task, now, view)}`,
    ...usageWords(usage),
  ].join(", ");
  return [
    `${what}.`,
    ...(error === undefined ? [] : [`Error: ${excerpt(error, ERROR_LENGTH)}`]),
    ...(reason === undefined ? [] : [`Reason: ${excerpt(reason, REASON_LENGTH)}`]),
  ].join("\n");
}

/** What the text of a task is. */
export function textTitle({ task, status, text }: TaskOutput): string {
  if (text === "") return `It has said nothing${task !== undefined && isLive(task) ? " yet" : ""}.`;
  const title = status === "completed" ? "Its result" : "The last that it has said";
  return text.length < KEPT_TEXT_LENGTH - 1 ? `${title}:` : `${title} (only the end is kept; "full" shows everything):`;
}

/** How a run ended, on one line. */
export function endWords(task: EndedTask): string {
  const { error, reason, text = "" } = task.outcome;
  const why = error?.message ?? reason;
  return [
    `${taskName(task)}${unstableMark(task)}: ${task.status}`,
    ...(why === undefined ? [] : [` (${excerpt(why, REASON_LENGTH)})`]),
    text === "" ? ". It has said nothing." : `. It has said: ${excerpt(text, LAST_WORDS_LENGTH)}`,
  ].join("");
}

/** Where a task that was launched or resumed stands in the queue. */
export function placeWords(task: LiveTask, queuePosition: number): string {
  if (queuePosition === 0) return "It starts now.";
  return `It is ${ordinal(queuePosition)} in the queue for ${modelName(task) ?? UNDECIDED}.`;
}

/** "agent, model", as far as they are known. */
export function voiceWords(task: Task): string {
  return [task.launch?.voice.agent, modelName(task)].filter((name) => name !== undefined).join(", ");
}

export function counts(views: readonly TaskView[]): string {
  const numbers = new Map<string, number>(ORDER.map((status) => [status, 0]));
  for (const { task } of views) numbers.set(task.status, (numbers.get(task.status) ?? 0) + 1);
  return [...numbers].flatMap(([status, count]) => (count === 0 ? [] : [`${count} ${status}`])).join(", ");
}

export function ordinal(number: number): string {
  const teens = number % 100 >= 11 && number % 100 <= 13;
  return `${number}${teens ? "th" : (ENDINGS[number % 10] ?? "th")}`;
}

const ENDINGS: Readonly<Record<number, string>> = { 1: "st", 2: "nd", 3: "rd" };

const ORDER: readonly Task["status"][] = ["running", "queued", "missing", "completed", "failed", "cancelled", "lost"];

/** Live ones first, then those that have ended last; in the order in which they were made. */
export function mostRelevant(views: readonly TaskView[], most: number): readonly TaskView[] {
  if (views.length <= most) return views;
  const live = views.filter(({ task }) => isLive(task)).slice(0, most);
  const room = most - live.length;
  const ended = room === 0 ? [] : views.filter(({ task }) => isEnded(task)).slice(-room);
  const kept = new Set([...live, ...ended]);
  return views.filter((view) => kept.has(view));
}

function listed(view: TaskView, now: number, room: number): string {
  const { task, usage } = view;
  const why = whyWords(task, room);
  const state = `${stateWords(task, now, view)}${why === undefined ? "" : ` (${why})`}`;
  const facts = [state, ...(isEnded(task) ? endFacts(task, now) : []), ...usageWords(usage)];
  return `${taskName(task)}${unstableMark(task)}: ${facts.join(", ")}`;
}

/** Why a task has not come to its end, on one line; undefined if it has, works, or nobody knows why. */
export function whyWords(task: Task, length = WHY_LENGTH): string | undefined {
  if (isLive(task) || task.status === "completed") return undefined;
  const why = task.outcome.error?.message ?? task.outcome.reason;
  return why === undefined ? undefined : excerpt(why, length);
}

function endFacts({ endedAt, delivery }: EndedTask, now: number): readonly string[] {
  const untold = delivery.state === "pending" || delivery.state === "undelivered";
  return [`ended ${duration(now - endedAt)} ago`, ...(untold ? ["not reported yet"] : [])];
}

/** What becomes of a task, and since when. A tool that runs gives no sign of life. */
export function stateWords(task: Task, now: number, view: TaskView | undefined): string {
  const { run } = task;
  const again = run.number === 1 ? "" : ` (run ${run.number})`;
  const sign = view === undefined ? "" : `, ${signWords(view, now)}`;
  switch (task.status) {
    case "queued":
      return `queued${again} for ${duration(now - run.startedAt)}${place(task, view?.queuePosition ?? 0)}`;
    case "running":
      return `running${again} for ${duration(now - run.startedAt)}${sign}${
        task.observed.kind === "awaits-own" ? ", waits for tasks of its own" : ""
      }`;
    case "missing":
      return `missing${again}: OpenCode does not show it and it is looked for${sign}`;
    case "completed":
    case "failed":
    case "cancelled":
    case "lost":
      return `${task.status}${again} after ${duration(task.endedAt - run.startedAt)}`;
  }
}

function signWords({ toolRuns, lastSignAt }: TaskView, now: number): string {
  return toolRuns ? "a tool runs" : `last sign of life ${duration(now - lastSignAt)} ago`;
}

function place(task: Task, position: number): string {
  return position === 0 ? "" : `, ${ordinal(position)} in the queue for ${modelName(task) ?? UNDECIDED}`;
}

function withoutRecord(status: TaskOutput["status"]): string {
  return `there is no record of it any more, so its session answers: ${status}`;
}

export function usageWords({ tokens, cost }: Usage): readonly string[] {
  return [
    ...(tokens === 0 ? [] : [`${tokens.toLocaleString("en-US")} tokens`]),
    ...(cost === 0 ? [] : [`$${cost.toFixed(cost < 1 ? 4 : 2)}`]),
  ];
}

function modelName({ launch }: Task): string | undefined {
  const model = launch?.voice.model;
  return model === undefined ? undefined : `${model.providerID}/${model.modelID}`;
}
