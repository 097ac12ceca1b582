import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createGate, type Reply } from "../../src/testing/index.ts";
import {
  asked,
  calm,
  cancel,
  expectSilence,
  LIST,
  launch,
  launches,
  once,
  read,
  requestsOf,
  results,
  untilAnswered,
  untilStatus,
  untilTurn,
  warmUp,
} from "./background.ts";
import { openStages, type Play, type Stage } from "./stage.ts";

/** One slot for each model; a test that needs slots has a model of its own. */
let narrow: Stage;
/** The limits that a user sets. */
let set: Stage;

const MODELS = [
  "model",
  "queue",
  "leave",
  "nest",
  "wait",
  "first-of-two",
  "second-of-two",
  "bad-model",
  "shared-a",
  "shared-b",
];
const SHAKY = "(unstable model: verify)";

beforeAll(async () => {
  const models = Object.fromEntries(MODELS.map((id) => [id, {}]));
  const agent = {
    shaky: { mode: "subagent", description: "unstable", model: "scripted/bad-model" },
    broken: { mode: "subagent", description: "has a model that does not exist", model: "scripted/unheard-of" },
  };
  const max_concurrent_tasks = { "scripted/first-of-two": 1, "scripted/second-of-two": 2 };
  const options = { max_concurrent_tasks, max_task_depth: 1, unstable_models: ["*bad*"], on_interrupt: "keep" };
  [narrow, set] = await openStages([{ options: { max_concurrent_tasks: 1 } }, { options, config: { agent } }], models);
  await Promise.all([narrow, set].map(warmUp));
});

afterAll(() => narrow[Symbol.asyncDispose]());

