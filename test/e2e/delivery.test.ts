import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createGate } from "../../src/testing/index.ts";
import { COMPLETE, openStages, type Play, type Stage, task, textOf } from "./stage.ts";
import { breakCalls, calls, type Fault, UNRELIABLE_HOST } from "./unreliable-host.ts";

const OPTIONS = { missing_task_grace_seconds: 1, max_prompt_failures: 2 };
const FOR_EVER = 1_000;

let stage: Stage;
/** With `auto_continue` off. */
let still: Stage;

beforeAll(async () => {
  [stage, still] = await openStages([
    { options: OPTIONS, before: [[UNRELIABLE_HOST, OPTIONS]] },
    { options: { ...OPTIONS, auto_continue: false } },
  ]);
});

afterAll(() => stage[Symbol.asyncDispose]());

describe.concurrent("a continuation through a host that fails", () => {
  const cases: readonly [how: Fault["how"], times: number, sends: number][] = [
    ["refuses", 3, 4],
    ["hangs", 1, 2],
    ["answers never", 1, 1],
    ["drops", 1, 2],
    ["starts no turn", 1, 2],
  ];
  for (const [how, times, sends] of cases) {
    const name = `one that ${how}${times > 1 ? ` ${times} times` : ""} gets it under one id, and shows it once (D4)`;
    test(name, async () => {
      const play = await stage.play(["First turn.", COMPLETE, "Done."]);
      breakCalls(stage.opencode.directory, play.id, { call: "promptAsync", how, times });
      await play.goal(`survive a host that ${how}`);
      const { goal } = await play.untilGoal("complete");
      await play.until("the last step is asked for", () => play.requests().length === 3);
      expect(goal?.turns).toBe(1);
      const shown = (await play.messages()).filter((message) => textOf(message).includes('kind="continuation"'));
      expect(shown).toHaveLength(1);
      const [{ info, parts }] = shown as [(typeof shown)[0]];
      expect(parts).toHaveLength(1);
      expect(textOf({ info, parts })).toContain(`id="${info.id}"`);
      const sent = calls(stage.opencode.directory, play.id).map(({ messageID }) => messageID);
      expect(sent).toEqual(new Array(sends).fill(info.id));
    });
  }

  test("one that fails for ever pauses the goal with the reason, and the outcomes are undelivered (D4)", async () => {
    const play = await abortedTask(stage, "unheard", ["Never asked."]);
    breakCalls(stage.opencode.directory, play.id, { call: "promptAsync", how: "refuses", times: FOR_EVER });
    const { goal, tasks } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "error", failures: 2, turns: 0 });
    expect(goal?.status === "paused" && goal.reason).toContain("out of order");
    expect(tasks).toMatchObject([{ status: "cancelled", delivery: { state: "undelivered" } }]);
    expect(JSON.stringify(tasks)).toContain("the message could not be delivered: session.promptAsync: out of order");
    // Two continuations, each sent four times under its own id.
    const sent = calls(stage.opencode.directory, play.id).map(({ messageID }) => messageID);
    expect(sent).toHaveLength(8);
    expect(new Set(sent).size).toBe(2);
    expect(await play.framed("continuation")).toEqual([]);
  });

  test("an outcome that could not be delivered is named in the next message that can (D4)", async () => {
    const play = await abortedTask(stage, "overdue", [COMPLETE, "Done."]);
    breakCalls(stage.opencode.directory, play.id, { call: "promptAsync", how: "refuses", times: 4 });
    await play.untilGoal("complete");
    await play.until("the outcome was answered", async () => (await reconciled(play)) === 1);
    const continuations = await play.framed("continuation");
    expect(continuations).toHaveLength(1);
    expect(continuations[0]).toContain('"overdue"');
  });
});

