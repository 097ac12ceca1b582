import { describe, expect, test } from "bun:test";
import { frame, readFrame } from "../../src/delivery/frame.ts";
import { isLive } from "../../src/tasks/task.ts";
import { CONFIG } from "../support/keeper-config.ts";
import { World, type WorldOptions } from "./world.ts";

/** A root whose agent is in the middle of the user's turn, with a goal. */
async function working(options: WorldOptions = {}) {
  const world = new World(options);
  const root = world.host.createRoot();
  world.host.userSays(root, "hello");
  await world.clock.advance(20);
  world.setGoal(root);
  await world.clock.advance(50);
  return { world, root, ...world };
}

async function background(world: World, root: string): Promise<string> {
  const task = world.host.startTask(root, { background: true });
  await world.clock.advance(100);
  return task;
}

function kinds(world: World): readonly (string | undefined)[] {
  return world.host.prompts.map((prompt) => readFrame(prompt.text)?.kind);
}

function statusOf(world: World, task: string) {
  return world.keeper.manager.get(task)?.status;
}

function why(world: World, root: string): readonly string[] {
  const decision = world.keeper.decision(root);
  return decision?.kind === "wait" ? decision.reasons.map((reason) => reason.why) : [decision?.kind ?? "none"];
}

describe("U1 the user's undo", () => {
  /** A goal that waits for a task, beside which the user has said something, and has undone that. */
  async function undone(isHeard = true) {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(100);
    world.host.userSays(root, "look again");
    await world.clock.advance(50);
    world.host.finishTurn(root);
    await world.clock.advance(100);
    const before = world.host.messages(root).length;
    // Also none of those that our own writes cause.
    for (let event = 0; !isHeard && event < 20; event++) world.disturb("session-seen", "drop");
    world.host.userUndoes(root);
    // OpenCode reports no task that was aborted.
    world.host.userAborts(task);
    await world.clock.advance(10_000);
    return { world, root, task, before };
  }

  test("is waited for by goal and outcome, and taken back it has cost nothing", async () => {
    const { world, root, task, before } = await undone();
    expect([kinds(world), why(world, root), world.host.messages(root).length]).toEqual([[], ["undone"], before]);
    world.host.userRedoes(root);
    await world.clock.advance(1_000);
    expect(kinds(world)).toEqual(["continuation"]);
    expect(world.host.prompts[0]?.text).toContain(`(${task}): cancelled`);
    expect(world.keeper.goal(root)).toMatchObject({ status: "active", failures: 0 });
  });

  test("is made final by the user alone: his message takes the outcome along, and nothing of ours overtakes it", async () => {
    const { world, root, task, before } = await undone();
    world.host.userSays(root, "look elsewhere");
    await world.clock.advance(100);
    expect([kinds(world), world.host.messages(root).length]).toEqual([[], before]);
    const [said, notice] = [...(world.host.messages(root).at(-2)?.parts.values() ?? [])].map(({ text }) => text);
    expect([said, notice?.includes(`(${task}): cancelled`)]).toEqual(["look elsewhere", true]);
    world.host.finishTurn(root);
    await world.clock.advance(1_000);
    expect(kinds(world)).toEqual(["continuation"]);
  });

  test("of which nothing was heard is met at the port, which costs the goal no failure", async () => {
    const { world, root, before } = await undone(false);
    expect([kinds(world), why(world, root), world.host.messages(root).length]).toEqual([[], ["undone"], before]);
    expect(world.keeper.goal(root)).toMatchObject({ status: "active", failures: 0 });
    world.calm();
    world.host.userRedoes(root);
    await world.clock.advance(5_000);
    expect(kinds(world)).toEqual(["continuation"]);
  });

  test("outlives a restart, also where the goal goes on by itself", async () => {
    const { world, root, before } = await undone();
    await world.killAndRestart(true);
    await world.clock.advance(10_000);
    expect([kinds(world), why(world, root), world.host.messages(root).length]).toEqual([[], ["undone"], before]);
    world.host.userRedoes(root);
    await world.clock.advance(1_000);
    expect(kinds(world)).toEqual(["continuation"]);
  });
});

