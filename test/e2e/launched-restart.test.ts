import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredRoot, TaskStub } from "../../src/keeper/stored-root.ts";
import { isEnded } from "../../src/tasks/task.ts";
import { createGate, type Gate, type OpencodeServer, type Reply, type ReplyFunction } from "../../src/testing/index.ts";
import { asked, idIn, LIST, launch, launches, resume } from "./background.ts";
import { logLines, writeMetadata } from "./other-client.ts";
import { KILL_ON, SABOTEUR } from "./saboteur.ts";
import { openStage, type Play, type Stage, textOf } from "./stage.ts";
import {
  isReconciled,
  isStarted,
  isWaiting,
  storedTasks,
  toldTimes,
  untilAllReconciled,
  untilTask,
} from "./stored-tasks.ts";

const SHELL = { name: "bash", args: { command: "echo hi", description: "greets" } };
/** Long enough for anything that would go out by itself. */
const A_WHILE_MS = 2_500;

let stage: Stage;

/** One OpenCode for the tests of a `describe`, with three slots. */
function useStage(options: Readonly<Record<string, unknown>> = {}): void {
  beforeAll(async () => {
    const all = { missing_task_grace_seconds: 1, max_concurrent_tasks: 3, ...options };
    stage = await openStage({ options: all, before: [SABOTEUR] });
  });
  afterAll(() => stage[Symbol.asyncDispose]());
}

describe("launched tasks, killed with SIGKILL and started again with resume_on_start", () => {
  useStage({ resume_on_start: true });

  test("three running and two queued: what ran is settled, what waited is started, each is told once and found by its id (M6)", async () => {
    const { play, kill, queued } = await playSix(["Read.", "Read, too.", READ_ALL, "These are all."]);
    await kill();
    await stage.restart();
    await play.until("the first three are told", async () => (await play.framed("task-outcome")).length === 2);
    expect((await play.framed("task-outcome"))[1]).toContain("1 completed, 2 lost. 2 still work.");
    queued.open();
    const tasks = await untilAllReconciled(play);
    expect(Object.fromEntries(tasks.map(({ title, status }) => [title, status]))).toEqual({
      early: "completed",
      done: "completed",
      broken: "lost",
      torn: "lost",
      patient: "completed",
      later: "completed",
    });
    await expectToldOnce(play);
    await expectPromptedOnce(tasks);
    await play.untilIdle();
    await expectReadable(play, tasks);
  });

  test("one that was killed as soon as its prompt was stored is started under the same message (M6, M10)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [launch("unnoticed")] }, "Read.", "Read."],
      children: { unnoticed: "unnoticed result" },
    });
    killOn('"message.part.updated"', '"text":"unnoticed: do your part"');
    await play.say("start it");
    await stage.server.exited;
    await stage.restart();
    const tasks = await untilAllReconciled(play);
    expect(tasks).toMatchObject([{ status: "completed", run: { number: 1 } }]);
    await expectPromptedOnce(tasks);
    expect(await toldTimes(play, "unnoticed result")).toBe(1);
  });

  test("one that was killed as soon as its second prompt was stored does the second run, and the first is not told again (M10)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [launch("resumed")] }, "Waiting.", "Read.", resume("resumed", "resumed: once more"), "Read."],
      children: { resumed: ["resumed result 1", "resumed result 2"] },
    });
    await play.say("start it");
    const first = await untilTask(play, "resumed", isReconciled);
    await play.untilIdle();
    killOn('"message.part.updated"', '"text":"resumed: once more"');
    await play.say("go on with it");
    await stage.server.exited;
    await stage.restart();
    const task = await untilTask(play, "resumed", (found) => found.run.number === 2 && isReconciled(found));
    expect(task).toMatchObject({ id: first.id, status: "completed" });
    expect(await promptsOf(task.id)).toEqual(["resumed: do your part", "resumed: once more"]);
    for (const words of ["resumed result 1", "resumed result 2"]) expect(await toldTimes(play, words)).toBe(1);
  });

  describe("with two resumed tasks, one at work and one in the queue", () => {
    let play: Play;
    let tasks: ReadonlyMap<string, TaskStub>;

    beforeAll(async () => {
      play = await playCrowded();
      const { id } = await untilTask(play, "damaged");
      const damage = { version: 1, promptID: 7, prompt: ["\u0000"] };
      await writeMetadata(stage, id, { goalkeeper_task: damage, neighbour: 1 });
      await stage.restart({ kill: true });
      const all = await untilAllReconciled(play);
      tasks = new Map(all.map((task) => [task.title, task]));
    });

    test("the finished first run of one that waited is not taken for the second, which is done and told (M10)", async () => {
      const task = tasks.get("waiting");
      expect(task).toMatchObject({ status: "completed", run: { number: 2 } });
      expect(await promptsOf(task?.id)).toEqual(["waiting: do your part", "waiting: once more"]);
      expect(await toldTimes(play, "waiting result 1")).toBe(1);
      expect(await toldTimes(play, "waiting result 2")).toBe(1);
    });

    test("the finished first run of one that worked is not taken for the second, which is lost and told (M10)", async () => {
      const task = tasks.get("working");
      const outcome = { reason: "OpenCode stopped while it was working" };
      expect(task).toMatchObject({ status: "lost", run: { number: 2 }, outcome });
      expect(await promptsOf(task?.id)).toEqual(["working: do your part", "working: once more"]);
      expect(await toldTimes(play, "working result 1")).toBe(1);
      expect(await toldTimes(play, `"working" (${task?.id}) (run 2): LOST`)).toBe(1);
    });

    test("one whose stored prompt somebody has damaged fails with the reason, and the one behind it starts (S3)", async () => {
      const task = tasks.get("damaged");
      const reason = "its prompt is not stored in its session any more";
      expect(task?.status).toBe("failed");
      expect(JSON.stringify(task)).toContain(reason);
      expect(await toldTimes(play, reason)).toBe(1);
      expect(await promptsOf(task?.id)).toEqual([]);
      expect(await toldTimes(play, "unharmed result")).toBe(1);
      expect(logLines(stage, "failed")).toEqual([]);
    });
  });
});

