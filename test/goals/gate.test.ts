import { describe, expect, test } from "bun:test";
import type { Ask } from "../../src/goals/asks.ts";
import {
  type Decision,
  decide,
  decisionDeadline,
  type GateConfig,
  reportReasons,
  rootReasons,
} from "../../src/goals/gate.ts";
import { type Goal, RELEASED_BY_USER } from "../../src/goals/goal.ts";
import type { Root } from "../../src/goals/root.ts";
import type { Delivery, Task } from "../../src/tasks/task.ts";
import {
  aGoal,
  aGoalThatIs,
  aMissingTask,
  anEndedTask,
  anIdleTask,
  aQueuedTask,
  aRoot,
  aTask,
  CHILD,
  delivered,
  GATE,
  hostTells,
  OURS,
  ROOT,
  T0,
  VOICE,
} from "../support/builders.ts";

const SECOND = 1_000;
/** A root whose idle is long over, so that nothing of it holds. */
const NOW = T0 + 60 * SECOND;
const CEILING = GATE.maxTaskBlockMs;

interface Situation {
  goal?: Goal | undefined;
  root?: Root;
  tasks?: readonly Task[];
  now?: number;
  config?: Partial<GateConfig>;
}

function gate({ goal = aGoal(), root = aRoot(), tasks = [], now = NOW, config = {} }: Situation = {}): Decision {
  return decide(goal, root, tasks, now, { ...GATE, ...config });
}

/** The names of the reasons to wait; the kind of the decision when it is another one. */
function why(situation: Situation): readonly string[] {
  const decision = gate(situation);
  return decision.kind === "wait" ? decision.reasons.map((reason) => reason.why) : [decision.kind];
}

describe("continues", () => {
  test("an active goal on an idle root that is owed nothing", () => {
    expect(gate()).toEqual({ kind: "continue", prompt: "continuation", overdueTaskIDs: [] });
  });

  test("a goal that has reached its limit wraps up once", () => {
    expect(gate({ goal: aGoalThatIs("limited") })).toMatchObject({ kind: "continue", prompt: "wrapup" });
  });

  test("the same state at the same time gives the same decision", () => {
    const situation = { root: aRoot({ activity: { kind: "busy", askAt: NOW + SECOND } }), tasks: [aTask()] };
    expect(gate(situation)).toEqual(gate(situation));
  });
});

describe("stops", () => {
  test("without a goal", () => {
    expect(decide(undefined, aRoot(), [], NOW, GATE)).toEqual({ kind: "stop", reason: { why: "no-goal" } });
  });

  test.each([
    [aGoalThatIs("paused"), { why: "paused", by: "user", reason: "you said so" }],
    [aGoalThatIs("complete"), { why: "complete" }],
    [aGoalThatIs("blocked"), { why: "blocked", blocker: "no key" }],
    [
      aGoal({}, { status: "limited", limit: "25 turns", wrapUp: "sent", at: T0 }),
      { why: "limited", limit: "25 turns" },
    ],
  ] as const)("%#: a goal that is paused, complete, blocked, or wrapped up, with the reason", (goal, reason) => {
    expect(gate({ goal })).toEqual({ kind: "stop", reason });
  });

  test("in a restricted agent", () => {
    const root = aRoot({ voice: { ...VOICE, agent: "plan" } });
    expect(gate({ root })).toEqual({ kind: "stop", reason: { why: "restricted-agent", agent: "plan" } });
    expect(gate({ root, config: { restrictedAgents: [] } }).kind).toBe("continue");
  });

  test("an agent that is not known yet is not restricted", () => {
    expect(gate({ root: aRoot({ voice: undefined }) }).kind).toBe("continue");
  });

  test("with auto_continue off, for the continuation and for the wrap-up", () => {
    for (const goal of [aGoal(), aGoalThatIs("limited")]) {
      expect(gate({ goal, config: { autoContinue: false } })).toEqual({
        kind: "stop",
        reason: { why: "auto-continue-off" },
      });
    }
  });

  test("a stop says so even while there is something to wait for", () => {
    expect(gate({ goal: aGoalThatIs("paused"), tasks: [aTask()] }).kind).toBe("stop");
  });
});

