import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createTaskManager, TaskNotFoundError } from "../../src/index.ts";
import type { StoredRoot, TaskStub } from "../../src/keeper/stored-root.ts";
import { createGate, type ReplySpec } from "../../src/testing/index.ts";
import { request, vanish } from "./other-client.ts";
import { COMPLETE, openStages, type Play, type Stage, task, textOf } from "./stage.ts";

/** The default options: a grace of five seconds, and records that stay for ten minutes. */
let stage: Stage;
/** Records go after a second, and a task holds a goal back for two. */
let brief: Stage;

beforeAll(async () => {
  const permission = { "*": "allow", bash: { "*": "allow", "echo asked": "ask" } };
  [stage, brief] = await openStages([
    { config: { ...NESTED, permission } },
    { options: { task_cleanup_delay_seconds: 1, max_task_block_seconds: 2, no_progress_turns: 0 } },
  ]);
});

afterAll(() => stage[Symbol.asyncDispose]());

/** The host gives sub-agents no Task tool of their own unless both are set. */
const NESTED = { subagent_depth: 2, agent: { general: { permission: { task: "allow" } } } };
const SAYS_HALF: ReplySpec = { text: "half of it", toolCalls: [bash("echo half")] };
const HALF_THEN_HANGS = [SAYS_HALF, { hang: true }];