describe("goal and gate", () => {
  test("G1 while a task is live no continuation goes out", async () => {
    const { world, root } = await working();
    await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(120_000);
    expect(kinds(world)).toEqual([]);
    expect(why(world, root)).toEqual(["task-live"]);
  });

  test("G2 when the last task has ended and was answered the goal goes on, without any event of the parent", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(60_000);
    world.host.finishTurn(task, "result");
    await world.clock.advance(500);
    expect(kinds(world)).toEqual([]); // the host has told it and the root answers
    world.host.finishTurn(root, "thanks");
    await world.clock.advance(500);
    expect(kinds(world)).toEqual(["continuation"]);
    expect(world.keeper.manager.get(task)).toMatchObject({ status: "completed", delivery: { state: "reconciled" } });
  });

  test.each([{}, { namesEarly: false }, { promptsAfterMs: 1_200 }, { promptsAfterMs: 1_200, namesEarly: false }])(
    "U15 a child that works on when the call of another plugin's task tool has returned is waited for, and not told by us: %o",
    async (how) => {
      const { world, root } = await working();
      const child = world.host.callForeignTask(root, how);
      await world.clock.advance(100);
      world.host.finishTurn(root);
      await world.clock.advance(60_000);
      expect(kinds(world)).toEqual("promptsAfterMs" in how && "namesEarly" in how ? ["continuation"] : []);
      expect(why(world, root)).toContain("task-live");
      expect(world.keeper.manager.get(child)).toMatchObject({ status: "running", origin: "adopted" });
      world.host.finishTurn(child, "found it");
      await world.clock.advance(3_000);
      expect(kinds(world).at(-1)).toBe("continuation");
      expect(world.host.prompts.every(({ text }) => !text.includes("found it"))).toBe(true);
    },
  );

  test.each(["foreground", "background", "adopted", "launched"] as const)(
    "a child that is %s, and whose provider has refused it, has failed with that, however late that is stored",
    async (origin) => {
      const { world, root } = await working();
      world.host.hostTellsAfterMs = "never";
      world.host.storesFailureAfterMs = 9_000;
      let child = "";
      if (origin === "launched") {
        world.tools.launch(root, undefined);
        await world.clock.advance(100);
        child = world.keeper.tasks(root)[0]?.id ?? "";
      } else if (origin === "adopted") {
        child = world.host.addChild(root);
        world.host.userSays(child, "do this");
      } else child = world.host.startTask(root, { background: origin === "background" });
      await world.clock.advance(100);
      if (origin !== "foreground") world.host.finishTurn(root);
      const error = { name: "APIError", message: "bad key", statusCode: 401 };
      world.host.failTurn(child, error);
      await world.clock.advance(8_500);
      expect(world.keeper.manager.get(child)).toMatchObject({ status: "failed" });
      expect(JSON.stringify(world.keeper.manager.get(child))).toContain("bad key");
    },
  );

  test("G2 a task that was cancelled by another client is told by us, in the continuation", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(1_000);
    world.host.userAborts(task);
    await world.clock.advance(3_000);
    expect(statusOf(world, task)).toBe("cancelled");
    expect(kinds(world)).toEqual(["continuation"]);
    expect(world.host.prompts[0]?.text).toContain(`(${task}): cancelled`);
  });

  test("G3 paired and error-path idles send one continuation", async () => {
    const { world, root } = await working();
    world.host.finishTurn(root);
    world.disturb("session-idle", "duplicate");
    await world.clock.advance(50);
    expect(kinds(world)).toEqual(["continuation"]);
    world.host.failTurn(root);
    await world.clock.advance(900);
    expect(kinds(world)).toEqual(["continuation"]); // backed off for a second, from when it has settled
    await world.clock.advance(700);
    expect(kinds(world)).toEqual(["continuation", "continuation"]);
  });

  test("G4 the user's message comes first, and after its turn the goal continues", async () => {
    const { world, root } = await working();
    await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(1_000);
    world.host.userSays(root, "how is it going?");
    await world.clock.advance(100);
    world.host.userAborts(world.keeper.tasks(root)[0]?.id ?? "");
    await world.clock.advance(4_000);
    expect(kinds(world)).toEqual([]);
    world.host.finishTurn(root, "fine");
    await world.clock.advance(100);
    expect(kinds(world)).toEqual(["continuation"]);
  });

  test("G5 Esc pauses the goal, says so, nothing prompts the root, and /goal resume goes on", async () => {
    const { world, root } = await working();
    world.host.userAborts(root);
    await world.clock.advance(60_000);
    expect(world.keeper.goal(root)).toMatchObject({ status: "paused", by: "user" });
    expect(world.host.toasts.some((toast) => toast.message.includes("paused by you"))).toBe(true);
    expect(kinds(world)).toEqual([]);
    world.resume(root);
    await world.clock.advance(100);
    expect(kinds(world)).toEqual(["continuation"]);
  });

  test("G5 Esc on an idle root, seen by its aborted children alone, pauses the goal too", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(1_000);
    world.host.userAborts(root);
    await world.clock.advance(60_000);
    expect(world.keeper.goal(root)).toMatchObject({ status: "paused", by: "user" });
    expect(statusOf(world, task)).toBe("cancelled");
    expect(kinds(world)).toEqual([]);
  });

  test("G5 a launched task that is aborted by itself, beside the paired idles of its parent, is no Esc of the parent", async () => {
    const { world, root } = await working();
    for (let count = 0; count < 2; count++) world.tools.launch(root, undefined);
    await world.clock.advance(1_000);
    const [first = "", second = ""] = world.host.below(root);
    world.host.userAborts(first);
    world.host.finishTurn(root);
    world.disturb("session-idle", "duplicate");
    await world.clock.advance(1_000);
    expect(world.keeper.goal(root)).toMatchObject({ status: "active" });
    expect(statusOf(world, second)).toBe("running");
  });

  test("G5 Esc while the provider is retried pauses the goal", async () => {
    const { world, root } = await working();
    world.host.retryTurn(root, 30_000);
    await world.clock.advance(1_000);
    world.host.userAborts(root);
    await world.clock.advance(60_000);
    expect(world.keeper.goal(root)).toMatchObject({ status: "paused", by: "user" });
    expect(kinds(world)).toEqual([]);
  });

  test("L2 an outcome whose tool result is dropped with the aborted turn is told with what the user says next", async () => {
    const { world, root } = await working({ config: { ...CONFIG, cancelOnInterrupt: false } });
    world.tools.launch(root, undefined);
    await world.clock.advance(1_000);
    const [task = ""] = world.host.below(root);
    world.host.beginTool(task);
    world.tools.cancel(task, root);
    world.host.userAborts(root);
    await world.clock.advance(1_000);
    expect(world.keeper.manager.get(task)).toMatchObject({ status: "cancelled", delivery: { state: "pending" } });
    const message = world.host.userSays(root, "go on");
    expect(world.keeper.manager.get(task)).toMatchObject({ delivery: { state: "delivered", messageID: message } });
  });

  test("G5 a message right after Esc does not undo the pause", async () => {
    const { world, root } = await working();
    world.host.userAborts(root);
    await world.clock.advance(100);
    world.host.userSays(root, "wait, something else");
    await world.clock.advance(100);
    world.host.finishTurn(root);
    await world.clock.advance(60_000);
    expect(world.keeper.goal(root)).toMatchObject({ status: "paused", by: "user" });
    expect(kinds(world)).toEqual([]);
  });

  test("G6 a question that the user rejects in the root pauses the goal", async () => {
    const { world, root } = await working();
    const ask = world.host.openAsk(root);
    await world.clock.advance(1_000);
    expect(why(world, root)).toContain("ask-open");
    world.host.closeAsk(root, ask, true);
    await world.clock.advance(10_000);
    expect(world.keeper.goal(root)).toMatchObject({ status: "paused", by: "user" });
    expect(kinds(world)).toEqual([]);
  });

  test("G6 an ask in a task whose session vanishes with its idle unheard does not hold the goal", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    world.host.openAsk(task);
    await world.clock.advance(100);
    world.disturb("session-error", "drop");
    for (let i = 0; i < 3; i++) world.disturb("session-idle", "drop");
    world.host.userAborts(task);
    await world.clock.advance(600_000);
    expect(statusOf(world, task)).toBe("cancelled");
    expect(why(world, root)).not.toContain("ask-open");
    expect(kinds(world)).toContain("continuation");
  });
});

