import { describe, expect, test } from "bun:test";
import type { Ask } from "../../src/goals/asks.ts";
import { type Decision, decide } from "../../src/goals/gate.ts";
import type { Presence, Root, RunWait } from "../../src/goals/root.ts";
import { decideHold, type Hold, type HoldView, holdReasons, isTellingOverdue } from "../../src/goals/run-hold.ts";
import type { Delivery, Task, TerminalStatus } from "../../src/tasks/task.ts";
import {
  aGoal,
  aMissingTask,
  anEndedTask,
  anIdleTask,
  aQueuedTask,
  aRoot,
  aTask,
  bySpelling,
  CHILD,
  delivered,
  GATE,
  hostTells,
  OURS,
  T0,
} from "../support/builders.ts";

const SECOND = 1_000;
const HELD_AT = T0 + 60 * SECOND;
const NOW = HELD_AT + SECOND;
const CEILING = HELD_AT + 1_800 * SECOND;
const WAIT: RunWait = { until: CEILING, overdueTold: false };
const OVER: RunWait = { until: NOW, overdueTold: false };
const NO_GOAL: Decision = { kind: "stop", reason: { why: "no-goal" } };
const CONTINUE: Decision = { kind: "continue", prompt: "continuation", overdueTaskIDs: [] };

function makerTells(until: number): Delivery {
  return { state: "pending", teller: "maker", until };
}

function heldRoot(more: Partial<Root> = {}): Root {
  return aRoot({ activity: { kind: "held", since: HELD_AT, readID: "msg_read" }, wait: WAIT, ...more });
}

/** A held turn without a goal, in which every task is the root's own to be told. */
function hold(tasks: readonly Task[] = [], more: Partial<HoldView> = {}): Hold {
  const nothing = { isSending: false, isPreparing: false };
  const plain = {
    waits: true,
    root: heldRoot(),
    isBefore: bySpelling,
    decision: NO_GOAL,
    ...nothing,
    canTell: true,
    now: NOW,
  };
  return decideHold({ ...plain, tasks, addressed: tasks, ...more });
}

function why(tasks: readonly Task[], more: Partial<HoldView> = {}): readonly string[] {
  const held = hold(tasks, more);
  return held.kind === "hold" ? held.reasons.map((reason) => reason.why) : [held.why];
}

function reasonsFor(tasks: readonly Task[], more: Partial<HoldView> = {}) {
  const view = { root: heldRoot(), tasks, addressed: tasks, canTell: true, now: NOW, ...more };
  return holdReasons(view, WAIT).map((reason) => `${reason.why} ${reason.taskID}`);
}

describe("waits for tasks that work", () => {
  test.each([aTask(), anIdleTask(), aMissingTask(), aQueuedTask()])("one that lives holds (%#)", (task) => {
    expect(hold([task])).toMatchObject({ kind: "hold", reasons: [{ why: "task-live", taskID: CHILD }] });
  });

  test("until the ceiling, which every reason names", () => {
    expect(hold([aTask()])).toEqual({
      kind: "hold",
      reasons: [{ why: "task-live", taskID: CHILD, title: "look at the tests", status: "running", until: CEILING }],
      until: CEILING,
    });
  });

  test("one that waits for a slot is shown as queued; one whose prompt is on its way waits for nothing any more", () => {
    const [inLine, sent] = [{ for: "slot" }, { for: "turn", until: NOW }] as const;
    expect(hold([aQueuedTask({ waits: inLine })])).toMatchObject({ reasons: [{ status: "queued" }] });
    for (const waits of [sent, { for: "sign", askAt: NOW }] as const)
      expect(hold([aQueuedTask({ waits })])).toMatchObject({ reasons: [{ status: "running" }] });
    expect(hold([aMissingTask()])).toMatchObject({ reasons: [{ status: "missing" }] });
  });

  test("tasks of tasks count, although the root is not told about them", () => {
    expect(why([aTask()], { addressed: [] })).toEqual(["task-live"]);
  });

  test("one that asks something is not waited for: nobody is there to answer it", () => {
    const ask: Ask = { askID: "per_1", sessionID: CHILD, kind: "permission", about: "bash" };
    const root = heldRoot({ asks: [ask] });
    expect(hold([aTask()], { root })).toEqual({ kind: "release", why: "nothing-owed" });
    expect(reasonsFor([aTask(), aTask({ id: "ses_2" })], { root })).toEqual(["task-live ses_2"]);
  });

  test("a question of the root itself holds nothing and lets nothing go", () => {
    const root = heldRoot({ asks: [{ askID: "que_1", sessionID: "ses_root", kind: "question", about: "Which?" }] });
    expect(why([], { root })).toEqual(["nothing-owed"]);
    expect(why([aTask()], { root })).toEqual(["task-live"]);
  });

  test("one in line is not waited for when the books cannot be written: it does not start before they can", () => {
    const inLine = aQueuedTask({ waits: { for: "slot" } });
    expect(why([inLine], { canTell: false })).toEqual(["nothing-owed"]);
    expect(why([aTask()], { canTell: false })).toEqual(["task-live"]);
  });
});