describe.concurrent("a task on the real OpenCode", () => {
  test("one that completes keeps its record, and OpenCode's own report is its delivery (T1, D6)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("finisher")] }, "Waiting.", "I have read it.", COMPLETE, "Done."],
      children: { finisher: "the whole of it" },
    });
    await play.goal("let it finish");
    const { tasks } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ status: "completed", origin: "background", delivery: { state: "reconciled" } }]);
    expect(await toldTimes(play, "the whole of it")).toBe(1);
  });

  test("one whose model fails keeps its record with the error, and OpenCode reports it (T1)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("failer")] }, "Waiting.", "I have read it.", COMPLETE, "Done."],
      children: { failer: { error: { status: 400, message: "the model is out to lunch" } } },
    });
    await play.goal("let it fail");
    const { tasks } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ status: "failed", delivery: { state: "reconciled" } }]);
    expect(JSON.stringify(tasks)).toContain("the model is out to lunch");
    expect(await toldTimes(play, "the model is out to lunch")).toBe(1);
  });

  test("one that another client deletes keeps its record, and its parent is told what it had said (T1)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("erased")] }, "Waiting.", COMPLETE, "Done."],
      children: { erased: HALF_THEN_HANGS },
    });
    await play.goal("outlive a deletion");
    const childID = await childAtStep(play, stage, 1);
    await request(stage, "DELETE", `/session/${childID}`);
    const { tasks } = await untilAnswered(play);
    const outcome = { reason: "its session was deleted" };
    expect(tasks).toMatchObject([{ id: childID, status: "cancelled", outcome, delivery: { state: "reconciled" } }]);
    const [continuation] = await play.framed("continuation");
    expect(continuation).toContain("1 cancelled");
    expect(continuation).toContain("its session was deleted");
    expect(continuation).toContain("half of it");
  });

  test("one that another client aborts keeps its record, and its parent is told what it had said (T1, D5)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("stopped")] }, "Waiting.", COMPLETE, "Done."],
      children: { stopped: HALF_THEN_HANGS },
    });
    await play.goal("outlive an abort");
    const childID = await childAtStep(play, stage, 1);
    await stage.server.abort(childID);
    const { tasks, goal } = await untilAnswered(play);
    const outcome = { reason: "it was aborted" };
    expect(tasks).toMatchObject([{ id: childID, status: "cancelled", outcome, delivery: { state: "reconciled" } }]);
    expect(goal?.turns).toBe(1);
    expect((await play.framed("continuation"))[0]).toContain("Its last words: half of it");
  });

  test("a foreground task is followed while it works, and reconciled by the turn that called it", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("awaited", false)] }, "It said so.", COMPLETE, "Done."],
      children: { awaited: { text: "awaited result", until: gate.opened } },
    });
    const started = play.goal("call it");
    const childID = await childAtStep(play, stage, 0);
    const follows = async () => (await play.stored())?.tasks[0]?.id === childID;
    await play.until("the record is stored", follows);
    expect((await play.stored())?.tasks).toMatchObject([{ origin: "foreground", status: "queued" }]);
    gate.open();
    await started;
    const { tasks } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ origin: "foreground", status: "completed", delivery: { state: "reconciled" } }]);
    expect(await toldTimes(play, "awaited result")).toBe(0);
    expect(await play.framed("continuation")).toHaveLength(1);
  });

  test("a foreground task that fails is reported by its tool call and by nobody else (T1)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("called in vain", false)] }, "It failed.", COMPLETE, "Done."],
      children: { "called in vain": { error: { status: 400, message: "no lunch today" } } },
    });
    await play.goal("call it in vain");
    const { tasks } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ status: "failed", delivery: { state: "reconciled" } }]);
    expect(JSON.stringify(tasks)).toContain("no lunch today");
    expect(await toldTimes(play, "no lunch today")).toBe(0);
  });

  test("a foreground task in a session without a goal leaves nothing in the session", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("passing", false)] }, "Done."],
      children: { passing: "passing result" },
    });
    await play.say("call it once");
    await stage.server.waitForIdle(play.id);
    expect(play.requests()).toHaveLength(2);
    expect(await stage.server.metadata(play.id)).toEqual({});
  });

  test("a foreground task sent to the background is waited for, and told by OpenCode alone", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("promoted", false)] }, "Waiting.", "I have read it.", COMPLETE, "Done."],
      children: { promoted: { text: "promoted result", until: gate.opened } },
    });
    const started = play.goal("send it off");
    await childAtStep(play, stage, 0);
    await request(stage, "POST", `/experimental/session/${play.id}/background`);
    await started;
    const isBackground = async () => (await play.stored())?.tasks[0]?.origin === "background";
    await play.until("the record says background", isBackground);
    expect(await play.framed("continuation")).toEqual([]);
    gate.open();
    const { tasks, goal } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ status: "completed", run: { number: 1 }, delivery: { state: "reconciled" } }]);
    expect(await toldTimes(play, "promoted result")).toBe(1);
    expect(goal?.turns).toBe(1);
  });

  test("a child that another client made holds the goal, and nobody is told of its end", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: ["First turn.", COMPLETE, "Done."],
      children: { stranger: { text: "stranger result", until: gate.opened } },
    });
    const child = await stage.server.createSession({ parentID: play.id, title: "stranger" });
    await stage.server.prompt(child.id, "stranger: do something");
    await childAtStep(play, stage, 0);
    await play.goal("wait for somebody else");
    await Bun.sleep(500);
    expect((await play.stored())?.tasks).toMatchObject([{ id: child.id, origin: "adopted" }]);
    expect(play.requests()).toHaveLength(1);
    gate.open();
    const { tasks } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ status: "completed", delivery: { state: "not-owed" } }]);
    expect(await play.prompts()).toHaveLength(2);
    expect(await toldTimes(play, "stranger")).toBe(0);
  });

  test("a child that another client made and lost is named, once, in the continuation (M2, M7)", async () => {
    const play = await stage.play({
      root: ["First turn.", "Understood.", COMPLETE, "Done."],
      children: { "lost stranger": { hang: true } },
    });
    const child = await stage.server.createSession({ parentID: play.id, title: "lost stranger" });
    await stage.server.prompt(child.id, "lost stranger: do something");
    await childAtStep(play, stage, 0);
    await play.goal("lose it");
    vanish(stage, child.id);
    await stage.server.abort(child.id);
    const { tasks } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ id: child.id, origin: "adopted", status: "lost" }]);
    const [first, second] = await play.framed("continuation");
    expect(first).toContain(`"lost stranger" (${child.id}): LOST`);
    expect(second).not.toContain("LOST");
  });

  test("a background task that vanished without an event is lost after the grace, and blocks nothing (M2, M7)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("ghost")] }, "Waiting.", COMPLETE, "Done."],
      children: { ghost: HALF_THEN_HANGS },
    });
    await play.goal("lose a ghost");
    const childID = await childAtStep(play, stage, 1);
    vanish(stage, childID);
    expect(await stage.server.children(play.id)).toEqual([]);
    await stage.server.abort(childID);
    const { tasks } = await untilAnswered(play);
    const outcome = { reason: "its session does not exist any more" };
    expect(tasks).toMatchObject([{ id: childID, status: "lost", outcome, delivery: { state: "reconciled" } }]);
    const [continuation] = await play.framed("continuation");
    expect(continuation).toContain("do not wait for it");
    expect(continuation).toContain("half of it");
  });

  test("a child that goes missing and works again within the grace is not lost (M3)", async () => {
    const gate = createGate();
    const asks: ReplySpec = { toolCalls: [bash("echo asked")] };
    const play = await stage.play({
      root: ["First turn.", COMPLETE, "Done."],
      children: { "back again": [asks, { text: "back again result", until: gate.opened }] },
    });
    const child = await stage.server.createSession({ parentID: play.id, title: "back again" });
    await stage.server.prompt(child.id, "back again: ask first");
    const asked = await stage.server.events.waitFor(
      ({ type, properties }) => type === "permission.asked" && properties.sessionID === child.id,
    );
    await play.goal("wait until it is back");
    // A refused permission ends the turn with an unfinished transcript: is the child still at work, or gone?
    await request(stage, "POST", `/permission/${asked.properties.id}/reply`, { reply: "reject" });
    await untilStatusSays(play, "back again (missing)");
    await stage.server.prompt(child.id, "back again: go on");
    await untilStatusSays(play, "back again (running)");
    await Bun.sleep(5_200);
    expect((await play.stored())?.tasks).toMatchObject([{ id: child.id, status: "queued", run: { number: 1 } }]);
    gate.open();
    const { tasks } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ status: "completed", delivery: { state: "not-owed" } }]);
    const [continuation] = await play.framed("continuation");
    expect(continuation).not.toContain("back again");
  });

  test("a task that is aborted and set to work again at once has not ended (M3)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("revived")] }, "Waiting.", COMPLETE, "Done."],
      children: { revived: [{ hang: true }, { text: "revived result", until: gate.opened }] },
    });
    await play.goal("wait for both halves");
    const childID = await childAtStep(play, stage, 0);
    await stage.server.abort(childID);
    await stage.server.prompt(childID, "go on");
    await childAtStep(play, stage, 1);
    // Longer than OpenCode has to report the abort, had it been the end.
    await Bun.sleep(2_500);
    expect((await play.stored())?.tasks).toMatchObject([{ id: childID, status: "queued", run: { number: 1 } }]);
    expect(await play.framed("continuation")).toEqual([]);
    gate.open();
    const { tasks } = await untilAnswered(play);
    expect(tasks).toMatchObject([{ status: "completed", delivery: { state: "reconciled" } }]);
    expect((await play.framed("continuation"))[0]).toContain("revived result");
  });

  test("a task of a task counts for the root: the goal waits until both are through", async () => {
    const [outer, gate] = [createGate(), createGate()];
    const play = await stage.play({
      root: [{ toolCalls: [task("outer")] }, "Waiting.", "Outer has reported.", COMPLETE, "Done."],
      children: {
        outer: [{ toolCalls: [task("inner")], until: outer.opened }, "inner was sent off", "inner has reported"],
        inner: { text: "inner result", until: gate.opened },
      },
    });
    await play.goal("go two levels down");
    outer.open();
    await play.until("the root has answered the outer task", () => play.requests().length === 3);
    await Bun.sleep(500);
    const below = (await play.stored())?.tasks ?? [];
    expect(below.map(({ title, status }) => `${title.slice(0, 5)} ${status}`)).toEqual([
      "outer completed",
      "inner queued",
    ]);
    expect(below.map(({ rootID }) => rootID)).toEqual([play.id, play.id]);
    expect(await play.framed("continuation")).toEqual([]);
    gate.open();
    const { tasks, goal } = await untilAnswered(play);
    expect(tasks.map(({ status }) => status)).toEqual(["completed", "completed"]);
    expect(goal?.turns).toBe(1);
    expect(await toldTimes(play, "inner result")).toBe(0);
  });
});