describe("launched tasks, killed with SIGKILL and started again", () => {
  useStage();

  test("nothing is asked and nothing starts until the user writes; the message takes the ends along, and the queue goes on (M6)", async () => {
    const { play, kill, queued } = await playSix(["You are back.", "Read.", READ_ALL, "These are all."]);
    queued.open();
    await kill();
    const asked = stage.model.requests.length;
    await stage.restart();
    await stage.server.client.session.list();
    for (const name of ["done", "broken", "torn"]) await untilTask(play, name, isEnded);
    await Bun.sleep(A_WHILE_MS);
    expect(stage.model.requests.length).toBe(asked);
    expect(await play.framed("task-outcome")).toHaveLength(1);
    const sleeping = await storedTasks(play);
    expect(sleeping.filter(isWaiting).map(({ title }) => title)).toEqual(["patient", "later"]);

    await play.say("go on");
    const tasks = await untilAllReconciled(play);
    const [, spoken, after, ...more] = await play.framed("task-outcome");
    expect(spoken).toStartWith("go on\n");
    expect(spoken).toContain("1 completed, 2 lost. 2 still work.");
    expect(after).toContain("Background tasks ended: 2 completed.");
    expect(more).toEqual([]);
    await expectToldOnce(play);
    await expectPromptedOnce(tasks);
    await play.untilIdle();
    await expectReadable(play, tasks);
  });
});

describe("a reload while launched tasks work", () => {
  useStage();

  test("is not the user's abort: nothing is cancelled, the queue waits, and the user's message is told what was lost (D10)", async () => {
    const { play, queued } = await playSix(["You are back.", "Read."]);
    queued.open();
    const asked = stage.model.requests.length;
    await stage.server.client.instance.dispose();
    await Bun.sleep(500);
    await stage.server.client.session.list();
    for (const name of ["done", "broken", "torn"]) await untilTask(play, name, isEnded);
    await Bun.sleep(A_WHILE_MS);
    expect(stage.model.requests.length).toBe(asked);
    const stored = await storedTasks(play);
    expect(stored.map(({ status }) => status)).toEqual(["completed", "lost", "lost", "lost", "queued", "queued"]);
    for (const stub of stored) expect(stub.interruptedAt).toBeUndefined();

    await play.say("go on");
    const tasks = await untilAllReconciled(play);
    const [, spoken, after, ...more] = await play.framed("task-outcome");
    expect(spoken).toContain("3 lost. 2 still work.");
    expect(spoken).toContain("half way there");
    expect(after).toContain("2 completed");
    expect(more).toEqual([]);
    await expectPromptedOnce(tasks);
  });
});

describe("a record whose query window is over", () => {
  useStage({ task_cleanup_delay_seconds: 1 });

  test("is gone after a restart, too, is not told again, and its session answers under its id (T11, M6)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [launch("early")] }, "Waiting.", "Read.", readAll(["early"]), "It is there."],
      children: { early: "early result" },
    });
    await play.say("start it");
    await untilTask(play, "early");
    await play.until("the record is gone", async () => (await play.stored())?.tasks.length === 0);
    await stage.restart({ kill: true });
    await play.say("read it");
    await play.until("it was read", () => play.requests().length === 5);
    const [result] = play.requests()[4]?.toolResults ?? [];
    expect(result?.output).toContain("there is no record of it any more, so its session answers: completed");
    expect(result?.output).toContain("early result");
    expect(await play.framed("task-outcome")).toHaveLength(1);
  });
});

