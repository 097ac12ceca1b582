import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { unescapeText } from "../../src/delivery/frame.ts";
import { continuationText, goalText, SYSTEM_TEXT, wrapUpText } from "../../src/goals/prompts.ts";
import { aGoal, T0 } from "../support/builders.ts";

/** About 150 tokens. */
const LONGEST_PROMPT = 600;
const anyObjective = fc.oneof(
  fc.string({ unit: "binary", maxLength: 2_000 }),
  fc
    .array(fc.constantFrom("&", "<", "&amp;", "</goalkeeper>", "$&", "🚀", " "), { maxLength: 2_000 })
    .map((parts) => parts.join("")),
  fc.constantFrom("&", "<", "日", "🚀").map((unit) => unit.repeat(100_000)),
);

describe("the system text", () => {
  test("costs every request at most 400 characters", () => {
    expect(SYSTEM_TEXT.length).toBeLessThanOrEqual(400);
  });

  test("is a constant: no counter, no clock, no objective", () => {
    expect(SYSTEM_TEXT).not.toMatch(/\d/);
    expect(SYSTEM_TEXT).toContain("update_goal");
    expect(SYSTEM_TEXT).toContain("<goalkeeper>");
  });
});

describe("the continuation", () => {
  test("is short for any objective, and so is the wrap-up", () => {
    fc.assert(
      fc.property(anyObjective, (objective) => {
        const goal = aGoal({ objective });
        expect(continuationText(goal).length).toBeLessThanOrEqual(LONGEST_PROMPT);
        expect(wrapUpText(goal, "25 turns").length).toBeLessThanOrEqual(LONGEST_PROMPT);
      }),
    );
  });

  test("escapes what the user wrote, and cuts no escaped character", () => {
    fc.assert(
      fc.property(anyObjective, (objective) => {
        for (const text of [continuationText(aGoal({ objective })), wrapUpText(aGoal({ objective }), "25 turns")]) {
          expect(text).not.toContain("<");
          expect(text).not.toMatch(/&(?!amp;|lt;)/);
        }
      }),
    );
  });

  test("repeats a short objective whole, and the beginning of a long one", () => {
    expect(continuationText(aGoal({ objective: "make the build pass" }))).toContain("the goal: make the build pass\n");
    expect(continuationText(aGoal({ objective: `start ${"x".repeat(500)}` }))).toMatch(/the goal: start x+…\n/);
  });

  test("says how to end: complete with evidence, blocked with the blocker", () => {
    const text = continuationText(aGoal());
    for (const word of ["update_goal", '"complete"', "evidence", '"blocked"', "blocker"]) expect(text).toContain(word);
  });

  test("is the same in every turn of a goal", () => {
    const later = aGoal({ turns: 9, failures: 1, idleTurns: 1, startedAt: T0 + 1, releases: { ses_1: T0 } });
    expect(continuationText(later)).toBe(continuationText(aGoal()));
  });
});

test("the wrap-up names the limit and starts nothing new", () => {
  const text = wrapUpText(aGoal(), "25 turns");
  expect(text).toContain("(25 turns)");
  expect(text).toContain("make the build pass");
  expect(text).toContain("Start nothing new");
});

test("the objective comes back whole and unchanged from the message that sets the goal", () => {
  fc.assert(
    fc.property(anyObjective, (objective) => {
      const text = goalText(objective);
      const inside = text.slice(
        text.indexOf("<objective>\n") + "<objective>\n".length,
        text.lastIndexOf("\n</objective>"),
      );
      expect(unescapeText(inside)).toBe(objective);
    }),
  );
});