describe("waits for outcomes that are not stored in the root yet", () => {
  test.each(["completed", "failed", "cancelled", "lost"] as const)("ours to tell: %s", (status) => {
    expect(hold([anEndedTask({ status })])).toMatchObject({
      kind: "hold",
      reasons: [{ why: "outcome-untold", taskID: CHILD, until: CEILING }],
    });
  });

  test.each([hostTells(NOW + SECOND), makerTells(NOW + SECOND)])(
    "told by others, until their moment (%#)",
    (delivery) => {
      expect(hold([anEndedTask({ delivery })])).toMatchObject({
        reasons: [{ why: "outcome-untold", taskID: CHILD, until: NOW + SECOND }],
      });
      expect(why([anEndedTask({ delivery })], { now: NOW + SECOND })).toEqual(["nothing-owed"]);
    },
  );

  test.each([
    { state: "not-owed" },
    { state: "reconciled", at: NOW },
    { state: "undelivered", at: NOW, reason: "gone" },
    delivered({ at: NOW }),
  ] satisfies Delivery[])("never for an answer: what is told, or cannot be, holds nothing (%#)", (delivery) => {
    expect(why([anEndedTask({ delivery })])).toEqual(["nothing-owed"]);
  });

  test("one that another session is told about is not ours to store here", () => {
    expect(why([anEndedTask()], { addressed: [] })).toEqual(["nothing-owed"]);
  });

  test("one that others tell somewhere in the tree holds: whoever hears it goes on", () => {
    const nested = anEndedTask({ delivery: hostTells(NOW + SECOND) });
    expect(why([nested], { addressed: [] })).toEqual(["outcome-untold"]);
  });

  test("a success may wait for what works beside it, what went wrong may not", () => {
    const ended = (status: TerminalStatus) => anEndedTask({ id: `ses_${status}`, status });
    const all = [aTask(), ended("completed"), ended("failed"), ended("cancelled"), ended("lost")];
    expect(reasonsFor(all)).toEqual([
      `task-live ${CHILD}`,
      "outcome-untold ses_failed",
      "outcome-untold ses_cancelled",
      "outcome-untold ses_lost",
    ]);
    expect(reasonsFor(all.slice(1, 2))).toEqual(["outcome-untold ses_completed"]);
  });

  test("a success beside one that only asks is to be told now", () => {
    const root = heldRoot({ asks: [{ askID: "que_1", sessionID: CHILD, kind: "question", about: "Which?" }] });
    expect(reasonsFor([aTask(), anEndedTask({ id: "ses_2" })], { root })).toEqual(["outcome-untold ses_2"]);
  });

  test("a success beside others is to be told now, once nobody waits for those", () => {
    const root = heldRoot({ wait: { until: NOW, overdueTold: true } });
    expect(why([aTask(), anEndedTask({ id: "ses_2" })], { root })).toEqual(["task-live", "outcome-untold"]);
    const before = heldRoot({ wait: { until: NOW + 1, overdueTold: false } });
    expect(why([aTask(), anEndedTask({ id: "ses_2" })], { root: before })).toEqual(["task-live"]);
  });

  test("ours are not waited for when the books cannot be written: nothing can be told", () => {
    expect(why([anEndedTask()], { canTell: false })).toEqual(["nothing-owed"]);
    expect(why([anEndedTask({ delivery: hostTells(NOW + SECOND) })], { canTell: false })).toEqual(["outcome-untold"]);
  });

  test("also beyond the ceiling: what has ended is told before the process exits", () => {
    const root = heldRoot({ wait: { until: NOW - SECOND, overdueTold: true } });
    expect(why([anEndedTask()], { root })).toEqual(["outcome-untold"]);
    expect(why([aTask(), anEndedTask({ id: "ses_2", status: "failed" })], { root })).toContain("outcome-untold");
  });
});

