import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TaskStub } from "../../src/keeper/stored-root.ts";
import { isEnded } from "../../src/tasks/task.ts";
import { createGate, type Gate, type ModelRequest, type Reply, type ReplyFunction } from "../../src/testing/index.ts";
import { idIn, launch, launches, resume } from "./background.ts";
import { logLines, writeMetadata } from "./other-client.ts";
import { KILL_ON, SABOTEUR } from "./saboteur.ts";
import { openStages, type Play, type Stage, textOf } from "./stage.ts";
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

/** Projects in one OpenCode, which are killed together. Here everything waits until the user writes. */
let waiting: Stage;
/** Here it goes on by itself, */
let resuming: Stage;
/** here too, where nobody else takes the slots, */
let crowded: Stage;
/** and here records go a second after their delivery. */
let brief: Stage;

beforeAll(async () => {
  const options = { missing_task_grace_seconds: 1, max_concurrent_tasks: 3 };
  [waiting, resuming, crowded, brief] = await openStages([
    { options, before: [SABOTEUR] },
    { options: { ...options, resume_on_start: true }, before: [SABOTEUR] },
    { options: { ...options, resume_on_start: true } },
    { options: { ...options, task_cleanup_delay_seconds: 1 } },
  ]);
});

afterAll(() => waiting[Symbol.asyncDispose]());

describe("launched tasks, killed with SIGKILL and started again with resume_on_start", () => {
  let six: Six;
  let crowd: Play;
  let forgotten: Play;

  beforeAll(async () => {
    [crowd, forgotten] = await Promise.all([playCrowded(), playForgotten()]);
    const { id } = await untilTask(crowd, "damaged");
    const damage = { version: 1, promptID: 7, prompt: ["\u0000"] };
    await writeMetadata(crowded, id, { goalkeeper_task: damage, neighbour: 1 });
    six = await playSix(resuming, ["Read.", "Read, too.", READ_ALL, "These are all."]);
    await six.kill();
    await resuming.restart();
  });

  test("three running and two queued: what ran is settled, what waited is started, each is told once and found by its id (M6)", async () => {
    const { play, queued } = six;
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
    await expectPromptedOnce(resuming, tasks);
    await play.untilIdle();
    await expectReadable(play, tasks);
  });

  describe("with two resumed tasks, one at work and one in the queue", () => {
    let tasks: ReadonlyMap<string, TaskStub>;

    beforeAll(async () => {
      const all = await untilAllReconciled(crowd);
      tasks = new Map(all.map((task) => [task.title, task]));
    });

    test("the finished first run of one that waited is not taken for the second, which is done and told (M10)", async () => {
      const task = tasks.get("waiting");
      expect(task).toMatchObject({ status: "completed", run: { number: 2 } });
      expect(await promptsOf(crowded, task?.id)).toEqual(["waiting: do your part", "waiting: once more"]);
      expect(await toldTimes(crowd, "waiting result 1")).toBe(1);
      expect(await toldTimes(crowd, "waiting result 2")).toBe(1);
    });

    test("the finished first run of one that worked is not taken for the second, which is lost and told (M10)", async () => {
      const task = tasks.get("working");
      const outcome = { reason: "OpenCode stopped while it was working" };
      expect(task).toMatchObject({ status: "lost", run: { number: 2 }, outcome });
      expect(await promptsOf(crowded, task?.id)).toEqual(["working: do your part", "working: once more"]);
      expect(await toldTimes(crowd, "working result 1")).toBe(1);
      expect(await toldTimes(crowd, `"working" (${task?.id}) (run 2): LOST`)).toBe(1);
    });

    test("one whose stored prompt somebody has damaged fails with the reason, and the one behind it starts (S3)", async () => {
      const task = tasks.get("damaged");
      const reason = "its prompt is not stored in its session any more";
      expect(task?.status).toBe("failed");
      expect(JSON.stringify(task)).toContain(reason);
      expect(await toldTimes(crowd, reason)).toBe(1);
      expect(await promptsOf(crowded, task?.id)).toEqual([]);
      expect(await toldTimes(crowd, "unharmed result")).toBe(1);
      expect(logLines(crowded, "failed")).toEqual([]);
    });
  });

  test("a record whose query window was over is gone, is not told again, and its session answers under its id (T11, M6)", async () => {
    await forgotten.say("read it");
    await forgotten.until("it was read", () => forgotten.requests().length === 5);
    const [result] = forgotten.requests()[4]?.toolResults ?? [];
    expect(result?.output).toContain("there is no record of it any more, so its session answers: completed");
    expect(result?.output).toContain("early result");
    expect(await forgotten.framed("task-outcome")).toHaveLength(1);
  });

  test("one that was killed as soon as its prompt was stored is started under the same message (M6, M10)", async () => {
    const play = await resuming.play({
      root: [{ toolCalls: [launch("unnoticed")] }, "Read.", "Read."],
      children: { unnoticed: "unnoticed result" },
    });
    killOn(resuming, '"message.part.updated"', '"text":"unnoticed: do your part"');
    await play.say("start it");
    await resuming.server.exited;
    await resuming.restart();
    const tasks = await untilAllReconciled(play);
    expect(tasks).toMatchObject([{ status: "completed", run: { number: 1 } }]);
    await expectPromptedOnce(resuming, tasks);
    expect(await toldTimes(play, "unnoticed result")).toBe(1);
  });

  test("one that was killed as soon as its second prompt was stored does the second run, and the first is not told again (M10)", async () => {
    const play = await resuming.play({
      root: [{ toolCalls: [launch("resumed")] }, "Waiting.", "Read.", resume("resumed", "resumed: once more"), "Read."],
      children: { resumed: ["resumed result 1", "resumed result 2"] },
    });
    await play.say("start it");
    const first = await untilTask(play, "resumed", isReconciled);
    await play.untilIdle();
    killOn(resuming, '"message.part.updated"', '"text":"resumed: once more"');
    await play.say("go on with it");
    await resuming.server.exited;
    await resuming.restart();
    const task = await untilTask(play, "resumed", (found) => found.run.number === 2 && isReconciled(found));
    expect(task).toMatchObject({ id: first.id, status: "completed" });
    expect(await promptsOf(resuming, task.id)).toEqual(["resumed: do your part", "resumed: once more"]);
    for (const words of ["resumed result 1", "resumed result 2"]) expect(await toldTimes(play, words)).toBe(1);
  });
});