describe("missing tasks", () => {
  test("M1 a task that is listed and has no status any more: its transcript decides after the grace period", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(100);
    for (const type of ["session-idle", "assistant-message", "user-text"] as const) {
      for (let i = 0; i < 3; i++) world.disturb(type, "drop");
    }
    world.host.hostTellsAfterMs = "never";
    world.host.finishTurn(task, "the result");
    await world.clock.advance(120_000);
    expect(statusOf(world, task)).toBe("completed");
    expect(world.keeper.manager.get(task)).toMatchObject({ outcome: { text: "the result" } });
    expect(kinds(world)).toEqual(["continuation"]);
  });

  test("M2 a task that vanished without a word is lost after the grace period, and said to be", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(100);
    world.disturb("session-deleted", "drop");
    world.disturb("session-error", "drop");
    world.disturb("session-idle", "drop");
    world.disturb("session-idle", "drop");
    world.host.deleteSession(task);
    await world.clock.advance(65_000 + CONFIG.timing.graceMs);
    expect(statusOf(world, task)).toBe("lost");
    expect(kinds(world)).toEqual(["continuation"]);
    expect(world.host.prompts[0]?.text).toContain("LOST");
  });

  test("M3 a missing task that works again is running again, and nobody is told", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    world.host.faults.statuses = "empty";
    await world.clock.advance(61_000);
    expect(statusOf(world, task)).toBe("missing");
    delete world.host.faults.statuses;
    await world.clock.advance(10_000);
    expect(statusOf(world, task)).toBe("running");
    expect(kinds(world)).toEqual([]);
    expect(world.host.toasts).toEqual([]);
  });

  for (const fault of ["unknown", "empty"] as const) {
    test(`M4 one odd answer (${fault}) ends nothing`, async () => {
      const { world, root } = await working();
      const task = await background(world, root);
      world.host.finishTurn(root);
      await world.clock.advance(59_000);
      world.host.faults.statuses = fault;
      world.host.faults.children = fault;
      world.host.faults.transcript = fault;
      await world.clock.advance(2_000);
      world.calm();
      await world.clock.advance(60_000);
      expect(statusOf(world, task)).toBe("running");
      expect(kinds(world)).toEqual([]);
    });
  }

  test("M4 a host that answers nothing for an hour ends nothing before the ceiling", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    world.host.faults.statuses = "unknown";
    world.host.faults.children = "unknown";
    world.host.faults.transcript = "unknown";
    await world.clock.advance(600_000);
    expect(isLive(world.keeper.manager.get(task) ?? fail())).toBe(true);
  });

  test("M5 silence alone casts no doubt in the first minute of a run", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    world.host.faults.statuses = "empty";
    await world.clock.advance(59_000);
    expect(statusOf(world, task)).toBe("running");
  });

  test("M8 the ceiling buys one continuation that names the task, not one per idle, and then again", async () => {
    const { world, root } = await working({ rootTurnMs: 100 });
    const task = world.host.startTask(root, { background: true });
    await world.clock.advance(899_000);
    expect(kinds(world)).toEqual([]);
    await world.clock.advance(2_000);
    expect(kinds(world)).toEqual(["continuation"]);
    expect(world.host.prompts[0]?.text).toContain(`(${task}): still running`);
    await world.clock.advance(890_000);
    expect(kinds(world)).toEqual(["continuation"]);
    await world.clock.advance(20_000);
    expect(kinds(world)).toEqual(["continuation", "continuation"]);
  });

  test("M8 the ceiling counts from the goal's start when that is later", async () => {
    const world = new World({ rootTurnMs: 100 });
    const root = world.host.createRoot();
    world.host.userSays(root, "hello");
    await world.clock.advance(20);
    world.host.startTask(root, { background: true });
    await world.clock.advance(600_000);
    world.setGoal(root);
    await world.clock.advance(890_000);
    expect(kinds(world)).toEqual([]);
    await world.clock.advance(20_000);
    expect(kinds(world)).toEqual(["continuation"]);
  });

  test("M10 killed between two steps, a task is lost and not finished", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.userSays(task, "and then this");
    await world.clock.advance(10);
    world.host.finishTurn(task, "first step");
    await world.clock.advance(1);
    await world.killAndRestart(true);
    await world.clock.advance(10_000);
    expect(statusOf(world, task)).toBe("lost");
  });

  test("M10 killed right after a compaction, a task is lost and not finished", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.compactDuringTurn(task);
    await world.clock.advance(6);
    await world.killAndRestart(true);
    await world.clock.advance(10_000);
    expect(statusOf(world, task)).toBe("lost");
  });

  test("M10 killed right after a resume, the answer of the run before does not finish it", async () => {
    const { world, root } = await working();
    const task = world.host.startTask(root, { background: true });
    await world.clock.advance(100);
    world.host.finishTurn(task, "first");
    await world.clock.advance(100);
    world.host.resumeTask(task, { background: true });
    await world.clock.advance(9); // the tool call is known, the prompt is not stored yet
    expect(world.keeper.manager.get(task)).toMatchObject({ run: { number: 2 } });
    await world.clock.advance(2); // stored, and its text not published yet
    await world.killAndRestart(true);
    await world.clock.advance(20_000);
    expect(statusOf(world, task)).toBe("lost");
  });
});

