import { beforeEach, describe, expect, test } from "bun:test";
import { readFrame } from "../../src/delivery/frame.ts";
import { type Decision, decide } from "../../src/goals/gate.ts";
import type { Goal } from "../../src/goals/goal.ts";
import type { Root } from "../../src/goals/root.ts";
import { compose, handOver, reminderDeadline } from "../../src/keeper/compose.ts";
import type { Task } from "../../src/tasks/task.ts";
import {
  aGoal,
  aGoalThatIs,
  anAbortedTask,
  anEndedTask,
  anIdleTask,
  aRoot,
  aTask,
  CHILD,
  delivered,
  GATE,
  hostTells,
  OURS,
  T0,
} from "../support/builders.ts";

const SECOND = 1_000;
/** A root whose idle is long over. */
const NOW = T0 + 60 * SECOND;
const NO_GOAL: Decision = { kind: "stop", reason: { why: "no-goal" } };

let made = 0;
let after: string[] = [];

/** The ceiling of a task, as the plugin has it. */
const HOLD_MS = 900_000;

beforeEach(() => {
  made = 0;
  after = [];
});

const ids = {
  message(newest: string): string {
    after.push(newest);
    return `msg_ours${++made}`;
  },
  part: () => `prt_ours${made}`,
};

interface Situation {
  goal?: Goal | undefined;
  root?: Root;
  tasks?: readonly Task[];
  now?: number;
  /** Tasks for which a turn that ends is to be kept open. */
  waitsFor?: readonly Task[];
}

/** What is said when the gate itself has decided. */
function said({ goal, root = aRoot(), tasks = [], now = NOW, waitsFor = [] }: Situation) {
  const decision = goal === undefined ? NO_GOAL : decide(goal, root, tasks, now, GATE);
  const config = { after: root.lastMessageID, holdMs: HOLD_MS, hasReadTool: true, waitsFor };
  return compose({ root, goal, decision, tasks, addressed: tasks, now, ids, ...config });
}

const failed = (id: string) =>
  anEndedTask({ id, status: "failed", outcome: { error: { name: "APIError", message: "401" } } });

describe("when the gate says continue", () => {
  test("the continuation goes out under a new id that stands in its tag", () => {
    const message = said({ goal: aGoal() });
    expect(message).toMatchObject({ id: "msg_ours1", partID: "prt_ours1", kind: "continuation" });
    expect(message).toMatchObject({ outcomes: [], overdueTaskIDs: [] });
    expect(readFrame(message?.text ?? "")).toEqual({ kind: "continuation", id: "msg_ours1" });
    expect(message?.text).toContain("make the build pass");
  });

  test("its id follows the newest message of the root", () => {
    said({ goal: aGoal(), root: aRoot({ lastMessageID: "msg_7" }) });
    expect(after).toEqual(["msg_7"]);
  });

  test("every outcome that is ours to tell rides in it, once, with its run", () => {
    const tasks = [failed("ses_1"), anEndedTask({ id: "ses_2", run: { number: 3, startedAt: T0 } })];
    const message = said({ goal: aGoal(), tasks });
    expect(message?.outcomes).toEqual([
      { taskID: "ses_1", run: 1 },
      { taskID: "ses_2", run: 3 },
    ]);
    expect(message?.text).toContain("Background tasks ended: 1 completed, 1 failed.");
  });

  test("lost tasks are told in it, and that nobody must wait for them", () => {
    const lost = anEndedTask({ status: "lost", outcome: { reason: "OpenCode stopped" } });
    expect(said({ goal: aGoal(), tasks: [lost] })?.text).toContain("do not wait for it");
  });

  test("what others tell, and what was told, is not in it", () => {
    const tasks = [
      anEndedTask({ id: "ses_1", delivery: { state: "reconciled", at: T0 } }),
      anEndedTask({ id: "ses_2", delivery: { state: "not-owed" } }),
      anEndedTask({ id: "ses_4", delivery: hostTells(NOW) }),
    ];
    expect(said({ goal: aGoal(), tasks })?.outcomes).toEqual([]);
  });

  test("one that could not be delivered is named in the next message there is, and makes none go out", () => {
    const tasks = [anEndedTask({ delivery: { state: "undelivered", at: T0, reason: "gone" } })];
    expect(said({ goal: aGoal(), tasks })?.outcomes).toEqual([{ taskID: CHILD, run: 1 }]);
    expect(said({ tasks })).toBeUndefined();
    expect(said({ tasks: [...tasks, anEndedTask({ id: "ses_2" })] })?.outcomes).toHaveLength(2);
    expect(said({ tasks: [...tasks, anEndedTask({ id: "ses_2" }), aTask({ origin: "launched" })] })).toBeUndefined();
    expect(handOver(tasks, true)).toContain(CHILD);
  });

  test("an outcome that the host has told and nobody has answered is pointed to", () => {
    const message = said({ goal: aGoal(), tasks: [anEndedTask({ delivery: delivered({ at: T0 }) })] });
    expect(message?.outcomes).toEqual([{ taskID: CHILD, run: 1 }]);
    expect(message?.text).toContain("reported above");
    expect(message?.text).not.toContain("<output>");
  });

  test("tasks past their ceiling are named as still running", () => {
    const message = said({ goal: aGoal(), tasks: [aTask()], now: T0 + GATE.maxTaskBlockMs });
    expect(message?.overdueTaskIDs).toEqual([CHILD]);
    expect(message?.text).toContain("still running");
  });

  test("a goal at its limit gets its wrap-up instead", () => {
    const message = said({ goal: aGoalThatIs("limited"), tasks: [anEndedTask()] });
    expect(message).toMatchObject({ kind: "wrapup", outcomes: [{ taskID: CHILD }] });
    expect(message?.text).toContain("(25 turns)");
  });
});

