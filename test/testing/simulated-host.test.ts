import { describe, expect, test } from "bun:test";
import type { HostEvent, NewChild, Prompt } from "../../src/host/port.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { SimulatedHost } from "../../src/testing/simulated-host.ts";

function simulated(turnMs?: number) {
  const clock = new SimulatedClock();
  const events: HostEvent[] = [];
  const host = new SimulatedHost({ clock, onEvent: (event) => events.push(event), turnMs: () => turnMs });
  const root = host.createRoot();
  const types = (sessionID: string) =>
    events.filter((event) => event.type !== "session-seen" && event.sessionID === sessionID).map((event) => event.type);
  /** Lets the host answer. */
  const after = async <T>(answer: Promise<T>, ms = 10): Promise<T> => {
    await clock.advance(ms);
    return answer;
  };
  return { clock, host, root, events, types, after };
}

async function inTurn() {
  const world = simulated();
  world.host.userSays(world.root, "hello");
  await world.clock.advance(20);
  return world;
}

function promptFor(sessionID: string, messageID: string, more: Partial<Prompt> = {}): Prompt {
  const part = { partID: `prt_${messageID}`, text: "go on" };
  return { sessionID, messageID, ...part, voice: undefined, synthetic: true, ...more };
}

const MODEL = { providerID: "p", modelID: "m" };
const QUESTION_DENIED = { permission: "question", pattern: "*", action: "deny" } as const;

function childOf(parentID: string, more: Partial<NewChild> = {}): NewChild {
  const rules = [QUESTION_DENIED];
  return { parentID, title: "look", voice: { agent: "general", model: MODEL }, rules, metadata: { mine: 1 }, ...more };
}

/** A child that works on its first prompt. */
async function withChild(more: Partial<Prompt> = {}, turnMs?: number) {
  const world = simulated(turnMs);
  const made = await world.after(world.host.createChild(childOf(world.root)));
  const child = made.kind === "known" ? made.value.id : "";
  await world.after(world.host.prompt(promptFor(child, "msg_1", { synthetic: false, ...more })), 30);
  return { ...world, child };
}

test("that a child's turn has failed is stored late where snapshots take their time, and no other turn begins before", async () => {
  const { clock, host, child, types, after } = await withChild();
  host.storesFailureAfterMs = 4_000;
  host.failTurn(child);
  await clock.advance(20);
  await after(host.prompt(promptFor(child, "msg_2")), 1_000);
  expect(types(child).filter((type) => type === "session-idle")).toHaveLength(1);
  expect(host.isWorking(child)).toBe(false);
  await clock.advance(4_000);
  expect(types(child).filter((type) => type === "session-idle")).toHaveLength(2);
  expect(host.isWorking(child)).toBe(true);
});

describe("the native Task tool", () => {
  test("tells the parent of a background task 3 ms after the child's idle, and wakes it", async () => {
    const { clock, host, root, events } = await inTurn();
    const task = host.startTask(root, { background: true });
    await clock.advance(100);
    host.finishTurn(root);
    await clock.advance(100);
    host.finishTurn(task, "the result");
    await clock.advance(100);
    const told = events.find((event) => event.type === "user-text" && event.told !== undefined);
    expect(told).toMatchObject({ sessionID: root, told: { taskID: task, ended: "completed", text: "the result" } });
    expect(host.isWorking(root)).toBe(true);
  });

  test("under whose name another plugin's returns while its child works, and tells nobody how that ends", async () => {
    const { clock, host, root, events } = await inTurn();
    const child = host.callForeignTask(root, { promptsAfterMs: 30 });
    await clock.advance(50);
    expect([host.isHeldByTask(root), host.isWorking(child)]).toEqual([true, true]);
    await clock.advance(50);
    expect([host.isHeldByTask(root), host.isWorking(child)]).toEqual([false, true]);
    host.finishTurn(child);
    await clock.advance(5_000);
    const parts = events.flatMap((event) => (event.type === "tool" ? [[event.state, event.child?.sessionID]] : []));
    expect(parts).toEqual([
      ["running", child],
      ["completed", child],
    ]);
    expect(events.some((event) => event.type === "user-text" && event.sessionID === root && event.synthetic)).toBe(
      false,
    );
  });

  test("tells nobody that a background task was aborted", async () => {
    const { clock, host, root, events } = await inTurn();
    const task = host.startTask(root, { background: true });
    await clock.advance(100);
    host.userAborts(task);
    await clock.advance(5_000);
    expect(events.some((event) => event.type === "user-text" && event.told !== undefined)).toBe(false);
  });

  test("completes the parent's call when a foreground task ends", async () => {
    const { clock, host, root, events } = await inTurn();
    const task = host.startTask(root);
    await clock.advance(100);
    host.finishTurn(task, "found");
    await clock.advance(100);
    expect(events.at(-1)).toBeDefined();
    expect(events.filter((event) => event.type === "tool").map((event) => event.state)).toEqual([
      "running",
      "completed",
    ]);
  });
});