describe("waits for the root", () => {
  function root(more: Partial<Root>): readonly unknown[] {
    return rootReasons(aRoot(more), NOW);
  }

  test("while it is busy, at most until the host is asked", () => {
    expect(root({ activity: { kind: "busy", askAt: NOW + SECOND } })).toEqual([
      { why: "root-busy", until: NOW + SECOND },
    ]);
  });

  test("while a failed turn settles", () => {
    const settling = { kind: "settling", until: NOW + SECOND } as const;
    expect(root({ activity: settling })).toEqual([{ why: "root-busy", until: NOW + SECOND }]);
  });

  test("while the provider is asked again", () => {
    expect(root({ activity: { kind: "retrying", until: NOW + SECOND, message: "429" } })).toEqual([
      { why: "provider-retries", message: "429", until: NOW + SECOND },
    ]);
  });

  test("after an abort: first until it is clear whether it was the user, then until the user acts", () => {
    expect(root({ presence: { kind: "quieting", until: NOW + 250 } })).toEqual([{ why: "quiet", until: NOW + 250 }]);
    expect(root({ presence: { kind: "quiet", since: T0 } })).toEqual([{ why: "quiet", endedBy: "user" }]);
  });

  test("after a restart until the user acts", () => {
    expect(root({ presence: { kind: "asleep", since: T0 } })).toEqual([{ why: "asleep", endedBy: "user" }]);
  });

  test("while a question or permission is open anywhere in its tree, for each one", () => {
    const question: Ask = { askID: "que_1", sessionID: ROOT, kind: "question", about: "Which?" };
    const permission: Ask = { askID: "per_1", sessionID: CHILD, kind: "permission", about: "bash: rm" };
    expect(root({ asks: [question, permission] })).toEqual([
      { why: "ask-open", sessionID: ROOT, kind: "question", about: "Which?", endedBy: "user" },
      { why: "ask-open", sessionID: CHILD, kind: "permission", about: "bash: rm", endedBy: "user" },
    ]);
  });

  test("U1 while messages are undone, in the root or in a task that has a title", () => {
    const undo = (sessionID: string): Ask => ({ askID: `undo ${sessionID}`, sessionID, kind: "undo", about: "" });
    expect(decide(aGoal(), aRoot({ asks: [undo(ROOT), undo(CHILD)] }), [], NOW, GATE)).toEqual({
      kind: "wait",
      reasons: [
        { why: "undone", sessionID: ROOT, endedBy: "user" },
        { why: "undone", sessionID: CHILD, title: CHILD, endedBy: "user" },
      ],
    });
  });

  test("for what a task asks, under the title by which people know it", () => {
    const ask = (sessionID: string): Ask => ({ askID: "que_1", sessionID, kind: "question", about: "Which?" });
    const title = (sessionID: string) => {
      const decision = decide(aGoal(), aRoot({ asks: [ask(sessionID)] }), [aTask()], NOW, GATE);
      const asked = decision.kind === "wait" ? decision.reasons.find(({ why }) => why === "ask-open") : undefined;
      return asked?.why === "ask-open" ? asked.title : "it does not wait for it";
    };
    expect([CHILD, ROOT, "ses_unknown"].map(title)).toEqual(["look at the tests", undefined, "ses_unknown"]);
  });

  test("for the answer to the user's message, at most 30 seconds of idle", () => {
    const unanswered = { messageID: "msg_1", isHeard: true, at: T0 };
    const idle = (since: number) => aRoot({ unanswered, activity: { kind: "idle", since } });
    const untilOver = { why: "user-message-unanswered", until: T0 + 30 * SECOND } as const;
    expect(rootReasons(idle(T0 - SECOND), T0 + SECOND)).toEqual([untilOver]);
    expect(rootReasons(idle(T0 + SECOND), T0 + SECOND)).toEqual([{ ...untilOver, until: T0 + 31 * SECOND }]);
    expect(rootReasons(idle(T0), T0 + 30 * SECOND)).toEqual([]);
  });

  test("a user's message in a busy root has no ceiling: the 30 seconds begin with its idle", () => {
    const unanswered = { messageID: "msg_1", isHeard: true, at: T0 };
    const busy = aRoot({ unanswered, activity: { kind: "busy", askAt: NOW + SECOND } });
    expect(rootReasons(busy, NOW)).toContainEqual({ why: "user-message-unanswered", until: NOW + 30 * SECOND });
  });

  test("an awake, idle, answered root gives no reason", () => {
    expect(root({})).toEqual([]);
  });

  test("whatever holds the root holds the goal", () => {
    const busy = aRoot({ activity: { kind: "busy", askAt: NOW + SECOND }, presence: { kind: "quiet", since: T0 } });
    expect(why({ root: busy })).toEqual(["root-busy", "quiet"]);
  });
});

