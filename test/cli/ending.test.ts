import { describe, expect, test } from "bun:test";
import { endingOf, isLeft, type RunFacts } from "../../src/cli/ending.ts";
import { EXIT, EXIT_MEANINGS } from "../../src/cli/exit-codes.ts";
import { HELP } from "../../src/cli/help.ts";
import type { Goal } from "../../src/goals/goal.ts";
import type { SessionTreeOutcome } from "../../src/session-tree/outcome.ts";
import type { SessionTreeState } from "../../src/session-tree/state.ts";
import { ERROR } from "../session-tree/stories.ts";
import { aGoal, aGoalThatIs, ROOT, T0 } from "../support/builders.ts";

const FACTS: RunFacts = {
  mode: "prompt",
  stopped: undefined,
  goalBefore: undefined,
  unfinished: false,
  hasSpoken: true,
  lastWords: "",
};

function state(goal?: Goal): SessionTreeState {
  return { rootID: ROOT, rootIsIdle: true, sessions: [], tasks: [], owed: [], asks: [], goal };
}

function settled(goal?: Goal, answered = true): SessionTreeOutcome {
  return { kind: "settled", answered, state: state(goal) };
}

function code(outcome: SessionTreeOutcome, facts: Partial<RunFacts> = {}) {
  return endingOf(outcome, { ...FACTS, ...facts }).exitCode;
}

describe("how a run has ended", () => {
  test("an answer is a success, and no answer is none", () => {
    expect(code(settled())).toBe(EXIT.done);
    expect(code(settled(undefined, false))).toBe(EXIT.failed);
    expect(code(settled(), { unfinished: true })).toBe(EXIT.failed);
  });

  test.each([
    ["complete", EXIT.done],
    ["blocked", EXIT.blocked],
    ["limited", EXIT.limited],
    ["paused", EXIT.failed],
    ["active", EXIT.failed],
  ] as const)("a goal that is %s ends with %i, also when the agent has begun it by itself", (status, expected) => {
    const goal = aGoalThatIs(status);
    expect(code(settled(goal), { mode: "goal" })).toBe(expected);
    expect(code(settled(goal))).toBe(expected);
  });

  test("an old goal that has not changed says nothing about a prompt", () => {
    const goal = aGoalThatIs("blocked");
    expect(code(settled(goal), { goalBefore: goal })).toBe(EXIT.done);
  });

  test("an old goal that goes on counts", () => {
    expect(code(settled(aGoalThatIs("complete", { turns: 3 })), { goalBefore: aGoal() })).toBe(EXIT.done);
    expect(code(settled(aGoalThatIs("blocked")), { goalBefore: aGoal() })).toBe(EXIT.blocked);
  });

  test("a goal that is not there after --goal is a failure", () => {
    expect(code(settled(), { mode: "goal" })).toBe(EXIT.failed);
  });

  test("an empty answer is an answer, and is said to be empty", () => {
    expect(endingOf(settled(), { ...FACTS, hasSpoken: false })).toMatchObject({
      exitCode: EXIT.done,
      message: "the agent answered nothing",
    });
  });

  test("a goal that does not go on when it is resumed was not begun, with the reason", () => {
    const before = aGoalThatIs("paused");
    expect(endingOf(settled(before), { ...FACTS, mode: "resume", goalBefore: before })).toMatchObject({
      exitCode: EXIT.notStarted,
      message: "the goal was not resumed: the goal is paused: you said so",
    });
    expect(code(settled(), { mode: "resume", goalBefore: before })).toBe(EXIT.notStarted);
  });

  test("a goal that was resumed and ends again in the very same way has gone on", () => {
    const before = aGoalThatIs("limited");
    const again = { ...before, at: T0 + 1 } as Goal;
    expect(code(settled(again), { mode: "resume", goalBefore: before })).toBe(EXIT.limited);
  });

  test("a goal of the run that is not complete can be gone on with; one that was left alone is none of it", () => {
    const left = (outcome: SessionTreeOutcome, facts: Partial<RunFacts> = {}) =>
      isLeft(endingOf(outcome, { ...FACTS, ...facts }), outcome.state.goal, { ...FACTS, ...facts });
    for (const status of ["paused", "blocked", "limited", "active"] as const)
      expect(left(settled(aGoalThatIs(status)))).toBe(true);
    expect(left(settled(aGoal()), { stopped: "timeout" })).toBe(true);
    expect(left(settled(aGoalThatIs("paused")), { stopped: "signal" })).toBe(true);
    expect(left(settled(aGoalThatIs("complete")))).toBe(false);
    expect(left(settled(aGoal()), { goalBefore: aGoal() })).toBe(false);
    expect(left(settled())).toBe(false);
  });

  test("a failed turn and an OpenCode that went away are failures with the reason", () => {
    expect(endingOf({ kind: "failed", error: ERROR, state: state() }, FACTS)).toMatchObject({
      exitCode: EXIT.failed,
      message: expect.stringContaining("the key is wrong"),
    });
    const gone = { kind: "stream-closed", reason: "terminated", state: state() } as const;
    expect(endingOf(gone, { ...FACTS, lastWords: "\nout of memory" })).toMatchObject({
      exitCode: EXIT.failed,
      message: "OpenCode went away: terminated\nout of memory",
    });
  });

  test("whatever the tree says, a run that was stopped from here was stopped", () => {
    expect(code(settled(), { stopped: "timeout" })).toBe(EXIT.timedOut);
    expect(code(settled(), { stopped: "signal" })).toBe(EXIT.interrupted);
    expect(code({ kind: "stream-closed", reason: "", state: state() }, { stopped: "signal" })).toBe(EXIT.interrupted);
  });

  test("an interrupt by somebody else is one, too", () => {
    expect(code({ kind: "interrupted", state: state() })).toBe(EXIT.interrupted);
    const cut = aGoal({}, { status: "limited", limit: "50k tokens", wrapUp: "cut", at: T0 });
    expect(endingOf({ kind: "interrupted", state: state(cut) }, FACTS)).toMatchObject({
      exitCode: EXIT.limited,
      message: "the goal has used up its limit of 50k tokens and a quarter more; the turn was ended",
    });
    expect(code({ kind: "interrupted", state: state(cut) }, { goalBefore: cut })).toBe(EXIT.interrupted);
  });

  test("each code is in the help, once", () => {
    expect(EXIT_MEANINGS.map(([exitCode]) => exitCode).sort()).toEqual(Object.values(EXIT).sort());
    for (const [exitCode, meaning] of EXIT_MEANINGS)
      expect(HELP).toContain(`  ${String(exitCode).padEnd(5)} ${meaning}`);
  });
});