describe("turns", () => {
  test("an error publishes its idle twice, the second one behind the message", async () => {
    const { clock, host, root, types } = await inTurn();
    host.failTurn(root);
    await clock.advance(100);
    expect(types(root).slice(-4)).toEqual(["session-error", "session-idle", "assistant-message", "session-idle"]);
  });

  test("an abort while the provider is retried publishes one idle and no error", async () => {
    const { clock, host, root, types } = await inTurn();
    host.retryTurn(root, 5_000);
    host.userAborts(root);
    await clock.advance(100);
    expect(types(root).slice(-3)).toEqual(["session-retrying", "assistant-message", "session-idle"]);
  });

  test("aborting an idle root aborts its native children and leaves those of plugins alone", async () => {
    const { clock, host, root } = await inTurn();
    const native = host.startTask(root, { background: true });
    const made = host.addChild(root);
    host.userSays(made, "work");
    await clock.advance(100);
    host.finishTurn(root);
    await clock.advance(100);
    host.userAborts(root);
    await clock.advance(100);
    expect([host.isWorking(native), host.isWorking(made)]).toEqual([false, true]);
  });
});

describe("a prompt", () => {
  test("with a known id changes the message in place, and an answered newest one starts nothing", async () => {
    const { clock, host, root } = simulated(10);
    for (let i = 0; i < 2; i++) {
      const answer = host.prompt(promptFor(root, "msg_1"));
      await clock.advance(100);
      expect(await answer).toEqual({ kind: "known", value: undefined });
    }
    expect(host.messages(root).map((message) => message.role)).toEqual(["user", "assistant"]);
  });

  test("with a known id that is not the newest is answered once more", async () => {
    const { clock, host, root } = simulated(10);
    for (const id of ["msg_1", "msg_2", "msg_1"]) {
      const answer = host.prompt(promptFor(root, id));
      await clock.advance(100);
      await answer;
    }
    expect(host.messages(root).filter((message) => message.role === "assistant")).toHaveLength(3);
  });

  test("may be refused, taken with its answer lost, or taken without a turn", async () => {
    const { clock, host, root } = simulated(10);
    host.fates.push("refused", "answer-lost", "no-turn");
    const kinds: string[] = [];
    for (const id of ["msg_1", "msg_2", "msg_3"]) {
      const answer = host.prompt(promptFor(root, id));
      await clock.advance(100);
      kinds.push((await answer).kind);
    }
    expect(kinds).toEqual(["unknown", "unknown", "known"]);
    expect(host.messages(root).map(({ id, role }) => (role === "user" ? id : role))).toEqual([
      "msg_2",
      "assistant",
      "msg_3",
    ]);
  });
});

