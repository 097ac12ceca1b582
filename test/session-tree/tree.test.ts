import { describe, expect, test } from "bun:test";
import { stub } from "../../src/keeper/stored-root.ts";
import { judge } from "../../src/session-tree/outcome.ts";
import {
  ANSWER_BEGINS_WITHIN_MS,
  BOOKS_SLEEP_AFTER_MS,
  FIRST_PROMPT_WITHIN_MS,
  GOAL_SLEEPS_AFTER_MS,
  owedOf,
  TAKEN_OVER_WITHIN_MS,
} from "../../src/session-tree/owed.ts";
import { stateOf } from "../../src/session-tree/state.ts";
import { asSeen, newTree, receiveTranscript, type Tree, type TreeEvent } from "../../src/session-tree/tree.ts";
import { BEGINS_WITHIN_MS, HOST_TELLS_WITHIN_MS } from "../../src/tasks/task.ts";
import {
  aGoal,
  aGoalThatIs,
  anEndedTask,
  anID,
  aQueuedTask,
  aTask,
  CHILD,
  delivered,
  hostTells,
  OURS,
  ROOT,
  T0,
} from "../support/builders.ts";
import {
  ABORTED,
  answers,
  asks,
  books,
  busy,
  ERROR,
  fails,
  idle,
  RESTED,
  reports,
  says,
  sendsOff,
  session,
  story,
} from "./stories.ts";

const GRANDCHILD = "ses_grandchild";

function why(tree: Tree, now = T0): readonly string[] {
  return owedOf(tree, now).map((owed) => `${owed.why} ${owed.sessionID}`);
}

function after(events: readonly TreeEvent[]): Tree {
  return story(events, story(RESTED));
}

function verdict(tree: Tree, now = T0) {
  const judged = judge(tree, now);
  return judged.kind === "works" ? "works" : judged.outcome;
}