describe("waits for tasks", () => {
  test.each([aQueuedTask(), aTask(), anIdleTask(), aMissingTask()])(
    "a live task holds the goal back, at most until its ceiling (%#)",
    (task) => {
      const { id: taskID, title, status } = task;
      expect(gate({ tasks: [task] })).toEqual({
        kind: "wait",
        reasons: [{ why: "task-live", taskID, title, status, until: T0 + CEILING }],
      });
    },
  );

  test("every task is reported, and the gate opens when the last one stops holding", () => {
    const tasks = [aTask({ id: "ses_1" }), anEndedTask({ id: "ses_2" }), aMissingTask({ id: "ses_3" })];
    expect(why({ tasks })).toEqual(["task-live", "task-live"]);
  });

  test("the ceiling counts from the later of run start and goal start", () => {
    const untilOf = (goal: Goal, task: Task) => decisionDeadline(gate({ goal, tasks: [task] }));
    const young = aTask({ run: { number: 2, startedAt: T0 + SECOND } });
    expect(untilOf(aGoal({ startedAt: T0 }), young)).toBe(T0 + SECOND + CEILING);
    expect(untilOf(aGoal({ startedAt: T0 + 2 * SECOND }), young)).toBe(T0 + 2 * SECOND + CEILING);
  });

  test("past its ceiling it buys one continuation, which names it as still running", () => {
    expect(gate({ tasks: [aTask()], now: T0 + CEILING })).toEqual({
      kind: "continue",
      prompt: "continuation",
      overdueTaskIDs: [CHILD],
    });
  });

  test("after that continuation it holds for another ceiling", () => {
    const goal = aGoal({ releases: { [CHILD]: T0 + CEILING } });
    expect(decisionDeadline(gate({ goal, tasks: [aTask()], now: T0 + CEILING }))).toBe(T0 + 2 * CEILING);
  });

  test("one task past its ceiling does not let go of another one", () => {
    const young = aTask({ id: "ses_2", run: { number: 1, startedAt: T0 + CEILING } });
    const decision = gate({ tasks: [aTask(), young], now: T0 + CEILING });
    expect(decision).toMatchObject({ kind: "wait", reasons: [{ taskID: "ses_2" }] });
  });

  test("with a ceiling of 0 it holds until it ends or the user lets go", () => {
    const config = { maxTaskBlockMs: 0 };
    const decision = gate({ tasks: [aTask()], config, now: T0 + 1_000 * CEILING });
    expect(decision).toMatchObject({ kind: "wait", reasons: [{ why: "task-live", endedBy: "user" }] });
    const goal = aGoal({ releases: { [CHILD]: RELEASED_BY_USER } });
    expect(gate({ goal, tasks: [aTask()], config })).toMatchObject({ kind: "continue", overdueTaskIDs: [CHILD] });
    const again = aGoal({ releases: { [CHILD]: NOW } });
    expect(gate({ goal: again, tasks: [aTask()], config })).toMatchObject({ kind: "wait" });
  });
});

