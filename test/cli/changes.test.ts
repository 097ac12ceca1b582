import { describe, expect, test } from "bun:test";
import { changes } from "../../src/cli/changes.ts";
import { errorWords, progressLines } from "../../src/cli/words.ts";
import { stub } from "../../src/keeper/stored-root.ts";
import { stateOf } from "../../src/session-tree/state.ts";
import type { Tree, TreeEvent } from "../../src/session-tree/tree.ts";
import type { Task } from "../../src/tasks/task.ts";
import { books, busy, idle, RESTED, reports, sendsOff, session, story } from "../session-tree/stories.ts";
import { aGoal, aGoalThatIs, anEndedTask, aTask, CHILD, ROOT, T0 } from "../support/builders.ts";

/** What is reported from one moment to the next. */
function reported(before: Tree, events: readonly TreeEvent[]) {
  return changes(stateOf(before, T0), stateOf(story(events, before), T0));
}

function lines(before: Tree, events: readonly TreeEvent[]) {
  return reported(before, events).flatMap((event) => progressLines(event, T0));
}

const rested = story(RESTED);

describe("what a run reports of a tree", () => {
  test("nothing, when nothing has changed", () => {
    expect(reported(rested, [])).toEqual([]);
  });

  test("the agent and a task that begin to work", () => {
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
    ]);
    expect(reported(working, [{ type: "session-deleted", sessionID: CHILD }])).toMatchObject([
      { type: "session", status: "deleted" },
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

  test.each([
    [aTask(), anEndedTask(), `task "look at the tests" completed`],
    [
      aTask(),
      anEndedTask({ status: "failed", outcome: { error: { name: "APIError", message: "bad key\n  at fetch" } } }),
      `task "look at the tests" failed: bad key`,
    ],
    [
      aTask(),
      anEndedTask({ status: "cancelled", outcome: { reason: "it was aborted" } }),
      `task "look at the tests" cancelled: it was aborted`,
    ],
    [
      aTask(),
      anEndedTask({ status: "lost", outcome: { reason: "OpenCode did not answer about it" } }),
      `task "look at the tests" lost: OpenCode did not answer about it`,
    ],
  ])("how a task ended, by the books of the plugin (%#)", (before, after, line) => {
    const kept = (task: Task) => session(ROOT, undefined, books({ tasks: [stub(task)] }));
    const working = story([kept(before)], rested);
    expect(lines(working, [kept(after)])).toEqual([line]);
    expect(lines(story([kept(after)], working), [kept(after), busy(ROOT)])).toEqual(["the agent works"]);
  });

  test("how a task of OpenCode's own ended, by its report; and again when it was resumed", () => {
    const working = story([session(CHILD, ROOT), sendsOff("msg_2")], rested);
    const failed = { taskID: CHILD, ended: "failed", text: `Subagent failed (task_id: ${CHILD}): bad key` } as const;
    const report = { ...reports("msg_3"), told: failed } as TreeEvent;
    const ended = `task "look at the tests" failed: bad key`;
    expect(lines(working, [report])).toEqual([ended]);
    const resumed = story([report, sendsOff("msg_4")], working);
    expect(lines(resumed, [reports("msg_5")])).toEqual([`task "look at the tests" completed`]);
  });

  test("what the transcript of an old session tells of its tasks is no news; that of a new one is", () => {
    const read = [sendsOff("msg_0"), reports("msg_1"), session(CHILD, ROOT)];
    expect(reported(rested, read)).toEqual([]);
    expect(changes(stateOf(rested, T0), stateOf(story(read, rested), T0), true)).toMatchObject([
      { type: "task", sessionID: CHILD, status: "completed" },
    ]);
  });
});

describe("what is said of an error", () => {
  test.each([
    [{ name: "APIError", message: "the key is wrong" }, "APIError: the key is wrong"],
    [
      { name: "UnknownError", message: "UnknownError: no such model\n    at run (run.ts:1)" },
      "UnknownError: no such model",
    ],
    [{ name: "UnknownError", message: "Error: Error: broken" }, "UnknownError: Error: broken"],
    [{ name: "MessageOutputLengthError", message: "MessageOutputLengthError" }, "MessageOutputLengthError"],
  ])("its name once, its first line, no stack trace (%#)", (error, said) => {
    expect(errorWords(error)).toBe(said);
  });
});