describe("when the gate does not", () => {
  test("nothing is said about nothing", () => {
    expect(said({})).toBeUndefined();
    expect(said({ goal: aGoalThatIs("paused") })).toBeUndefined();
    expect(made).toBe(0);
  });

  test.each([undefined, aGoalThatIs("paused"), aGoalThatIs("complete"), aGoalThatIs("blocked")])(
    "a success is told as a task outcome when no goal carries it (%#)",
    (goal) => {
      const message = said({ goal, tasks: [anEndedTask()] });
      expect(message).toMatchObject({
        kind: "task-outcome",
        outcomes: [{ taskID: CHILD, run: 1 }],
        overdueTaskIDs: [],
      });
      expect(message?.text).not.toContain("towards the goal");
    },
  );

  test("successes wait for the launched siblings that still work, and then go out together", () => {
    const done = [anEndedTask({ id: "ses_1" }), anEndedTask({ id: "ses_2" })];
    expect(said({ tasks: [...done, aTask({ origin: "launched" })] })).toBeUndefined();
    expect(said({ tasks: done })?.outcomes).toHaveLength(2);
  });

  test("a native sibling, which the host tells, holds no success back", () => {
    expect(said({ tasks: [anEndedTask({ id: "ses_1" }), aTask({ origin: "background" })] })).toBeDefined();
  });

  test.each(["failed", "cancelled", "lost"] as const)(
    "what is %s goes out at once, with every success so far",
    (status) => {
      const tasks = [anEndedTask({ id: "ses_1", status }), anEndedTask({ id: "ses_2" }), aTask({ origin: "launched" })];
      expect(said({ tasks })?.outcomes.map(({ taskID }) => taskID)).toEqual(["ses_1", "ses_2"]);
    },
  );

  test("one whose turn is over just now is waited for a moment: those that end together are told together", () => {
    const first = anEndedTask({ id: "ses_1", status: "cancelled", endedAt: NOW });
    const at = (second: Task, now: number) => said({ tasks: [first, second], now });
    for (const second of [anAbortedTask({ origin: "background" }), anIdleTask({ origin: "launched" })]) {
      expect(at(second, NOW + SECOND - 1)).toBeUndefined();
      expect(at(second, NOW + SECOND)?.outcomes).toHaveLength(1);
    }
    expect(at(anEndedTask({ id: "ses_2", status: "cancelled", endedAt: NOW + 1 }), NOW + 1)?.outcomes).toHaveLength(2);
    for (const second of [aTask({ origin: "background" }), anIdleTask({ origin: "adopted" })])
      expect(at(second, NOW)).toBeDefined();
  });

  test("a failure among running siblings is told although the goal waits for them", () => {
    const message = said({ goal: aGoal(), tasks: [failed("ses_1"), aTask()] });
    expect(message).toMatchObject({ kind: "task-outcome", outcomes: [{ taskID: "ses_1" }] });
    expect(message?.text).toContain("401");
  });

  test.each([
    { activity: { kind: "busy", askAt: NOW + SECOND } },
    { presence: { kind: "quiet", since: T0 } },
    { presence: { kind: "asleep", since: T0 } },
    { presence: { kind: "quieting", until: NOW + 250 } },
    { asks: [{ askID: "que_1", sessionID: CHILD, kind: "question", about: "Which?" }] },
    { unanswered: { messageID: "msg_1", isHeard: true, at: NOW } },
  ] satisfies Partial<Root>[])(
    "nothing is told to a root that is busy, quiet, asleep, asked or spoken to (%#)",
    (more) => {
      expect(said({ root: aRoot(more), tasks: [failed("ses_1")] })).toBeUndefined();
    },
  );

  test("nothing is told while the goal backs off, so that a broken provider is not asked in between", () => {
    const goal = aGoal({ failures: 1, retryAt: NOW + SECOND });
    const tasks = [failed("ses_1"), aTask()];
    expect(said({ goal, tasks })).toBeUndefined();
    expect(said({ goal, tasks, now: NOW + SECOND })).toMatchObject({ kind: "task-outcome" });
    expect(said({ goal: aGoalThatIs("paused", { retryAt: NOW + SECOND }), tasks: [failed("ses_1")] })).toBeDefined();
  });

  test("nothing is told while the provider's usage limit is reached", () => {
    const goal = aGoal({ quotaUntil: NOW + SECOND });
    const tasks = [failed("ses_1"), aTask()];
    expect(said({ goal, tasks })).toBeUndefined();
    expect(said({ goal, tasks, now: NOW + SECOND })).toMatchObject({ kind: "task-outcome" });
  });

  test("an unanswered outcome is pointed to, once the root has been idle for five seconds", () => {
    const tasks = [anEndedTask({ delivery: delivered({ at: NOW }) })];
    expect(said({ tasks, now: NOW + 5 * SECOND - 1 })).toBeUndefined();
    expect(said({ tasks, now: NOW + 5 * SECOND })).toMatchObject({
      kind: "task-outcome",
      outcomes: [{ taskID: CHILD }],
    });
  });
});

