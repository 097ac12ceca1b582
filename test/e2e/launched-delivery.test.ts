import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createGate, type OpencodeEvent, type Reply, type ReplyFunction } from "../../src/testing/index.ts";
import {
  asked,
  cancel,
  expectSilence,
  LIST,
  launch,
  launches,
  once,
  requestsOf,
  results,
  resume,
  untilTurn,
} from "./background.ts";
import { request, writeMetadata } from "./other-client.ts";
import { COMPLETE, openStages, type Play, type Stage, textOf } from "./stage.ts";
import { isReconciled, isStarted, storedTasks, toldTimes, untilAllReconciled, untilTask } from "./stored-tasks.ts";
import { breakCalls, calls, type Fault, UNRELIABLE_HOST } from "./unreliable-host.ts";

const OPTIONS = { max_concurrent_tasks: 0, max_prompt_failures: 2 };
const FOR_EVER = 1_000;
const MODEL = { limit: { context: 200_000, output: 16_000 } };
const AGENTS = {
  writer: { mode: "primary", description: "talks to the user" },
  helper: { mode: "subagent", description: "helps", model: "scripted/third" },
};
const ASK = {
  name: "question",
  args: {
    questions: [{ question: "Which colour?", header: "Colour", options: [{ label: "blue", description: "b" }] }],
  },
};

let stage: Stage;
/** With `auto_continue` off. */
let still: Stage;

beforeAll(async () => {
  const permission = { "*": "allow", bash: { "*": "allow", "echo asked": "ask" } };
  const config = { agent: AGENTS, permission };
  const models = { model: MODEL, other: MODEL, third: MODEL };
  [stage, still] = await openStages(
    [
      { options: OPTIONS, before: [[UNRELIABLE_HOST, OPTIONS]], config },
      { options: { ...OPTIONS, auto_continue: false } },
    ],
    models,
  );
});

afterAll(() => stage[Symbol.asyncDispose]());

