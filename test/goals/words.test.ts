import { describe, expect, test } from "bun:test";
import type { StopReason, WaitReason } from "../../src/goals/gate.ts";
import { decisionWords, duration, goalState, statusText, stopReason, waitReason } from "../../src/goals/words.ts";
import { aGoal, aGoalThatIs, anEndedTask, aTask, T0 } from "../support/builders.ts";

const SECOND = 1_000;
const UNTIL = { until: T0 + 75 * SECOND } as const;
const TASK = { taskID: "ses_1", title: "look at the tests" } as const;

const WAITS: readonly [WaitReason, string][] = [
  [{ why: "root-busy", ...UNTIL }, "the agent is working (at most 1m 15s more)"],
  [{ why: "provider-retries", message: "429", ...UNTIL }, "the provider is asked again: 429 (at most 1m 15s more)"],
  [
    { why: "task-live", ...TASK, status: "missing", ...UNTIL },
    'the task "look at the tests" is missing (at most 1m 15s more)',
  ],
  [
    { why: "task-live", ...TASK, status: "running", endedBy: "user" },
    'the task "look at the tests" is running (until you act)',
  ],
  [
    { why: "outcome-untold", ...TASK, ...UNTIL },
    'OpenCode is about to report the task "look at the tests" (at most 1m 15s more)',
  ],
  [
    { why: "outcome-unanswered", ...TASK, ...UNTIL },
    'the agent has not answered the task "look at the tests" yet (at most 1m 15s more)',
  ],
  [
    { why: "ask-open", sessionID: "ses_2", kind: "permission", about: "bash: rm", endedBy: "user" },
    "a permission is open in ses_2: bash: rm (until you act)",
  ],
  [{ why: "user-message-unanswered", ...UNTIL }, "your message comes first (at most 1m 15s more)"],
  [{ why: "back-off", failures: 1, ...UNTIL }, "1 failed turn, trying again (at most 1m 15s more)"],
  [{ why: "back-off", failures: 2, ...UNTIL }, "2 failed turns, trying again (at most 1m 15s more)"],
  [{ why: "quiet", endedBy: "user" }, "you interrupted; write a message or say /goal resume (until you act)"],
  [
    { why: "asleep", endedBy: "user" },
    "sleeping since OpenCode was started again; write a message or say /goal resume (until you act)",
  ],
];

const STOPS: readonly [StopReason, string][] = [
  [{ why: "no-goal" }, "there is no goal"],
  [{ why: "auto-continue-off" }, "auto_continue is off"],
  [{ why: "paused", by: "user", reason: "you interrupted" }, "the goal is paused by user: you interrupted"],
  [{ why: "complete" }, "the goal is complete"],
  [{ why: "blocked", blocker: "no key" }, "the goal is blocked: no key"],
  [{ why: "limited", limit: "25 turns" }, "the goal has reached its limit of 25 turns"],
  [{ why: "restricted-agent", agent: "plan" }, 'the agent "plan" does not pursue goals'],
];

describe("every reason has words", () => {
  test.each([...WAITS])("to wait, with its way out: %o", (reason, words) => {
    expect(waitReason(reason, T0)).toBe(words);
  });

  test.each([...STOPS])("to stop: %o", (reason, words) => {
    expect(stopReason(reason)).toBe(words);
  });

  test("no two of them are the same", () => {
    expect(new Set([...WAITS, ...STOPS].map(([, words]) => words)).size).toBe(WAITS.length + STOPS.length);
  });
});

test("a decision in words names all its reasons", () => {
  expect(decisionWords({ kind: "continue", prompt: "continuation", overdueTaskIDs: [] }, T0)).toBe("continues");
  expect(decisionWords({ kind: "continue", prompt: "wrapup", overdueTaskIDs: [] }, T0)).toBe("wraps up");
  expect(decisionWords({ kind: "stop", reason: { why: "complete" } }, T0)).toBe(
    "does not continue: the goal is complete",
  );
  const reasons: WaitReason[] = [
    { why: "root-busy", until: T0 + SECOND },
    { why: "asleep", endedBy: "user" },
  ];
  const words = decisionWords({ kind: "wait", reasons }, T0);
  expect(words).toStartWith("waits: the agent is working (at most 1s more); sleeping");
});

test("every state of a goal has words, and a pause says why", () => {
  const byLimits = aGoal({}, { status: "paused", by: "no-progress", reason: "2 turns in a row", at: T0 });
  const states = [aGoal(), aGoalThatIs("paused"), byLimits, aGoalThatIs("complete"), aGoalThatIs("blocked")];
  expect([...states, aGoalThatIs("limited")].map(goalState)).toEqual([
    "active",
    "paused by you",
    "paused: 2 turns in a row",
    "complete",
    "blocked: no key",
    "limited: 25 turns are used up",
  ]);
});

describe("the status", () => {
  const CONTINUES = { kind: "continue", prompt: "continuation", overdueTaskIDs: [] } as const;

  test("without a goal says how to start one", () => {
    expect(statusText(undefined, CONTINUES, [], T0)).toBe("No goal in this session. Start one with /goal <objective>.");
  });

  test("shows the whole objective, the state, the turns, what happens now, and the live tasks only", () => {
    const goal = aGoal({ turns: 3, objective: "make $& the build </goalkeeper> pass" });
    const tasks = [aTask({ title: "a" }), anEndedTask({ title: "b" })];
    expect(statusText(goal, CONTINUES, tasks, T0 + 75 * SECOND)).toBe(
      [
        "Goal: make $& the build </goalkeeper> pass",
        "State: active",
        "Turns: 3 continued, 1m 15s since the start",
        "Now: continues",
        "Tasks: a (running)",
      ].join("\n"),
    );
  });

  test("without a live task names none", () => {
    expect(statusText(aGoal(), CONTINUES, [anEndedTask()], T0)).not.toContain("Tasks:");
  });

  test("does not say twice why a goal that has stopped does not go on", () => {
    const stop = { kind: "stop", reason: { why: "complete" } } as const;
    expect(statusText(aGoalThatIs("complete"), stop, [], T0)).not.toContain("Now:");
  });

  test("says why an active goal does not go on", () => {
    const stop = { kind: "stop", reason: { why: "auto-continue-off" } } as const;
    expect(statusText(aGoal(), stop, [], T0)).toContain("Now: does not continue: auto_continue is off");
  });
});

test.each([
  [-5, "0s"],
  [0, "0s"],
  [250, "0.3s"],
  [9_940, "9.9s"],
  [9_960, "10s"],
  [59_499, "59s"],
  [59_500, "1m 0s"],
  [75_000, "1m 15s"],
  [3_599_499, "59m 59s"],
  [3_599_500, "1h 0m"],
  [90_000_000, "25h 0m"],
])("%i ms is %s", (ms, words) => {
  expect(duration(ms)).toBe(words);
});