describe("lets go", () => {
  test("when nothing is owed", () => {
    expect(hold()).toEqual({ kind: "release", why: "nothing-owed" });
  });

  test.each([
    { kind: "quieting", until: NOW + 250 },
    { kind: "quiet", since: T0 },
  ] satisfies Presence[])("at an interrupt, whatever works, and whatever is on its way (%#)", (presence) => {
    const root = heldRoot({ presence });
    const all = { root, isSending: true, isPreparing: true };
    expect(hold([aTask(), anEndedTask({ id: "ses_2" })], all)).toEqual({ kind: "release", why: "interrupted" });
  });

  test.each([
    { kind: "asleep", since: T0 },
    { kind: "goal-asleep", since: T0 },
  ] satisfies Presence[])("not because something sleeps (%#)", (presence) => {
    expect(why([aTask()], { root: heldRoot({ presence }) })).toEqual(["task-live"]);
  });

  describe("at a failure", () => {
    const told = (more: Partial<Extract<Delivery, { state: "delivered" }>> = {}, status: TerminalStatus = "failed") =>
      anEndedTask({ id: "ses_2", status, delivery: delivered({ at: HELD_AT, ...more }) });

    test.each(["failed", "cancelled", "lost"] as const)("that was told in this hold: %s", (status) => {
      expect(hold([aTask(), told({}, status)])).toEqual({ kind: "release", why: "failure" });
    });

    test("not at a success: nobody is woken for that while others work", () => {
      expect(why([aTask(), told({}, "completed")])).toEqual(["task-live"]);
    });

    test("that was told while the step was written: its message has not read it", () => {
      expect(why([aTask(), told({ at: HELD_AT - 1 })])).toEqual(["failure"]);
    });

    test("that the step has read, only once: the next hold waits for the others", () => {
      expect(why([aTask(), told({ messageID: "msg_read" })])).toEqual(["task-live"]);
      expect(why([aTask(), told({ messageID: "msg_earlier" })])).toEqual(["task-live"]);
    });

    test("not at one that another session was told", () => {
      expect(why([aTask(), told({ sessionID: "ses_other" })])).toEqual(["task-live"]);
      expect(why([aTask(), told()], { addressed: [aTask()] })).toEqual(["task-live"]);
    });

    test("before what else is to be told, but not before it is stored", () => {
      const tasks = [told(), anEndedTask()];
      expect(why(tasks)).toEqual(["failure"]);
      expect(why(tasks, { isSending: true })).toEqual(["outcome-untold"]);
    });
  });

  describe("when the goal goes on", () => {
    test("beside tasks that still work", () => {
      expect(hold([aTask()], { decision: CONTINUE })).toEqual({ kind: "release", why: "goal-continues" });
    });

    test("with a wrap-up, too", () => {
      const decision: Decision = { ...CONTINUE, prompt: "wrapup" };
      expect(hold([aTask()], { decision })).toEqual({ kind: "release", why: "goal-continues" });
    });

    test("not before outcomes are stored: they would have to ride in a message that comes too late", () => {
      expect(why([anEndedTask()], { decision: CONTINUE })).toEqual(["outcome-untold"]);
    });

    test("with nothing left to wait for, that is no news", () => {
      expect(why([], { decision: CONTINUE })).toEqual(["nothing-owed"]);
    });

    test("not while the gate itself waits for the task", () => {
      const decision = decide(aGoal(), aRoot(), [aTask()], NOW, GATE);
      expect(why([aTask()], { decision })).toEqual(["task-live"]);
    });
  });
});

