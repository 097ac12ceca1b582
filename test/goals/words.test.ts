import { describe, expect, test } from "bun:test";
import type { StopReason, WaitReason } from "../../src/goals/gate.ts";
import {
  decisionWords,
  goalSetText,
  goalState,
  noGoalText,
  releaseReason,
  type StatusView,
  statusBrief,
  statusText,
  stopReason,
  waitReason,
  whyBrief,
  whyText,
} from "../../src/goals/words.ts";
import { duration } from "../../src/time/duration.ts";
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
    'how the task "look at the tests" ended is about to be told (at most 1m 15s more)',
  ],
  [
    { why: "outcome-unanswered", ...TASK, ...UNTIL },
    'the agent has not answered the task "look at the tests" yet (at most 1m 15s more)',
  ],
  [
    { why: "ask-open", sessionID: "ses_2", kind: "permission", about: "bash: rm", endedBy: "user" },
    "a permission is open in this session: bash: rm (until you act)",
  ],
  [
    { why: "ask-open", sessionID: "ses_2", kind: "question", about: "Colour", title: "paint it", endedBy: "user" },
    'a question is open in "paint it": Colour (until you act)',
  ],
  [
    { why: "undone", sessionID: "ses_1", endedBy: "user" },
    "messages are undone here; with the next message they are gone for good, and /redo takes them back (until you act)",
  ],
  [
    { why: "undone", sessionID: "ses_2", title: "paint it", endedBy: "user" },
    'messages are undone in "paint it"; with the next message they are gone for good, and /redo takes them back (until you act)',
  ],
  [{ why: "user-message-unanswered", ...UNTIL }, "your message comes first (at most 1m 15s more)"],
  [{ why: "back-off", failures: 1, ...UNTIL }, "1 failed turn, trying again (at most 1m 15s more)"],
  [{ why: "back-off", failures: 2, ...UNTIL }, "2 failed turns, trying again (at most 1m 15s more)"],
  [{ why: "quiet", endedBy: "user" }, "you interrupted (until you act)"],
  [{ why: "asleep", endedBy: "user" }, "sleeping since OpenCode was started again (until you act)"],
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
    "limited: 25 turns used up",
  ]);
});

test("a state fits into a toast, and one that needs another agent says so", () => {
  const blocked = aGoal({}, { status: "blocked", blocker: "x".repeat(5_000), at: T0 });
  expect(goalState(blocked).length).toBeLessThan(250);
  const reason = 'the agent "plan" does not pursue goals';
  expect(goalState(aGoal({}, { status: "paused", by: "restricted-agent", reason, at: T0 }))).toBe(
    `paused: ${reason} (switch the agent and write a message first)`,
  );
});

describe("what a model is told of the goal that it has set", () => {
  const goOn = { kind: "continue", prompt: "continuation", overdueTaskIDs: [] } as const;
  const off = { kind: "stop", reason: { why: "auto-continue-off" } } as const;
  const paused = { kind: "stop", reason: { why: "restricted-agent", agent: "plan" } } as const;

  test.each([
    ["that it is continued", aGoal(), goOn, /^The goal is set\. Work towards it; you are continued turn after turn\./],
    ["that it is not, with auto_continue off", aGoal(), off, /you are not continued after it: auto_continue is off\./],
    ["that it is paused already", aGoalThatIs("paused"), paused, /^The goal is set, but it is paused/],
  ] as const)("%s", (_what, goal, decision, said) => {
    expect(goalSetText(goal, decision, "goal")).toMatch(said);
  });
});

