import { describe, expect, test } from "bun:test";
import { cleanupAt } from "../../src/tasks/delayed-cleanup.ts";
import type { Delivery } from "../../src/tasks/task.ts";
import {
  aMissingTask,
  anEndedTask,
  anIdleTask,
  aQueuedTask,
  aTask,
  delivered,
  hostTells,
  OURS,
  T0,
  TIMING,
} from "../support/builders.ts";

const LATER = T0 + 60_000;

describe("the query window", () => {
  test("a live task is never removed, however old it is", () => {
    for (const task of [aQueuedTask(), aTask(), anIdleTask(), aMissingTask()]) {
      expect(cleanupAt(task, TIMING)).toBe(Number.POSITIVE_INFINITY);
    }
  });

  test.each([OURS, hostTells(T0)])("an outcome that is still to be told is never removed (%#)", (delivery) => {
    expect(cleanupAt(anEndedTask({ delivery }), TIMING)).toBe(Number.POSITIVE_INFINITY);
  });

  const told: Delivery[] = [
    delivered({ at: LATER }),
    { state: "reconciled", at: LATER },
    { state: "undelivered", at: LATER, reason: "gone" },
  ];

  test.each(told)("starts at the delivery, or when there will be none, not at the end of the task (%#)", (delivery) => {
    expect(cleanupAt(anEndedTask({ endedAt: T0, delivery }), TIMING)).toBe(LATER + TIMING.cleanupDelayMs);
  });

  test("starts at the end of a task that nobody is told about", () => {
    const task = anEndedTask({ endedAt: LATER, delivery: { state: "not-owed" } });
    expect(cleanupAt(task, TIMING)).toBe(LATER + TIMING.cleanupDelayMs);
  });

  test("is the same for every end: an error, a deletion and a loss keep their record as long", () => {
    for (const status of ["completed", "failed", "cancelled", "lost"] as const) {
      expect(cleanupAt(anEndedTask({ status, delivery: delivered() }), TIMING)).toBe(T0 + TIMING.cleanupDelayMs);
    }
  });
});