describe("what the user undoes", () => {
  test("stays until somebody writes, and is gone then; taken back before, all of it is there", async () => {
    const { clock, host, root, events } = simulated(5);
    for (const text of ["one", "two"]) {
      host.userSays(root, text);
      await clock.advance(100);
    }
    host.userUndoes(root);
    expect([host.isUndone(root), host.messages(root).length]).toEqual([true, 4]);
    host.userRedoes(root);
    expect([host.isUndone(root), host.messages(root).length]).toEqual([false, 4]);
    host.userUndoes(root);
    const removed = host
      .messages(root)
      .slice(2)
      .map(({ id }) => id);
    host.userSays(root, "three");
    await clock.advance(100);
    expect([host.isUndone(root), host.messages(root).length]).toEqual([false, 4]);
    const gone = events.flatMap((event) => (event.type === "message-removed" ? [event.messageID] : []));
    expect(gone).toEqual(removed);
  });

  test("is refused while the session works, and its port stores nothing there", async () => {
    const { host, root, after } = await inTurn();
    expect(host.userUndoes(root)).toBe(false);
    host.finishTurn(root);
    await after(Promise.resolve(), 100);
    expect(host.userUndoes(root)).toBe(true);
    expect(await after(host.prompt(promptFor(root, "msg_z")))).toEqual({ kind: "undone" });
    expect(await after(host.show(root, "shown", undefined))).toEqual({ kind: "undone" });
    expect(host.messages(root)).toHaveLength(2);
  });
});

describe("a child that we make", () => {
  test("is seen as created before the call has answered", async () => {
    const { clock, host, root, events } = simulated();
    let answered = false;
    const answer = host.createChild(childOf(root)).then(() => {
      answered = true;
    });
    while (!events.some((event) => event.type === "session-seen" && event.session.parentID === root)) {
      expect(answered).toBe(false);
      await clock.advance(1);
    }
    expect(answered).toBe(false);
    await clock.advance(1);
    await answer;
    expect(events.at(-1)).toMatchObject({ type: "session-seen", created: true });
  });

  test("keeps its title, its metadata, its own rules and the agent and model it was made with, and is idle", async () => {
    const { host, root, after } = simulated();
    const made = await after(host.createChild(childOf(root)));
    const voice = { agent: "general", model: MODEL };
    const info = { parentID: root, title: "look", metadata: { mine: 1 }, rules: [QUESTION_DENIED], voice };
    expect(made).toMatchObject({ kind: "known", value: info });
    const id = made.kind === "known" ? made.value.id : "";
    expect(await after(host.session(id))).toMatchObject({ value: info });
    expect(await after(host.children(root))).toMatchObject({ value: [{ id, ...info }] });
    expect(host.isWorking(id)).toBe(false);
  });

  test("is made below a parent that does not exist, too: the host does not look", async () => {
    const { host, after } = simulated();
    const made = await after(host.createChild(childOf("ses_nowhere")));
    expect(made).toMatchObject({ kind: "known", value: { parentID: "ses_nowhere" } });
  });

  test("shows the agent and model of its last user message once there is one", async () => {
    const { host, child, after } = await withChild();
    const voice = { agent: "plan", model: { providerID: "q", modelID: "n" } };
    await after(host.prompt(promptFor(child, "msg_2", { voice })));
    expect(await after(host.session(child))).toMatchObject({ value: { voice } });
  });

  test("is there although its answer got lost", async () => {
    const { host, root, after } = simulated();
    host.faults.createChild = "answer-lost";
    expect(await after(host.createChild(childOf(root)))).toMatchObject({ kind: "unknown" });
    expect(host.below(root)).toHaveLength(1);
  });

  test("is not there when the call failed", async () => {
    const { host, root, after } = simulated();
    host.faults.createChild = "unknown";
    expect(await after(host.createChild(childOf(root)))).toMatchObject({ kind: "unknown" });
    expect(host.below(root)).toEqual([]);
  });
});