describe("launched tasks, killed with SIGKILL and started again", () => {
  test("nothing is asked and nothing starts until the user writes; the message takes the ends along, and the queue goes on (M6)", async () => {
    const { play, kill, queued } = await playSix(waiting, ["You are back.", "Read.", READ_ALL, "These are all."]);
    queued.open();
    await kill();
    const asked = waiting.model.requests.length;
    await waiting.restart();
    await waiting.server.client.session.list();
    for (const name of ["done", "broken", "torn"]) await untilTask(play, name, isEnded);
    await Bun.sleep(A_WHILE_MS);
    expect(waiting.model.requests.length).toBe(asked);
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
    await expectPromptedOnce(waiting, tasks);
    await play.untilIdle();
    await expectReadable(play, tasks);
  });
});

describe("a reload while launched tasks work", () => {
  test("is not the user's abort: nothing is cancelled, the queue waits, and the user's message is told what was lost (D10)", async () => {
    const { play, queued } = await playSix(waiting, ["You are back.", "Read."]);
    queued.open();
    const asked = waiting.model.requests.length;
    await waiting.server.client.instance.dispose();
    await Bun.sleep(500);
    await waiting.server.client.session.list();
    for (const name of ["done", "broken", "torn"]) await untilTask(play, name, isEnded);
    await Bun.sleep(A_WHILE_MS);
    expect(waiting.model.requests.length).toBe(asked);
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
    await expectPromptedOnce(waiting, tasks);
  });
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
async function playSix(stage: Stage, rest: readonly (Reply | ReplyFunction)[]): Promise<Six> {
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
  const { id: brokenID } = await untilTask(play, "broken");
  const isSecond = ({ sessionID, step }: ModelRequest) => sessionID === brokenID && step === 1;
  await stage.model.waitForRequest(isSecond);
  const { id } = await untilTask(play, "done");
  await play.untilIdle();
  const kill = async () => {
    killOn(stage, '"message.updated"', id, '"finish":"stop"', '"completed":');
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

async function expectPromptedOnce(stage: Stage, tasks: readonly TaskStub[]): Promise<void> {
  for (const { id, title } of tasks) expect(await promptsOf(stage, id)).toEqual([`${title}: do your part`]);
}

async function promptsOf(stage: Stage, sessionID: string | undefined): Promise<string[]> {
  return (await stage.server.messages(sessionID ?? "")).filter(({ info }) => info.role === "user").map(textOf);
}

/** `working` works at its second run, beside two others; behind them `damaged`, `waiting` (run 2) and `unharmed` wait. */
async function playCrowded(): Promise<Play> {
  const play: Play = await crowded.play({
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
    const messages = await crowded.server.messages(id);
    return messages.filter(({ info }) => info.role === "assistant").length === 2;
  });
  return play;
}

/** A task that was told, and of which there is no record any more. */
async function playForgotten(): Promise<Play> {
  const play = await brief.play({
    root: [{ toolCalls: [launch("early")] }, "Waiting.", "Read.", readAll(["early"]), "It is there."],
    children: { early: "early result" },
  });
  await play.say("start it");
  await untilTask(play, "early");
  await play.until("the record is gone", async () => (await play.stored())?.tasks.length === 0);
  return play;
}

function many(reply: Reply, times: number): Reply[] {
  return new Array(times).fill(reply);
}

function killOn(stage: Stage, ...words: readonly string[]): void {
  writeFileSync(join(stage.opencode.directory, KILL_ON), JSON.stringify(words));
}
