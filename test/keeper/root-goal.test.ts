import { beforeEach, describe, expect, test } from "bun:test";
import type { Ask } from "../../src/goals/asks.ts";
import type { GoalEvent } from "../../src/goals/goal.ts";
import type { HostEvent } from "../../src/host/port.ts";
import type { Effect, Observation } from "../../src/keeper/messages.ts";
import { RootGoal } from "../../src/keeper/root-goal.ts";
import { aGoal, aRoot, aTask, bySpelling, CHILD, GATE, ROOT, T0, TIMING } from "../support/builders.ts";

const LIMITS = { budget: { turns: 25, tokens: 1_000, ms: 0 }, maxPromptFailures: 3, noProgressTurns: 0 };
const config = {
  timing: TIMING,
  gate: GATE,
  limits: LIMITS,
  command: "goal",
  concurrency: 5,
  cancelOnInterrupt: true,
  reportHoldMs: 900_000,
  hasReadTool: true,
};

let now: number;
let observed: Observation[];
let changes: string[];
let performed: Effect[];
let pursuit: RootGoal;

beforeEach(() => {
  now = T0;
  observed = [];
  changes = [];
  performed = [];
  pursuit = new RootGoal({
    rootID: ROOT,
    now: () => now,
    config,
    ids: { message: () => "msg_5" },
    order: { isBefore: (_sessionID, ...ids) => bySpelling(...ids) },
    onChange: (_, event) => changes.push(event),
    perform: (effect) => performed.push(effect),
    observe: (observation) => observed.push(observation),
  });
});

const SET: GoalEvent = { type: "set", id: "msg_2", objective: "fix it" };

function answered(
  messageID: string,
  tokens: number,
  sessionID = ROOT,
): Extract<HostEvent, { type: "assistant-message" }> {
  const usage = { tokens, cost: 0 };
  const base = { parentID: "msg_1", summary: false, completedAt: T0, error: undefined } as const;
  return { type: "assistant-message", sessionID, messageID, usage, ...base };
}

function decide(root = aRoot()) {
  return pursuit.decide(root, []);
}

describe("what a goal has used", () => {
  test("each message counts once, whatever is published again", () => {
    pursuit.event(SET);
    for (const id of ["msg_3", "msg_3", "msg_4", "msg_3"]) pursuit.count(answered(id, 100), true);
    expect(pursuit.value?.tokens).toEqual({ own: 200, tasks: 0 });
  });

  test("tasks count apart, each session by itself", () => {
    pursuit.event(SET);
    pursuit.count(answered("msg_9", 10), true);
    pursuit.count(answered("msg_3", 100, CHILD), false);
    expect(pursuit.value?.tokens).toEqual({ own: 10, tasks: 100 });
  });

  test("what came before the goal is not its own", () => {
    pursuit.event(SET);
    pursuit.count(answered("msg_1", 100), true);
    expect(pursuit.value?.tokens).toEqual({ own: 0, tasks: 0 });
  });

  test("after a restart messages of the process before are not counted again", () => {
    pursuit.set(aGoal({ id: "msg_2", tokens: { own: 7, tasks: 0 } }), "restored");
    pursuit.count(answered("msg_4", 100), true);
    pursuit.count(answered("msg_6", 1), true);
    expect(pursuit.value?.tokens).toEqual({ own: 8, tasks: 0 });
  });

  test("a paused goal uses nothing", () => {
    pursuit.event(SET);
    pursuit.event({ type: "pause", by: "user", reason: "r" });
    pursuit.count(answered("msg_3", 100), true);
    expect(pursuit.value?.tokens).toEqual({ own: 0, tasks: 0 });
  });

  test("is no change that others are told of one by one", () => {
    pursuit.event(SET);
    const before = observed.length;
    pursuit.count(answered("msg_3", 100), true);
    expect(observed).toHaveLength(before);
    expect(changes).toEqual(["set", "spent"]);
  });
});

describe("what must not go on", () => {
  test("a goal whose budget is used up is limited when it would go on, not before", () => {
    pursuit.event(SET);
    pursuit.count(answered("msg_3", 1_000), true);
    expect(pursuit.enforce({ kind: "wait", reasons: [] })).toBe(false);
    expect(pursuit.enforce(decide())).toBe(true);
    expect(pursuit.value).toMatchObject({ status: "limited", limit: "1k tokens", wrapUp: "owed" });
    expect(pursuit.enforce(decide())).toBe(false);
  });

  test("a goal in an agent that pursues none is paused", () => {
    pursuit.event(SET);
    const root = aRoot({ voice: { agent: "plan", model: { providerID: "p", modelID: "m" } } });
    expect(pursuit.enforce(decide(root))).toBe(true);
    expect(pursuit.value).toMatchObject({ status: "paused", by: "restricted-agent" });
  });
});