describe("a prompt of a child", () => {
  test.each([true, false])("is stored as synthetic as it says (%p), and starts a turn", async (synthetic) => {
    const { host, child, events } = await withChild({ synthetic });
    const text = { type: "user-text", sessionID: child, text: "go on", synthetic, ignored: false };
    expect(events.find((event) => event.type === "user-text")).toMatchObject(text);
    expect([...(host.messages(child)[0]?.parts.values() ?? [])]).toMatchObject([{ text: "go on", synthetic }]);
    expect(host.hasTurn(child)).toBe(true);
  });

  test("is stored with the agent, model and variant that it names", async () => {
    const voice = { agent: "plan", model: { providerID: "q", modelID: "n" }, variant: "high" };
    const { host, child } = await withChild({ voice });
    expect(host.messages(child)[0]?.voice).toEqual(voice);
  });

  test("without a model runs with that of its agent, with the agent's variant", async () => {
    const { host, root, after } = simulated();
    const own = { providerID: "own", modelID: "o" };
    host.knownAgents = [
      ...host.knownAgents,
      { name: "modeled", mode: "all", hidden: false, rules: [], model: own, variant: "low" },
    ];
    const child = host.addChild(root);
    await after(host.prompt(promptFor(child, "msg_1", { voice: { agent: "modeled" } })));
    expect(host.messages(child)[0]?.voice).toEqual({ agent: "modeled", model: own, variant: "low" });
    await after(host.prompt(promptFor(child, "msg_2", { voice: { agent: "modeled", model: MODEL } })));
    expect(host.messages(child).at(-1)?.voice).toEqual({ agent: "modeled", model: MODEL });
  });

  test("without a model runs with the one with which its session was made, never with the parent's", async () => {
    const { host, child } = await withChild({ voice: { agent: "general" } });
    expect(host.messages(child)[0]?.voice).toEqual({ agent: "general", model: MODEL });
  });

  test("without agent and model goes on with those of the last user message, else with the default agent", async () => {
    const { host, child, after } = await withChild({ voice: undefined });
    expect(host.messages(child)[0]?.voice?.agent).toBe("build");
    await after(host.prompt(promptFor(child, "msg_2", { voice: { agent: "plan", model: MODEL } })));
    await after(host.prompt(promptFor(child, "msg_3")));
    expect(host.messages(child).at(-1)?.voice).toEqual({ agent: "plan", model: MODEL });
  });

  test("for an agent that does not exist is accepted, tells it in an error and leaves no trace in the session", async () => {
    const { clock, host, root, events, types, after } = simulated();
    const child = host.addChild(root);
    const answer = await after(host.prompt(promptFor(child, "msg_1", { voice: { agent: "nobody" } })));
    await clock.advance(1_000);
    expect(answer).toEqual({ kind: "known", value: undefined });
    expect(types(child)).toEqual(["session-error", "session-error"]);
    expect(events.at(-1)).toMatchObject({ error: { name: "UnknownError" } });
    expect(host.messages(child)).toEqual([]);
  });

  test("for a model that does not exist is stored, and its turn is an error and one idle, without an answer", async () => {
    const { clock, host, root, events, types, after } = simulated();
    const child = host.addChild(root);
    host.unknownModels.add("p/m");
    const voice = { agent: "general", model: MODEL };
    const answer = await after(host.prompt(promptFor(child, "msg_1", { voice })));
    await clock.advance(1_000);
    expect(answer).toEqual({ kind: "known", value: undefined });
    expect(types(child)).toEqual([
      "user-message",
      "user-text",
      "session-busy",
      "session-error",
      "session-idle",
      "session-error",
    ]);
    const error = events.find((event) => event.type === "session-error");
    expect(error).toMatchObject({ error: { name: "UnknownError", message: "Model not found: p/m." } });
    expect(host.messages(child).map(({ role }) => role)).toEqual(["user"]);
    expect(host.isWorking(child)).toBe(false);
  });
});

