import { describe, expect, test } from "bun:test";
import { type Goal, type GoalEvent, type GoalLimits, goalDeadline, transitionGoal } from "../../src/goals/goal.ts";
import type { TurnError } from "../../src/host/port.ts";
import { aGoal, aGoalThatIs, T0 } from "../support/builders.ts";

const SECOND = 1_000;
const LIMITS: GoalLimits = { budget: { turns: 25, tokens: 0, ms: 0 }, maxPromptFailures: 3, noProgressTurns: 2 };
const NO_LIMITS: GoalLimits = { budget: { turns: 0, tokens: 0, ms: 0 }, maxPromptFailures: 1_000, noProgressTurns: 0 };
const NOT_ACTIVE = (["paused", "complete", "blocked", "limited"] as const).map((status) => aGoalThatIs(status));
const API_ERROR: TurnError = { name: "APIError", message: "503" };

function next(goal: Goal, event: GoalEvent, now = T0 + SECOND, limits = LIMITS): Goal {
  const after = transitionGoal(goal, event, now, limits);
  if (after === undefined) throw new Error("the goal is gone");
  return after;
}

function turnEnded(more: Partial<Extract<GoalEvent, { type: "turn-ended" }>> = {}): GoalEvent {
  return { type: "turn-ended", by: "continuation", progressed: true, error: undefined, ...more };
}

describe("setting and clearing", () => {
  const SET: GoalEvent = { type: "set", id: "goal_2", objective: "another" };

  test("a goal begins with everything at zero, counted from now", () => {
    expect(transitionGoal(undefined, SET, T0 + SECOND, LIMITS)).toEqual(
      aGoal({ id: "goal_2", objective: "another", startedAt: T0 + SECOND, allowedAt: T0 + SECOND }),
    );
  });

  test("a new goal inherits nothing of the one before it, whatever that was", () => {
    const spent = aGoal({ turns: 9, failures: 2, retryAt: T0 + 9, idleTurns: 1, releases: { ses_1: T0 } });
    for (const before of [spent, ...NOT_ACTIVE]) {
      expect(next(before, SET)).toEqual(next(aGoal(), SET));
    }
  });

  test("a cleared goal is gone", () => {
    for (const goal of [aGoal(), ...NOT_ACTIVE]) {
      expect(transitionGoal(goal, { type: "clear" }, T0, LIMITS)).toBeUndefined();
    }
  });

  test("without a goal every other event means nothing", () => {
    const events: GoalEvent[] = [
      { type: "clear" },
      { type: "pause", by: "user", reason: "" },
      { type: "resume", liveTaskIDs: [] },
      { type: "complete", evidence: [] },
      { type: "blocked", blocker: "" },
      { type: "continued", releasedTaskIDs: [] },
      { type: "wrapped-up" },
      { type: "prompt-failed", reason: "" },
      turnEnded(),
    ];
    for (const event of events) expect(transitionGoal(undefined, event, T0, LIMITS)).toBeUndefined();
  });
});

describe("pause", () => {
  const PAUSE: GoalEvent = { type: "pause", by: "user", reason: "you interrupted" };

  test("says by whom, why and when, and keeps the counters", () => {
    expect(next(aGoal({ turns: 3 }), PAUSE)).toEqual(
      aGoal({ turns: 3 }, { status: "paused", by: "user", reason: "you interrupted", at: T0 + SECOND }),
    );
  });

  test("changes nothing for a goal that does not run: the first reason stays", () => {
    for (const goal of NOT_ACTIVE.filter(({ status }) => status !== "limited")) expect(next(goal, PAUSE)).toBe(goal);
  });

  test("takes back the wrap-up that is still owed, and nothing else from a goal that is limited", () => {
    const limited = aGoalThatIs("limited");
    expect(next(limited, PAUSE)).toEqual({ ...limited, wrapUp: "sent" } as never);
  });
});