describe("the ceiling", () => {
  test("holds to its last millisecond", () => {
    const root = heldRoot({ wait: { until: NOW + 1, overdueTold: true } });
    expect(why([aTask()], { root })).toEqual(["task-live"]);
  });

  test("is told once, which holds until it is stored, and then lets go", () => {
    expect(why([aTask()], { root: heldRoot({ wait: OVER }) })).toEqual(["task-live"]);
    const told = heldRoot({ wait: { ...OVER, overdueTold: true } });
    expect(hold([aTask()], { root: told })).toEqual({ kind: "release", why: "ceiling" });
  });

  test("lets go at once when the books cannot be written, for then nothing can be told", () => {
    expect(hold([aTask()], { root: heldRoot({ wait: OVER }), canTell: false })).toEqual({
      kind: "release",
      why: "ceiling",
    });
  });

  test("a ceiling that has passed before anything was waited for counts as any other", () => {
    const root = heldRoot({ wait: { until: HELD_AT, overdueTold: false } });
    expect(isTellingOverdue(root, HELD_AT)).toBe(true);
  });

  test("an infinite one never lets go", () => {
    const wait: RunWait = { until: Number.POSITIVE_INFINITY, overdueTold: false };
    const root = heldRoot({ wait });
    const later = T0 + 365 * 86_400 * SECOND;
    expect(hold([aTask()], { root, now: later })).toMatchObject({ kind: "hold", until: Number.POSITIVE_INFINITY });
    expect(isTellingOverdue(root, later)).toBe(false);
  });

  test("without a wait there is none", () => {
    expect(hold([aTask()], { root: heldRoot({ wait: undefined }) })).toMatchObject({ until: Number.POSITIVE_INFINITY });
    expect(isTellingOverdue(heldRoot({ wait: undefined }), NOW)).toBe(false);
  });

  test("is told in a held turn alone, when it has passed, and once", () => {
    expect(isTellingOverdue(heldRoot({ wait: OVER }), NOW)).toBe(true);
    expect(isTellingOverdue(heldRoot({ wait: OVER }), NOW - 1)).toBe(false);
    expect(isTellingOverdue(heldRoot({ wait: { ...OVER, overdueTold: true } }), NOW)).toBe(false);
    expect(isTellingOverdue(aRoot({ wait: OVER }), NOW)).toBe(false);
  });
});

describe("what is on its way", () => {
  test("a message that is not stored yet holds, also when nothing else does", () => {
    expect(hold([], { isSending: true })).toEqual({ kind: "hold", reasons: [], until: CEILING });
    expect(hold([anEndedTask({ delivery: OURS })], { isSending: true }).kind).toBe("hold");
  });

  test("the id of the next continuation is stored before the turn goes on: at its end it is too late", () => {
    expect(hold([], { isPreparing: true, decision: CONTINUE })).toEqual({ kind: "hold", reasons: [], until: CEILING });
    expect(why([aTask()], { isPreparing: true, decision: CONTINUE })).toEqual(["task-live"]);
  });

  test("a failure that is stored already does not wait for that id", () => {
    const told = anEndedTask({ status: "failed", delivery: delivered({ at: NOW }) });
    expect(why([told], { isPreparing: true })).toEqual(["failure"]);
  });
});

describe("with wait_in_run off", () => {
  test("no task and no outcome is waited for", () => {
    for (const task of [aTask(), anEndedTask(), anEndedTask({ delivery: hostTells(NOW + SECOND) })])
      expect(hold([task], { waits: false })).toEqual({ kind: "release", why: "nothing-owed" });
  });

  test("what is on its way anyhow is, and the id of the next continuation", () => {
    for (const more of [{ isSending: true }, { isPreparing: true }])
      expect(hold([aTask()], { waits: false, ...more })).toEqual({ kind: "hold", reasons: [], until: CEILING });
  });
});

describe("what is stored in the turn and not read yet", () => {
  const unread = (wait = WAIT) => heldRoot({ wait, lastMessageID: "msg_unread" });

  test("lets it go on before anything more is told: the answer to that is what would have to come first", () => {
    const tasks = (status: TerminalStatus) => [aTask(), anEndedTask({ id: "ses_2", status })];
    expect(why(tasks("failed"), { root: unread() })).toEqual(["failure"]);
    expect(why(tasks("failed"), { root: unread(OVER) })).toEqual(["ceiling"]);
    expect(why(tasks("completed"), { root: unread() })).toEqual(["task-live"]);
    expect(why([anEndedTask()], { root: unread() })).toEqual(["nothing-owed"]);
  });

  test("lets it go on at the ceiling before the agent is told of that", () => {
    expect(why([aTask()], { root: unread() })).toEqual(["task-live"]);
    expect(why([aTask()], { root: unread(OVER) })).toEqual(["ceiling"]);
  });

  test("does not end the wait for those who tell by themselves", () => {
    const told = anEndedTask({ delivery: hostTells(NOW + SECOND) });
    expect(why([told], { root: unread() })).toEqual(["outcome-untold"]);
  });
});