describe("the end of a launched task", () => {
  test("does not talk over a parent at work: it comes after its turn, once (D3)", async () => {
    const [child, root] = [createGate(), createGate()];
    const play = await stage.play({
      root: [{ toolCalls: [launch("swift")] }, { text: "Still at it.", until: root.opened }, "Read."],
      children: { swift: { text: "swift result", until: child.opened } },
    });
    await play.say("start it");
    await untilTurn(play, 2);
    child.open();
    await untilTask(play, "swift", ({ status }) => status === "completed");
    await expectUntold(play);
    root.open();
    await untilAllReconciled(play);
    expect(await spoken(play)).toEqual(["user", "assistant", "assistant: Still at it.", "told", "assistant: Read."]);
    await expectSilence(play);
  });

  test("waits while its parent asks the user something, and comes after the answer (D3)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [launch("swift")] }, { toolCalls: [ASK] }, "Blue, then.", "Read."],
      children: { swift: { text: "swift result", until: gate.opened } },
    });
    await play.say("start it");
    const { properties } = await stage.server.events.waitFor(
      ({ type, properties }) => type === "question.asked" && properties.sessionID === play.id,
    );
    gate.open();
    await untilTask(play, "swift", ({ status }) => status === "completed");
    await expectUntold(play);
    await request(stage, "POST", `/question/${properties.id}/reply`, { answers: [["blue"]] });
    await untilAllReconciled(play);
    expect((await spoken(play)).slice(-3)).toEqual(["assistant: Blue, then.", "told", "assistant: Read."]);
  });

  test("right before a message of the user's rides in that message, and is not told again (D3)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [launch("swift"), launch("slow")] }, "Waiting.", "Hello.", "Read."],
      children: { swift: "swift result", slow: { text: "slow result", until: gate.opened } },
    });
    await play.say("start two");
    await untilTask(play, "swift", ({ status }) => status === "completed");
    await play.untilIdle();
    await play.say("hello");
    await untilTurn(play, 3);
    const ridden = (await play.messages()).findLast(({ info }) => info.role === "user");
    const parts = ridden?.parts.flatMap((part) => (part.type === "text" ? [part] : [])) ?? [];
    expect(parts.map(({ synthetic }) => synthetic === true)).toEqual([false, true]);
    expect(parts[1]?.text).toContain(`kind="task-outcome" id="${ridden?.info.id}"`);
    expect(parts[1]?.text).toContain("1 completed. 1 still works.");
    gate.open();
    await untilAllReconciled(play);
    for (const words of ["swift result", "slow result"]) expect(await toldTimes(play, words)).toBe(1);
  });

  test("right after a message of the user's waits for the answer to it, and comes once (D3)", async () => {
    const [child, root] = [createGate(), createGate()];
    const play = await stage.play({
      root: [{ toolCalls: [launch("swift")] }, "Waiting.", { text: "Hello.", until: root.opened }, "Read."],
      children: { swift: { text: "swift result", until: child.opened } },
    });
    await play.say("start it");
    await untilTurn(play, 2);
    await play.untilIdle();
    await play.say("hello");
    child.open();
    await untilTask(play, "swift", ({ status }) => status === "completed");
    await untilTurn(play, 3);
    await expectUntold(play);
    root.open();
    await untilAllReconciled(play);
    expect((await spoken(play)).slice(-4)).toEqual(["user", "assistant: Hello.", "told", "assistant: Read."]);
  });

  test("is told in the voice of its parent, and it has worked in its own (D7)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [launch("own", { agent: "helper" }), launch("inherited")] }, "Waiting.", "Read."],
      children: { own: "own result", inherited: "inherited result" },
    });
    const voice = { agent: "writer", model: { providerID: "scripted", modelID: "other" }, variant: "high" };
    const parts = [{ type: "text", text: "start two" }];
    await request(stage, "POST", `/session/${play.id}/prompt_async`, { ...voice, parts });
    const tasks = await untilAllReconciled(play);
    const [said, told, ...more] = await voices(play.id);
    expect(said).toEqual(voice);
    expect(told).toEqual(voice);
    expect(more).toEqual([]);
    expect(play.requests().map(({ modelID }) => modelID)).toEqual(["other", "other", "other"]);
    const idOf = (name: string) => tasks.find(({ title }) => title === name)?.id ?? "";
    expect(await voices(idOf("own"))).toMatchObject([{ agent: "helper", model: { modelID: "third" } }]);
    expect(await voices(idOf("inherited"))).toMatchObject([{ agent: "general", model: { modelID: "other" } }]);
    expect((await asked(stage, "own")).modelID).toBe("third");
    expect((await asked(stage, "inherited")).modelID).toBe("other");
  });

  test("wakes nobody who has a goal to pursue: one continuation carries both ends (D8, G1, G2)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [launch("left"), launch("right")] }, "Waiting.", COMPLETE, "Done."],
      children: {
        left: { text: "left result", until: gate.opened },
        right: { text: "right result", until: gate.opened.then(() => Bun.sleep(200)) },
      },
    });
    await play.goal("wait for two");
    await Bun.sleep(1_500);
    expect(play.requests()).toHaveLength(2);
    expect((await play.stored())?.goal?.turns).toBe(0);
    gate.open();
    const { goal } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    await untilAllReconciled(play);
    const [continuation, ...more] = await play.framed("continuation");
    expect(more).toEqual([]);
    expect(continuation).toContain("2 completed");
    expect(continuation).toContain("left result");
    expect(continuation).toContain("right result");
    expect(await play.framed("task-outcome")).toEqual([]);
  });

  for (const [what, start] of [
    ["with auto_continue off", (play: Play) => play.goal("be left alone")],
    ["without a goal", (play: Play) => play.say("start it")],
  ] as const) {
    test(`is told ${what}, too, and nothing continues (D1)`, async () => {
      const name = what.replaceAll(" ", "-");
      const play = await still.play({
        root: [{ toolCalls: [launch(name)] }, "Waiting.", "Read.", "Never asked."],
        children: { [name]: `${name} result` },
      });
      await start(play);
      await untilAllReconciled(play);
      expect(await toldTimes(play, `${name} result`)).toBe(1);
      await expectSilence(play);
      expect(play.requests()).toHaveLength(3);
      expect(await play.framed("continuation")).toEqual([]);
    });
  }
});