describe("records", () => {
  test("T2 pruning never touches an ended task: only the query window does", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(1_000);
    world.host.finishTurn(task, "kept");
    await world.clock.advance(1_000);
    world.goal(root, { type: "pause", by: "user", reason: "test" });
    world.host.finishTurn(root);
    await world.clock.advance(CONFIG.timing.cleanupDelayMs - 10_000);
    expect(world.keeper.manager.get(task)).toMatchObject({ status: "completed", outcome: { text: "kept" } });
    await world.clock.advance(20_000);
    expect(world.keeper.manager.get(task)).toBeUndefined();
  });

  test("T3 the end of one task ends and removes no other", async () => {
    const { world, root } = await working();
    const first = await background(world, root);
    const second = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(100);
    world.host.deleteSession(first);
    await world.clock.advance(1_000);
    expect(statusOf(world, first)).toBe("cancelled");
    expect(statusOf(world, second)).toBe("running");
    expect(kinds(world)).toEqual(["task-outcome"]);
  });

  test("T9 two ends that race leave one outcome, told once", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    await world.clock.advance(100);
    world.host.finishTurn(task, "result");
    await world.clock.advance(4); // the idle is out, the host's message is not
    world.host.deleteSession(task);
    await world.clock.advance(200);
    expect(world.keeper.manager.get(task)).toMatchObject({ status: "cancelled", delivery: { state: "delivered" } });
    world.host.finishTurn(root);
    await world.clock.advance(200);
    expect(world.host.prompts.filter((prompt) => prompt.text.includes(task))).toEqual([]);
  });

  test("T15 a task that shows signs of life is never asked about", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.finishTurn(root);
    world.host.faults.statuses = "empty";
    for (let second = 0; second < 300; second += 10) {
      await world.clock.advance(10_000);
      world.keeper.manager.signs.mark(task, world.clock.now());
    }
    expect(statusOf(world, task)).toBe("running");
  });

  test("T17 nothing is left when everything has ended and the windows are over", async () => {
    const { world, root } = await working({ rootTurnMs: 100 });
    const task = await background(world, root);
    await world.clock.advance(1_000);
    world.host.finishTurn(task, "result");
    await world.clock.advance(1_000);
    world.goal(root, { type: "clear" });
    await world.clock.advance(1_000_000);
    expect(world.keeper.sizes).toMatchObject({ roots: 0, tasks: 0, signs: 0, armed: false });
    expect(world.clock.pending()).toBe(0);
  });

  test("T17 deleting a root with tasks leaves nothing behind", async () => {
    const { world, root } = await working();
    await background(world, root);
    await background(world, root);
    world.host.deleteSession(root);
    await world.clock.advance(2_000_000);
    expect(world.keeper.sizes).toMatchObject({ roots: 0, tasks: 0, signs: 0, armed: false });
    expect(world.clock.pending()).toBe(0);
  });
});

