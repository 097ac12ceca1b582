import { describe, expect, test } from "bun:test";
import type { HostEvent, Prompt } from "../../src/host/port.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { SimulatedHost } from "../../src/testing/simulated-host.ts";

function simulated(turnMs?: number) {
  const clock = new SimulatedClock();
  const events: HostEvent[] = [];
  const host = new SimulatedHost({ clock, onEvent: (event) => events.push(event), turnMs: () => turnMs });
  const root = host.createRoot();
  const types = (sessionID: string) =>
    events.filter((event) => event.type !== "session-seen" && event.sessionID === sessionID).map((event) => event.type);
  return { clock, host, root, events, types };
}

async function inTurn() {
  const world = simulated();
  world.host.userSays(world.root, "hello");
  await world.clock.advance(20);
  return world;
}

function promptFor(sessionID: string, messageID: string): Prompt {
  return { sessionID, messageID, partID: `prt_${messageID}`, text: "go on", voice: undefined };
}

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

  test("tells nobody that a background task was aborted", async () => {
    const { clock, host, root, events } = await inTurn();
    const task = host.startTask(root, { background: true });
    await clock.advance(100);
    host.abort(task);
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
    host.abort(root);
    await clock.advance(100);
    expect(types(root).slice(-3)).toEqual(["session-retrying", "assistant-message", "session-idle"]);
  });

  test("aborting an idle root aborts its native children and leaves those of plugins alone", async () => {
    const { clock, host, root } = await inTurn();
    const native = host.startTask(root, { background: true });
    const made = host.createChild(root);
    host.userSays(made, "work");
    await clock.advance(100);
    host.finishTurn(root);
    await clock.advance(100);
    host.abort(root);
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