describe("two OpenCode processes on one database", () => {
  let a: OpencodeServer;
  let b: OpencodeServer;
  let play: Play;
  let gate: Gate;
  useStage({ max_concurrent_tasks: 1 });

  beforeAll(async () => {
    a = stage.server;
    gate = createGate();
    play = await stage.play({
      root: [...launches(["first", "second", "third"]), "Waiting.", LIST, "Hello from B.", ...many("Read.", 4)],
      children: {
        first: { text: "first result", until: gate.opened },
        second: [{ text: "half way there", toolCalls: [SHELL] }, { hang: true }],
        third: "third result",
      },
    });
    await play.say("start them");
    await untilTask(play, "first", isStarted);
    await untilTask(play, "third", isWaiting);
    await play.untilIdle();
    b = await stage.opencode.serve();
  });

  test("the second one settles, starts and tells nothing of what the first one runs (M9)", async () => {
    const before = await snapshot();
    await b.client.session.list();
    const other = await stage.play(["Another answer."]);
    await b.prompt(other.id, "something else");
    await b.waitForIdle(other.id);
    await Bun.sleep(A_WHILE_MS);
    expect(await snapshot()).toEqual(before);
  });

  test("a message through the second one shows them as they are, and leaves them where they run (M9)", async () => {
    const before = await stored();
    await b.prompt(play.id, "hello from B");
    await b.waitForIdle(play.id);
    const [list] = play.requests()[5]?.toolResults ?? [];
    expect(list?.output).toContain("1 running, 2 queued");
    const after = await stored();
    expect(after.owner.pid).toBe(b.pid);
    expect(after.tasks.map(({ runner }) => runner)).toEqual(before.tasks.map(({ runner }) => runner));
    expect(after.tasks.map(isWaiting)).toEqual([false, true, true]);
  });

  test("what ends in the first one starts the next one there, and the second one tells it (M9)", async () => {
    gate.open();
    await asked(stage, "second", 1);
    const { tasks } = await stored();
    const [first, second] = tasks;
    expect(first).toMatchObject({ status: "completed" });
    expect(second?.runner).toBe(first?.runner ?? "");
    expect(second?.runner).toContain(`/${a.pid}/`);
    expect((await stored()).owner.pid).toBe(b.pid);
  });

  test("when the first one is killed, the user's next message in the second one starts there what waited (M9)", async () => {
    await untilTask(play, "second", isStarted);
    await a.kill();
    const asked = stage.model.requests.length;
    await Bun.sleep(1_000);
    expect(stage.model.requests.length).toBe(asked);
    await b.prompt(play.id, "what now");
    await play.until("all is told", async () => (await stored()).tasks.every(isReconciled), 40_000);
    const { tasks } = await stored();
    expect(tasks.map(({ status }) => status)).toEqual(["completed", "lost", "completed"]);
    const told = (await b.messages(play.id)).filter(({ info }) => info.role === "user").map(textOf);
    for (const words of ["first result", "half way there", "third result"])
      expect([words, told.join("\n").split(words).length - 1]).toEqual([words, 1]);
    for (const { id } of tasks) {
      const prompts = (await b.messages(id)).filter(({ info }) => info.role === "user");
      expect(prompts).toHaveLength(1);
    }
  });

  async function stored(): Promise<StoredRoot> {
    return (await b.metadata(play.id)).goalkeeper as StoredRoot;
  }

  async function snapshot(): Promise<unknown> {
    const messages = await b.messages(play.id);
    const requests = stage.model.requests.filter(({ sessionID, parentSessionID }) =>
      [sessionID, parentSessionID].includes(play.id),
    );
    return { stored: await stored(), messages: messages.map(textOf), requests: requests.length };
  }
});

/** What is to be read of the tasks of {@link playSix} in the end. */
const SAID: Readonly<Record<string, string>> = {
  early: "early result",
  done: "done result",
  broken: "half way there",
  torn: "It has said nothing",
  patient: "patient result",
  later: "later result",
};
const READ_ALL = readAll(Object.keys(SAID));

interface Six {
  readonly play: Play;
  /** Kills OpenCode at the moment at which the transcript of `done` shows its end, and nobody has heard of it. */
  kill(): Promise<void>;
  /** Lets those end that waited for a slot. */
  readonly queued: Gate;
}