describe("waits for outcomes", () => {
  function ended(delivery: Delivery, status: "completed" | "lost" = "completed"): readonly Task[] {
    return [anEndedTask({ delivery, status })];
  }

  test("that the host may still tell, until its two seconds are over", () => {
    const tasks = ended(hostTells(NOW + SECOND));
    expect(gate({ tasks })).toMatchObject({ reasons: [{ why: "outcome-untold", taskID: CHILD, until: NOW + SECOND }] });
    expect(why({ tasks, now: NOW + SECOND })).toEqual(["continue"]);
  });

  test("what we would tell never holds: it rides in the continuation", () => {
    expect(why({ tasks: ended(OURS) })).toEqual(["continue"]);
  });

  test("that the agent has not answered, until the root has been idle for five seconds", () => {
    const tasks = ended(delivered({ at: NOW }));
    expect(gate({ tasks })).toMatchObject({
      reasons: [{ why: "outcome-unanswered", taskID: CHILD, until: NOW + 5 * SECOND }],
    });
    expect(why({ tasks, now: NOW + 5 * SECOND })).toEqual(["continue"]);
    const root = aRoot({ activity: { kind: "idle", since: NOW + 2 * SECOND } });
    expect(decisionDeadline(gate({ root, tasks, now: NOW + 2 * SECOND }))).toBe(NOW + 7 * SECOND);
  });

  test("an outcome in a busy root is unanswered however long the turn takes", () => {
    const root = aRoot({ activity: { kind: "busy", askAt: NOW + SECOND } });
    expect(why({ root, tasks: ended(delivered({ at: T0 })) })).toEqual(["root-busy", "outcome-unanswered"]);
  });

  test.each([
    { state: "not-owed" },
    { state: "reconciled", at: NOW },
    { state: "undelivered", at: NOW, reason: "gone" },
  ] satisfies Delivery[])("one that is over holds nothing (%#)", (delivery) => {
    expect(why({ tasks: ended(delivery) })).toEqual(["continue"]);
  });

  test.each([hostTells(NOW + SECOND), OURS, delivered({ at: NOW })])(
    "a lost task is told, but never waited for (%#)",
    (delivery) => {
      expect(why({ tasks: ended(delivery, "lost") })).toEqual(["continue"]);
    },
  );
});

test("waits while failures are backed off", () => {
  const goal = aGoal({ failures: 2, retryAt: NOW + SECOND });
  expect(gate({ goal })).toEqual({ kind: "wait", reasons: [{ why: "back-off", failures: 2, until: NOW + SECOND }] });
  expect(why({ goal, now: NOW + SECOND })).toEqual(["continue"]);
});

test("every reason is reported at once, in one order", () => {
  const root = aRoot({
    activity: { kind: "retrying", until: NOW + SECOND, message: "429" },
    presence: { kind: "asleep", since: T0 },
    asks: [{ askID: "que_1", sessionID: ROOT, kind: "question", about: "Which?" }],
    unanswered: { messageID: "msg_1", isHeard: true, at: T0 },
  });
  const tasks = [
    aTask({ id: "ses_1" }),
    anEndedTask({ id: "ses_2", delivery: hostTells(NOW + SECOND) }),
    anEndedTask({ id: "ses_3", delivery: delivered({ at: NOW }) }),
  ];
  expect(why({ root, tasks, goal: aGoal({ failures: 1, retryAt: NOW + SECOND }) })).toEqual([
    "provider-retries",
    "asleep",
    "ask-open",
    "user-message-unanswered",
    "task-live",
    "outcome-untold",
    "outcome-unanswered",
    "back-off",
  ]);
});

