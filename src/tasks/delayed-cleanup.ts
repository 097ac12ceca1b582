import { type EndedTask, isEnded, type Task, type TaskTiming } from "./task.ts";

/**
 * The delayed cleanup: the only thing that removes a record. The query window starts when the outcome has reached
 * its reader (or never will), and ends whether or not the reader has answered it. A pending outcome is never removed.
 *
 * @returns epoch ms, or `Infinity` while the record must stay
 */
export function cleanupAt(task: Task, timing: TaskTiming): number {
  return isEnded(task) ? windowStart(task) + timing.cleanupDelayMs : Number.POSITIVE_INFINITY;
}

function windowStart(task: EndedTask): number {
  const { delivery } = task;
  switch (delivery.state) {
    case "pending":
      return Number.POSITIVE_INFINITY;
    case "not-owed":
      return task.endedAt;
    // The window starts at delivery; a reconciliation that follows does not renew it by more than the turn took.
    case "delivered":
    case "reconciled":
    case "undelivered":
      return delivery.at;
  }
}