describe("an abort by its client", () => {
  test("ends the turn of a busy session with an error and the usual two idles", async () => {
    const { host, child, events, types, after } = await withChild();
    expect(await after(host.abort(child), 100)).toEqual({ kind: "known", value: undefined });
    expect(types(child).slice(-4)).toEqual(["session-error", "session-idle", "assistant-message", "session-idle"]);
    const error = events.findLast((event) => event.type === "session-error");
    expect(error).toMatchObject({ error: { name: "MessageAbortedError" } });
    expect(host.messages(child).at(-1)?.error?.name).toBe("MessageAbortedError");
  });

  test("has written what the model had said when it answers, and not yet at the first idle", async () => {
    const { clock, host, child, events } = await withChild();
    host.says(child, "half of it");
    const textOf = () => [...(host.messages(child).at(-1)?.parts.values() ?? [])].map(({ text }) => text);
    let atAnswer: readonly string[] | undefined;
    const answer = host.abort(child).then(() => {
      atAnswer = textOf();
    });
    while (events.at(-1)?.type !== "session-idle") await clock.advance(1);
    expect([textOf(), atAnswer]).toEqual([[], undefined]);
    await clock.advance(100);
    await answer;
    expect(atAnswer).toEqual(["half of it"]);
    expect(events.at(-3)).toEqual({ type: "assistant-text", sessionID: child, text: "half of it" });
  });

  test("in the first milliseconds of a turn publishes no error and one idle, and only the message tells", async () => {
    const { clock, host, root, events, types } = simulated();
    const child = host.addChild(root);
    void host.prompt(promptFor(child, "msg_1"));
    while (!host.hasTurn(child)) await clock.advance(1);
    void host.abort(child);
    await clock.advance(100);
    expect(types(child).slice(-4)).toEqual(["session-busy", "assistant-message", "assistant-message", "session-idle"]);
    expect(events.findLast((event) => event.type === "assistant-message")).toMatchObject({
      error: { name: "MessageAbortedError" },
      completedAt: expect.any(Number),
    });
  });

  test("of an idle session is answered with yes, and publishes one idle and no error", async () => {
    const { clock, host, root, types, after } = simulated();
    const child = host.addChild(root);
    expect(await after(host.abort(child))).toEqual({ kind: "known", value: undefined });
    await clock.advance(100);
    expect(types(child)).toEqual(["session-idle"]);
  });

  test("of a session that does not exist is answered with yes, and publishes its idle all the same", async () => {
    const { host, types, after } = simulated();
    expect(await after(host.abort("ses_nowhere"))).toEqual({ kind: "known", value: undefined });
    expect(types("ses_nowhere")).toEqual(["session-idle"]);
  });

  test("ends native children of that session, and nobody else's turn", async () => {
    const { clock, host, root, child, after } = await withChild();
    host.userSays(root, "hello");
    const made = host.addChild(child);
    host.userSays(made, "work");
    const native = host.startTask(child, { background: true });
    await clock.advance(100);
    await after(host.abort(child), 100);
    const working = [root, child, made, native].filter((id) => host.isWorking(id));
    expect(working).toEqual([root, made]);
  });

  test("waits a quarter of a second for a tool that does not stop", async () => {
    const { clock, host, child } = await withChild();
    host.beginTool(child);
    let isAnswered = false;
    const answer = host.abort(child).then(() => {
      isAnswered = true;
    });
    await clock.advance(240);
    expect(isAnswered).toBe(false);
    await clock.advance(30);
    expect(isAnswered).toBe(true);
    await answer;
  });

  test("together with a prompt keeps the turn from beginning: it is stored, unanswered, with an idle and no busy", async () => {
    const { clock, host, root, types } = simulated();
    const child = host.addChild(root);
    void host.prompt(promptFor(child, "msg_1"));
    void host.abort(child);
    await clock.advance(1_000);
    expect(host.messages(child).map(({ role }) => role)).toEqual(["user"]);
    expect(types(child)).toEqual(["user-message", "session-idle", "user-text"]);
  });

  test("of a prompt that still waits for a chat.message hook has nothing to end: the turn begins all the same", async () => {
    const { clock, host, root, types, after } = simulated();
    const child = host.addChild(root);
    host.chatMessageMs = 150;
    // It is answered before it is stored.
    expect(await after(host.prompt(promptFor(child, "msg_1")))).toEqual({ kind: "known", value: undefined });
    await after(host.abort(child));
    expect(types(child)).toEqual(["session-idle"]);
    await clock.advance(1_000);
    expect(host.hasTurn(child)).toBe(true);
  });

  test("that fails ends nothing", async () => {
    const { host, child, after } = await withChild();
    host.faults.abort = "unknown";
    expect(await after(host.abort(child))).toMatchObject({ kind: "unknown" });
    expect(host.hasTurn(child)).toBe(true);
    expect(host.aborts).toMatchObject([{ sessionID: child }]);
  });
});