describe("no wait without a way out", () => {
  test("every reason ends at a later moment, or by the user, also when its moment has passed unnoticed", () => {
    const roots = [
      aRoot({ activity: { kind: "busy", askAt: T0 } }),
      aRoot({ activity: { kind: "settling", until: T0 } }),
      aRoot({ activity: { kind: "retrying", until: T0, message: "" } }),
      aRoot({ presence: { kind: "quieting", until: T0 } }),
      aRoot({ presence: { kind: "quiet", since: T0 } }),
      aRoot({ presence: { kind: "asleep", since: T0 } }),
      aRoot({ unanswered: { messageID: "msg_1", isHeard: true, at: NOW } }),
    ];
    for (const root of roots) {
      const reasons = rootReasons(root, NOW);
      expect(reasons).toHaveLength(1);
      for (const reason of reasons) expect("endedBy" in reason || reason.until > NOW).toBe(true);
    }
  });

  test("a decision is looked at again at its earliest moment; one that only the user ends, never", () => {
    const soon = aTask({ id: "ses_1", run: { number: 1, startedAt: T0 - SECOND } });
    const asleep = aRoot({ presence: { kind: "asleep", since: T0 } });
    expect(decisionDeadline(gate({ tasks: [aTask(), soon], goal: aGoal({ startedAt: 0 }) }))).toBe(
      T0 - SECOND + CEILING,
    );
    expect(decisionDeadline(gate({ root: asleep, tasks: [aTask()] }))).toBe(T0 + CEILING);
    expect(decisionDeadline(gate({ root: asleep }))).toBe(Number.POSITIVE_INFINITY);
    expect(decisionDeadline(gate())).toBe(Number.POSITIVE_INFINITY);
    expect(decisionDeadline(gate({ goal: aGoalThatIs("paused") }))).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("in opencode run", () => {
  const wait = { until: NOW + 60 * SECOND, overdueTold: false };
  const heldRoot = (more: Partial<Root> = {}) =>
    aRoot({ activity: { kind: "held", since: T0, readID: "msg_1" }, wait, ...more });

  test("a turn that is held is not over: nothing towards the goal goes out before its end", () => {
    expect(gate({ root: heldRoot() })).toEqual({
      kind: "wait",
      reasons: [{ why: "root-busy", until: NOW + 60 * SECOND }],
    });
  });

  test("that wait has a later moment in every hold: past its ceiling, without one, and without an end", () => {
    const past = { until: T0, overdueTold: true };
    for (const root of [heldRoot({ wait: past }), heldRoot({ wait: undefined })]) {
      const deadline = decisionDeadline(gate({ root }));
      // Not at once again and again: what ends a hold is an event, and nobody watches the clock for it.
      expect(deadline).toBeGreaterThanOrEqual(NOW + SECOND);
      expect(deadline).toBeLessThan(Number.POSITIVE_INFINITY);
    }
    const endless = heldRoot({ wait: { until: Number.POSITIVE_INFINITY, overdueTold: false } });
    expect(decisionDeadline(gate({ root: endless }))).toBe(Number.POSITIVE_INFINITY);
  });

  test("at the end of its last step the goal goes on", () => {
    const root = aRoot({ activity: { kind: "ending", since: NOW, askAt: NOW + SECOND } });
    expect(why({ root })).toEqual(["continue"]);
  });

  test("not by talking over the user, whose message came during that step", () => {
    const root = aRoot({
      activity: { kind: "ending", since: NOW, askAt: NOW + SECOND },
      unanswered: { messageID: "msg_1", isHeard: true, at: NOW },
    });
    expect(why({ root })).toEqual(["user-message-unanswered"]);
  });

  test("a goal that sleeps while the user talks waits for the user, and holds nothing else", () => {
    const root = aRoot({ presence: { kind: "goal-asleep", since: T0 } });
    expect(gate({ root })).toEqual({ kind: "wait", reasons: [{ why: "asleep", endedBy: "user" }] });
    expect(rootReasons(root, NOW)).toEqual([]);
    expect(reportReasons(root, NOW)).toEqual([]);
  });

  test("in a held turn, tasks are told although it works, is asked, or is spoken to", () => {
    const root = heldRoot({
      asks: [{ askID: "que_1", sessionID: CHILD, kind: "question", about: "Which?" }],
      unanswered: { messageID: "msg_1", isHeard: true, at: NOW },
    });
    expect(rootReasons(root, NOW).map((reason) => reason.why)).toEqual([
      "root-busy",
      "ask-open",
      "user-message-unanswered",
    ]);
    expect(reportReasons(root, NOW)).toEqual([]);
  });

  test("a turn that ends may be kept open although a task below it asks something", () => {
    const asks: readonly Ask[] = [{ askID: "que_1", sessionID: CHILD, kind: "question", about: "Which?" }];
    const root = aRoot({ asks, activity: { kind: "ending", since: NOW, askAt: NOW + SECOND } });
    expect(rootReasons(root, NOW).map((reason) => reason.why)).toEqual(["ask-open"]);
    expect(reportReasons(root, NOW)).toEqual([]);
  });

  test.each([
    [{ kind: "quieting", until: NOW + 250 }, "quiet"],
    [{ kind: "quiet", since: T0 }, "quiet"],
    [{ kind: "asleep", since: T0 }, "asleep"],
  ] as const)("nothing is told in one that is quiet or asleep, held or not (%#)", (presence, reason) => {
    for (const root of [heldRoot({ presence }), aRoot({ presence })])
      expect(reportReasons(root, NOW).map(({ why }) => why)).toEqual([reason]);
  });

  test("in any other turn a report waits for all that a continuation waits for", () => {
    for (const root of [
      aRoot({ activity: { kind: "busy", askAt: NOW + SECOND } }),
      aRoot({ asks: [{ askID: "que_1", sessionID: CHILD, kind: "question", about: "Which?" }] }),
      aRoot({ unanswered: { messageID: "msg_1", isHeard: true, at: NOW } }),
    ]) {
      expect(reportReasons(root, NOW)).toEqual(rootReasons(root, NOW));
      expect(reportReasons(root, NOW)).toHaveLength(1);
    }
  });
});
