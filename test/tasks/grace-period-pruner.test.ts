import { describe, expect, test } from "bun:test";
import { doubt, type Look, settleMissing, type Verdict } from "../../src/tasks/grace-period-pruner.ts";
import type { Reading } from "../../src/tasks/outcome.ts";
import type { Doubt, MissingTask, TaskTiming } from "../../src/tasks/task.ts";
import {
  aLook,
  aMissingTask,
  anAbortedTask,
  anIdleTask,
  aQueuedTask,
  aTask,
  GONE,
  known,
  T0,
  TIMING,
  UNKNOWN,
} from "../support/builders.ts";

const GRACE_OVER = T0 + TIMING.graceMs;
const USAGE = { tokens: 1_200, cost: 0.02 };
const UNFINISHED: Reading = { kind: "unfinished", text: "so far", usage: USAGE, begun: true };
const FINISHED: Reading = { kind: "finished", text: "the result", usage: USAGE };
const ERROR = { name: "APIError", message: "401" };
const FAILED: Reading = { kind: "failed", text: "so far", usage: USAGE, error: ERROR };
const ABORTED: Reading = { kind: "aborted", text: "so far", usage: USAGE };

function verdict(look: Look, now: number, task: MissingTask = aMissingTask(), timing: TaskTiming = TIMING): Verdict {
  return settleMissing(task, look, now, timing);
}

describe("doubt", () => {
  test("a doubted task is missing for one grace period, and looked at when that ends", () => {
    expect(doubt(aTask(), "no-status", T0, TIMING)).toEqual(aMissingTask({ doubt: "no-status" }));
  });

  test.each([aQueuedTask(), anIdleTask(), anAbortedTask()])("whatever it was, only its record stays (%#)", (task) => {
    expect(doubt(task, "no-status", T0, TIMING)).toEqual(aMissingTask());
  });

  test("after a restart the first look is at once: a finished transcript needs no grace", () => {
    expect(doubt(aTask(), "restart", T0, TIMING)).toMatchObject({ lookAt: T0, graceUntil: GRACE_OVER });
  });

  test("a second doubt does not start the grace anew", () => {
    const task = aMissingTask();
    expect(doubt(task, "restart", T0 + 1_000, TIMING)).toBe(task);
  });

  test("that the user interrupted it is not forgotten", () => {
    expect(doubt(aTask({ interruptedAt: T0 }), "no-status", T0, TIMING)).toMatchObject({ interruptedAt: T0 });
  });
});

describe("what one look proves", () => {
  test("shown as working: alive, whatever the transcript says so far and however late it is", () => {
    for (const reading of [UNFINISHED, FINISHED, FAILED, ABORTED]) {
      const look = aLook(reading, { shown: known(true) });
      expect(verdict(look, T0)).toEqual({ kind: "alive" });
      expect(verdict(look, GRACE_OVER)).toEqual({ kind: "alive" });
    }
  });

  test("a transcript that shows the end settles the task before the grace is over", () => {
    expect(verdict(aLook(FINISHED), T0)).toEqual({
      kind: "ended",
      status: "completed",
      outcome: { text: "the result", usage: USAGE },
    });
    expect(verdict(aLook(FAILED), T0)).toEqual({
      kind: "ended",
      status: "failed",
      outcome: { text: "so far", usage: USAGE, error: ERROR },
    });
  });

  test("a transcript alone is enough for that: the other answers may be missing", () => {
    const look = aLook(FINISHED, { shown: UNKNOWN, listed: UNKNOWN });
    expect(verdict(look, T0)).toMatchObject({ kind: "ended", status: "completed" });
  });

  test.each(["idle-unfinished", "no-status"] satisfies Doubt[])(
    "an aborted transcript is a cancel while OpenCode runs: %s",
    (why) => {
      expect(verdict(aLook(ABORTED), T0, aMissingTask({ doubt: why }))).toEqual({
        kind: "ended",
        status: "cancelled",
        outcome: { text: "so far", usage: USAGE, reason: "it was aborted" },
      });
    },
  );

  test("after a restart an aborted transcript without an interrupt means lost: quitting aborts, too", () => {
    const task = aMissingTask({ doubt: "restart" });
    expect(verdict(aLook(ABORTED), T0, task)).toEqual({ kind: "look-again", at: GRACE_OVER });
    expect(verdict(aLook(ABORTED), GRACE_OVER, task)).toMatchObject({ status: "lost", outcome: { text: "so far" } });
    expect(verdict(aLook(ABORTED), T0, { ...task, interruptedAt: T0 })).toMatchObject({ status: "cancelled" });
  });

  test("an unfinished transcript proves nothing before the grace is over", () => {
    expect(verdict(aLook(UNFINISHED), GRACE_OVER - 1)).toEqual({ kind: "look-again", at: GRACE_OVER });
  });
});