describe("what is owed below a root", () => {
  test("nothing, when the root has answered and nobody else works", () => {
    expect(why(story(RESTED))).toEqual([]);
    expect(verdict(story(RESTED))).toMatchObject({ kind: "settled", answered: true });
  });

  test("a session that works, at any depth, whoever made it", () => {
    const tree = after([session(CHILD, ROOT), session(GRANDCHILD, CHILD), busy(GRANDCHILD)]);
    expect(why(tree)).toEqual([`session-busy ${GRANDCHILD}`]);
    expect(verdict(tree)).toBe("works");
  });

  test("a session whose provider is asked again", () => {
    const retrying = { type: "session-retrying", sessionID: CHILD, until: T0, message: "overloaded" } as const;
    expect(why(after([session(CHILD, ROOT), retrying]))).toEqual([`session-retrying ${CHILD}`]);
  });

  test("nothing of a session that belongs to another root, or of a chain that goes in a circle", () => {
    const others = [session("ses_other"), session(CHILD, "ses_other"), busy(CHILD)];
    const circle = [session("ses_a", "ses_b"), session("ses_b", "ses_a"), busy("ses_a")];
    expect(why(after([...others, ...circle]))).toEqual([]);
  });

  test("a session is known to be below the root also when its events came before its parent was known", () => {
    expect(why(after([busy(GRANDCHILD), session(GRANDCHILD, CHILD), session(CHILD, ROOT)]))).toEqual([
      `session-busy ${GRANDCHILD}`,
    ]);
  });

  test("nothing of a session that was deleted while it worked", () => {
    const gone = { type: "session-deleted", sessionID: CHILD, parentID: ROOT } as const;
    expect(why(after([session(CHILD, ROOT), busy(CHILD), gone]))).toEqual([]);
  });

  test("a first prompt that may be on its way, for as long as an instance takes to start", () => {
    const tree = story([session(ROOT)]);
    expect(why(tree)).toEqual([`not-started ${ROOT}`]);
    expect(verdict(tree, T0 + FIRST_PROMPT_WITHIN_MS)).toMatchObject({ kind: "settled", answered: false });
  });

  test("the first prompt of a child that was just made, for as long as it may take to come", () => {
    const made = session(CHILD, ROOT, {}, T0);
    expect(why(after([made]))).toEqual([`not-started ${CHILD}`]);
    expect(why(after([made]), T0 + BEGINS_WITHIN_MS)).toEqual([]);
    expect(why(after([made, says("msg_9", CHILD)]))).toEqual([`unanswered ${CHILD}`]);
    expect(why(after([made, busy(CHILD)]))).toEqual([`session-busy ${CHILD}`]);
    // By a clock that is ahead of ours.
    expect(why(after([session(CHILD, ROOT, {}, T0 + 3_600_000)]), T0 + BEGINS_WITHIN_MS)).toEqual([]);
  });

  test("a child behind the call of a tool named task that has returned, while it works (U15)", () => {
    const call = { messageID: "msg_1b", callID: "call_1", tool: "task", output: "Sent off." } as const;
    const child = { sessionID: CHILD, background: false, title: "helper" };
    const returned = { type: "tool", sessionID: ROOT, ...call, state: "completed", child } as const;
    expect(why(after([session(CHILD, ROOT), busy(CHILD), returned]))).toEqual([`session-busy ${CHILD}`]);
  });

  test("the answer to a message in an idle root, for a while; and that it never came is in the outcome", () => {
    const tree = after([says("msg_2")]);
    expect(why(tree)).toEqual([`unanswered ${ROOT}`]);
    expect(why(tree, T0 + ANSWER_BEGINS_WITHIN_MS)).toEqual([]);
    expect(verdict(tree, T0 + ANSWER_BEGINS_WITHIN_MS)).toMatchObject({ kind: "settled", answered: false });
  });

  test("a message that is read again does not get its while anew", () => {
    const again = story([says("msg_2")], after([says("msg_2")]), T0 + ANSWER_BEGINS_WITHIN_MS - 1);
    expect(why(again, T0 + ANSWER_BEGINS_WITHIN_MS)).toEqual([]);
  });

  test.each(["msg_user1", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", `msg_ffffffffffff${"x".repeat(14)}`])(
    "the answer to a message with an id of any form, and no answer to one before it is taken for it: %s (U17)",
    (messageID) => {
      const asks: TreeEvent = { ...says("msg_1"), messageID } as TreeEvent;
      const reads: TreeEvent = { ...answers("msg_1"), parentID: messageID, messageID: anID(35) } as TreeEvent;
      const open = story([session(ROOT), busy(ROOT), says("msg_1"), asks, answers("msg_1"), idle(ROOT)]);
      expect(why(open)).toEqual([`unanswered ${ROOT}`]);
      const done = story([busy(ROOT), reads, idle(ROOT)], open);
      expect(why(done)).toEqual([]);
      // A message behind it wants its own.
      expect(why(story([says("msg_9"), reads, idle(ROOT)], done))).toEqual([`unanswered ${ROOT}`]);
    },
  );

  test("nothing for a message that no model reads", () => {
    expect(why(after([{ ...says("msg_2"), ignored: true } as TreeEvent]))).toEqual([]);
  });

  test("an old message that OpenCode publishes again wants no answer", () => {
    expect(why(after([says("msg_2"), answers("msg_2"), says("msg_1")]))).toEqual([]);
  });
});

describe("a background task of OpenCode's own", () => {
  const sent = [sendsOff("msg_1a"), session(CHILD, ROOT), busy(CHILD)];

  test("is owed while it works, then until OpenCode has reported it, then until that is answered", () => {
    const working = after(sent);
    expect(why(working)).toEqual([`session-busy ${CHILD}`]);
    const ended = story([idle(CHILD)], working);
    expect(why(ended)).toEqual([`report-untold ${CHILD}`]);
    const told = story([reports("msg_2")], ended);
    expect(why(told)).toEqual([`unanswered ${ROOT}`]);
    expect(why(story([busy(ROOT), answers("msg_2"), idle(ROOT)], told))).toEqual([]);
  });

  test("that was cancelled is never reported: its report is waited for at most two seconds", () => {
    const ended = story([idle(CHILD)], after(sent), T0 + 10_000);
    expect(why(ended, T0 + 10_000 + HOST_TELLS_WITHIN_MS - 1)).toEqual([`report-untold ${CHILD}`]);
    expect(why(ended, T0 + 10_000 + HOST_TELLS_WITHIN_MS)).toEqual([]);
  });

  test("that is sent off again is owed again", () => {
    const tree = after([...sent, idle(CHILD), reports("msg_2"), answers("msg_2"), sendsOff("msg_3")]);
    expect(why(tree)).toEqual([`report-untold ${CHILD}`]);
  });

  test("of a sub-agent's is reported to the sub-agent", () => {
    const sentBelow = [session(CHILD, ROOT), sendsOff("msg_1b", GRANDCHILD, CHILD), session(GRANDCHILD, CHILD)];
    const tree = after(sentBelow);
    expect(why(tree)).toEqual([`report-untold ${GRANDCHILD}`]);
    expect(why(story([reports("msg_2", GRANDCHILD, CHILD)], tree))).toEqual([`unanswered ${CHILD}`]);
  });

  test("is not waited for once the user has interrupted", () => {
    expect(why(after([...sent, says("msg_2"), idle(CHILD), fails(ABORTED)]))).toEqual([]);
  });
});

describe("the books of a task manager", () => {
  const kept = (stored: Parameters<typeof books>[0]) => after([session(ROOT, undefined, books(stored))]);

  test("a live task is owed, also while its session does nothing yet", () => {
    expect(why(kept({ tasks: [aQueuedTask({ waits: { for: "slot" } })] }))).toEqual([`task-live ${CHILD}`]);
  });

  test.each([
    [OURS, [`outcome-untold ${CHILD}`]],
    [hostTells(T0 + 2_000), [`outcome-untold ${CHILD}`]],
    [delivered(), [`outcome-unanswered ${CHILD}`]],
    [{ state: "reconciled", at: T0 } as const, []],
    [{ state: "not-owed" } as const, []],
    [{ state: "undelivered", at: T0, reason: "the session is gone" } as const, []],
  ])("an ended task whose outcome is %j", (delivery, expected) => {
    expect(why(kept({ tasks: [anEndedTask({ delivery })] }))).toEqual(expected);
  });

  test.each([
    [aGoal(), [`goal-active ${ROOT}`]],
    [aGoalThatIs("limited"), [`wrapup-owed ${ROOT}`]],
    [aGoal({}, { status: "limited", limit: "2 turns", wrapUp: "sent", at: T0 }), []],
    [aGoalThatIs("paused"), []],
    [aGoalThatIs("complete"), []],
    [aGoalThatIs("blocked"), []],
  ])("a goal %j", (goal, expected) => {
    expect(why(kept({ goal }))).toEqual(expected);
    expect(stateOf(kept({ goal }), T0).goal).toEqual(goal);
  });

  test("of another plugin count as well, but only goalkeeper's own have the goal", () => {
    const { goalkeeper } = books({ tasks: [aQueuedTask()], goal: aGoal() });
    const tree = after([session(ROOT, undefined, { reviewer: goalkeeper })]);
    expect(owedOf(tree, T0)).toMatchObject([{ why: "task-live", key: "reviewer" }, { why: "goal-active" }]);
    expect(stateOf(tree, T0).goal).toBeUndefined();
  });

  test("that a fork has copied, or that cannot be read, are nobody's", () => {
    const copied = books({ goal: aGoal() }, "ses_original");
    expect(why(after([session(ROOT, undefined, copied)]))).toEqual([]);
    expect(why(after([session(ROOT, undefined, { goalkeeper: { version: 1, self: ROOT, tasks: "none" } })]))).toEqual(
      [],
    );
  });

  test("that nobody acts on are slept over, after longer than goalkeeper ever holds back", () => {
    const tree = kept({ goal: aGoal(), tasks: [aQueuedTask()] });
    expect(why(tree, T0 + BOOKS_SLEEP_AFTER_MS - 1)).toHaveLength(2);
    expect(why(tree, T0 + BOOKS_SLEEP_AFTER_MS)).toEqual([]);
  });

  test("with a goal that nothing holds back are slept over sooner, though not before its back-off is over", () => {
    expect(why(kept({ goal: aGoal() }), T0 + GOAL_SLEEPS_AFTER_MS)).toEqual([]);
    const backedOff = kept({ goal: aGoal({ retryAt: T0 + 8_000 }) });
    expect(why(backedOff, T0 + GOAL_SLEEPS_AFTER_MS)).toHaveLength(1);
    expect(why(backedOff, T0 + 8_000 + GOAL_SLEEPS_AFTER_MS)).toEqual([]);
  });

  test("with a goal at its provider's usage limit are waited for as long as that takes, if somebody keeps them", () => {
    const hours = 3 * 3_600_000;
    const limited = kept({ goal: aGoal({ quotaUntil: T0 + hours }) });
    expect(why(limited, T0 + hours)).toEqual([`goal-active ${ROOT}`]);
    expect(why(limited, T0 + hours + GOAL_SLEEPS_AFTER_MS)).toEqual([]);
    expect(why({ ...limited, gone: new Set(["i"]) }, T0 + hours)).toEqual([]);
  });

  test("are waited for without an end while anything in the directory works", () => {
    const tree = story([busy("ses_of_another_root")], kept({ tasks: [aQueuedTask({ waits: { for: "slot" } })] }));
    const owed = owedOf(tree, T0 + 100 * BOOKS_SLEEP_AFTER_MS);
    expect(owed).toMatchObject([{ why: "task-live" }]);
    expect(owed[0]).not.toHaveProperty("until");
  });

  test("whose keeper's process is gone are soon nobody's, unless another takes them over", () => {
    const left = { ...kept({ goal: aGoal() }), gone: new Set(["i"]) };
    expect(why(left)).toHaveLength(1);
    expect(why(left, T0 + TAKEN_OVER_WITHIN_MS)).toEqual([]);
    const owner = { host: "here", pid: 2, processStartedAt: 0, instance: "another" };
    const takenOver = story([session(ROOT, undefined, books({ goal: aGoal(), owner }))], left);
    expect(why(takenOver, T0 + TAKEN_OVER_WITHIN_MS)).toHaveLength(1);
  });

  test("a task that an interrupt of the idle root has ended is told when the user writes: soon it is not waited for", () => {
    const tree = kept({ tasks: [anEndedTask({ status: "cancelled", interruptedAt: T0 })] });
    expect(why(tree)).toEqual([`outcome-untold ${CHILD}`]);
    expect(why(tree, T0 + ANSWER_BEGINS_WITHIN_MS)).toEqual([]);
  });

  test("after the user's interrupt nothing is told and no goal goes on; what still works is waited for", () => {
    const stored = books({ goal: aGoal(), tasks: [anEndedTask(), aQueuedTask({ id: "ses_kept" })] });
    const tree = after([session(ROOT, undefined, stored), fails(ABORTED)]);
    expect(why(tree)).toEqual(["task-live ses_kept"]);
  });
});

describe("how a root has ended", () => {
  test("its last turn failed", () => {
    expect(verdict(after([says("msg_2"), busy(ROOT), fails(ERROR), idle(ROOT)]))).toMatchObject({
      kind: "failed",
      error: ERROR,
    });
  });

  test("a failure that only its message holds counts as well, for a wait that comes late", () => {
    expect(verdict(after([says("msg_2"), answers("msg_2", ERROR)]))).toMatchObject({ kind: "failed", error: ERROR });
  });

  test("a later message makes good a failed turn", () => {
    const failed = after([says("msg_2"), fails(ERROR)]);
    expect(verdict(story([says("msg_3")], failed))).toBe("works");
    expect(verdict(story([says("msg_3"), answers("msg_3")], failed))).toMatchObject({ kind: "settled" });
  });

  test("a transcript read again does not undo a failure that no message holds", () => {
    const failed = after([says("msg_2"), answers("msg_2"), fails(ERROR)]);
    const again = receiveTranscript(failed, [says("msg_1"), answers("msg_1"), says("msg_2"), answers("msg_2")], T0);
    expect(verdict(again)).toMatchObject({ kind: "failed" });
  });

  test("an abort is an interrupt, whatever breaks because of it", () => {
    const tree = after([says("msg_2"), fails(ABORTED), fails(ERROR)]);
    expect(verdict(tree)).toMatchObject({ kind: "interrupted" });
  });

  test("an abort while the provider was asked again shows only as an idle without an answer", () => {
    const retrying = { type: "session-retrying", sessionID: ROOT, until: T0, message: "overloaded" } as const;
    expect(verdict(after([says("msg_2"), retrying, idle(ROOT)]))).toMatchObject({ kind: "interrupted" });
  });

  test("a failure below it is not its own", () => {
    expect(verdict(after([session(CHILD, ROOT), fails(ERROR, CHILD)]))).toMatchObject({ kind: "settled" });
  });

  test("it was deleted, whatever still works below it", () => {
    const deleted = { type: "session-deleted", sessionID: ROOT } as const;
    expect(verdict(after([session(CHILD, ROOT), busy(CHILD), deleted]))).toMatchObject({ kind: "deleted" });
  });
});

describe("what is shown", () => {
  test("the root first, then all below it, and the asks of these sessions alone", () => {
    const tree = after([session(CHILD, ROOT), busy(CHILD), asks(CHILD), session("ses_other"), asks("ses_other")]);
    expect(stateOf(tree, T0)).toMatchObject({ rootID: ROOT, rootIsIdle: true, asks: [] });
    const asked = after([session("ses_other"), session(CHILD, ROOT), busy(CHILD), asks(CHILD)]);
    expect(stateOf(asked, T0).asks).toMatchObject([{ sessionID: CHILD, kind: "permission", about: "bash" }]);
    expect(stateOf(asked, T0).sessions).toEqual([
      { id: ROOT, parentID: undefined, title: ROOT, status: "idle" },
      { id: CHILD, parentID: ROOT, title: CHILD, status: "busy" },
    ]);
  });

  test("an ask is gone when its session is idle: an abort closes it without an event", () => {
    const tree = after([session(CHILD, ROOT), busy(CHILD), asks(CHILD), idle(CHILD)]);
    expect(stateOf(tree, T0).asks).toEqual([]);
  });
});

describe("what OpenCode answers about activity", () => {
  test("absent means idle, and present means busy, also for a session of which no event has told", () => {
    const tree = after([session(CHILD, ROOT), busy(CHILD), session(GRANDCHILD, CHILD)]);
    const asked = asSeen(tree, new Map([[GRANDCHILD, "busy"]]), new Set(), T0);
    expect(why(asked)).toEqual([`session-busy ${GRANDCHILD}`]);
  });

  test("what an event has said since it was asked is newer", () => {
    const tree = after([session(CHILD, ROOT), busy(CHILD)]);
    expect(why(asSeen(tree, new Map(), new Set([CHILD]), T0))).toEqual([`session-busy ${CHILD}`]);
  });

  test("of a root that nobody has heard of before it says that it works", () => {
    expect(verdict(asSeen(newTree(ROOT, T0), new Map([[ROOT, "busy"]]), new Set(), T0))).toBe("works");
  });
});

describe("the tasks of a state", () => {
  const tasks = (...events: readonly TreeEvent[]) => stateOf(story(events, story(RESTED)), T0).tasks;
  const WHO = { sessionID: CHILD, title: "look at the tests" };

  test("are those of the books and those of OpenCode's own, each once, with how they ended", () => {
    const other = stub(anEndedTask({ id: "ses_other", title: "other" }));
    const kept = session(ROOT, undefined, books({ tasks: [other] }));
    expect(tasks(sendsOff("msg_2"), sendsOff("msg_2", "ses_other"), reports("msg_3", "ses_other"), kept)).toEqual([
      { sessionID: "ses_other", title: "other", status: "completed" },
      { ...WHO, status: "working" },
    ]);
  });

  test("are told by the books rather than by OpenCode's report, which comes earlier", () => {
    const kept = session(ROOT, undefined, books({ tasks: [stub(aTask())] }));
    expect(tasks(sendsOff("msg_2"), reports("msg_3"), kept)).toEqual([{ ...WHO, status: "working" }]);
  });

  test("work again once they are sent off again", () => {
    const again = [sendsOff("msg_2"), reports("msg_3"), sendsOff("msg_4")];
    expect(tasks(...again)).toEqual([{ ...WHO, status: "working" }]);
    expect(tasks(...again, reports("msg_5"))).toEqual([{ ...WHO, status: "completed" }]);
  });

  test("of others, which were not sent off below the root, are none of them", () => {
    expect(tasks(sendsOff("msg_2", CHILD, "ses_elsewhere"))).toEqual([]);
  });
});