describe.concurrent("outcomes on the real OpenCode", () => {
  test("a child that another client aborts is told to its parent, with a goal by the continuation (D5)", async () => {
    const play = await abortedTask(stage, "stopped", [COMPLETE, "Done."]);
    const { goal, tasks } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    expect(tasks).toMatchObject([{ status: "cancelled" }]);
    await play.until("the outcome was answered", async () => (await reconciled(play)) === 1);
    const prompts = await play.prompts();
    expect(prompts).toHaveLength(2);
    expect(prompts[1]).toContain('kind="continuation"');
    expect(prompts[1]).toContain('"stopped"');
  });

  test("without a goal children that are aborted together are told in one message, and wake once (D1, D5)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("left"), task("right")] }, "Waiting.", "I see."],
      children: { left: { hang: true }, right: { hang: true } },
    });
    await play.say("start two");
    await play.until("the parent waits", () => play.requests().length === 2);
    await abortChildren(play, stage, 2);
    await play.until("the parent was told", async () => (await reconciled(play)) === 2);
    await play.until("the answer is asked for", () => play.requests().length === 3);
    const prompts = await play.prompts();
    expect(prompts).toHaveLength(2);
    expect(prompts[1]).toContain('kind="task-outcome"');
    expect(prompts[1]).toContain("Background tasks ended: 2 cancelled.");
    expect((await play.stored())?.goal).toBeUndefined();
  });

  test("what OpenCode has told itself is not told again, nor asked about (D6)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("heard")] }, "Waiting.", "I have read it."],
      children: { heard: { text: "heard result", until: gate.opened } },
    });
    await play.say("start one");
    await play.until("the parent waits", () => play.requests().length === 2);
    gate.open();
    await play.until("the report was answered", async () => (await reconciled(play)) === 1);
    // Longer than OpenCode has for its own report, and longer than an answer may take before we point to it.
    await Bun.sleep(5_500);
    expect(play.requests()).toHaveLength(3);
    expect(await play.framed("task-outcome")).toEqual([]);
  });

  test("with auto_continue off an outcome is told all the same, and nothing continues (D5)", async () => {
    const play = await abortedTask(still, "quietly stopped", ["I see.", "Never asked."]);
    await play.until("the outcome was answered", async () => (await reconciled(play)) === 1);
    const [outcome, ...more] = await play.framed("task-outcome");
    expect(outcome).toContain('"quietly stopped"');
    expect(more).toEqual([]);
    await Bun.sleep(500);
    expect(await play.framed("continuation")).toEqual([]);
    expect((await play.stored())?.goal).toMatchObject({ status: "active", turns: 0 });
    expect(play.requests()).toHaveLength(3);
  });
});

describe.concurrent("after the user's abort", () => {
  test("nothing prompts the session, and what it is owed rides in the user's next message (D9)", async () => {
    const play = await aborted("with a goal", (play) => play.goal("be interrupted"));
    await play.untilGoal("paused");
    await play.until("the task has ended", async () => (await play.stored())?.tasks[0]?.status === "cancelled");
    await play.say("What now?");
    await play.until("the outcome was answered", async () => (await reconciled(play)) === 1);
    await expectRidden(play, "with a goal");
    expect((await play.stored())?.goal).toMatchObject({ status: "paused", by: "user" });
    expect(play.requests()).toHaveLength(3);
    await play.goal("resume");
    await play.untilGoal("complete");
    expect((await play.framed("continuation"))[0]).not.toContain("Background tasks ended");
  });

  test("without a goal it is the same (D9)", async () => {
    const play = await aborted("without a goal", (play) => play.say("start it"));
    await play.until("the task has ended", async () => (await play.stored())?.tasks[0]?.status === "cancelled");
    await Bun.sleep(1_000);
    expect(play.requests()).toHaveLength(2);
    await play.say("What now?");
    await play.until("the outcome was answered", async () => (await reconciled(play)) === 1);
    await expectRidden(play, "without a goal");
  });

  /** A root that was aborted while it and its task hung. */
  async function aborted(name: string, start: (play: Play) => Promise<void>): Promise<Play> {
    const play = await stage.play({
      root: [{ toolCalls: [task(name)] }, { hang: true }, "I see.", COMPLETE, "Done."],
      children: { [name]: { hang: true } },
    });
    const started = start(play);
    await play.until("the second step hangs", () => play.requests().length === 2);
    await play.abort();
    await started;
    return play;
  }

  async function expectRidden(play: Play, name: string): Promise<void> {
    const message = (await play.messages()).findLast(({ info }) => info.role === "user");
    const [said, told, ...more] = message?.parts.flatMap((part) => (part.type === "text" ? [part] : [])) ?? [];
    expect(said?.text).toBe("What now?");
    expect(told?.synthetic).toBe(true);
    expect(told?.text).toContain(`kind="task-outcome" id="${message?.info.id}"`);
    expect(told?.text).toContain(`"${name}"`);
    expect(more).toEqual([]);
    expect(play.requests().at(-1)?.lastUserText).toContain("1 cancelled");
    expect(await play.framed("task-outcome")).toHaveLength(1);
  }
});

/** A goal whose background task was aborted by another client: OpenCode tells nobody. */
async function abortedTask(stage: Stage, name: string, replies: readonly (string | typeof COMPLETE)[]): Promise<Play> {
  const play = await stage.play({
    root: [{ toolCalls: [task(name)] }, "Waiting.", ...replies],
    children: { [name]: { hang: true } },
  });
  await play.goal("wait for a task");
  await abortChildren(play, stage, 1);
  return play;
}

async function abortChildren(play: Play, { model, server }: Stage, count: number): Promise<void> {
  const asked = () => model.requests.filter((request) => request.parentSessionID === play.id);
  await play.until("the children hang", () => asked().length === count);
  await Promise.all(asked().map(({ sessionID }) => server.abort(sessionID)));
}

async function reconciled(play: Play): Promise<number> {
  const tasks = (await play.stored())?.tasks ?? [];
  return tasks.filter((stub) => "delivery" in stub && stub.delivery.state === "reconciled").length;
}