describe("the status", () => {
  test("shows a blocker as long as it is", () => {
    const goal = aGoal({}, { status: "blocked", blocker: "x".repeat(5_000), at: T0 });
    expect(statusText({ ...view, goal })).toContain("x".repeat(5_000));
  });

  const decision = { kind: "continue", prompt: "continuation", overdueTaskIDs: [] } as const;
  const view: StatusView = {
    goal: aGoal(),
    decision,
    tasks: [],
    now: T0,
    command: "pursue",
    limits: { turns: 25, tokens: 0, ms: 0 },
  };
  const paused = aGoalThatIs("paused");

  test("without a goal says how to start one, by the name that the command has", () => {
    expect(noGoalText("pursue")).toBe("No goal in this session. Start one with /pursue <objective>.");
  });

  test("shows the whole objective, the state, the turns, what happens now, and the live tasks only", () => {
    const goal = aGoal({ turns: 3, objective: "make $& the build </goalkeeper> pass" });
    const tasks = [aTask({ title: "a" }), anEndedTask({ title: "b" })];
    expect(statusText({ ...view, goal, tasks, now: T0 + 75 * SECOND })).toBe(
      [
        "Goal: make $& the build </goalkeeper> pass",
        "State: active",
        "Turns: 3 of 25 continued",
        "Tokens: 0",
        "Time: 1m 15s since the start",
        "Now: continues",
        "Tasks: a (running)",
      ].join("\n"),
    );
  });

  test("without a limit the turns are counted alone", () => {
    expect(statusText({ ...view, limits: { turns: 0, tokens: 0, ms: 0 } })).toContain("Turns: 0 continued");
  });

  test("without a live task names none", () => {
    expect(statusText({ ...view, tasks: [anEndedTask()] })).not.toContain("Tasks:");
  });

  test("of a goal that has stopped shows how long it took, and for how long it has stopped", () => {
    const minute = 60 * SECOND;
    const goal = aGoal({ startedAt: T0, allowedAt: T0 }, { status: "complete", evidence: [], at: T0 + minute });
    const stopped = { ...view, decision: { kind: "stop", reason: { why: "complete" } } } as const;
    expect(statusText({ ...stopped, goal, now: T0 + 61 * minute })).toContain(
      "Time: 1m 0s since the start; it stopped 1h 0m ago",
    );
    const again = { ...goal, allowedAt: T0 + minute / 2 };
    expect(statusText({ ...stopped, goal: again, now: T0 + 61 * minute })).toContain(
      "Time: 1m 0s since the start, 30s since it was resumed; it stopped 1h 0m ago",
    );
  });

  test("of a goal that wraps up does not say that it has stopped", () => {
    const goal = aGoal({}, { status: "limited", limit: "25 turns", wrapUp: "owed", at: T0 });
    expect(statusText({ ...view, goal, decision: { ...decision, prompt: "wrapup" } })).not.toContain("stopped");
  });

  test("in a toast begins with what it does, and has room for it whatever was said", () => {
    const goal = aGoal({ objective: "x".repeat(5_000), turns: 3 });
    const reasons = [{ why: "provider-retries", message: "y".repeat(5_000), until: T0 + SECOND }] as const;
    const brief = statusBrief({ ...view, goal, decision: { kind: "wait", reasons } }).split("\n");
    expect(brief.map((line) => line.slice(0, 12))).toEqual([
      "State: activ",
      "Now: waits: ",
      "Turns: 3 of ",
      "Tokens: 0",
      "Goal: xxxxxx",
    ]);
    expect(brief.join("\n").length).toBeLessThanOrEqual(350);
  });

  test("in a toast names first what only the user ends", () => {
    const reasons = [
      { why: "root-busy", until: T0 + SECOND },
      { why: "asleep", endedBy: "user" },
    ] as const;
    expect(statusBrief({ ...view, decision: { kind: "wait", reasons } })).toContain(
      "Now: waits: sleeping since OpenCode was started again (until you act); the agent is working",
    );
  });

  test("shows the evidence of a goal that is complete", () => {
    expect(statusText({ ...view, goal: aGoalThatIs("complete") })).toContain("Evidence: ");
  });

  test("says how a goal that has stopped, or that sleeps, goes on", () => {
    const stop = { kind: "stop", reason: { why: "paused", by: "user", reason: "r" } } as const;
    expect(statusText({ ...view, goal: paused, decision: stop })).toContain("/pursue resume goes on.");
    const asleep = { kind: "wait", reasons: [{ why: "asleep", endedBy: "user" }] } as const;
    expect(statusText({ ...view, decision: asleep })).toContain("/pursue resume goes on.");
    expect(statusText(view)).not.toContain("resume");
  });

  test("does not say twice why a goal that has stopped does not go on", () => {
    const stop = { kind: "stop", reason: { why: "complete" } } as const;
    expect(statusText({ ...view, goal: aGoalThatIs("complete"), decision: stop })).not.toContain("Now:");
  });

  test("says why an active goal does not go on", () => {
    const stop = { kind: "stop", reason: { why: "auto-continue-off" } } as const;
    expect(statusText({ ...view, decision: stop })).toContain("Now: does not continue: auto_continue is off");
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

describe("why a goal goes on or not", () => {
  const goOn = { kind: "continue", prompt: "continuation", overdueTaskIDs: [] } as const;
  const asleep = { kind: "wait", reasons: [{ why: "asleep", endedBy: "user" }] } as const;
  const log = [0, 1, 2, 3].map((at) => ({ at: T0 + at * SECOND, decision: at === 3 ? asleep : goOn }));
  const now = T0 + 10 * SECOND;

  test("is told with the newest decision last, and in a toast with the newest first, as many as there is room for", () => {
    expect(whyText(log, now).split("\n").slice(-2)).toEqual([
      "8s ago: it continues",
      "7s ago: it waits: sleeping since OpenCode was started again (until you act)",
    ]);
    expect(whyBrief(log, now).split("\n")).toEqual([
      "7s ago: it waits: sleeping since OpenCode was started again (until you act)",
      "8s ago: it continues",
      "9s ago: it continues",
    ]);
  });

  test("is nothing yet before anything was decided", () => {
    expect([whyText([], now), whyBrief([], now)]).toEqual(["Nothing was decided yet.", "Nothing was decided yet."]);
  });
});

describe("why a held turn goes on", () => {
  test.each([
    ["failure", "a task has not completed, and the agent is told"],
    ["goal-continues", "the goal goes on beside the tasks that still work"],
    ["ceiling", "nobody waits any longer for the tasks that still work"],
    ["interrupted", "you interrupted"],
  ] as const)("%s", (why, words) => {
    expect(releaseReason(why)).toBe(words);
  });

  test.each(["nothing-owed", "", "toString", "of a later version"])("without a word: %p", (why) => {
    expect(releaseReason(why)).toBeUndefined();
  });
});