describe.concurrent("after the query window", () => {
  test("the record is gone and the child's own session still answers (T1, T11, T17)", async () => {
    const play = await brief.play({
      root: [{ toolCalls: [task("remembered")] }, "Waiting.", "I have read it.", COMPLETE, "Done."],
      children: { remembered: "remembered result" },
    });
    await play.goal("forget it");
    await play.untilGoal("complete");
    const childID = await childAtStep(play, brief, 0);
    await untilStored(play, brief, childID, "completed");
    await play.until("the record has gone", async () => (await play.stored())?.tasks.length === 0);
    const { client } = brief.server;
    const tasks = createTaskManager({ client, directory: brief.opencode.directory, key: "reader" });
    expect(await tasks.output(childID)).toMatchObject({
      status: "completed",
      text: "remembered result",
      task: undefined,
    });
    await request(brief, "DELETE", `/session/${childID}`);
    await expect(tasks.output(childID)).rejects.toBeInstanceOf(TaskNotFoundError);
    tasks.dispose();
  });

  test("the records of failed and aborted tasks go too, with or without a goal (T1, T17)", async () => {
    const play = await brief.play({
      root: [{ toolCalls: [task("first to go"), task("second to go")] }, "Waiting.", "Read.", "Read too.", "Idle."],
      children: { "first to go": { error: { status: 400, message: "gone" } }, "second to go": { hang: true } },
    });
    await play.say("start two");
    await play.until("both were started", async () => (await brief.server.children(play.id)).length === 2);
    const children = await brief.server.children(play.id);
    // OpenCode lists them in no order, and two calls of one step make theirs in any.
    const [first = "", second = ""] = ["first", "second"].map((name) => {
      return children.find(({ title }) => title.startsWith(name))?.id;
    });
    await untilStored(play, brief, first, "failed");
    await brief.server.abort(second);
    await untilStored(play, brief, second, "cancelled");
    await play.until("the parent was told", async () => (await play.framed("task-outcome")).length === 1);
    await play.until("both records have gone", async () => (await play.stored())?.tasks.length === 0);
    expect(await play.framed("task-outcome")).toHaveLength(1);
  });
});