describe("lost", () => {
  test("the grace is over, all three questions are answered, and none shows it alive or finished", () => {
    expect(verdict(aLook(UNFINISHED), GRACE_OVER)).toMatchObject({ status: "lost", outcome: { text: "so far" } });
    expect(verdict(aLook(UNFINISHED, { listed: known(false) }), GRACE_OVER)).toMatchObject({ status: "lost" });
  });

  test.each(["shown", "listed", "reading"] as const)("an unanswered question is no answer: %s", (question) => {
    expect(verdict(aLook(UNFINISHED, { [question]: UNKNOWN }), GRACE_OVER)).toMatchObject({ kind: "look-again" });
  });

  test("a session that the host says is gone is lost, also when its parent is", () => {
    const gone = aLook(UNFINISHED, { reading: GONE, listed: GONE });
    expect(verdict(gone, GRACE_OVER)).toEqual({
      kind: "ended",
      status: "lost",
      outcome: { reason: "its session does not exist any more" },
    });
  });

  test("one 404 before the grace is over ends nothing", () => {
    expect(verdict(aLook(UNFINISHED, { reading: GONE }), GRACE_OVER - 1)).toMatchObject({ kind: "look-again" });
  });

  test.each([
    ["restart", "OpenCode stopped while it was working"],
    ["idle-unfinished", "OpenCode stopped showing it before it had finished"],
    ["no-status", "OpenCode stopped showing it before it had finished"],
  ] satisfies [Doubt, string][])("says why in words: %s", (why, reason) => {
    const task = aMissingTask({ doubt: why });
    expect(verdict(aLook(UNFINISHED), GRACE_OVER, task)).toMatchObject({ outcome: { reason } });
  });
});

describe("an error was the last that was heard of it", () => {
  const failed = aMissingTask({ doubt: "idle-unfinished", run: { number: 1, startedAt: T0, error: ERROR } });

  test("it has failed with that, not before the grace is over", () => {
    expect(verdict(aLook(UNFINISHED), GRACE_OVER - 1, failed)).toMatchObject({ kind: "look-again" });
    expect(verdict(aLook(UNFINISHED), GRACE_OVER, failed)).toEqual({
      kind: "ended",
      status: "failed",
      outcome: { text: "so far", usage: USAGE, error: ERROR },
    });
  });

  test("also when nobody answers about it until the ceiling", () => {
    const look = aLook(UNFINISHED, { shown: UNKNOWN });
    const ceiling = T0 + TIMING.ceilingMs;
    expect(verdict(look, ceiling, failed)).toMatchObject({ status: "failed", outcome: { error: ERROR } });
  });

  test("it is alive or finished all the same, if it is", () => {
    expect(verdict(aLook(UNFINISHED, { shown: known(true) }), GRACE_OVER, failed)).toEqual({ kind: "alive" });
    expect(verdict(aLook(FINISHED), GRACE_OVER, failed)).toMatchObject({ status: "completed" });
  });

  test("its session is gone: then that is the news", () => {
    expect(verdict(aLook(UNFINISHED, { reading: GONE }), GRACE_OVER, failed)).toMatchObject({ status: "lost" });
  });

  test.each(["restart", "no-status"] satisfies Doubt[])("another doubt has nothing to do with it: %s", (why) => {
    expect(verdict(aLook(UNFINISHED), GRACE_OVER, { ...failed, doubt: why })).toMatchObject({ status: "lost" });
  });
});

test("a task that the children list no longer names has disappeared, and the reason says so", () => {
  const look = aLook(UNFINISHED, { listed: known(false) });
  const reason = "its session disappeared while it was working";
  expect(verdict(look, GRACE_OVER, aMissingTask({ doubt: "no-status" }))).toMatchObject({ outcome: { reason } });
});

describe("looking again", () => {
  const unreadable = aLook(UNFINISHED, { reading: UNKNOWN });

  test("backs off from one second to thirty", () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 60, 2_000].map((looks) => {
      const again = verdict(unreadable, GRACE_OVER, aMissingTask({ looks }));
      return again.kind === "look-again" ? again.at - GRACE_OVER : undefined;
    });
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
  });

  test("stops at the ceiling: then it is lost, and why is said", () => {
    const end = T0 + TIMING.ceilingMs;
    expect(verdict(unreadable, end - 1, aMissingTask({ looks: 9 }))).toEqual({ kind: "look-again", at: end });
    expect(verdict(unreadable, end, aMissingTask({ looks: 9 }))).toEqual({
      kind: "ended",
      status: "lost",
      outcome: { reason: "OpenCode did not answer about it" },
    });
  });

  test("one odd answer ends nothing, also for a task that has run longer than the ceiling", () => {
    const old = aMissingTask({ run: { number: 1, startedAt: T0 - 2 * TIMING.ceilingMs }, looks: 1 });
    expect(verdict(unreadable, GRACE_OVER, old)).toMatchObject({ kind: "look-again" });
  });

  test("without a ceiling it never stops by itself", () => {
    const timing = { ...TIMING, ceilingMs: 0 };
    const now = T0 + 1_000 * TIMING.ceilingMs;
    expect(verdict(unreadable, now, aMissingTask(), timing)).toMatchObject({ kind: "look-again" });
  });

  test("is always later: it never looks in circles", () => {
    for (const looks of [0, 1, 50, 5_000]) {
      for (const now of [T0, GRACE_OVER, T0 + TIMING.ceilingMs - 1]) {
        const again = verdict(unreadable, now, aMissingTask({ looks }));
        if (again.kind === "look-again") expect(again.at).toBeGreaterThan(now);
      }
    }
  });
});