describe("delivery", () => {
  test("D8 never two prompts of ours to one session in flight", async () => {
    const { world, root } = await working();
    const tasks = [await background(world, root), await background(world, root), await background(world, root)];
    world.host.finishTurn(root);
    world.rootTurnMs = 100;
    world.host.faults.prompt = { lateMs: 8_000 };
    await world.clock.advance(100);
    for (const task of tasks) {
      world.host.userAborts(task);
      await world.clock.advance(3_000);
    }
    await world.clock.advance(60_000);
    expect(world.book.breaches.filter((breach) => breach.startsWith("I7"))).toEqual([]);
    const texts = world.host.messages(root).flatMap((message) => [...message.parts.values()].map((part) => part.text));
    for (const task of tasks) expect(texts.filter((text) => text.includes(task))).toHaveLength(1);
  });

  test("D4 a lost wake-up is repaired under the same id", async () => {
    const { world, root } = await working();
    world.host.fates.push("no-turn");
    world.host.finishTurn(root);
    await world.clock.advance(12_000);
    expect(kinds(world)).toEqual(["continuation", "continuation"]);
    expect(new Set(world.host.prompts.map((prompt) => prompt.messageID)).size).toBe(1);
    expect(world.host.messages(root).at(-1)?.role).toBe("assistant");
  });

  test("D4 a message that was refused is not sent after the user has interrupted", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.fates.push("refused", "refused", "refused");
    world.host.userAborts(task);
    await world.clock.advance(2_100);
    world.host.finishTurn(root);
    await world.clock.advance(100);
    expect(world.host.prompts).toHaveLength(1);
    world.goal(root, { type: "pause", by: "user", reason: "test" });
    await world.clock.advance(1_000);
    expect(kinds(world).filter((kind) => kind === "continuation")).toHaveLength(1);
  });

  test("D4 the goal pauses when the host refuses every prompt", async () => {
    const { world, root } = await working();
    world.host.fates.push(...Array<"refused">(40).fill("refused"));
    world.host.finishTurn(root);
    await world.clock.advance(600_000);
    expect(world.keeper.goal(root)).toMatchObject({ status: "paused", by: "error" });
    expect(world.host.prompts.length).toBeLessThanOrEqual(12);
  });
});

describe("storage", () => {
  test("a storage that stays broken pauses the goal after three failures, and nothing is sent that was not reserved before", async () => {
    const { world, root } = await working();
    world.host.faults.writeMetadata = "unknown";
    world.host.finishTurn(root);
    await world.clock.advance(600_000);
    // The id of one plain continuation is always stored ahead.
    expect(kinds(world).length).toBeLessThanOrEqual(1);
    expect(world.keeper.goal(root)).toMatchObject({ status: "paused" });
  });

  test("a storage that recovers lets the goal go on", async () => {
    const { world, root } = await working();
    world.host.faults.writeMetadata = "unknown";
    world.host.finishTurn(root);
    await world.clock.advance(1_000);
    world.calm();
    await world.clock.advance(60_000);
    expect(kinds(world)).toEqual(["continuation"]);
  });

  test("a goal that is cleared before it could be stored leaves no timer that spins", async () => {
    const world = new World();
    const root = world.host.createRoot();
    world.host.faults.writeMetadata = "unknown";
    world.setGoal(root);
    await world.clock.advance(100);
    world.goal(root, { type: "clear" });
    await world.clock.advance(100_000);
    expect(world.keeper.sizes).toMatchObject({ roots: 0, armed: false });
  });
});