describe.concurrent("max_concurrent_tasks", () => {
  beforeAll(() => Promise.all([narrow, set].map(calm)));

  test("1: of three tasks one works and two wait at places 1 and 2, first come first served (T12)", async () => {
    const names = ["queued one", "queued two", "queued three"];
    const gates = names.map(() => createGate());
    const play = await narrow.play({
      root: [...launches(names, { model: "scripted/queue" }), LIST, "Waiting.", "I have read them."],
      children: Object.fromEntries(
        names.map((name, index) => [name, { text: `${name} result`, until: gates[index]?.opened ?? Promise.reject() }]),
      ),
    });
    await play.say("begin");
    await untilTurn(play, 5);
    const launched = await results(narrow, play.id, "background_task");
    expect(launched.map((said) => /It (starts|is) [^.]+\./.exec(said)?.[0])).toEqual([
      "It starts now.",
      "It is 1st in the queue for scripted/queue.",
      "It is 2nd in the queue for scripted/queue.",
    ]);
    const [list] = await results(narrow, play.id, "background_output");
    expect(list).toContain("2 queued");
    expect(list).toMatch(/"queued two" .*: queued .*1st in the queue for scripted\/queue$/m);
    expect(list).toMatch(/"queued three" .*: queued .*2nd in the queue for scripted\/queue$/m);
    for (const [index, name] of names.entries()) {
      await asked(narrow, name);
      await Bun.sleep(150);
      expect(names.map((other) => requestsOf(narrow, other).length)).toEqual(
        names.map((_, at) => (at <= index ? 1 : 0)),
      );
      gates[index]?.open();
    }
    const tasks = await untilAnswered(narrow, play, 3);
    expect(tasks.map(({ status }) => status)).toEqual(["completed", "completed", "completed"]);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("Background tasks ended: 3 completed.");
  });

  test('an object: each "provider/model" has slots of its own (T12)', async () => {
    const gate = createGate();
    const names = ["solo one", "solo two", "duo one", "duo two", "duo three"];
    const [solo, duo] = [{ model: "scripted/first-of-two" }, { model: "scripted/second-of-two" }];
    const play = await set.play({
      root: [...launches(names.slice(0, 2), solo), ...launches(names.slice(2), duo), "Waiting.", "I have read them."],
      children: Object.fromEntries(names.map((name) => [name, { text: "well done", until: gate.opened }])),
    });
    await play.say("begin");
    await untilTurn(play, 6);
    await Promise.all(["solo one", "duo one", "duo two"].map((name) => asked(set, name)));
    await Bun.sleep(300);
    expect(names.map((name) => requestsOf(set, name).length)).toEqual([1, 0, 1, 1, 0]);
    const launched = await results(set, play.id, "background_task");
    expect(launched.map((said) => /It (starts|is) [^.]+\./.exec(said)?.[0])).toEqual([
      "It starts now.",
      "It is 1st in the queue for scripted/first-of-two.",
      "It starts now.",
      "It starts now.",
      "It is 1st in the queue for scripted/second-of-two.",
    ]);
    gate.open();
    await untilAnswered(set, play, 5);
    expect(names.map((name) => requestsOf(set, name)[0]?.modelID)).toEqual([
      ...["first-of-two", "first-of-two"],
      ...["second-of-two", "second-of-two", "second-of-two"],
    ]);
  });

  test("1: a task that is cancelled while it waits lets the next one go, and is never prompted (T12)", async () => {
    const gate = createGate();
    const play = await narrow.play({
      root: [
        ...launches(["ahead", "in between", "behind"], { model: "scripted/leave" }),
        cancel("in between"),
        LIST,
        "Waiting.",
        "I have read them.",
      ],
      children: {
        ahead: { text: "ahead result", until: gate.opened },
        "in between": "never said",
        behind: "behind result",
      },
    });
    await play.say("begin");
    await untilTurn(play, 6);
    const [cancelled] = await results(narrow, play.id, "background_cancel");
    expect(cancelled).toMatch(
      /^Cancelled: 1\.[\s\S]*"in between" .*cancelled \(its agent cancelled it\)\. It has said nothing\./,
    );
    const [list] = await results(narrow, play.id, "background_output");
    expect(list).toMatch(/"behind" .*: queued .*1st in the queue for scripted\/leave$/m);
    gate.open();
    await untilAnswered(narrow, play, 3);
    expect(requestsOf(narrow, "in between")).toEqual([]);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("Background tasks ended: 2 completed.");
    expect(told).toContain("behind result");
  });

  test("1: a task that is cancelled while it works lets the next one go (T12)", async () => {
    const play = await narrow.play({
      root: [
        ...launches(["in the way", "next one"], { model: "scripted/shared-a" }),
        once(() => asked(narrow, "in the way"), cancel("in the way")),
        "Waiting.",
        "I have read it.",
      ],
      children: { "in the way": { hang: true }, "next one": "my turn" },
    });
    await play.say("begin");
    await untilAnswered(narrow, play, 2);
    expect((await play.framed("task-outcome")).at(-1)).toContain("my turn");
  });

  test("1: a task that waits in a tool call for its own task lends it its slot", async () => {
    const play = await narrow.play({
      root: [{ toolCalls: [launch("waiting parent", { model: "scripted/wait" })] }, "Waiting.", "I see."],
      children: {
        "waiting parent": [
          { toolCalls: [launch("awaited child")] },
          read("awaited child", { wait: true }),
          "It has ended.",
        ],
        "awaited child": "child result",
      },
    });
    await play.say("begin");
    const tasks = await untilAnswered(narrow, play, 2);
    expect(tasks.map(({ launch }) => launch?.voice.model?.modelID)).toEqual(["wait", "wait"]);
    expect((await asked(narrow, "waiting parent", 2)).toolResults.at(-1)?.output).toEndWith("child result");
    expect((await play.framed("task-outcome"))[0]).toContain("It has ended.");
  });

  test("1: a task that has ended its turn to wait for its own tasks lends them its slot", async () => {
    const play = await narrow.play({
      root: [{ toolCalls: [launch("resting parent", { model: "scripted/nest" })] }, "Waiting.", "I see."],
      children: {
        "resting parent": [{ toolCalls: [launch("nested one"), launch("nested two")] }, "I wait.", "Both have ended."],
        nested: "nested result",
      },
    });
    await play.say("begin");
    await untilAnswered(narrow, play, 3);
    expect((await asked(narrow, "resting parent", 2)).lastUserText).toContain("2 completed");
    expect((await play.framed("task-outcome"))[0]).toContain("Both have ended.");
  });
});

