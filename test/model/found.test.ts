/** Stories that chance has found, cut down to what matters: each of them breached an invariant once. */
import { describe, expect, test } from "bun:test";
import type { ConcurrencyLimit } from "../../src/tasks/slots.ts";
import type { Action } from "./actions.ts";
import { judgeEnd, judgeLaunched, judgeRun, judgeWaits } from "./judge.ts";
import { live, type Variant } from "./story.ts";
import type { World } from "./world.ts";

const FINISH: Action = { do: "finish", pick: 0 };
const LAUNCH: Action = { do: "launch", pick: 0, model: 0 };

function pass(ms: number): Action {
  return { do: "advance", ms };
}

function kill(awake: boolean): Action {
  return { do: "kill", awake };
}

/** On a truthful host. */
async function told(actions: readonly Action[]): Promise<World> {
  const world = await live({ variant: { concurrency: 2, cancelOnInterrupt: false }, actions }, true);
  await judgeWaits(world);
  await judgeEnd(world);
  return world;
}

/** The same on a host that may lie; whether something is told twice by that is not judged as I3. */
async function lied(actions: readonly Action[], concurrency: ConcurrencyLimit = 2): Promise<readonly string[]> {
  const world = await live({ variant: { concurrency, cancelOnInterrupt: false }, actions }, false);
  await judgeWaits(world);
  await judgeEnd(world);
  return world.book.breaches.filter((breach) => !breach.startsWith("I3"));
}

const HELD: Variant = {
  concurrency: 2,
  cancelOnInterrupt: false,
  hasGoal: false,
  run: { waits: true, ceilingMs: 60_000 },
};

/** In `opencode run`. */
async function ran(actions: readonly Action[], variant: Partial<Variant> = {}): Promise<World> {
  const world = await live({ variant: { ...HELD, ...variant }, actions }, true);
  await judgeRun(world);
  return world;
}

function reasonsOf(world: World): readonly string[] {
  const holds = world.life.observations.flatMap((seen) => (seen.type === "hold" ? [seen.hold] : []));
  return holds.map((hold) => (hold.kind === "hold" ? "hold" : hold.why));
}

const NATIVE: Action = { do: "task", background: true, pick: 0 };
const ROOT_ENDS: Action = { do: "root-finish" };

describe("the turn of an `opencode run`", () => {
  test("R5 does not wait at its ceiling for itself: what has ended since can only be told when the agent has read", async () => {
    const world = await ran([LAUNCH, pass(20), { ...LAUNCH, pick: 3 }, { ...LAUNCH, pick: 3 }, { do: "run-silent" }]);
    expect(world.book.breaches).toEqual([]);
    expect(world.process).toBe("over");
  });

  test("R5 does not wait at its ceiling for itself: a report that was stored in the hold is read first", async () => {
    const world = await ran([LAUNCH, pass(11_000), NATIVE, FINISH, pass(1), pass(125_000)]);
    expect(world.book.breaches).toEqual([]);
    expect(world.process).toBe("over");
    expect(reasonsOf(world)).toContain("ceiling");
  });

  test("R1 is kept open for a task also when another one asks something, and its last step has no text", async () => {
    const asked: Action[] = [LAUNCH, NATIVE, pass(250), { do: "ask", pick: 0 }, { do: "run-silent" }, pass(50)];
    const world = await live({ variant: HELD, actions: asked }, true);
    expect(world.process).toBe("runs");
    await judgeRun(world);
    expect(world.book.breaches).toEqual([]);
  });

  test("G9 has achieved something, although a report is read before it ends", async () => {
    const idle: Action[] = [ROOT_ENDS, pass(250), ROOT_ENDS, pass(250)];
    const actions: Action[] = [...idle, LAUNCH, pass(50), ROOT_ENDS, { do: "cancel", pick: 0 }, pass(1_000)];
    const world = await ran(actions, { hasGoal: true, noProgressTurns: 2 });
    expect(world.book.breaches).toEqual([]);
  });

  test("R1 is held at its end, whatever was launched in a step before the last one", async () => {
    const steps: Action = { do: "steps", count: 2, pick: undefined };
    const world = await ran([steps, LAUNCH, pass(250), ROOT_ENDS, pass(500), FINISH]);
    expect(world.book.breaches).toEqual([]);
    expect(reasonsOf(world)).toContain("hold");
  });

  test("G9 does not go on beside a task of its own step: what the agent achieves by it is achieved in that turn", async () => {
    const foreground: Action = { do: "task", background: false, pick: 0 };
    const world = await ran([ROOT_ENDS, foreground], { hasGoal: true, noProgressTurns: 2 });
    expect(world.book.breaches).toEqual([]);
  });
});

