import { describe, expect, test } from "bun:test";
import { endingOf, type RunFacts } from "../../src/cli/ending.ts";
import { EXIT, EXIT_MEANINGS } from "../../src/cli/exit-codes.ts";
import { HELP } from "../../src/cli/help.ts";
import type { Goal } from "../../src/goals/goal.ts";
import type { SessionTreeOutcome } from "../../src/session-tree/outcome.ts";
import type { SessionTreeState } from "../../src/session-tree/state.ts";
import { ERROR } from "../session-tree/stories.ts";
import { aGoal, aGoalThatIs, ROOT } from "../support/builders.ts";

const FACTS: RunFacts = { asGoal: false, stopped: undefined, goalBefore: undefined, unfinished: false, lastWords: "" };

function state(goal?: Goal): SessionTreeState {
  return { rootID: ROOT, rootIsIdle: true, sessions: [], owed: [], asks: [], goal };
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
    expect(code(settled(goal), { asGoal: true })).toBe(expected);
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
    expect(code(settled(), { asGoal: true })).toBe(EXIT.failed);
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
  });

  test("each code is in the help, once", () => {
    expect(EXIT_MEANINGS.map(([exitCode]) => exitCode).sort()).toEqual(Object.values(EXIT).sort());
    for (const [exitCode, meaning] of EXIT_MEANINGS)
      expect(HELP).toContain(`  ${String(exitCode).padEnd(5)} ${meaning}`);
  });
});