describe.concurrent("what is refused, or fails at once", () => {
  beforeAll(() => Promise.all([narrow, set].map(calm)));

  test("max_task_depth 1: a task cannot launch one of its own, is told why, and goes on (T16)", async () => {
    const play = await set.play({
      root: [{ toolCalls: [launch("deep enough")] }, "Waiting.", "I see."],
      children: {
        "deep enough": [{ toolCalls: [launch("too deep")] }, "then I do it myself"],
        "too deep": "never said",
      },
    });
    await play.say("begin");
    const [task] = await untilAnswered(set, play, 1);
    const [refused] = await results(set, task?.id ?? "", "background_task");
    expect(refused).toStartWith('Tasks may be nested 1 deep ("max_task_depth"), and this one would be deeper.');
    expect(refused).toEndWith("Nothing was started.");
    expect(await set.server.children(task?.id ?? "")).toEqual([]);
    expect((await play.framed("task-outcome"))[0]).toContain("then I do it myself");
  });

  test("an agent that does not exist is refused, with those that do, and leaves no session behind", async () => {
    const play = await set.play([{ toolCalls: [launch("nobody's", { agent: "nobody" })] }, "I see."]);
    await play.say("begin");
    await untilTurn(play, 2);
    const [refused] = await results(set, play.id, "background_task");
    expect(refused).toMatch(
      /^There is no agent "nobody"\. Available: .*\bgeneral\b.*\bshaky\b.* Nothing was started\.$/,
    );
    expect(await set.server.children(play.id)).toEqual([]);
  });

  test("a wished model that does not exist is refused, with those that do, and leaves no session behind", async () => {
    const play = await set.play([
      { toolCalls: [launch("no such model", { model: "scripted/queues" })] },
      { toolCalls: [launch("no such provider", { model: "scribbled/unheard-of" })] },
      "I see.",
    ]);
    await play.say("begin");
    await untilTurn(play, 3);
    const [model, provider] = await results(set, play.id, "background_task");
    expect(model).toMatch(
      /^There is no model "scripted\/queues"\. Models of scripted: scripted\/queue, .* and 5 more\. Nothing was started\.$/,
    );
    expect(provider).toMatch(/and no provider "scribbled"\. Providers: scripted.* Nothing was started\.$/);
    expect(await set.server.children(play.id)).toEqual([]);
  });

  test("an agent whose own model does not exist fails its task within seconds, in OpenCode's own words", async () => {
    const play = await set.play({
      root: [{ toolCalls: [launch("no such model", { agent: "broken" })] }, "Waiting.", "I see."],
    });
    await play.say("begin");
    expect(await untilAnswered(set, play, 1)).toMatchObject([{ status: "failed" }]);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toContain("Model not found: scripted/unheard-of");
  });
});

describe.concurrent("unstable_models", () => {
  beforeAll(() => Promise.all([narrow, set].map(calm)));

  test("a stable model of the launch overrules its agent's unstable one: nothing is marked (T7)", async () => {
    const { launched, list, told, modelID } = await playModel("stable after all", {
      agent: "shaky",
      model: "scripted/model",
    });
    expect(modelID).toBe("model");
    for (const said of [launched, list, told]) expect(said).not.toMatch(/unstable|verif/);
  });

  test("an unstable model of the launch is marked in the answer, the list and the notice (T7)", async () => {
    const { launched, list, told, modelID } = await playModel("made unstable", { model: "scripted/bad-model" });
    expect(modelID).toBe("bad-model");
    expect(launched).toContain("must be verified");
    for (const said of [list, told]) expect(said).toContain(SHAKY);
  });

  test("the unstable model of its agent is marked as well (T7)", async () => {
    const { launched, list, told, modelID } = await playModel("unstable by nature", { agent: "shaky" });
    expect(modelID).toBe("bad-model");
    expect(launched).toContain("must be verified");
    for (const said of [list, told]) expect(said).toContain(SHAKY);
  });

  test("the explicit flag wins, both ways (T7)", async () => {
    const cleared = await playModel("vouched for", { agent: "shaky", unstable: false });
    expect(cleared.modelID).toBe("bad-model");
    for (const said of [cleared.launched, cleared.list, cleared.told]) expect(said).not.toMatch(/unstable|verif/);
    const marked = await playModel("distrusted", { unstable: true });
    expect(marked.modelID).toBe("model");
    expect(marked.launched).toContain("must be verified");
    for (const said of [marked.list, marked.told]) expect(said).toContain(SHAKY);
  });
});