describe("whose child a session is", () => {
  test("I1 a grandchild holds the goal, also when nothing was heard of its parent for more than a minute", async () => {
    const adopted: Action[] = [kill(false), { do: "adopt", pick: 0 }, pass(50), FINISH, pass(70_000)];
    const world = await told([...adopted, { do: "adopt", pick: 3 }, { do: "set" }]);
    expect(world.book.breaches).toEqual([]);
  });

  test("a grandchild is a task, also below a child of which a restart has left nothing", async () => {
    const adopted: Action[] = [{ do: "adopt", pick: 0 }, pass(50), FINISH, pass(125_000), kill(true)];
    const actions: Action[] = [...adopted, { do: "adopt", pick: 3 }, pass(50)];
    const world = await live({ variant: { concurrency: 2, cancelOnInterrupt: false }, actions }, true);
    const [root = ""] = world.host.rootIDs();
    expect(world.keeper.tasks(root)).toMatchObject([{ rootID: root, origin: "adopted", status: "running" }]);
    const [grandchild] = world.keeper.tasks(root);
    expect(world.host.ancestors(grandchild?.id ?? "")).toHaveLength(2);
  });
});

describe("what is typed by hand into a task that has ended", () => {
  const TYPE: Action = { do: "type", pick: 0 };

  /** Whatever form the id of the message has: that depends on the moment. */
  test.each([0, 1, 2, 3, 4, 5])(
    "I1 begins a run that holds the goal, also after a restart (%p ms later)",
    async (ms) => {
      const actions: Action[] = [LAUNCH, pass(301_000 + ms), kill(false), TYPE, { do: "go-on" }, pass(250)];
      const world = await live({ variant: { concurrency: 2, cancelOnInterrupt: false }, actions }, true);
      const [root = ""] = world.host.rootIDs();
      expect(world.keeper.tasks(root)).toMatchObject([{ status: "running", run: { number: 2 } }]);
      expect(world.book.breaches).toEqual([]);
    },
  );

  test.each([0, 1, 2, 3, 4, 5])("I1 does so, too, where its own prompt was never sent (%p ms later)", async (ms) => {
    const slots = { concurrency: 1, cancelOnInterrupt: false };
    const cancelled: Action[] = [LAUNCH, pass(50), LAUNCH, pass(50), { do: "cancel", pick: 0 }, pass(3_000 + ms)];
    const world = await live({ variant: slots, actions: [...cancelled, { do: "type", pick: 1 }, pass(50)] }, true);
    const [root = ""] = world.host.rootIDs();
    const [, typedInto] = world.keeper.tasks(root);
    expect(typedInto).toMatchObject({ status: "running", run: { number: 2 } });
    expect(world.book.breaches).toEqual([]);
  });
});

describe("a prompt that comes behind a turn of its user's", () => {
  const queued: Action[] = [LAUNCH, pass(50), LAUNCH, pass(50), { do: "type", pick: 1 }, pass(50)];
  const behind: Action[] = [...queued, FINISH, pass(31_000), pass(11_000), pass(6_000)];

  test("L4 is not given up while that turn works, for the host answers it after that", async () => {
    const world = await live({ variant: { concurrency: 1, cancelOnInterrupt: false }, actions: behind }, true);
    const [root = ""] = world.host.rootIDs();
    const [first, second] = world.keeper.tasks(root);
    expect([first?.status, second?.status]).toEqual(["completed", "queued"]);
    world.host.finishTurn(second?.id ?? "", "typed enough");
    await world.clock.advance(50);
    world.host.finishTurn(second?.id ?? "", "the result");
    await world.clock.advance(1_000);
    expect(world.keeper.manager.get(second?.id ?? "")).toMatchObject({
      status: "completed",
      run: { attempt: 1 },
      outcome: { text: "the result" },
    });
    await judgeLaunched(world);
    await judgeEnd(world);
    expect(world.book.breaches).toEqual([]);
  });
});

