import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { createGate, type Gate, type OpencodeServer, type Reply } from "../../src/testing/index.ts";
import { asked, LIST, launches } from "./background.ts";
import { patientServer, SERVE } from "./limits.ts";
import { COMPLETE, openStage, type Play, type Stage, task, textOf } from "./stage.ts";
import { isReconciled, isStarted, isWaiting, untilTask } from "./stored-tasks.ts";

let stage: Stage;
/** The process that starts every goal. */
let a: OpencodeServer;
/** Another one on the same database and directory; everything is read through it. */
let b: OpencodeServer;

/** Its task ends in A after the user has written in B, which hears of it when it reads the stored state again. */
let late: Waiting;
/** The user writes in B, and then in A again. */
let back: Waiting;
/** Moves to B with a task that dies with A. */
let orphan: Waiting;
/** Not written in through B while A lives. */
let left: Waiting;
/** Has three launched tasks, and one slot for them; the first one has a gate. */
let launched: Waiting;

beforeAll(async () => {
  stage = await openStage({ options: { missing_task_grace_seconds: 1, max_concurrent_tasks: 1 } });
  a = stage.server;
  [late, back, orphan, left, launched] = await Promise.all([
    playTask(["Hello from B.", "I have read it.", COMPLETE, "Done."]),
    playTask(["Hello from B.", "Hello from A.", "I have read it.", COMPLETE, "Done."]),
    playTask(["Hello from B.", "It is lost.", COMPLETE, "Done."]),
    playTask(["You are back.", COMPLETE, "Done."]),
    playLaunched(),
  ]);
  b = patientServer(await stage.opencode.serve(SERVE));
});

afterAll(() => stage[Symbol.asyncDispose]());

describe("two OpenCode processes on one database (M9)", () => {
  test("the second process settles, starts, prompts, tells and writes nothing of what the first one works at", async () => {
    const plays = [late, back, orphan, left, launched].map(({ play }) => play);
    const before = await Promise.all(plays.map(snapshot));
    await b.client.session.list();
    const other = await stage.play(["Another answer."]);
    await b.prompt(other.id, "something else");
    await b.waitForIdle(other.id);
    await Bun.sleep(2_500);
    expect(await Promise.all(plays.map(snapshot))).toEqual(before);
    expect(b.events.all.filter(({ type }) => type === "tui.toast.show")).toEqual([]);
  });

  test("/goal in the second process shows the goal and leaves it where it is", async () => {
    const before = await snapshot(left.play);
    await b.client.session.command({ path: { id: left.play.id }, body: { command: "goal", arguments: "" } });
    await b.events.waitFor(
      ({ type, properties }) => type === "tui.toast.show" && String(properties.message).includes("pursues it"),
    );
    expect(await snapshot(left.play)).toEqual(before);
  });

  test("a message through the second process moves the goal there, and the task stays where it runs", async () => {
    const { play, gate } = late;
    const before = await stored(play);
    await moveToB(play);
    const after = await stored(play);
    expect(after.claim).toBeGreaterThan(before.claim);
    expect(after.goal).toMatchObject({ status: "active", objective: before.goal?.objective ?? "" });
    expect(after.tasks).toMatchObject([{ status: "queued", runner: before.tasks[0]?.runner ?? "" }]);
    gate.open();
    await play.until("A has settled its task", async () => (await stored(play)).tasks[0]?.status === "completed");
    expect((await stored(play)).tasks[0]?.runner).toBe(before.tasks[0]?.runner ?? "");
    expect((await stored(play)).owner.pid).toBe(b.pid);
  });

  test("a turn that ends in the first process after the goal has moved is not continued twice", async () => {
    const gate = createGate();
    const play = await stage.play([
      { text: "First turn.", until: gate.opened },
      "Hello from B.",
      COMPLETE,
      "Done.",
      // What has come meanwhile is newer than the message that A's turn answers: OpenCode goes on in A.
      "A has read it.",
      "A has read it all.",
    ]);
    const started = play.goal("move in the middle of a turn");
    await play.until("the first turn runs", () => play.requests().length === 1);
    await b.prompt(play.id, "hello from here");
    await play.untilGoal("complete");
    gate.open();
    await started;
    await Bun.sleep(1_000);
    expect(await play.framed("continuation")).toHaveLength(1);
    expect((await stored(play)).owner.pid).toBe(b.pid);
  });

  test("a message through the first process moves the goal back, and only that one goes on", async () => {
    const { play, gate } = back;
    await moveToB(play);
    const { claim } = await stored(play);
    await play.say("hello from A again");
    await play.until("the goal belongs to A", async () => (await stored(play)).owner.pid === a.pid);
    expect((await stored(play)).claim).toBeGreaterThan(claim);
    await play.until("the user is answered", () => play.requests().length === 4);
    gate.open();
    await play.untilGoal("complete");
    await Bun.sleep(500);
    expect(await play.framed("continuation")).toHaveLength(1);
    expect((await stored(play)).owner.pid).toBe(a.pid);
  });

  test("the second process hears of the task's end when it reads again what is stored, and goes on once", async () => {
    const { play } = late;
    await play.untilGoal("complete");
    const prompts = await play.prompts();
    expect(prompts.filter((text) => text.includes("slow result"))).toHaveLength(1);
    expect(prompts.filter((text) => text.includes('kind="continuation"'))).toHaveLength(1);
    expect((await stored(play)).owner.pid).toBe(b.pid);
  });
});