describe("restart", () => {
  test("asleep: the goal waits for the user, then goes on, and tells what was lost", async () => {
    const { world, root } = await working({ rootTurnMs: 100 });
    const task = await background(world, root);
    await world.clock.advance(1_000);
    await world.killAndRestart(false);
    await world.clock.advance(100_000);
    expect(why(world, root)).toEqual(["asleep"]);
    expect(statusOf(world, task)).toBe("lost");
    expect(kinds(world)).toEqual([]);
    world.host.userSays(root, "go on");
    await world.clock.advance(10);
    const said = world.host.messages(root).findLast((message) => message.role === "user");
    expect([...(said?.parts.values() ?? [])].map((part) => part.text).join()).toContain(`(${task}): LOST`);
    await world.clock.advance(200);
    expect(kinds(world)).toEqual(["continuation"]);
    expect(world.host.prompts[0]?.text).not.toContain(task);
  });

  test("awake: the goal goes on by itself once its interrupted task is settled", async () => {
    const { world, root } = await working({ rootTurnMs: 100 });
    const task = await background(world, root);
    await world.clock.advance(1_000);
    await world.killAndRestart(true);
    await world.clock.advance(4_000);
    expect(kinds(world)).toEqual([]);
    await world.clock.advance(1_050);
    expect(kinds(world)).toEqual(["continuation"]);
    expect(world.host.prompts[0]?.text).toContain(`(${task}): LOST`);
  });

  test("a task that had finished is recovered with its result, and told once", async () => {
    const { world, root } = await working({ rootTurnMs: 100 });
    const task = await background(world, root);
    await world.clock.advance(1_000);
    world.host.hostTellsAfterMs = "never";
    world.host.finishTurn(task, "the result");
    await world.clock.advance(1_000);
    await world.killAndRestart(true);
    await world.clock.advance(50);
    expect(world.keeper.manager.get(task)).toMatchObject({ status: "completed" });
    expect(kinds(world)).toEqual(["continuation"]);
    expect(world.host.prompts[0]?.text).toContain("the result");
  });

  test("a result that the host had told before it was killed is not told again", async () => {
    const { world, root } = await working({ rootTurnMs: 100 });
    const task = await background(world, root);
    await world.clock.advance(1_000);
    world.host.finishTurn(task, "the result");
    await world.clock.advance(6); // the host has stored its message; our write is not there yet
    await world.killAndRestart(true);
    await world.clock.advance(60_000);
    expect(statusOf(world, task)).toBe("completed");
    // Nobody had answered it: the agent is pointed to it, and the result is not repeated.
    const mentions = world.host.prompts.filter((prompt) => prompt.text.includes(task));
    expect(mentions).toHaveLength(1);
    expect(mentions[0]?.text).toContain("completed, reported above");
    expect(mentions[0]?.text).not.toContain("the result");
  });

  test("a reload is no abort: the goal stays active and no task counts as cancelled by the user", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    await world.reload(true);
    await world.clock.advance(1_000);
    expect(world.keeper.goal(root)?.status).toBe("active");
    await world.clock.advance(10_000);
    expect(statusOf(world, task)).toBe("lost");
  });

  async function reserved(then: (world: World, root: string) => Promise<void>) {
    const { world, root } = await working({ rootTurnMs: 100 });
    await then(world, root);
    return { world, root };
  }

  /** Until the reservation is stored and the prompt is called. */
  async function untilPrompted(world: World) {
    for (let i = 0; i < 500 && world.host.prompts.length === 0; i++) await world.clock.advance(1);
    expect(world.host.prompts).toHaveLength(1);
  }

  test("a reserved message that never reached the host goes out under a new id, once", async () => {
    const { world, root } = await reserved(async (world) => {
      await untilPrompted(world);
      await world.killAndRestart(true);
    });
    const first = world.host.prompts[0]?.messageID;
    await world.clock.advance(50);
    expect(world.host.prompts).toHaveLength(2);
    expect(world.host.prompts[1]?.messageID).not.toBe(first);
    expect(world.host.messages(root).filter((message) => message.id === first)).toEqual([]);
  });

  test("a reserved message that is stored and unanswered is sent again under its id", async () => {
    const { world, root } = await reserved(async (world) => {
      world.host.fates.push("no-turn");
      await untilPrompted(world);
      await world.clock.advance(10);
      await world.killAndRestart(true);
    });
    await world.clock.advance(50);
    expect(world.host.prompts.map((prompt) => prompt.messageID)).toEqual(
      Array(2).fill(world.host.prompts[0]?.messageID),
    );
    expect(world.host.messages(root).filter((message) => message.id === world.host.prompts[0]?.messageID)).toHaveLength(
      1,
    );
    expect(
      world.host.messages(root).find((message) => message.id === world.host.prompts[0]?.messageID)?.parts.size,
    ).toBe(1);
  });

  test("a reserved message without its text goes out under its id, with what it was to say (M10)", async () => {
    const { world, root } = await reserved(async (world) => {
      await untilPrompted(world);
      await world.clock.advance(5);
      await world.killAndRestart(true, true);
    });
    await world.clock.advance(50);
    const [first, again] = world.host.prompts;
    expect(again?.messageID).toBe(first?.messageID ?? "");
    expect(again?.text).toBe(first?.text ?? "");
    const [message, ...more] = world.host.messages(root).filter(({ id }) => id === first?.messageID);
    expect(more).toEqual([]);
    expect([...(message?.parts.values() ?? [])].map(({ text }) => text)).toEqual([first?.text ?? ""]);
  });

  test("an outcome that a message without its text was to tell is told, once (M10)", async () => {
    const { world, root } = await working();
    const task = await background(world, root);
    world.host.hostTellsAfterMs = "never";
    world.host.finishTurn(root);
    world.host.finishTurn(task, "the result");
    await world.clock.advance(1_900);
    await untilPrompted(world);
    await world.clock.advance(5);
    await world.killAndRestart(true, true);
    await world.clock.advance(60_000);
    const texts = world.host.messages(root).flatMap(({ parts }) => [...parts.values()].map(({ text }) => text));
    expect(texts.filter((text) => text.includes("the result"))).toHaveLength(1);
  });

  test("a reserved message that was answered is never sent again", async () => {
    const { world, root } = await reserved(async (world) => {
      world.rootTurnMs = undefined;
      world.host.finishTurn(world.host.rootIDs()[0] ?? "");
      await untilPrompted(world);
      await world.clock.advance(20);
      await world.killAndRestart(true);
    });
    const first = world.host.prompts[0]?.messageID;
    await world.clock.advance(500);
    expect(world.host.prompts.filter((prompt) => prompt.messageID === first)).toHaveLength(1);
    expect(world.keeper.goal(root)?.turns).toBeGreaterThanOrEqual(1);
  });

  test("a reserved message that the user has overtaken is never sent again", async () => {
    const { world, root } = await reserved(async (world) => {
      world.host.fates.push("no-turn");
      await untilPrompted(world);
      await world.clock.advance(10);
      world.host.kill();
      world.keeper.dispose();
      world.host.start();
      world.host.userSays(world.host.rootIDs()[0] ?? "", "typed before the plugin was there");
      await world.clock.advance(10);
      await world.killAndRestart(true, false, 0);
    });
    const first = world.host.prompts[0]?.messageID;
    await world.clock.advance(500);
    expect(world.host.prompts.filter((prompt) => prompt.messageID === first)).toHaveLength(1);
    expect(world.keeper.goal(root)?.status).toBe("active");
  });

  test("G16 a fork has no goal of its own and never continues", async () => {
    const { world, root } = await working({ rootTurnMs: 100 });
    world.goal(root, { type: "pause", by: "user", reason: "test" });
    await world.clock.advance(1_000);
    const fork = world.host.fork(root);
    await world.killAndRestart(true);
    world.host.userSays(fork, "hello");
    await world.clock.advance(60_000);
    expect(world.keeper.goal(fork)).toBeUndefined();
    expect(kinds(world)).toEqual([]);
  });
});

