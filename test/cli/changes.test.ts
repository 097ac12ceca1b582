import { describe, expect, test } from "bun:test";
import { changes } from "../../src/cli/changes.ts";
import { progressLine } from "../../src/cli/words.ts";
import { stateOf } from "../../src/session-tree/state.ts";
import type { Tree, TreeEvent } from "../../src/session-tree/tree.ts";
import { books, busy, idle, RESTED, session, story } from "../session-tree/stories.ts";
import { aGoal, aGoalThatIs, CHILD, ROOT, T0 } from "../support/builders.ts";

/** What is reported from one moment to the next. */
function reported(before: Tree, events: readonly TreeEvent[]) {
  return changes(stateOf(before, T0), stateOf(story(events, before), T0));
}

function lines(before: Tree, events: readonly TreeEvent[]) {
  return reported(before, events).flatMap((event) => progressLine(event, T0) ?? []);
}

const rested = story(RESTED);

describe("what a run reports of a tree", () => {
  test("nothing, when nothing has changed", () => {
    expect(reported(rested, [])).toEqual([]);
  });

  test("a task that begins to work, and what is waited for while the agent itself is idle", () => {
    expect(lines(rested, [session(CHILD, ROOT), busy(CHILD)])).toEqual([
      `task "${CHILD}" works`,
      `waiting: "${CHILD}" works`,
    ]);
  });

  test("no waiting while the agent works itself", () => {
    expect(lines(rested, [busy(ROOT), session(CHILD, ROOT), busy(CHILD)])).toEqual([
      "the agent works",
      `task "${CHILD}" works`,
    ]);
  });

  test("a child that has not done anything yet is no news", () => {
    expect(reported(rested, [session(CHILD, ROOT)])).toEqual([]);
  });

  test("the end of a task, and its deletion", () => {
    const working = story([session(CHILD, ROOT), busy(CHILD)], rested);
    expect(reported(working, [idle(CHILD)])).toMatchObject([
      { type: "session", sessionID: CHILD, parentID: ROOT, status: "idle" },
      { type: "waiting", for: [] },
    ]);
    expect(reported(working, [{ type: "session-deleted", sessionID: CHILD }])).toMatchObject([
      { type: "session", status: "deleted" },
      { type: "waiting", for: [] },
    ]);
  });

  test("a goal when it begins, at each continuation, and when it ends with its reason", () => {
    const kept = (goal: Parameters<typeof books>[0]["goal"]) => [busy(ROOT), session(ROOT, undefined, books({ goal }))];
    const begun = story(kept(aGoal()), rested);
    expect(lines(story([busy(ROOT)], rested), kept(aGoal()))).toEqual(["goal active"]);
    expect(lines(begun, kept(aGoal({ turns: 1 })))).toEqual(["goal active, continued once"]);
    expect(lines(begun, kept(aGoalThatIs("blocked", { turns: 2 })))).toEqual([
      "goal blocked, continued 2 times: no key",
    ]);
    expect(lines(begun, kept(aGoal({ failures: 1 })))).toEqual([]);
  });

  test("how long a wait takes at most is part of its line", () => {
    const goal = [session(ROOT, undefined, books({ goal: aGoal() }))];
    expect(lines(rested, goal)).toEqual(["goal active", "waiting: the goal goes on (at most 15s more)"]);
  });
});