describe("resume", () => {
  const RESUME: GoalEvent = { type: "resume", liveTaskIDs: ["ses_1"] };

  test.each(["paused", "blocked", "limited"] as const)("a goal that is %s gets a fresh allowance", (status) => {
    const failing = { failures: 3, retryAt: T0 + 9, quotaUntil: T0 + 9, quotaHits: 2, idleTurns: 2 };
    const spent = { turns: 25, tokens: { own: 5, tasks: 6 }, allowedAt: T0 - SECOND, startedAt: T0 - SECOND };
    const goal = aGoalThatIs(status, { ...failing, ...spent, budget: { turns: 25 } });
    const fresh = aGoal({ startedAt: T0 - SECOND, allowedAt: T0 + SECOND, budget: { turns: 25 } });
    expect(next(goal, RESUME, T0 + SECOND)).toEqual(fresh);
  });

  test("what is complete stays complete", () => {
    const goal = aGoalThatIs("complete");
    expect(next(goal, RESUME)).toBe(goal);
  });

  test("on an active goal it lets go of what holds it back, and of the back-off", () => {
    const goal = aGoal({ turns: 3, failures: 2, retryAt: T0 + 9, releases: { ses_2: T0 } });
    expect(next(goal, RESUME)).toEqual(aGoal({ turns: 3, releases: { ses_1: 0, ses_2: T0 } }));
  });
});

describe("complete and blocked", () => {
  const evidence = [{ claim: "npm test passes", tool_call_ids: ["call_1"] }];

  test("complete keeps the evidence, from any state, and once", () => {
    for (const goal of [aGoal(), aGoalThatIs("paused"), aGoalThatIs("blocked"), aGoalThatIs("limited")]) {
      const after = next(goal, { type: "complete", evidence });
      expect(after).toEqual(aGoal({}, { status: "complete", evidence, at: T0 + SECOND }));
    }
    const complete = aGoalThatIs("complete");
    expect(next(complete, { type: "complete", evidence })).toBe(complete);
  });

  test("blocked keeps the blocker, and needs an active goal", () => {
    const blocked: GoalEvent = { type: "blocked", blocker: "no key" };
    expect(next(aGoal(), blocked)).toEqual(aGoal({}, { status: "blocked", blocker: "no key", at: T0 + SECOND }));
    for (const goal of NOT_ACTIVE) expect(next(goal, blocked)).toBe(goal);
  });
});

describe("a continuation", () => {
  test("is counted when its turn has started", () => {
    expect(next(aGoal({ turns: 3 }), { type: "continued", releasedTaskIDs: [] })).toEqual(aGoal({ turns: 4 }));
  });

  test("starts the next ceiling of the tasks that it named as still running, and forgets those that have ended", () => {
    const goal = aGoal({ releases: { ses_1: 0, ses_2: T0 } });
    const { releases } = next(goal, { type: "continued", releasedTaskIDs: ["ses_1"] }) ?? {};
    expect(releases).toEqual({ ses_1: T0 + SECOND });
  });
});