describe.concurrent("the message about an ended task, through a host that fails", () => {
  const cases: readonly [how: Fault["how"], times: number, sends: number][] = [
    ["refuses", 3, 4],
    ["hangs", 1, 2],
    ["answers never", 1, 1],
    ["drops", 1, 2],
    ["starts no turn", 1, 2],
  ];
  for (const [how, times, sends] of cases) {
    test(`which ${how}${times > 1 ? ` ${times} times` : ""}, is sent under one id, and shown once (D4)`, async () => {
      const name = `told-${how.replaceAll(" ", "-")}`;
      const play = await launched(name, [`${name} result`], ["Read."], { call: "promptAsync", how, times });
      await untilAllReconciled(play);
      const told = (await play.messages()).filter((message) => textOf(message).includes('kind="task-outcome"'));
      expect(told.map((message) => [textOf(message).split(`${name} result`).length - 1, message.parts.length])).toEqual(
        [[1, 1]],
      );
      const sent = calls(stage.opencode.directory, play.id).map(({ messageID }) => messageID);
      expect(sent).toEqual(new Array(sends).fill(told[0]?.info.id));
      await expectSilence(play);
      expect(play.requests()).toHaveLength(3);
    });
  }

  test("which refuses it for ever, leaves the end undelivered, and the user's next message takes it along (D4)", async () => {
    const play = await launched("unheard", ["unheard result"], ["I see."], {
      call: "promptAsync",
      how: "refuses",
      times: FOR_EVER,
    });
    const task = await untilTask(
      play,
      "unheard",
      (stub) => "delivery" in stub && stub.delivery.state === "undelivered",
    );
    expect(JSON.stringify(task)).toContain("the message could not be delivered: session.promptAsync: out of order");
    expect(play.requests()).toHaveLength(2);
    await play.say("what now?");
    await untilAllReconciled(play);
    expect(await toldTimes(play, "unheard result")).toBe(1);
  });
});

describe.concurrent("the prompt of a launched task, through a host that fails", () => {
  const cases: readonly [how: Fault["how"], times: number, sends: number][] = [
    ["refuses", 3, 4],
    ["hangs", 1, 2],
    ["answers never", 1, 1],
    ["drops", 1, 2],
    ["starts no turn", 1, 2],
  ];
  for (const [how, times, sends] of cases) {
    test(`which ${how}${times > 1 ? ` ${times} times` : ""}, is sent under one id, and stored and answered once (D4)`, async () => {
      const name = `sent-${how.replaceAll(" ", "-")}`;
      const fault: Fault = { call: "promptAsync", how, times, inChildren: true };
      const play = await launched(name, [`${name} result`], ["Read."], fault);
      const [task] = await untilAllReconciled(play);
      expect(task?.status).toBe("completed");
      const prompts = (await stage.server.messages(task?.id ?? "")).filter(({ info }) => info.role === "user");
      expect(prompts.map(textOf)).toEqual([`${name}: do your part`]);
      expect(prompts[0]?.parts).toHaveLength(1);
      const sent = calls(stage.opencode.directory, task?.id ?? "").map(({ messageID }) => messageID);
      expect(sent).toEqual(new Array(sends).fill(prompts[0]?.info.id));
      expect(requestsOf(stage, name)).toHaveLength(1);
      expect(await toldTimes(play, `${name} result`)).toBe(1);
    });
  }

  test("which refuses it for ever, fails the task with the reason, and its parent is told (D4, T1)", async () => {
    const fault: Fault = { call: "promptAsync", how: "refuses", times: FOR_EVER, inChildren: true };
    const play = await launched("unstarted", ["Never asked."], ["Read."], fault);
    const [task] = await untilAllReconciled(play);
    expect(task?.status).toBe("failed");
    expect(calls(stage.opencode.directory, task?.id ?? "")).toHaveLength(4);
    const [told] = await play.framed("task-outcome");
    expect(told).toContain("it could not be started: session.promptAsync: out of order");
  });
});

