import { isLive, type Task } from "../tasks/task.ts";
import { isWithin, type Native, type Tree } from "./tree.ts";

/**
 * A task below a root, and how it ended: by the books of a task manager, else by OpenCode's own report. A child of which
 * neither tells anything (the host's foreground tasks, without a plugin) is none: it has ended its turn, and no more is
 * known. `reason`: the error, or why it ended, where that is known.
 */
export type SessionTreeTask = { readonly sessionID: string; readonly title: string } & (
  | { readonly status: "working" }
  | { readonly status: "completed" }
  | { readonly status: "failed" | "cancelled" | "lost"; readonly reason?: string }
);

/** All tasks of which anything is written down, OpenCode's own among them. */
export function tasksOf(tree: Tree): readonly SessionTreeTask[] {
  const booked = tree.books.flatMap(({ stored }) => stored.tasks);
  // The books say more than the report, and how it was cancelled, too.
  const known = new Set(booked.map(({ id }) => id));
  const natives = [...tree.natives.values()].filter(({ id, parentID }) => !known.has(id) && isWithin(tree, parentID));
  return [...booked.map(bookedTask), ...natives.map(nativeTask)];
}

function bookedTask(task: Task): SessionTreeTask {
  const who = { sessionID: task.id, title: task.title };
  if (isLive(task)) return { ...who, status: "working" };
  switch (task.status) {
    case "completed":
      return { ...who, status: "completed" };
    case "failed":
    case "cancelled":
    case "lost": {
      const { error, reason = error?.message } = task.outcome;
      return { ...who, status: task.status, ...because(reason) };
    }
  }
}

function nativeTask({ id, title, calledIn, told, toldIn }: Native): SessionTreeTask {
  const who = { sessionID: id, title };
  if (told === undefined || toldIn <= calledIn) return { ...who, status: "working" };
  switch (told.ended) {
    case "completed":
      return { ...who, status: "completed" };
    case "failed":
      return { ...who, status: "failed", ...because(told.text) };
  }
}

/** OpenCode's words before the error itself: who reads them knows which task it is. */
const OPENCODES_WORDS = /^Subagent failed \(task_id: \w+\): /;

function because(said = ""): { readonly reason?: string } {
  const reason = said.trim().replace(OPENCODES_WORDS, "");
  return reason === "" ? {} : { reason };
}