describe("what is asked of the user while a goal is pursued", () => {
  const question: Ask = { askID: "que_1", sessionID: CHILD, kind: "question", about: "Colour" };
  const tasks = [aTask()];
  const shown = () => performed.flatMap((effect) => (effect.type === "toast" ? [effect.message] : []));
  const IN_CHILD = 'The goal waits for you: a question is open in "look at the tests": Colour';
  const announce = (more: Parameters<typeof aRoot>[0], owesReport = false) => {
    const root = aRoot(more);
    pursuit.announceAsks(pursuit.decide(root, tasks), root, tasks, owesReport);
  };

  test("is shown once, and again when it is asked again", () => {
    pursuit.event(SET);
    announce({ asks: [question] });
    announce({ asks: [question], lastMessageID: "msg_9" });
    expect(shown()).toEqual([IN_CHILD]);
    announce({ asks: [] });
    announce({ asks: [{ ...question, askID: "que_2" }] });
    expect(shown()).toEqual([IN_CHILD, IN_CHILD]);
  });

  test("is shown for each that is open, that of the root without a title", () => {
    pursuit.event(SET);
    announce({ asks: [question] });
    announce({ asks: [question, { askID: "per_1", sessionID: ROOT, kind: "permission", about: "bash" }] });
    expect(shown()).toEqual([IN_CHILD, "The goal waits for you: a permission is open: bash"]);
  });

  test("an undo is shown where a report waits for it, too, goal or not, and once", () => {
    const undo: Ask = { askID: `undo ${ROOT}`, sessionID: ROOT, kind: "undo", about: "" };
    announce({ asks: [undo] });
    expect(shown()).toEqual([]);
    announce({ asks: [undo, question], presence: { kind: "quiet", since: T0 } }, true);
    expect(shown()).toEqual([]);
    announce({ asks: [undo, question] }, true);
    announce({ asks: [undo, question] }, true);
    expect(shown()).toEqual([expect.stringContaining("A report about tasks waits for you: messages are undone: ")]);
  });

  test("is not shown where there is no goal, or one that would not go on anyway", () => {
    announce({ asks: [question] });
    pursuit.event(SET);
    announce({ asks: [question], presence: { kind: "quiet", since: T0 } });
    announce({ asks: [question], presence: { kind: "asleep", since: T0 } });
    announce({ asks: [question], voice: { agent: "plan", model: { providerID: "p", modelID: "m" } } });
    expect(shown()).toEqual([]);
    pursuit.event({ type: "pause", by: "user", reason: "r" });
    performed = [];
    announce({ asks: [question] });
    expect(shown()).toEqual([]);
    pursuit.event({ type: "resume", liveTaskIDs: [] });
    announce({ asks: [question] });
    expect(shown()).toEqual([IN_CHILD]);
  });
});

describe("the log of decisions", () => {
  const busy = (askAt: number) => decide(aRoot({ activity: { kind: "busy", askAt } }));

  test("holds each decision once, with its time, and a deadline that moves is no other one", () => {
    pursuit.event(SET);
    pursuit.decided(busy(T0 + 30_000));
    now += 1_000;
    pursuit.decided(busy(T0 + 31_000));
    pursuit.decided(decide());
    expect(pursuit.decisions).toMatchObject([
      { at: T0, decision: { kind: "wait" } },
      { at: T0 + 1_000, decision: { kind: "continue" } },
    ]);
    expect(observed.filter(({ type }) => type === "decision")).toHaveLength(2);
  });

  test("is bounded, and the newest stay", () => {
    pursuit.event(SET);
    for (let turn = 0; turn < 100; turn++) {
      now += 1_000;
      pursuit.decided(turn % 2 === 0 ? busy(now + 30_000) : decide());
    }
    expect(pursuit.decisions).toHaveLength(30);
    expect(pursuit.decisions.at(-1)?.at).toBe(now);
  });

  test("another goal begins another one", () => {
    pursuit.event(SET);
    pursuit.decided(decide());
    pursuit.event({ ...SET, id: "msg_3" });
    expect(pursuit.decisions).toEqual([]);
    // Its first decision is its own, also when it is the same as the last one of the goal before.
    pursuit.decided(decide());
    expect(pursuit.decisions).toMatchObject([{ decision: { kind: "continue" } }]);
  });
});