/** `early` was told and answered; `done`, `broken` and `torn` work; `patient` and `later` wait for a slot. */
async function playSix(rest: readonly (Reply | ReplyFunction)[]): Promise<Six> {
  const [done, queued] = [createGate(), createGate()];
  const play: Play = await stage.play({
    root: [
      { toolCalls: [launch("early")] },
      "Waiting.",
      "I have read the early one.",
      { toolCalls: ["done", "broken", "torn"].map((name) => launch(name)) },
      ...launches(["patient", "later"]),
      "Waiting again.",
      ...rest,
    ],
    children: {
      early: "early result",
      done: { text: "done result", until: done.opened },
      broken: [{ text: "half way there", toolCalls: [SHELL] }, { hang: true }],
      torn: { hang: true },
      patient: { text: "patient result", until: queued.opened },
      later: { text: "later result", until: queued.opened },
    },
  });
  await play.say("start the first");
  await untilTask(play, "early", isReconciled);
  await play.untilIdle();
  await play.say("start the others");
  for (const name of ["patient", "later"]) await untilTask(play, name, isWaiting);
  for (const name of ["done", "broken", "torn"]) await untilTask(play, name, isStarted);
  await asked(stage, "broken", 1);
  const { id } = await untilTask(play, "done");
  await play.untilIdle();
  const kill = async () => {
    killOn('"message.updated"', id, '"finish":"stop"', '"completed":');
    done.open();
    await stage.server.exited;
  };
  return { play, kill, queued };
}

/** The reply of an agent that reads tasks under the ids that it knows. */
function readAll(names: readonly string[]): ReplyFunction {
  return (request) => ({
    toolCalls: names.map((name) => ({ name: "background_output", args: { task_id: idIn(request, name) } })),
  });
}

/** The agent finds each task of {@link playSix} by its id, whatever became of it. */
async function expectReadable(play: Play, tasks: readonly TaskStub[]): Promise<void> {
  const before = play.requests().length;
  await play.say("read them all");
  await play.until("all were read", () => play.requests().length === before + 2);
  const results = play.requests()[before + 1]?.toolResults.map(({ output }) => output) ?? [];
  for (const { id, title, status } of tasks) {
    const result = results.find((output) => output.includes(id));
    expect(result).toContain(`"${title}" (${id}): ${status}`);
    expect(result).toContain(SAID[title]);
  }
}

/** Over both lives. */
async function expectToldOnce(play: Play): Promise<void> {
  for (const name of Object.keys(SAID)) expect([name, await toldTimes(play, `"${name}" (ses_`)]).toEqual([name, 1]);
}

async function expectPromptedOnce(tasks: readonly TaskStub[]): Promise<void> {
  for (const { id, title } of tasks) expect(await promptsOf(id)).toEqual([`${title}: do your part`]);
}

async function promptsOf(sessionID: string | undefined): Promise<string[]> {
  return (await stage.server.messages(sessionID ?? "")).filter(({ info }) => info.role === "user").map(textOf);
}

/** `working` works at its second run, beside two others; behind them `damaged`, `waiting` (run 2) and `unharmed` wait. */
async function playCrowded(): Promise<Play> {
  const play: Play = await stage.play({
    root: [
      { toolCalls: [launch("waiting"), launch("working")] },
      "Waiting.",
      "Read.",
      resume("working", "working: once more"),
      ...launches(["busy one", "busy two", "damaged"]),
      resume("waiting", "waiting: once more"),
      ...launches(["unharmed"]),
      "Waiting.",
      ...many("Read again.", 4),
    ],
    children: {
      waiting: ["waiting result 1", "waiting result 2"],
      working: ["working result 1", { hang: true }],
      busy: { hang: true },
      damaged: "Never asked.",
      unharmed: "unharmed result",
    },
  });
  await play.say("start two");
  for (const name of ["waiting", "working"]) await untilTask(play, name, isReconciled);
  await play.untilIdle();
  await play.say("go on with them");
  for (const name of ["working", "busy one", "busy two"]) await untilTask(play, name, isStarted);
  for (const name of ["waiting", "damaged", "unharmed"]) await untilTask(play, name, isWaiting);
  await play.untilIdle();
  // A run whose answer had not begun would be started again.
  const { id } = await untilTask(play, "working");
  await play.until("the second run of the one that works has begun", async () => {
    const messages = await stage.server.messages(id);
    return messages.filter(({ info }) => info.role === "assistant").length === 2;
  });
  return play;
}

function many(reply: Reply, times: number): Reply[] {
  return new Array(times).fill(reply);
}

function killOn(...words: readonly string[]): void {
  writeFileSync(join(stage.opencode.directory, KILL_ON), JSON.stringify(words));
}