describe("a tool call", () => {
  test("that runs keeps its turn from ending by itself", async () => {
    const { clock, host, child, types } = await withChild({}, 50);
    const call = host.beginTool(child);
    await clock.advance(10_000);
    expect(host.hasTurn(child)).toBe(true);
    host.endTool(child, call, "completed", "output");
    await clock.advance(100);
    expect(host.hasTurn(child)).toBe(false);
    expect(types(child).filter((type) => type === "tool")).toHaveLength(2);
  });

  test("is an error after an abort, before the message is written", async () => {
    const { clock, host, child, events, types } = await withChild();
    host.beginTool(child);
    void host.abort(child);
    await clock.advance(300);
    expect(types(child).slice(-3)).toEqual(["tool", "assistant-message", "session-idle"]);
    expect(events.findLast((event) => event.type === "tool")).toMatchObject({ state: "error" });
  });
});

describe("a transcript", () => {
  test("holds what a person would read, in order: calls of tools with their output, texts without synthetic ones", async () => {
    const { clock, host, root, child, after } = await withChild({ text: "find it" });
    const call = host.beginTool(child, "grep");
    host.endTool(child, call, "completed", "3 hits");
    host.finishTurn(child, "found");
    await clock.advance(10);
    await after(host.prompt(promptFor(child, "msg_2")));
    const read = await after(host.transcript(child));
    const parts = read.kind === "known" ? read.value.slice(0, 3).map((message) => message.parts) : [];
    expect(parts).toEqual([
      [{ type: "text", text: "find it" }],
      [
        {
          type: "tool",
          callID: expect.any(String),
          tool: "grep",
          state: "completed",
          title: "grep",
          input: "{}",
          output: "3 hits",
        },
        { type: "text", text: "found" },
      ],
      [],
    ]);
    expect(await after(host.transcript(root))).toEqual({ kind: "known", value: [] });
  });

  test("holds the calls of the Task tool", async () => {
    const { clock, host, root, after } = await inTurn();
    const task = host.startTask(root, { title: "look" });
    await clock.advance(100);
    host.finishTurn(task, "found");
    await clock.advance(100);
    const read = await after(host.transcript(root));
    const parts = read.kind === "known" ? read.value.at(-1)?.parts : [];
    expect(parts).toMatchObject([{ type: "tool", tool: "task", state: "completed", title: "look" }]);
  });

  test("and its events count tokens and cost of every answer that has ended well, and none of one that has not", async () => {
    const { clock, host, child, events, after } = await withChild();
    host.finishTurn(child);
    await clock.advance(10);
    await after(host.prompt(promptFor(child, "msg_2")));
    host.failTurn(child);
    await clock.advance(50);
    const read = await after(host.transcript(child));
    const usage = { tokens: 100, cost: 0.001 };
    expect(read.kind === "known" && read.value.map((message) => message.usage)).toEqual([
      undefined,
      usage,
      undefined,
      undefined,
    ]);
    const published = events.flatMap((event) => (event.type === "assistant-message" ? [event] : []));
    expect(published.map(({ completedAt, usage }) => (completedAt === undefined ? "runs" : usage))).toEqual([
      "runs",
      usage,
      "runs",
      undefined,
    ]);
  });
});

