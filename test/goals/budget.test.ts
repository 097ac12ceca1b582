import { describe, expect, test } from "bun:test";
import { budgetOf, shortNumber, spentLimit } from "../../src/goals/budget.ts";
import { aGoal, T0 } from "../support/builders.ts";

const NONE = { turns: 0, tokens: 0, ms: 0 };
const LATER = T0 + 10 * 365 * 86_400_000;

describe("a budget", () => {
  test("what was said with the goal counts, and the options for the rest", () => {
    const limits = { turns: 25, tokens: 1_000, ms: 60_000 };
    expect(budgetOf(aGoal(), limits)).toEqual(limits);
    expect(budgetOf(aGoal({ budget: { turns: 5 } }), limits)).toEqual({ ...limits, turns: 5 });
  });

  test("without a limit nothing is ever used up", () => {
    const goal = aGoal({ turns: 9_999, tokens: { own: 1e9, tasks: 1e9 } });
    expect(spentLimit(goal, LATER, NONE)).toBeUndefined();
  });

  test("turns are used up with the last one", () => {
    expect(spentLimit(aGoal({ turns: 4 }), T0, { ...NONE, turns: 5 })).toBeUndefined();
    expect(spentLimit(aGoal({ turns: 5 }), T0, { ...NONE, turns: 5 })).toBe("5 turns");
    expect(spentLimit(aGoal({ turns: 1 }), T0, { ...NONE, turns: 1 })).toBe("1 turn");
  });

  test("the tokens of the tasks count with those of the session", () => {
    const limits = { ...NONE, tokens: 100_000 };
    expect(spentLimit(aGoal({ tokens: { own: 60_000, tasks: 39_999 } }), T0, limits)).toBeUndefined();
    expect(spentLimit(aGoal({ tokens: { own: 60_000, tasks: 40_000 } }), T0, limits)).toBe("100k tokens");
  });

  test("time counts from the present allowance, not from the first start", () => {
    const goal = aGoal({ startedAt: T0 - 3_600_000, allowedAt: T0 });
    const limits = { ...NONE, ms: 1_800_000 };
    expect(spentLimit(goal, T0 + 1_799_999, limits)).toBeUndefined();
    expect(spentLimit(goal, T0 + 1_800_000, limits)).toBe("30m 0s");
  });

  test.each([
    [0, "0"],
    [999, "999"],
    [1_000, "1k"],
    [12_345, "12.3k"],
    [100_000, "100k"],
    [999_949, "999.9k"],
    [999_950, "1M"],
    [1_500_000, "1.5M"],
  ])("%i is shown as %p", (count, shown) => expect(shortNumber(count)).toBe(shown));
});