describe.concurrent("the session metadata of a root with launched tasks", () => {
  for (const call of ["get", "update"] as const) {
    const when = call === "get" ? "between our read and our write" : "while we write";
    test(`loses nothing of anybody's when another plugin writes ${when} (S2)`, async () => {
      const gate = createGate();
      const names = [1, 2, 3].map((number) => `${call}-${number}`);
      const play = await stage.play({
        root: [...launches(names), "Waiting.", "Read."],
        children: Object.fromEntries(names.map((name) => [name, { text: `${name} result`, until: gate.opened }])),
      });
      breakCalls(stage.opencode.directory, play.id, { call, how: "is overtaken", times: 4 });
      await play.say("start three");
      await untilTurn(play, 4);
      gate.open();
      const tasks = await untilAllReconciled(play);
      expect(tasks.map(({ title, status }) => [title, status])).toEqual(names.map((name) => [name, "completed"]));
      const neighbours = async () =>
        Object.keys(await stage.server.metadata(play.id)).filter((key) => /^neigh/.test(key));
      const theirs = [1, 2, 3, 4].map((number) => `neighbour_${number}`);
      await play.until("all of theirs is there", async () => (await neighbours()).length === 4);
      expect((await neighbours()).sort()).toEqual(theirs);
      for (const name of names) expect(await toldTimes(play, `${name} result`)).toBe(1);
    });
  }

  test("is written again when another plugin drops our key, and no task is lost (S2)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [...launches(["dropped one", "dropped two"]), "Waiting.", "Read."],
      children: { dropped: { text: "dropped result", until: gate.opened } },
    });
    await play.say("start two");
    await untilTask(play, "dropped two");
    await play.untilIdle();
    await writeMetadata(stage, play.id, { neighbour: 1 });
    await untilTask(play, "dropped two");
    expect((await storedTasks(play)).map(({ title }) => title)).toEqual(["dropped one", "dropped two"]);
    expect((await stage.server.metadata(play.id)).neighbour).toBe(1);
    gate.open();
    await untilAllReconciled(play);
    expect(await toldTimes(play, "dropped result")).toBe(2);
  });

  test("that cannot be written for a while keeps nobody from launching, and the end is told when it can (S2)", async () => {
    const play = await launched("unwritten", ["unwritten result"], ["Read."], {
      call: "update",
      how: "refuses",
      times: 2,
    });
    await untilAllReconciled(play);
    expect((await results(stage, play.id, "background_task"))[0]).toContain("Launched");
    expect(calls(stage.opencode.directory, play.id).length).toBeGreaterThan(2);
    expect(await toldTimes(play, "unwritten result")).toBe(1);
  });

  test("of the child is kept, and a resume that cannot store its prompt there is refused and changes nothing (T10, S2)", async () => {
    const play = await stage.play({
      root: [
        { toolCalls: [launch("again")] },
        "Waiting.",
        "Read.",
        resume("again", "once more"),
        "So be it.",
        resume("again", "once more"),
        "Waiting.",
        "Read.",
      ],
      children: { again: ["again result 1", "again result 2"] },
    });
    await play.say("start it");
    const [before] = await untilAllReconciled(play);
    const id = before?.id ?? "";
    await writeMetadata(stage, id, { ...(await stage.server.metadata(id)), neighbour: 1 });
    breakCalls(stage.opencode.directory, id, { call: "update", how: "refuses", times: 1 });
    await play.say("go on with it");
    await untilTurn(play, 5);
    const refused = (await results(stage, play.id, "background_task"))[1];
    expect(refused).toBe("OpenCode did not answer: session.update: out of order. Nothing was started.");
    expect(await storedTasks(play)).toEqual([before as NonNullable<typeof before>]);
    await play.untilIdle();
    await play.say("go on with it now");
    await untilTask(play, "again", (task) => task.run.number === 2 && isReconciled(task));
    expect(await toldTimes(play, "again result 2")).toBe(1);
    expect((await stage.server.metadata(id)).neighbour).toBe(1);
  });

  for (const how of ["refuses", "hangs"] as const) {
    test(`a host that ${how} to make the child's session leaves the agent with a clear refusal, and no task (Z2)`, async () => {
      const play = await launched(`unmade-${how}`, ["Never asked."], [], { call: "create", how, times: 1 });
      await untilTurn(play, 2);
      const [refused] = await results(stage, play.id, "background_task");
      expect(refused).toStartWith("OpenCode did not answer: session.create");
      expect(refused).toEndWith("Nothing was started.");
      expect(await storedTasks(play)).toEqual([]);
    });
  }
});