describe("reminders", () => {
  const told = (more = {}) => [anEndedTask({ delivery: delivered({ at: NOW, ...more }) })];

  test("are due five seconds after the later of the delivery and the root's idle", () => {
    expect(reminderDeadline(aRoot(), told(), NOW)).toBe(NOW + 5 * SECOND);
    const later = aRoot({ activity: { kind: "idle", since: NOW + SECOND } });
    expect(reminderDeadline(later, told(), NOW)).toBe(NOW + 6 * SECOND);
  });

  test("are never due in a busy root, in another session, or for a result that its turn answers", () => {
    const busy = aRoot({ activity: { kind: "busy", askAt: NOW } });
    expect(reminderDeadline(busy, told(), NOW)).toBe(Number.POSITIVE_INFINITY);
    expect(reminderDeadline(aRoot(), told({ sessionID: "ses_other" }), NOW)).toBe(Number.POSITIVE_INFINITY);
    expect(reminderDeadline(aRoot(), told({ byTurn: true }), NOW)).toBe(Number.POSITIVE_INFINITY);
    expect(reminderDeadline(aRoot(), [anEndedTask({ delivery: OURS }), aTask()], NOW)).toBe(Number.POSITIVE_INFINITY);
  });

  test("that are due already set no alarm: what holds them back does", () => {
    expect(reminderDeadline(aRoot(), told(), NOW + 5 * SECOND)).toBe(Number.POSITIVE_INFINITY);
  });
});

test("the user's message takes along what is ours to tell, and only that", () => {
  expect(handOver([], true)).toBeUndefined();
  expect(handOver([anEndedTask({ delivery: delivered() }), aTask()], true)).toBeUndefined();
  expect(handOver([anEndedTask({ outcome: { text: "the result" } })], true)).toContain("the result");
});

describe("at the end of the last step of an opencode run", () => {
  const ending = (more: Partial<Root> = {}) =>
    aRoot({ activity: { kind: "ending", since: NOW, askAt: NOW + 30 * SECOND }, ...more });

  test("the turn is kept open for tasks, with their names and nothing that would have to be stored first", () => {
    const message = said({ root: ending(), tasks: [aTask()], waitsFor: [aTask()] });
    expect(message).toMatchObject({ kind: "waiting", outcomes: [], overdueTaskIDs: [] });
    expect(readFrame(message?.text ?? "")?.kind).toBe("waiting");
    expect(message?.text).toContain(CHILD);
  });

  test("also for an outcome that is not told yet, whether a goal waits, continues, or is not there", () => {
    const tasks = [failed("ses_1")];
    for (const goal of [undefined, aGoal()])
      expect(said({ goal, root: ending(), tasks, waitsFor: tasks })).toMatchObject({ kind: "waiting", outcomes: [] });
  });

  test("a goal that goes on beside tasks keeps it open by itself", () => {
    const now = T0 + GATE.maxTaskBlockMs;
    const message = said({ goal: aGoal(), root: ending(), tasks: [aTask()], waitsFor: [aTask()], now });
    expect(message).toMatchObject({ kind: "continuation", overdueTaskIDs: [CHILD] });
  });

  test("nothing is said when nothing is waited for", () => {
    expect(said({ root: ending(), tasks: [aTask()] })).toBeUndefined();
  });

  test.each([
    { presence: { kind: "quieting", until: NOW + 250 } },
    { presence: { kind: "quiet", since: T0 } },
    { presence: { kind: "asleep", since: T0 } },
    { unanswered: { messageID: "msg_1", isHeard: true, at: NOW } },
    { activity: { kind: "busy", askAt: NOW + SECOND } },
  ] satisfies Partial<Root>[])("nor to one that is quiet, asleep, spoken to, or not at its end (%#)", (more) => {
    expect(said({ root: ending(more), tasks: [aTask()], waitsFor: [aTask()] })).toBeUndefined();
  });
});