describe("what the judges once took for a breach", () => {
  test("I1 the ceiling of a run that its user begins counts from his message, not from the turn that follows", async () => {
    const foreground: Action = { do: "task", background: false, pick: 0 };
    const ended: Action[] = [foreground, pass(250), FINISH, pass(250), kill(false)];
    const world = await told([...ended, { do: "type", pick: 0 }, pass(3), LAUNCH, foreground]);
    expect(world.book.breaches).toEqual([]);
  });

  test("I1 the part of a call that is published once more begins no run of a task that was cancelled", async () => {
    const promoted: Action[] = [{ do: "task", background: false, pick: 0 }, { do: "promote", pick: 0 }, pass(3)];
    const world = await told([...promoted, { do: "cancel-all", pick: 0 }, pass(1)]);
    expect(world.book.breaches).toEqual([]);
  });

  test("L2 a message that a host has, and does not show, is told again", async () => {
    const launched: Action[] = [LAUNCH, { do: "fault", call: "transcript", fault: "empty" }, pass(11_000), kill(true)];
    expect(await lied([...launched, { do: "delete", pick: 0 }, pass(100), kill(false)])).toEqual([]);
  });

  test("L2 a message that a hook holds back, and whose answer got lost, is told again", async () => {
    const held: Action[] = [LAUNCH, { do: "hook", ms: 3_000 }, pass(50), { do: "fate", fate: "answer-lost" }];
    const gone: Action[] = [{ do: "root-finish" }, { do: "delete", pick: 0 }, { do: "root-fail" }, { do: "say" }];
    expect(await lied([...held, ...gone, pass(250)])).toEqual([]);
  });

  test("I1 what /goal resume has let go of stays so, when the goal that replaced it was not written down in time", async () => {
    const letGo: Action[] = [
      LAUNCH,
      LAUNCH,
      LAUNCH,
      pass(11_000),
      { do: "go-on" },
      pass(50),
      { do: "set" },
      kill(false),
    ];
    const world = await told([...letGo, { do: "say" }, pass(11_000)]);
    expect(world.book.breaches).toEqual([]);
  });

  test("L1 a child that is still being made is resumed by nobody: its id is not known yet", async () => {
    const resumed: Action[] = [
      LAUNCH,
      pass(61_000),
      { do: "again", pick: 0, model: 1 },
      { ...LAUNCH, model: 1 },
      pass(8),
    ];
    expect(
      await lied([...resumed, { do: "resume", pick: 0 }], { "simulated/model": 1, acme: 2, "acme/small": 1 }),
    ).toEqual([]);
  });

  test("L4 the user's interrupt means a task too whose parent was deleted while it was being made", async () => {
    const made: Action[] = [{ do: "task", background: false, pick: 0 }, { ...LAUNCH, pick: 3 }, pass(10)];
    const actions: Action[] = [...made, { do: "delete", pick: 0 }, pass(10), { do: "root-abort" }, pass(500)];
    const world = await live({ variant: { concurrency: 2, cancelOnInterrupt: true }, actions }, false);
    expect(world.book.breaches).toEqual([]);
  });

  test("I1 a continuation that was reserved before a task was known does not begin its ceiling anew", async () => {
    const reserved: Action[] = [{ do: "root-finish" }, { do: "adopt", pick: 0 }, pass(5), { do: "go-on" }];
    const later: Action[] = [{ do: "task", background: false, pick: 0 }, LAUNCH, { do: "adopt", pick: 0 }];
    expect((await told([...reserved, ...later])).book.breaches).toEqual([]);
  });

  test("L2 what a tool result tells may stand in a message, too, of which nobody knows whether the host has it", async () => {
    const lost: Action[] = [LAUNCH, pass(20), { do: "fate", fate: "answer-lost" }, FINISH, { do: "root-finish" }];
    const actions: Action[] = [...lost, pass(10), { do: "say" }, pass(5), { do: "again", pick: 0, model: 0 }];
    expect((await told(actions)).book.breaches).toEqual([]);
  });

  test("L4 a launch that was under way when its task was cancelled is stopped, also when that was resumed since", async () => {
    const cancelled: Action[] = [LAUNCH, pass(10), { do: "cancel", pick: 0 }, { ...LAUNCH, pick: 7 }];
    expect(await lied([...cancelled, { do: "again", pick: 0, model: 0 }, pass(250)])).toEqual([]);
  });

  test("L4 a turn whose failure is not heard while the provider is asked again looks like the user's interrupt", async () => {
    const failed: Action[] = [{ do: "root-retry" }, { do: "disturb", type: "session-error", how: "drop" }];
    const actions: Action[] = [...failed, { do: "root-fail" }, LAUNCH, pass(500)];
    const world = await live({ variant: { concurrency: 2, cancelOnInterrupt: true }, actions }, false);
    expect(world.book.breaches).toEqual([]);
  });
});

