import { beforeEach, describe, expect, test } from "bun:test";
import type { TaskChange } from "../../src/tasks/background-task-manager.ts";
import { Desk } from "./desk.ts";

let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open({ max_concurrent_tasks: 1 });
});

describe("launching", () => {
  test("returns at once with the id, the place, and the advice not to poll", async () => {
    const said = await desk.call("task", { description: "look at tests", prompt: "look" });
    const [task] = desk.keeper.tasks(desk.root);
    expect(said).toStartWith(`Launched: "look at tests" (${task?.id}), general, simulated/model. It starts now.\n`);
    expect(said).toContain("reported to you by itself");
    expect(said).toContain("Do not poll");
    expect(said).toContain(`background_output({"task_id":"${task?.id}"})`);
    expect(task?.status).toBe("running");
  });

  test("one that waits for a slot names its place and the model of the queue", async () => {
    await desk.launch("a");
    await desk.launch("b");
    const said = await desk.call("task", { description: "c", prompt: "x" });
    expect(said).toContain("It is 2nd in the queue for simulated/model.");
  });

  test("the stored state of the root is loaded first", async () => {
    await desk.launch("a");
    expect(desk.ensured).toEqual([desk.root]);
  });

  test('an empty text or null for an optional argument counts as absent: "" is what models send', async () => {
    const said = await desk.call("task", {
      description: "a",
      prompt: "x",
      agent: "",
      model: "  ",
      task_id: "",
      unstable: null,
    });
    expect(said).toStartWith('Launched: "a"');
    expect(said).not.toContain("verified");
  });

  test("white space around a name does not count", async () => {
    const said = await desk.call("task", { description: " a ", prompt: "x", agent: " general\n", model: " p/m " });
    expect(said).toStartWith('Launched: "a" (');
    expect(said).toContain(", general, p/m.");
  });

  test("the prompt reaches the child unchanged, white space and all", async () => {
    const prompt = " $& </goalkeeper>\n!`touch x` ";
    await desk.launch("a", { prompt });
    expect(desk.host.prompts[0]?.text).toBe(prompt);
  });

  test("the title is one line of at most 80 characters; without a description it is the beginning of the prompt", async () => {
    await desk.launch(`look\nat ${"x".repeat(200)}`);
    await desk.call("task", { prompt: "find\nall callers" });
    const [first, second] = desk.keeper.tasks(desk.root);
    expect(first?.title).toHaveLength(80);
    expect(first?.title).toStartWith("look at xxx");
    expect(second?.title).toBe("find all callers");
  });

  test("a task that was cancelled while it was made says so; OpenCode drops the result, so it stays to be told", async () => {
    const abort = new AbortController();
    desk.clock.after(6, () => abort.abort());
    const said = await desk.call("task", { description: "a", prompt: "x" }, { abort: abort.signal });
    const [task] = desk.keeper.tasks(desk.root);
    expect(said).toContain("cancelled while it was being created");
    expect(said).toContain("It will not run.");
    expect(desk.ended(task?.id ?? "").delivery).toMatchObject({ state: "pending" });
    expect(desk.host.prompts).toEqual([]);
  });
});