test("the host names its models, once it has some", async () => {
  const { host, after } = simulated();
  expect((await after(host.models())).kind).toBe("unknown");
  host.knownModels = new Set(["p/m"]);
  expect(await after(host.models())).toEqual({ kind: "known", value: new Set(["p/m"]) });
});

test("the host names its agents, with their mode and rules", async () => {
  const { host, after } = simulated();
  const answer = await after(host.agents());
  const agents = answer.kind === "known" ? answer.value : [];
  expect(agents.map(({ name, mode }) => [name, mode])).toEqual([
    ["build", "primary"],
    ["general", "subagent"],
    ["plan", "primary"],
  ]);
  const last = (agent: string, permission: string) =>
    agents
      .find(({ name }) => name === agent)
      ?.rules.findLast((rule) => [permission, "*"].includes(rule.permission) && rule.pattern === "*")?.action;
  expect([last("build", "question"), last("general", "question")]).toEqual(["allow", "deny"]);
  expect([last("build", "edit"), last("plan", "edit")]).toEqual(["allow", "deny"]);
});

describe("a restart", () => {
  test("shows nobody as working, and keeps transcripts unfinished and metadata", async () => {
    const { clock, host, root, events } = await inTurn();
    void host.writeMetadata(root, { mine: 1 });
    await clock.advance(10);
    host.kill();
    const before = events.length;
    await clock.advance(10_000);
    host.start();
    const statuses = host.statuses();
    const transcript = host.transcript(root);
    await clock.advance(10);
    expect(await statuses).toEqual({ kind: "known", value: new Map() });
    const read = await transcript;
    expect(read.kind === "known" && read.value.at(-1)?.completedAt).toBe(undefined);
    expect(host.metadata(root)).toEqual({ mine: 1 });
    expect(events).toHaveLength(before);
  });

  test("may come between a message and its parts, and then the message says nothing", async () => {
    const { clock, host, root } = await inTurn();
    host.finishTurn(root);
    await clock.advance(2_000);
    const message = host.userSays(root, "another thing");
    host.kill(true);
    host.start();
    const read = host.transcript(root);
    await clock.advance(10);
    const answer = await read;
    const messages = answer.kind === "known" ? answer.value : [];
    expect(messages.at(-1)).toMatchObject({ id: message, rawText: "", torn: true });
    // What was answered was whole.
    expect(messages.filter(({ torn }) => torn)).toHaveLength(1);
  });

  test("a disposal aborts every turn, and the plugin hears nothing after its hook", async () => {
    const clock = new SimulatedClock();
    const heard: string[] = [];
    const host = new SimulatedHost({
      clock,
      onEvent: (event) => heard.push(event.type),
      onDispose: () => heard.push("dispose"),
    });
    const root = host.createRoot();
    host.userSays(root, "hello");
    await clock.advance(20);
    host.dispose();
    await clock.advance(100);
    expect(heard.at(-1)).toBe("dispose");
    expect(host.messages(root).at(-1)?.error?.name).toBe("MessageAbortedError");
  });
});

test("answers can be empty, failing, late or 404", async () => {
  const { clock, host, root } = await inTurn();
  const ask = async (fault: NonNullable<typeof host.faults.statuses>) => {
    host.faults.statuses = fault;
    const answer = host.statuses();
    await clock.advance(5);
    return Promise.race([answer.then((known) => known.kind), Promise.resolve("none").then(() => "none")]);
  };
  expect(await ask("right")).toBe("known");
  expect(await ask("unknown")).toBe("unknown");
  expect(await ask("gone")).toBe("gone");
  expect(await ask("never")).toBe("none");
  expect(await ask({ lateMs: 50 })).toBe("none");
  expect(host.isWorking(root)).toBe(true);
});