describe("the user's undo", () => {
  test("I2 is waited for also when its mark comes in the turn of the message that it undoes, until it is taken back", async () => {
    const undone: Action[] = [pass(1_000), kill(false), { do: "say" }, { do: "undo" }, pass(50)];
    const world = await live({ variant: { concurrency: 2, cancelOnInterrupt: false }, actions: undone }, true);
    const [root = ""] = world.host.rootIDs();
    expect([world.host.isUndone(root), world.host.hasTurn(root)]).toEqual([true, true]);
    world.host.finishTurn(root);
    await world.clock.advance(11_000);
    expect(world.host.prompts).toEqual([]);
    expect(world.keeper.decision(root)).toMatchObject({ kind: "wait", reasons: [{ why: "undone" }] });
    world.host.userRedoes(root);
    await world.clock.advance(1_000);
    expect(world.host.prompts).toHaveLength(1);
    expect(await told(undone)).toMatchObject({ book: { breaches: [] } });
  });
});

describe("what the judges once took for a breach, of messages that are undone for good", () => {
  test("I1 one of the user's is answered by nobody, and a goal that is resumed goes on", async () => {
    const failed: Action[] = [{ do: "say" }, { do: "mishap", what: "server error", pick: undefined }];
    const undone: Action[] = [{ do: "undo" }, { do: "compact" }, pass(125_000)];
    const resumed: Action[] = [{ do: "fault", call: "statuses", fault: "right" }, ROOT_ENDS, pass(1)];
    const usual: Variant = { concurrency: 2, cancelOnInterrupt: false, autoContinue: true, noProgressTurns: 0 };
    const actions: Action[] = [...failed, ...undone, ...resumed, { do: "goal", say: "resume" }];
    const world = await live({ variant: usual, actions }, true);
    await judgeWaits(world);
    await judgeEnd(world);
    expect(world.book.breaches).toEqual([]);
  });

  test("I7 one of ours that has started no turn starts none any more", async () => {
    const sent: Action[] = [{ do: "fate", fate: "no-turn" }, { do: "reload", awake: true }, pass(250)];
    expect(await lied([...sent, { do: "undo" }, pass(2), FINISH, { do: "say" }, pass(50)])).toEqual([]);
  });
});

describe("what the judges once took for a breach, of goals", () => {
  const usual: Variant = { concurrency: 2, cancelOnInterrupt: false };

  test("G7 a goal whose tools another plugin answers is not paused by the usage limit before that", async () => {
    const limited: Action[] = [
      { do: "mishap", what: "usage limit", pick: undefined },
      { do: "agent", name: "build" },
    ];
    const actions: Action[] = [...limited, pass(100), { do: "other-answers", tool: "update_goal" }];
    const world = await live({ variant: usual, actions }, true);
    expect(world.keeper.goal(world.host.rootIDs()[0] ?? "")).toMatchObject({ status: "paused", by: "error" });
    expect(world.book.breaches).toEqual([]);
  });

  test("L4 what was launched for a goal is cancelled a quarter beyond its budget, and nobody has to want that", async () => {
    const set: Action[] = [{ do: "goal", say: "make it fast --minutes 0.5" }, LAUNCH, pass(50), ROOT_ENDS, pass(50)];
    const actions: Action[] = [...set, ROOT_ENDS, pass(40_000)];
    const world = await live({ variant: usual, actions }, true);
    const [root = ""] = world.host.rootIDs();
    const reason = "the budget of the goal is used up: 30s";
    expect(world.keeper.tasks(root)).toMatchObject([{ status: "cancelled", outcome: { reason } }]);
    expect(world.book.breaches).toEqual([]);
  });
});