describe("a root whose session metadata can never be written", () => {
  const fault: Fault = { call: "update", how: "refuses", times: FOR_EVER };

  test("starts no task that a crash would lose; the agent sees it queued, and a toast says why (S2)", async () => {
    const from = stage.server.events.all.length;
    const play = await stage.play({
      root: [{ toolCalls: [launch("unstored")] }, "Waiting.", LIST, "It waits.", cancel("unstored"), "It is over."],
      children: { unstored: "Never asked." },
    });
    breakCalls(stage.opencode.directory, play.id, fault);
    await play.say("start it");
    await untilToast("could not be stored", from);
    await play.say("list them");
    await untilTurn(play, 4);
    expect((await results(stage, play.id, "background_output"))[0]).toContain("Background tasks: 1 queued.");
    await play.untilIdle();
    await play.say("cancel it");
    await untilTurn(play, 6);
    expect((await results(stage, play.id, "background_cancel"))[0]).toContain("Cancelled: 1.");
    expect(requestsOf(stage, "unstored")).toEqual([]);
  });

  test("keeps the end of a task that worked already; a toast says why, and the user's message takes it along (S2)", async () => {
    const [from, gate] = [stage.server.events.all.length, createGate()];
    const play = await stage.play({
      root: [{ toolCalls: [launch("volatile")] }, "Waiting.", "I see."],
      children: { volatile: { text: "volatile result", until: gate.opened } },
    });
    await play.say("start it");
    await asked(stage, "volatile");
    await untilTask(play, "volatile", isStarted);
    await play.untilIdle();
    breakCalls(stage.opencode.directory, play.id, fault);
    gate.open();
    await untilToast("could not be stored", from);
    await expectUntold(play);
    await play.say("what now?");
    await untilTurn(play, 3);
    expect(await toldTimes(play, "volatile result")).toBe(1);
  });

  async function untilToast(words: string, from: number): Promise<void> {
    const isToast = ({ type, properties }: OpencodeEvent) =>
      type === "tui.toast.show" && String(properties.message).includes(words);
    await stage.server.events.waitFor(isToast, { from });
  }
});

/** A root that launches one task, through a host with a fault. */
async function launched(
  name: string,
  child: readonly Reply[],
  rest: readonly (Reply | ReplyFunction)[],
  fault: Fault,
): Promise<Play> {
  const play = await stage.play({
    root: [{ toolCalls: [launch(name)] }, "Waiting.", ...rest],
    children: { [name]: child.map((reply) => once(() => untilTurn(play, 2), reply)) },
  });
  breakCalls(stage.opencode.directory, play.id, fault);
  await play.say("start it");
  await untilTurn(play, 2);
  return play;
}

/** Nothing is said to the root for a while. */
async function expectUntold(play: Play): Promise<void> {
  await expectSilence(play);
  expect(await play.framed("task-outcome")).toEqual([]);
}

/** Who has said something in a root, in order. */
async function spoken(play: Play): Promise<string[]> {
  return (await play.messages()).map((message) => {
    const text = textOf(message);
    if (message.info.role === "user") return text.includes('kind="task-outcome"') ? "told" : "user";
    return text === "" ? "assistant" : `assistant: ${text}`;
  });
}

/** Agent, model and variant of the prompts of a session. */
async function voices(sessionID: string): Promise<object[]> {
  return (await stage.server.messages(sessionID)).flatMap(({ info }) => {
    if (info.role !== "user") return [];
    // This SDK's types do not know where the host keeps the variant.
    const { variant, ...model } = info.model as { providerID: string; modelID: string; variant?: string };
    return [{ agent: info.agent, model, variant }];
  });
}