describe("launched tasks and two OpenCode processes on one database", () => {
  test("a message through the second one shows them as they are, and leaves them where they run (M9)", async () => {
    const before = await stored(launched.play);
    await b.prompt(launched.play.id, "hello from B");
    await b.waitForIdle(launched.play.id);
    const [list] = launched.play.requests()[5]?.toolResults ?? [];
    expect(list?.output).toContain("1 running, 2 queued");
    const after = await stored(launched.play);
    expect(after.owner.pid).toBe(b.pid);
    expect(after.tasks.map(({ runner }) => runner)).toEqual(before.tasks.map(({ runner }) => runner));
    expect(after.tasks.map(isWaiting)).toEqual([false, true, true]);
  });

  test("what ends in the first one starts the next one there, and the second one tells it (M9)", async () => {
    launched.gate.open();
    await asked(stage, "second", 1);
    const { tasks } = await stored(launched.play);
    const [first, second] = tasks;
    expect(first).toMatchObject({ status: "completed" });
    expect(second?.runner).toBe(first?.runner ?? "");
    expect(second?.runner).toContain(`/${a.pid}/`);
    expect((await stored(launched.play)).owner.pid).toBe(b.pid);
  });
});

// The last ones: the first process has ended.
describe("when the first process is killed", () => {
  let requests: number;

  beforeAll(async () => {
    await moveToB(orphan.play);
    await untilTask(launched.play, "second", isStarted);
    await a.kill();
    requests = stage.model.requests.length;
  });

  test("nothing is asked by itself", async () => {
    await Bun.sleep(1_000);
    expect(stage.model.requests.length).toBe(requests);
  });

  test("the user's next message lets the second one take over the goal and its tasks (M9)", async () => {
    for (const { play } of [orphan, left]) {
      await b.prompt(play.id, "what now");
      await play.until("the goal is complete", async () => (await stored(play)).goal?.status === "complete");
      const { owner, tasks } = await stored(play);
      expect(owner.pid).toBe(b.pid);
      expect(tasks).toMatchObject([{ status: "lost" }]);
      expect(tasks[0]?.runner).toContain(`/${b.pid}/`);
      const told = (await b.messages(play.id)).map(textOf).filter((text) => text.includes("LOST"));
      expect(told).toHaveLength(1);
    }
  });

  test("the user's next message in the second one starts there what waited (M9)", async () => {
    const { play } = launched;
    await b.prompt(play.id, "what now");
    await play.until("all is told", async () => (await stored(play)).tasks.every(isReconciled));
    const { tasks } = await stored(play);
    expect(tasks.map(({ status }) => status)).toEqual(["completed", "lost", "completed"]);
    const told = (await b.messages(play.id)).filter(({ info }) => info.role === "user").map(textOf);
    for (const words of ["first result", "half way there", "third result"])
      expect([words, told.join("\n").split(words).length - 1]).toEqual([words, 1]);
    for (const { id } of tasks) {
      const prompts = (await b.messages(id)).filter(({ info }) => info.role === "user");
      expect(prompts).toHaveLength(1);
    }
  });
});

interface Waiting {
  readonly play: Play;
  /** Lets the task end. */
  readonly gate: Gate;
}

/** A goal that waits for a background task in A. */
async function playTask(rest: readonly Reply[]): Promise<Waiting> {
  const gate = createGate();
  const play = await stage.play({
    root: [{ toolCalls: [task("slow")] }, "Waiting.", ...rest],
    children: { slow: { text: "slow result", until: gate.opened } },
  });
  await play.goal("wait for the slow one");
  await play.until("the task is stored", async () => (await play.stored())?.tasks[0]?.run.promptID !== undefined);
  return { play, gate };
}

/** Three launched tasks of which one works. */
async function playLaunched(): Promise<Waiting> {
  const gate = createGate();
  const shell = { name: "bash", args: { command: "echo hi", description: "greets" } };
  const play = await stage.play({
    root: [
      ...launches(["first", "second", "third"]),
      "Waiting.",
      LIST,
      "Hello from B.",
      ...new Array<string>(4).fill("Read."),
    ],
    children: {
      first: { text: "first result", until: gate.opened },
      second: [{ text: "half way there", toolCalls: [shell] }, { hang: true }],
      third: "third result",
    },
  });
  await play.say("start them");
  await untilTask(play, "first", isStarted);
  await untilTask(play, "third", isWaiting);
  await play.untilIdle();
  return { play, gate };
}

/** The user writes in B, and is answered there. */
async function moveToB(play: Play): Promise<void> {
  const asked = play.requests().length;
  await b.prompt(play.id, "hello from B");
  await play.until("the goal belongs to B", async () => (await stored(play)).owner.pid === b.pid);
  await play.until("the user is answered", () => play.requests().length > asked);
  await b.waitForIdle(play.id);
}

async function stored(play: Play): Promise<StoredRoot> {
  return (await b.metadata(play.id)).goalkeeper as StoredRoot;
}

async function snapshot(play: Play): Promise<unknown> {
  const messages = await b.messages(play.id);
  const requests = stage.model.requests.filter(({ sessionID, parentSessionID }) =>
    [sessionID, parentSessionID].includes(play.id),
  );
  return { stored: await stored(play), messages: messages.map(textOf), requests: requests.length };
}