describe.concurrent("the ceiling on waiting", () => {
  test("each max_task_block_seconds buys one continuation that names the task as still running (M8)", async () => {
    const gate = createGate();
    const play = await brief.play({
      root: [{ toolCalls: [task("endless")] }, "Waiting.", "One.", "Two.", "I have read it.", COMPLETE, "Done."],
      children: { endless: { text: "endless result", until: gate.opened } },
    });
    await play.goal("do not wait for ever");
    await play.until("two ceilings have passed", () => play.requests().length === 4);
    await Bun.sleep(500);
    expect(play.requests()).toHaveLength(4);
    gate.open();
    const { goal } = await play.untilGoal("complete");
    const continuations = (await play.messages()).filter((message) => textOf(message).includes('kind="continuation"'));
    expect(continuations.map((message) => textOf(message).includes("still running"))).toEqual([true, true, false]);
    const [first = 0, second = 0] = continuations.map(({ info }) => info.time.created);
    expect(first - (goal?.startedAt ?? 0)).toBeGreaterThanOrEqual(2_000);
    expect(second - first).toBeGreaterThanOrEqual(2_000);
  });
});

function bash(command: string) {
  return { name: "bash", args: { command, description: command } };
}

/** Waits until the first child of a root has made its request number `step`, from 0; returns the child's id. */
async function childAtStep(play: Play, { model }: Stage, step: number): Promise<string> {
  const { sessionID } = await model.waitForRequest(
    (request) => request.kind === "turn" && request.parentSessionID === play.id && request.step === step,
  );
  return sessionID;
}

/** Waits until the record was stored with a status, also if it has gone since. */
async function untilStored(play: Play, { server }: Stage, taskID: string, status: string): Promise<void> {
  await server.events.waitFor(({ type, properties }) => {
    if (type !== "session.updated" || properties.info?.id !== play.id) return false;
    const { metadata } = properties.info as { metadata?: { goalkeeper?: StoredRoot } };
    return metadata?.goalkeeper?.tasks.some((stub) => stub.id === taskID && stub.status === status) === true;
  });
}

/** In how many user-role messages of the root the words stand. */
async function toldTimes(play: Play, words: string): Promise<number> {
  return (await play.prompts()).filter((text) => text.includes(words)).length;
}

/** What `/goal` answers: the only place that shows a task as missing. */
async function untilStatusSays(play: Play, words: string): Promise<void> {
  await play.until(`/goal says "${words}"`, async () => {
    await play.goal("");
    return (await play.prompts()).at(-1)?.includes(words) === true;
  });
}

/** Waits until the goal is complete and every outcome has been answered, or is owed to nobody. */
async function untilAnswered(play: Play): Promise<StoredRoot> {
  await play.untilGoal("complete");
  const isOver = (stub: TaskStub) =>
    "delivery" in stub && (stub.delivery.state === "reconciled" || stub.delivery.state === "not-owed");
  let stored: StoredRoot | undefined;
  await play.until("every outcome is answered", async () => {
    stored = await play.stored();
    return stored?.tasks.every(isOver) === true;
  });
  if (stored === undefined) throw new Error("unreachable: the state was seen");
  return stored;
}