describe("what cannot be launched is answered, and nothing is started", () => {
  const refused = async (args: unknown) => {
    const said = await desk.call("task", args);
    expect(said).toEndWith("Nothing was started.");
    expect(desk.host.below(desk.root)).toEqual([]);
    return said;
  };

  test("without a prompt, or with an empty one", async () => {
    for (const args of [undefined, "x", {}, { prompt: "" }, { prompt: " \n" }])
      expect(await refused(args)).toContain('"prompt" is missing');
  });

  test("with arguments of the wrong kind: each is named, with what was expected", async () => {
    const said = await refused({ description: 1, prompt: [], agent: {}, model: "gpt", task_id: 7, unstable: "maybe" });
    expect(said).toContain('"description" is 1; a text was expected.');
    expect(said).toContain('"prompt" is []; a text was expected.');
    expect(said).toContain('"agent" is {}; the name of an agent was expected.');
    expect(said).toContain('"model" is "gpt"; "provider/model" was expected.');
    expect(said).toContain('"task_id" is 7; the id of a task was expected.');
    expect(said).toContain('"unstable" is "maybe"; true or false was expected.');
  });

  test("with an agent that does not exist", async () => {
    expect(await refused({ prompt: "x", agent: "nobody" })).toContain(
      'There is no agent "nobody". Available: general.',
    );
  });

  test("with a model that does not exist; a known one, or one that OpenCode does not tell of, is taken", async () => {
    desk.host.knownModels = new Set(["p/m", "p/n"]);
    expect(await refused({ prompt: "x", model: "p/o" })).toBe(
      'There is no model "p/o". Models of p: p/m, p/n. Nothing was started.',
    );
    const id = await desk.launch("a", { model: "p/m" });
    await desk.finish(id);
    const resumed = await desk.call("task", { prompt: "more", task_id: id, model: "p/o" });
    expect(resumed).toStartWith('There is no model "p/o".');
    expect(desk.task(id)).toMatchObject({ status: "completed", run: { number: 1 } });
    const silent = await Desk.open();
    silent.host.knownModels = new Set(["p/m"]);
    silent.host.faults.models = "unknown";
    expect(await silent.call("task", { prompt: "x", model: "p/o" })).toStartWith("Launched: ");
    silent.host.faults.models = "right";
    expect(await silent.call("task", { prompt: "x", model: "p/o" })).toStartWith("There is no model");
  });

  test("when OpenCode does not answer", async () => {
    desk.host.faults.createChild = "unknown";
    expect(await refused({ prompt: "x" })).toContain("OpenCode did not answer");
  });

  test("resuming a task that works, or that nobody knows: then those that there are are named", async () => {
    const unknown = () => desk.call("task", { prompt: "x", task_id: "ses_nobody" });
    const refusal = "There is no session ses_nobody. Nothing was started.";
    expect(await unknown()).toBe(`${refusal} This session has no background tasks.`);
    const id = await desk.launch("a");
    expect(await unknown()).toBe(`${refusal} The tasks of this session: "a" (${id}).`);
    const said = await desk.call("task", { prompt: "x", task_id: id });
    expect(said).toBe(`The task ${id} is running and cannot be resumed before it has ended. Nothing was started.`);
  });
});

describe("a task whose model is unstable", () => {
  const VERIFY = "must be verified";

  test("is marked by the model that really runs, and an explicit flag wins both ways", async () => {
    const launched = (args: Record<string, unknown>) => desk.call("task", { description: "a", prompt: "x", ...args });
    expect(await launched({ model: "google/gemini-3" })).toContain(VERIFY);
    expect(await launched({ model: "google/gemini-3", unstable: false })).not.toContain(VERIFY);
    expect(await launched({})).not.toContain(VERIFY);
    expect(await launched({ unstable: true })).toContain(VERIFY);
  });
});

describe("the report of tasks that ended", () => {
  const reports = () => desk.host.prompts.filter(({ sessionID }) => sessionID === desk.root).map(({ text }) => text);

  test("says how many of the root's tasks still work when it goes out", async () => {
    desk.host.unknownModels.add("p/m");
    await desk.launch("a", { model: "p/m" });
    await desk.launch("b");
    await desk.launch("c");
    await desk.pass(1_000);
    expect(reports()).toEqual([]);
    await desk.finish(desk.root, "waiting");
    expect(reports()).toHaveLength(1);
    expect(reports()[0]).toContain("Background tasks ended: 1 failed. 2 still work.");
  });

  test("does not count what others made: the root does not know of it", async () => {
    desk.host.unknownModels.add("p/m");
    await desk.launch("a", { model: "p/m" });
    desk.host.userSays(desk.host.addChild(desk.root), "hello");
    await desk.pass(1_000);
    expect(await desk.call("output", {})).toStartWith("Background tasks: 1 running, 1 failed.");
    await desk.finish(desk.root, "waiting");
    expect(reports()[0]).toContain("Background tasks ended: 1 failed.\n");
  });

  test("of a task that reports to another task counts the tasks of that one", async () => {
    const open = await Desk.open();
    const above = await open.launch("above");
    open.host.unknownModels.add("p/m");
    await open.launch("a", { model: "p/m" }, { sessionID: above });
    await open.launch("b", {}, { sessionID: above });
    await open.launch("beside");
    await open.finish(above, "waiting");
    await open.pass(1_000);
    const told = open.host.prompts.filter(({ sessionID, synthetic }) => sessionID === above && synthetic);
    expect(told.map(({ text }) => text).join()).toContain("Background tasks ended: 1 failed. 1 still works.");
  });
});

