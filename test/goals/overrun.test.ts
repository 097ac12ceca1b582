import { describe, expect, test } from "bun:test";
import { transitionGoal } from "../../src/goals/goal.ts";
import { overrun, overrunDeadline } from "../../src/goals/overrun.ts";
import { decisionWords, goalState } from "../../src/goals/words.ts";
import { aGoal, T0 } from "../support/builders.ts";

const MINUTE = 60_000;
const LIMITS = { budget: { turns: 25, tokens: 1_000, ms: 40 * MINUTE }, maxPromptFailures: 3, noProgressTurns: 0 };

function used(own: number, tasks = 0) {
  return aGoal({ tokens: { own, tasks } });
}

function limitedAt(own: number, spent = 1_000) {
  return aGoal({ tokens: { own, tasks: 0 } }, { status: "limited", limit: "1k tokens", wrapUp: "sent", spent, at: T0 });
}

describe("a turn is ended", () => {
  test("at a quarter beyond its tokens, those of its tasks included", () => {
    expect(overrun(used(1_249), "continuation", T0, LIMITS)).toBeUndefined();
    expect(overrun(used(1_000, 250), "continuation", T0, LIMITS)).toBe("1k tokens");
  });

  test("at a quarter beyond its time, and that moment is known before", () => {
    expect(overrun(used(0), "goal", T0 + 50 * MINUTE - 1, LIMITS)).toBeUndefined();
    expect(overrun(used(0), "goal", T0 + 50 * MINUTE, LIMITS)).toBe("40m 0s");
    expect(overrunDeadline(used(0), "goal", T0, LIMITS)).toBe(T0 + 50 * MINUTE);
    expect(overrunDeadline(used(0), "goal", T0 + 50 * MINUTE, LIMITS)).toBe(Number.POSITIVE_INFINITY);
  });

  test("never for its number, nor where there is no budget", () => {
    const none = { ...LIMITS, budget: { turns: 1, tokens: 0, ms: 0 } };
    expect(overrun(aGoal({ turns: 9, tokens: { own: 9e9, tasks: 0 } }), "goal", T0 + 9e9, none)).toBeUndefined();
    expect(overrunDeadline(used(0), "goal", T0, none)).toBe(Number.POSITIVE_INFINITY);
  });

  test("of a wrap-up when it has used a quarter itself: it begins where the budget ends, or far behind", () => {
    expect(overrun(limitedAt(4_249, 4_000), "wrapup", T0, LIMITS)).toBeUndefined();
    expect(overrun(limitedAt(4_250, 4_000), "wrapup", T0, LIMITS)).toBe("1k tokens");
    expect(overrunDeadline(limitedAt(0), "wrapup", T0, LIMITS)).toBe(T0 + 10 * MINUTE);
    expect(overrunDeadline(limitedAt(0), "report", T0, LIMITS)).toBe(Number.POSITIVE_INFINITY);
    const short = { ...LIMITS, budget: { ...LIMITS.budget, ms: 4_000 } };
    expect(overrunDeadline(limitedAt(0), "wrapup", T0, short)).toBe(T0 + MINUTE);
  });

  test("and not of a goal that has stopped for another reason", () => {
    const paused = aGoal({ tokens: { own: 9_000, tasks: 0 } }, { status: "paused", by: "user", reason: "", at: T0 });
    expect(overrun(paused, "continuation", T0 + 99 * MINUTE, LIMITS)).toBeUndefined();
  });
});

describe("a goal whose turn was ended", () => {
  const cut = transitionGoal(used(1_300), { type: "overrun", limit: "1k tokens" }, T0, LIMITS);

  test("is limited, and nothing wraps up", () => {
    expect(cut).toMatchObject({ status: "limited", limit: "1k tokens", wrapUp: "cut", spent: 1_300, at: T0 });
    if (cut === undefined) throw new Error("unreachable");
    expect(goalState(cut)).toBe("limited: 1k tokens used up and a quarter more; the turn was ended");
    const stop = { kind: "stop", reason: { why: "limited", limit: "1k tokens", isCut: true } } as const;
    expect(decisionWords(stop, T0)).toBe(
      "does not continue: the goal has reached its limit of 1k tokens, and the turn that went a quarter beyond it was ended",
    );
  });

  test("has a fresh allowance when it is resumed", () => {
    const resumed = transitionGoal(cut, { type: "resume", liveTaskIDs: [] }, T0 + 1, LIMITS);
    expect(resumed).toMatchObject({ status: "active", tokens: { own: 0, tasks: 0 } });
    expect(resumed).not.toHaveProperty("spent");
  });
});