function fail(): never {
  throw new Error("the record is gone");
}

describe("a budget inside a turn", () => {
  /** A turn that a continuation has begun, of a model that comes to no end. */
  async function endless(budget: { readonly tokens?: number; readonly ms?: number }) {
    const world = new World();
    const { host, clock } = world;
    const root = host.createRoot();
    host.userSays(root, "hello");
    await clock.advance(20);
    world.goal(root, { type: "set", id: host.messageID(), objective: "spend it", budget });
    host.finishTurn(root);
    await clock.advance(500);
    const goal = () => world.keeper.goal(root);
    const step = async () => {
      host.stepTurn(root);
      await clock.advance(50);
    };
    return { ...world, world, root, goal, step };
  }

  test("U7 a quarter beyond the budget the goal is limited, its turn ended by us, and nothing follows before the user", async () => {
    const { world, root, goal, step, host, clock, keeper } = await endless({ tokens: 400 });
    for (let steps = 0; steps < 4; steps++) await step();
    expect(goal()).toMatchObject({ status: "active" });
    expect(host.hasTurn(root)).toBe(true);
    await step();
    expect(goal()).toMatchObject({ status: "limited", limit: "400 tokens", wrapUp: "cut" });
    expect(host.hasTurn(root)).toBe(false);
    expect(world.stored(root)?.goal).toMatchObject({ status: "limited", wrapUp: "cut" });
    await clock.advance(600_000);
    expect(kinds(world)).toEqual(["continuation"]);
    expect(goal()).toMatchObject({ status: "limited", wrapUp: "cut" });
    keeper.dispatch({ type: "wake", rootID: root });
    world.goal(root, { type: "resume", liveTaskIDs: [] });
    await clock.advance(500);
    expect(kinds(world)).toEqual(["continuation", "continuation"]);
    expect(goal()).toMatchObject({ status: "active", failures: 0 });
  });

  test("U7 whoever resumes the goal while our abort is still being published has interrupted nothing", async () => {
    const { world, root, goal, step, host, clock, keeper } = await endless({ tokens: 400 });
    for (let steps = 0; steps < 4; steps++) await step();
    host.stepTurn(root);
    while (host.hasTurn(root)) await clock.advance(1);
    await clock.advance(2);
    keeper.dispatch({ type: "wake", rootID: root });
    world.goal(root, { type: "resume", liveTaskIDs: [] });
    await clock.advance(5_000);
    expect(goal()).toMatchObject({ status: "active", failures: 0 });
    expect(kinds(world)).toEqual(["continuation", "continuation"]);
  });

  test("U7 how its tasks ended is told with the user's next message, and not before", async () => {
    const { world, root, goal, step, host, clock } = await endless({ tokens: 400 });
    const task = await background(world, root);
    for (let steps = 0; steps < 5; steps++) await step();
    expect(goal()).toMatchObject({ status: "limited", wrapUp: "cut" });
    await clock.advance(60_000);
    expect(statusOf(world, task)).toBe("cancelled");
    expect(kinds(world)).toEqual(["continuation"]);
    const message = host.userSays(root, "what now?");
    await clock.advance(50);
    expect(world.keeper.manager.get(task)).toMatchObject({ delivery: { state: "delivered", messageID: message } });
  });

  test("U7 a turn that the user has begun, or has written into, is the user's to end", async () => {
    const { root, goal, step, host, clock } = await endless({ tokens: 400 });
    host.userSays(root, "and this");
    await clock.advance(20);
    for (let steps = 0; steps < 12; steps++) await step();
    expect(goal()).toMatchObject({ status: "active" });
    expect(host.hasTurn(root)).toBe(true);
    host.finishTurn(root);
    await clock.advance(500);
    expect(goal()).toMatchObject({ status: "limited", wrapUp: "sent" });
  });

  test("U7 a turn that the user has begun before there was a goal is the user's to end, too", async () => {
    const world = new World();
    const { host, clock } = world;
    const root = host.createRoot();
    host.userSays(root, "hello");
    await clock.advance(20);
    const id = host.messageID();
    world.goal(root, { type: "set", id, objective: "spend it", budget: { tokens: 400 } });
    host.userSays(root, frame("goal", id, "spend it"));
    for (let steps = 0; steps < 12; steps++) {
      host.stepTurn(root);
      await clock.advance(50);
    }
    expect(world.keeper.goal(root)).toMatchObject({ status: "active" });
    expect(host.hasTurn(root)).toBe(true);
  });

  test("U7 the turn is ended once that is written, however many steps begin meanwhile, and is said once", async () => {
    const { world, root, step, host, clock } = await endless({ tokens: 400 });
    for (let steps = 0; steps < 4; steps++) await step();
    for (let steps = 0; steps < 30 && host.hasTurn(root); steps++) {
      host.stepTurn(root);
      await clock.advance(1);
    }
    expect(host.hasTurn(root)).toBe(false);
    const { observations } = world.life;
    expect(observations.filter((seen) => seen.type === "goal" && seen.event === "overrun")).toHaveLength(1);
  });

  test("U7 its time is looked at although no step ends, and the turn is ended while the provider is asked again, too", async () => {
    for (const retries of [false, true]) {
      const { root, goal, host, clock } = await endless({ ms: 60_000 });
      if (retries) host.retryTurn(root, 3_600_000);
      await clock.advance(74_000);
      expect(goal()).toMatchObject({ status: "active" });
      await clock.advance(2_000);
      expect(goal()).toMatchObject({ status: "limited", limit: "1m 0s", wrapUp: "cut" });
      expect(host.isWorking(root)).toBe(false);
    }
  });

  test("U7 a wrap-up without end is ended as well, and one that ends is not", async () => {
    const { world, root, goal, step, host, clock } = await endless({ tokens: 400 });
    for (let steps = 0; steps < 3; steps++) await step();
    host.finishTurn(root);
    await clock.advance(500);
    expect(kinds(world)).toEqual(["continuation", "wrapup"]);
    await step();
    expect(goal()).toMatchObject({ status: "limited", wrapUp: "cut" });
    expect(host.hasTurn(root)).toBe(false);
  });

  test("U7 a turn that the host begins to tell how a task ended is ended as well", async () => {
    const { world, root, goal, step, host, clock } = await endless({ tokens: 1_000 });
    const task = await background(world, root);
    host.finishTurn(root);
    await clock.advance(500);
    host.finishTurn(task, "result");
    await clock.advance(200);
    expect(kinds(world)).toEqual(["continuation"]);
    for (let steps = 0; steps < 12; steps++) await step();
    expect(goal()).toMatchObject({ status: "limited", wrapUp: "cut" });
    expect(host.hasTurn(root)).toBe(false);
  });
});