describe("resuming", () => {
  test("an outcome that nobody was told is in the result in full, and delivered to the caller before the next run", async () => {
    const id = await desk.launch("a");
    await desk.finish(id, "alpha\n\nbeta");
    const changes: TaskChange[] = [];
    desk.tasks.subscribe((change) => changes.push(change));
    const said = await desk.call("task", { task_id: id, prompt: "more" });
    expect(said).toStartWith(`Resumed (run 2): "a" (${id})`);
    expect(said).toContain(`Not reported before: "a" (${id}): completed after`);
    expect(said).toEndWith("Its result:\nalpha\n\nbeta");
    const [first, second] = changes;
    expect(first?.after).toMatchObject({
      run: { number: 1 },
      delivery: { state: "delivered", sessionID: desk.root, messageID: "msg_call" },
    });
    expect(second?.after).toMatchObject({ run: { number: 2 }, status: "queued" });
    expect(changes.map(({ event }) => event)).not.toContain("undelivered");
  });

  test("a turn that the user aborts resumes nothing; OpenCode drops the result, so the outcome stays to be told", async () => {
    const id = await desk.launch("a");
    await desk.finish(id);
    const abort = new AbortController();
    desk.clock.after(6, () => abort.abort());
    const said = await desk.call("task", { task_id: id, prompt: "more" }, { abort: abort.signal });
    expect(said).toContain("It was cancelled while it was being resumed.");
    expect(desk.ended(id)).toMatchObject({ run: { number: 1 }, delivery: { state: "pending", teller: "goalkeeper" } });
  });

  test("the text of an outcome that was not read yet is read first", async () => {
    const id = await desk.launch("a");
    desk.host.faults.abort = "never";
    void desk.tasks.cancel(id);
    await desk.finish(id, "half of it");
    const said = await desk.call("task", { task_id: id, prompt: "more" });
    expect(said).toContain("Reason: it was cancelled\n");
    expect(said).toEndWith("\nThe last that it has said:\nhalf of it");
  });

  test("an outcome that was told before is not repeated", async () => {
    const id = await desk.launch("a");
    await desk.finish(id);
    await desk.call("output", { task_id: id });
    expect(await desk.call("task", { task_id: id, prompt: "more" })).not.toContain("the result");
  });

  test("by a session that would not be told of its result is refused, and names the one that may", async () => {
    const open = await Desk.open();
    const other = await open.launch("other");
    const id = await open.launch("a");
    await open.finish(id, "alpha");
    const before = open.tasks.get(id);
    const said = await open.call("task", { task_id: id, prompt: "more" }, { sessionID: other });
    expect(said).toBe(
      `The task ${id} reports to ${open.root}, and only that session may resume it. Nothing was started.`,
    );
    expect(open.tasks.get(id)).toBe(before);
  });

  test("an outcome that OpenCode would cut loses its beginning, and says so", async () => {
    const id = await desk.launch("a");
    await desk.finish(id, `${"語".repeat(30_000)}\nthe end`);
    const said = await desk.call("task", { task_id: id, prompt: "more" });
    expect(said).toContain("characters before this are left out]");
    expect(said).toEndWith("\nthe end");
    expect(Buffer.byteLength(said)).toBeLessThan(51_200);
  });
});