describe("a goal, and the turn that pursues it", () => {
  const usual: Variant = { concurrency: 2, cancelOnInterrupt: false };
  const say = (text: string): Action => ({ do: "goal", say: text });
  const goalOf = (world: World) => world.keeper.goal(world.host.rootIDs()[0] ?? "");

  test("a goal that is cleared while it is written down for the first time does not come back", async () => {
    const world = await live({ variant: usual, actions: [say("clear"), pass(11_000), kill(false)] }, true);
    expect(goalOf(world)).toBeUndefined();
  });

  test("G9 the turn of a wrap-up is no continuation of the goal that is resumed meanwhile", async () => {
    const limited: Action[] = [say("make it work --turns 1"), ROOT_ENDS, pass(50), ROOT_ENDS, pass(50), ROOT_ENDS];
    const resumed: Action[] = [pass(50), say("resume"), pass(50), ROOT_ENDS, pass(50)];
    const variant = { ...usual, noProgressTurns: 2 };
    const world = await live({ variant, actions: [...limited, ...resumed] }, true);
    expect(goalOf(world)).toMatchObject({ status: "active", turns: 1, idleTurns: 0 });
  });

  test("G9 has achieved something by a call that returns behind a report which was stored while it worked", async () => {
    const letGo: Action[] = [NATIVE, pass(50), ROOT_ENDS, pass(50), { do: "go-on" }, pass(50)];
    const calls: Action[] = [{ do: "task", background: false, pick: 0 }, pass(50), FINISH, pass(50), FINISH, pass(50)];
    const variant = { ...usual, noProgressTurns: 1 };
    const read: Action[] = [ROOT_ENDS, pass(5), ROOT_ENDS, pass(5)];
    const world = await live({ variant, actions: [...letGo, ...calls, ...read] }, true);
    expect(world.book.breaches).toEqual([]);
    expect(goalOf(world)).toMatchObject({ status: "active", turns: 1, idleTurns: 0 });
  });

  test("G8 a continuation of the goal before is not counted for one that is set right after a restart", async () => {
    const actions: Action[] = [ROOT_ENDS, pass(50), kill(false), say("something else"), pass(250)];
    const world = await live({ variant: usual, actions }, true);
    expect(goalOf(world)).toMatchObject({ objective: "something else", turns: 0 });
  });

  test("G8 a continuation that is left to the host, which answers it after the user's turn, is counted", async () => {
    const failed: Action = { do: "mishap", what: "server error for a while", pick: undefined };
    const lost: Action[] = [{ do: "fate", fate: "answer-lost" }, failed, pass(11_000), say("resume"), { do: "say" }];
    const actions: Action[] = [...lost, pass(3_000), ROOT_ENDS, pass(50)];
    const world = await live({ variant: usual, actions }, true);
    expect(world.host.prompts).toHaveLength(1);
    expect(goalOf(world)).toMatchObject({ turns: 1 });
  });

  test("I7 a continuation that a hook holds back is not read by the answer to what the user has said meanwhile", async () => {
    const held: Action[] = [{ do: "hook", ms: 3_000 }, ROOT_ENDS, pass(20), { do: "say" }];
    const world = await told(held);
    expect(world.book.breaches).toEqual([]);
  });

  test("R5 a task of which nothing is ever stored does not hold the turn for ever", async () => {
    const deleted: Action[] = [{ do: "task", background: false, pick: 0 }, pass(50), { do: "delete", pick: 0 }];
    const world = await ran([...deleted, ROOT_ENDS]);
    expect(world.process).toBe("over");
  });

  test("R4 a goal goes on also when OpenCode's report is stored just before the continuation", async () => {
    const actions: Action[] = [NATIVE, pass(125_000), ROOT_ENDS, FINISH, pass(11_000), ROOT_ENDS, pass(100)];
    const world = await live({ variant: { ...HELD, hasGoal: true }, actions }, true);
    expect(world.process).toBe("runs");
  });
});