describe("in a held turn of an opencode run", () => {
  const wait = { until: NOW + SECOND, overdueTold: false };
  const held = (more: Partial<Root> = {}) =>
    aRoot({ activity: { kind: "held", since: T0, readID: "msg_1" }, wait, ...more });
  const asking = { askID: "que_1", sessionID: "ses_asking", kind: "question", about: "Which?" } as const;

  test("outcomes are told although the root is asked, spoken to, or its goal backs off", () => {
    const goal = aGoal({ failures: 1, retryAt: NOW + SECOND });
    const root = held({ asks: [asking], unanswered: { messageID: "msg_1", isHeard: true, at: NOW } });
    expect(said({ goal, root, tasks: [anEndedTask()] })).toMatchObject({ kind: "task-outcome", outcomes: [{}] });
  });

  test("nothing towards the goal is said before the turn is at its end", () => {
    expect(said({ goal: aGoal(), root: held() })).toBeUndefined();
    expect(said({ goal: aGoalThatIs("limited"), root: held() })).toBeUndefined();
  });

  test.each([
    { kind: "quieting", until: NOW + 250 },
    { kind: "quiet", since: T0 },
    { kind: "asleep", since: T0 },
  ] satisfies Root["presence"][])("nothing is told to one that is quiet or asleep (%#)", (presence) => {
    expect(said({ root: held({ presence }), tasks: [failed("ses_1")] })).toBeUndefined();
  });

  test("successes wait for launched siblings, but not for one that asks: nobody answers it", () => {
    const tasks = [anEndedTask(), aTask({ id: "ses_asking", origin: "launched" })];
    expect(said({ root: held(), tasks })).toBeUndefined();
    expect(said({ root: held({ asks: [asking] }), tasks })).toMatchObject({ kind: "task-outcome", outcomes: [{}] });
  });

  test("at its ceiling the agent is told once which tasks are left behind, with what has ended so far", () => {
    const root = held({ wait: { ...wait, until: NOW } });
    const tasks = [aTask({ origin: "launched" }), anEndedTask({ id: "ses_2" })];
    const message = said({ root, tasks });
    expect(message).toMatchObject({ kind: "task-outcome", outcomes: [{ taskID: "ses_2" }], overdueTaskIDs: [CHILD] });
    expect(message?.text).toContain(`Nobody waits for them any longer`);
    expect(message?.text).toContain(`(${CHILD}): still running`);
    const told = held({ wait: { until: NOW, overdueTold: true } });
    expect(said({ root: told, tasks: tasks.slice(0, 1) })).toBeUndefined();
    expect(said({ root: held(), tasks: tasks.slice(0, 1) })).toBeUndefined();
  });

  test("beyond it a success waits for nobody, and what works is not named again", () => {
    const root = held({ wait: { until: NOW, overdueTold: true } });
    const message = said({ root, tasks: [aTask({ origin: "launched" }), anEndedTask({ id: "ses_2" })] });
    expect(message).toMatchObject({ kind: "task-outcome", outcomes: [{ taskID: "ses_2" }], overdueTaskIDs: [] });
  });

  test("nobody is told of what is left behind when nothing is", () => {
    const root = held({ wait: { ...wait, until: NOW } });
    expect(said({ root })).toBeUndefined();
    expect(said({ root, tasks: [anEndedTask({ delivery: hostTells(NOW + SECOND) })] })).toBeUndefined();
    expect(said({ root, tasks: [anEndedTask()] })?.text).not.toContain("Nobody waits");
  });

  test("an outcome that was told in it is not pointed to again: the turn will read it", () => {
    expect(said({ root: held(), tasks: [anEndedTask({ delivery: delivered({ at: T0 }) })] })).toBeUndefined();
  });
});