test.each([401, 403])("a provider that answers %i needs the user: the goal pauses at once", (statusCode) => {
  const error = { name: "APIError", message: "no key", statusCode };
  const ended: GoalEvent = { type: "turn-ended", by: "continuation", progressed: false, error };
  expect(next(aGoal(), ended)).toMatchObject({
    status: "paused",
    by: "error",
    reason: expect.stringMatching(/^APIError: no key \(/),
  });
});

describe("failures", () => {
  const FAILED: GoalEvent = { type: "prompt-failed", reason: "503" };

  function failAgain(times: number, limits = NO_LIMITS): Goal {
    let goal = aGoal();
    for (let failures = 0; failures < times; failures++) goal = next(goal, FAILED, T0, limits);
    return goal;
  }

  test("back off twice as long each time, from one second to one minute", () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 60].map((times) => failAgain(times).retryAt - T0);
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * SECOND));
  });

  test("an error of a turn counts as one of them", () => {
    const goal = next(aGoal({ failures: 1 }), turnEnded({ error: API_ERROR }));
    expect(goal).toMatchObject({ status: "active", failures: 2, retryAt: T0 + 3 * SECOND });
  });

  test("as many in a row as allowed pause the goal, with the reason", () => {
    expect(failAgain(2, LIMITS)).toMatchObject({ status: "active", failures: 2 });
    expect(failAgain(3, LIMITS)).toMatchObject({
      status: "paused",
      by: "error",
      reason: "3 turns in a row failed: 503",
    });
  });

  test("a turn that ends well makes them forgotten", () => {
    const goal = aGoal({ failures: 2, retryAt: T0 + 9 * SECOND });
    expect(next(goal, turnEnded())).toEqual(aGoal());
  });

  test("a turn that changes nothing gives the very same goal: nothing is to be stored", () => {
    const goal = aGoal({ turns: 3 });
    expect(next(goal, turnEnded())).toBe(goal);
  });

  test("an error that only the user can mend pauses at once", () => {
    const error = { name: "ProviderAuthError", message: "no key" };
    expect(next(aGoal(), turnEnded({ error }))).toMatchObject({
      status: "paused",
      by: "error",
      reason: expect.stringMatching(/^ProviderAuthError: no key \(/),
    });
  });

  test("a context overflow is none: OpenCode compacts and goes on", () => {
    const error = { name: "ContextOverflowError", message: "too long" };
    expect(next(aGoal({ failures: 1 }), turnEnded({ error }))).toMatchObject({ status: "active", failures: 0 });
  });

  test("a goal that does not run counts none", () => {
    for (const goal of NOT_ACTIVE) {
      expect(next(goal, FAILED)).toBe(goal);
      expect(next(goal, turnEnded({ error: API_ERROR }))).toBe(goal);
    }
  });

  test("while they are backed off the goal has a deadline; otherwise none", () => {
    const goal = aGoal({ failures: 1, retryAt: T0 + SECOND });
    expect(goalDeadline(goal, T0)).toBe(T0 + SECOND);
    expect(goalDeadline(goal, T0 + SECOND)).toBe(Number.POSITIVE_INFINITY);
    expect(goalDeadline(aGoalThatIs("paused", { retryAt: T0 + SECOND }), T0)).toBe(Number.POSITIVE_INFINITY);
    expect(goalDeadline(undefined, T0)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("no progress", () => {
  const IDLE_TURN = turnEnded({ progressed: false });

  test("continuation turns in a row without a successful tool call pause the goal", () => {
    const once = next(aGoal(), IDLE_TURN);
    expect(once).toMatchObject({ status: "active", idleTurns: 1 });
    expect(next(once, IDLE_TURN)).toMatchObject({
      status: "paused",
      by: "no-progress",
      reason: "2 turns in a row without a successful tool call",
    });
  });

  test("one successful tool call begins the count anew", () => {
    expect(next(aGoal({ idleTurns: 1 }), turnEnded())).toMatchObject({ status: "active", idleTurns: 0 });
  });

  test("turns that we did not start never count", () => {
    const users = turnEnded({ by: "user", progressed: false });
    expect(next(next(aGoal(), users), users)).toMatchObject({ status: "active", idleTurns: 0 });
  });

  test("the wrap-up of a goal that was resumed in it is not its first turn", () => {
    const wrapsUp = turnEnded({ by: "wrapup", progressed: false });
    expect(next(aGoal({ idleTurns: 1 }), wrapsUp)).toMatchObject({ status: "active", idleTurns: 1 });
  });

  test("a turn that failed is a failure, not a lack of progress", () => {
    const goal = next(aGoal({ idleTurns: 1 }), turnEnded({ progressed: false, error: API_ERROR }));
    expect(goal).toMatchObject({ status: "active", idleTurns: 1, failures: 1 });
  });

  test("0 is off", () => {
    const limits = { ...LIMITS, noProgressTurns: 0 };
    expect(next(aGoal({ idleTurns: 99 }), IDLE_TURN, T0, limits)).toMatchObject({ status: "active" });
  });
});

describe("the limit of turns", () => {
  test("is reached when the last allowed turn has ended, and owes one wrap-up", () => {
    expect(next(aGoal({ turns: 24 }), turnEnded())).toMatchObject({ status: "active" });
    expect(next(aGoal({ turns: 25 }), turnEnded())).toEqual(
      aGoal({ turns: 25 }, { status: "limited", limit: "25 turns", wrapUp: "owed", spent: 0, at: T0 + SECOND }),
    );
  });

  test("the wrap-up is sent once, and nothing follows it", () => {
    const sent = next(aGoalThatIs("limited"), { type: "wrapped-up" });
    expect(sent).toMatchObject({ status: "limited", wrapUp: "sent" });
    expect(next(sent, turnEnded())).toBe(sent);
  });

  test("a wrap-up of a goal that is not limited means nothing", () => {
    for (const goal of [aGoal(), aGoalThatIs("paused"), aGoalThatIs("complete")]) {
      expect(next(goal, { type: "wrapped-up" })).toBe(goal);
    }
  });

  test("0 is off", () => {
    const limits = { ...LIMITS, budget: { turns: 0, tokens: 0, ms: 0 } };
    expect(next(aGoal({ turns: 9_999 }), turnEnded(), T0, limits)).toMatchObject({ status: "active" });
  });
});

describe("budgets", () => {
  const limits: GoalLimits = { ...NO_LIMITS, budget: { turns: 0, tokens: 100, ms: 0 } };

  test("what is used is counted apart for the session and its tasks", () => {
    const own = next(aGoal(), { type: "spent", by: "own", tokens: 60 });
    const both = next(own ?? aGoal(), { type: "spent", by: "tasks", tokens: 30 });
    expect(both?.tokens).toEqual({ own: 60, tasks: 30 });
  });

  test("a turn that has used it up is followed by one wrap-up, and the goal is limited", () => {
    const goal = aGoal({ tokens: { own: 60, tasks: 40 } });
    expect(next(goal, turnEnded(), T0, limits)).toMatchObject({
      status: "limited",
      limit: "100 tokens",
      wrapUp: "owed",
    });
  });

  test("one that is used up while it waits limits the goal when it would go on", () => {
    const reached: GoalEvent = { type: "limit-reached", limit: "30m 0s" };
    expect(next(aGoal(), reached)).toMatchObject({ status: "limited", limit: "30m 0s", wrapUp: "owed" });
    for (const goal of NOT_ACTIVE) expect(next(goal, reached)).toBe(goal);
  });
});

describe("editing", () => {
  const EDIT: GoalEvent = { type: "edit", objective: "another" };

  test("changes the objective and nothing of what was used", () => {
    const goal = aGoal({ turns: 3, tokens: { own: 5, tasks: 6 }, failures: 1 });
    expect(next(goal, EDIT)).toEqual({ ...goal, objective: "another" });
  });

  test("a goal that has stopped does not go on by it, and one that is complete stays as it is", () => {
    for (const goal of NOT_ACTIVE) {
      const after = next(goal, EDIT);
      expect(after?.status).toBe(goal.status);
      expect(after?.objective).toBe(goal.status === "complete" ? goal.objective : "another");
    }
  });
});

describe("a usage limit", () => {
  const limitedBy = (more: object) =>
    turnEnded({ error: { name: "APIError", message: "slow down", statusCode: 429, ...more } });

  test("is no failure: the goal stays active and waits, longer each time, where nobody knows when it ends", () => {
    let goal: Goal | undefined = aGoal();
    const waits: number[] = [];
    for (let hit = 0; hit < 9; hit++) {
      goal = next(goal ?? aGoal(), limitedBy({}), T0);
      waits.push((goal?.quotaUntil ?? 0) - T0);
    }
    expect(goal).toMatchObject({ status: "active", failures: 0 });
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((minutes) => minutes * 60_000));
  });

  test("that ends when the provider says is believed once; met again, it is waited for longer each time", () => {
    let goal: Goal | undefined = aGoal();
    const waits: number[] = [];
    for (const seconds of ["2", "2", "3600", "2", "2"]) {
      goal = next(goal ?? aGoal(), limitedBy({ headers: { "retry-after": seconds } }), T0);
      waits.push(((goal?.quotaUntil ?? 0) - T0) / 1_000);
    }
    expect(goal).toMatchObject({ status: "active", failures: 0 });
    expect(waits).toEqual([2, 60, 3_600, 240, 480]);
  });

  test("is over with a turn that succeeds, and with a resume", () => {
    const waiting = aGoal({ quotaUntil: T0 + 9, quotaHits: 3 });
    const calm = { quotaUntil: 0, quotaHits: 0 };
    expect(next(waiting, turnEnded({ progressed: true }))).toMatchObject(calm);
    expect(next(waiting, { type: "resume", liveTaskIDs: [] })).toMatchObject(calm);
  });
});