describe.concurrent("on_interrupt", () => {
  beforeAll(() => Promise.all([narrow, set].map(calm)));

  test('"cancel": the abort of a busy root cancels its launched tasks, told in the next message (D9)', async () => {
    const play = await playInterrupted(narrow, "dropped", "shared-b", [{ hang: true }, "I see."]);
    await untilTurn(play, 2);
    await play.abort();
    await expectCancelled(narrow, play, "dropped");
  });

  test('"cancel": the abort of an idle root cancels its launched tasks, told in the next message (D9)', async () => {
    const play = await playInterrupted(narrow, "left alone", "second-of-two", ["Waiting.", "I see."]);
    await untilTurn(play, 2);
    await play.untilIdle();
    await play.abort();
    await expectCancelled(narrow, play, "left alone");
  });

  test('"keep": the abort of the root leaves its launched tasks at work, and nothing prompts it until the user writes', async () => {
    const gate = createGate();
    const play = await set.play({
      root: [{ toolCalls: [launch("kept at work")] }, { hang: true }, "I see."],
      children: { "kept at work": { text: "kept result", until: gate.opened } },
    });
    await play.say("begin");
    await asked(set, "kept at work");
    await untilTurn(play, 2);
    await play.abort();
    await Bun.sleep(500);
    expect(requestsOf(set, "kept at work")).toMatchObject([{ state: "open" }]);
    gate.open();
    await untilStatus(set, play, "kept at work", "completed");
    await expectSilence(play);
    expect(await play.framed("task-outcome")).toEqual([]);
    await play.say("What now?");
    await untilAnswered(set, play, 1);
    const [told, ...more] = await play.framed("task-outcome");
    expect(more).toEqual([]);
    expect(told).toStartWith("What now?\n");
    expect(told).toContain("kept result");
  });
});

/** Launches a task with these wishes, lists it, and reads what is told of it. */
async function playModel(name: string, wishes: Readonly<Record<string, unknown>>) {
  const play = await set.play({
    root: [{ toolCalls: [launch(name, wishes)] }, LIST, "Waiting.", "I see."],
    children: { [name]: { text: "well done", delayMs: 300 } },
  });
  await play.say("begin");
  await untilTurn(play, 4);
  const [launched] = await results(set, play.id, "background_task");
  const [list] = await results(set, play.id, "background_output");
  const [told, ...more] = await play.framed("task-outcome");
  expect(more).toEqual([]);
  expect(list).toContain(`"${name}"`);
  expect(told).toContain("well done");
  return { launched, list, told, modelID: (await asked(set, name)).modelID };
}

/** A root that has launched a task which never ends. `rest`: what it does afterwards. */
async function playInterrupted(stage: Stage, name: string, model: string, rest: readonly Reply[]): Promise<Play> {
  const play = await stage.play({
    root: [{ toolCalls: [launch(name, { model: `scripted/${model}` })] }, ...rest],
    children: { [name]: [{ text: "half of it", toolCalls: [bash("echo half")] }, { hang: true }] },
  });
  await play.say("begin");
  await asked(stage, name, 1);
  return play;
}

async function expectCancelled(stage: Stage, play: Play, name: string): Promise<void> {
  const { id, ...stub } = await untilStatus(stage, play, name, "cancelled");
  expect(stub).toMatchObject({ outcome: { reason: "the user interrupted" } });
  await stage.model.waitForRequest((request) => request.sessionID === id && request.state === "disconnected");
  await expectSilence(play);
  expect(await play.framed("task-outcome")).toEqual([]);
  await play.say("What now?");
  await untilAnswered(stage, play, 1);
  const [told, ...more] = await play.framed("task-outcome");
  expect(more).toEqual([]);
  expect(told).toStartWith("What now?\n");
  expect(told).toContain(`"${name}" (${id}): cancelled (the user interrupted)`);
  expect(told).toContain("half of it");
}

function bash(command: string) {
  return { name: "bash", args: { command, description: command } };
}
