import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredRoot, TaskStub } from "../../src/keeper/stored-root.ts";
import { createGate, type Reply, type ReplyFunction } from "../../src/testing/index.ts";
import { request } from "./other-client.ts";
import { KILL_ON, NEVER_STORED, SABOTEUR } from "./saboteur.ts";
import { COMPLETE, openStages, type Play, type Stage, task, textOf } from "./stage.ts";

/** What is told of the three tasks of {@link playSurvivors}. */
const RESULTS = ["reported result", "finished result", "It will not report any more"];
const SHELL = { name: "bash", args: { command: "echo hi", description: "greets" } };

/** Two projects in one OpenCode: in this one a goal sleeps after a restart, */
let sleeping: Stage;
/** and in this one it goes on. */
let resuming: Stage;
/** The one that the tests of a `describe` play in. */
let stage: Stage;

beforeAll(async () => {
  const options = { missing_task_grace_seconds: 1 };
  [sleeping, resuming] = await openStages([
    { options, before: [SABOTEUR] },
    { options: { ...options, resume_on_start: true }, before: [SABOTEUR] },
  ]);
});

afterAll(() => sleeping[Symbol.asyncDispose]());

function playIn(chosen: () => Stage): void {
  beforeAll(() => {
    stage = chosen();
  });
}

describe("killed with SIGKILL, started again", () => {
  playIn(() => sleeping);
  let spoken: Survivors;
  let resumed: Survivors;
  let between: Play;
  let kept: Play;
  let fork: Play;
  let resumedTask: Play;
  let ownTurn: Play;
  let paused: Play;
  let complete: Play;
  let blocked: Play;

  beforeAll(async () => {
    [spoken, resumed, resumedTask, ownTurn, paused, complete, blocked] = await Promise.all([
      playSurvivors(["You are back.", COMPLETE, "Done."]),
      playSurvivors([COMPLETE, "Done."]),
      playResumedTask(),
      playOwnTurn(),
      playPaused(),
      playComplete(),
      playBlocked(),
    ]);
    kept = await playHanging();
    const { id } = (await request(stage, "POST", `/session/${kept.id}/fork`, {})) as { id: string };
    fork = await stage.play(["Never asked."], id);
    expect((await fork.stored())?.self).toBe(kept.id);
    const gate = createGate();
    between = await stage.play({
      root: [{ toolCalls: [task("between")] }, "Waiting.", COMPLETE, "Done."],
      children: { between: [{ text: "I begin.", toolCalls: [SHELL], until: gate.opened }, "Never asked."] },
    });
    await between.goal("be killed between two steps of a task");
    const child = await taskOf(between, "between");
    const finished = Promise.all([spoken.finish(), resumed.finish()]);
    await finished;
    killOn('"message.updated"', child.id, '"finish":"tool-calls"', '"completed":');
    gate.open();
    await stage.server.exited;
    await stage.restart();
  });

  test("every task is found by its id: finished ones have their result, interrupted ones are lost (M6)", async () => {
    await untilSettled(spoken.play);
    const tasks = (await spoken.play.stored())?.tasks ?? [];
    expect(tasks.map(({ id }) => id)).toEqual([...spoken.ids]);
    expect(tasks).toMatchObject([
      { status: "completed", delivery: { state: "reconciled" } },
      { status: "completed", delivery: { state: "pending" } },
      { status: "lost", outcome: { reason: "OpenCode stopped while it was working" }, delivery: { state: "pending" } },
    ]);
  });

  test("the goal sleeps and says so in a toast and in /goal (M6)", async () => {
    await stage.server.events.waitFor(
      ({ type, properties }) => type === "tui.toast.show" && String(properties.message).includes("A goal sleeps"),
    );
    await Bun.sleep(1_000);
    expect(await spoken.play.framed("continuation")).toEqual([]);
    expect(await spoken.play.framed("task-outcome")).toEqual([]);
    await spoken.play.goal("");
    expect((await spoken.play.framed("answer")).at(-1)).toContain("sleeping since OpenCode was started again");
  });

  test("the user's next message takes the outcomes along, each once, and the goal goes on (M6, M7)", async () => {
    const { play, ids } = spoken;
    await play.say("go on");
    const { goal } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    const told = (await play.prompts()).filter((text) => text.includes("go on\n"));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("finished result");
    expectLost(told[0], ids[2]);
    await expectOnce(play, RESULTS);
  });

  test("/goal resume wakes a sleeping goal, and its continuation names the lost task (M6, M7)", async () => {
    const { play, ids } = resumed;
    await untilSettled(play);
    await play.goal("resume");
    await play.untilGoal("complete");
    const [continuation, ...more] = await play.framed("continuation");
    expect(more).toEqual([]);
    expect(continuation).toContain("finished result");
    expectLost(continuation, ids[2]);
    await expectOnce(play, RESULTS);
  });

  test("a task killed between two steps has not finished (M10)", async () => {
    await untilSettled(between);
    const child = await taskOf(between, "between");
    const last = (await stage.server.messages(child.id)).at(-1)?.info;
    // What makes this the moment that is meant: the last message is complete, and asks for a tool.
    expect(last).toMatchObject({ role: "assistant", finish: "tool-calls", time: { completed: expect.any(Number) } });
    expect(child).toMatchObject({ status: "lost" });
    await between.goal("resume");
    await between.untilGoal("complete");
    expectLost((await between.framed("continuation"))[0], child.id, "I begin.");
  });

  test("a task killed right after it was resumed has not finished, although its transcript has (M10)", async () => {
    await untilSettled(resumedTask);
    const [early, late] = await Promise.all([taskOf(resumedTask, "early"), taskOf(resumedTask, "late")]);
    expect(early).toMatchObject({ status: "lost", run: { number: 2 } });
    expect(late).toMatchObject({ status: "lost", run: { number: 2 } });
    // The first run had finished, and the second one's prompt was never stored.
    expect((await stage.server.messages(early.id)).map(({ info }) => info.role)).toEqual(["user", "assistant"]);
  });

  test("a goal whose own turn was killed goes on (M10)", async () => {
    await ownTurn.goal("resume");
    const { goal } = await ownTurn.untilGoal("complete");
    expect(goal?.turns).toBe(2);
    expect(await ownTurn.framed("continuation")).toHaveLength(2);
  });

  test("goals that were paused, complete or blocked are so still, and nothing prompts them", async () => {
    for (const [play, status] of [
      [paused, "paused"],
      [complete, "complete"],
      [blocked, "blocked"],
    ] as const) {
      expect((await play.stored())?.goal?.status).toBe(status);
      const before = await play.prompts();
      await play.goal("");
      const [answer, ...more] = (await play.prompts()).slice(before.length);
      expect(answer).toContain(`State: ${status}`);
      expect(more).toEqual([]);
    }
  });

  test("a fork has no goal, although its metadata is a copy of one (G16)", async () => {
    await fork.goal("");
    expect((await fork.framed("answer")).at(-1)).toContain("No goal in this session.");
    await kept.goal("");
    expect((await kept.framed("answer")).at(-1)).toContain("Goal: stay here");
  });

  test("a paused goal that was found again goes on with /goal resume", async () => {
    await paused.goal("resume");
    await paused.untilGoal("complete");
  });

  test("killed right after the send, the unanswered continuation is not sent again, and the user's message is answered", async () => {
    const killedOn = ({ id }: Play) => ['"message.part.updated"', id, 'kind=\\"continuation'];
    const play = await playKilled(killedOn, ["You are back.", COMPLETE, "Done."]);
    await Bun.sleep(1_000);
    expect(play.requests()).toHaveLength(1);
    await play.say("hello again");
    await play.untilGoal("complete");
    const prompts = await play.prompts();
    expect(prompts.map((text) => /kind="(\w+)"|hello/.exec(text)?.[0])).toEqual([
      'kind="goal"',
      'kind="continuation"',
      "hello",
      'kind="continuation"',
    ]);
  });
});

describe("killed with SIGKILL, started again with resume_on_start", () => {
  playIn(() => resuming);

  let survivors: Survivors;
  let between: Play;

  beforeAll(async () => {
    survivors = await playSurvivors(["I have read the second.", COMPLETE, "Done."]);
    await survivors.finish();
    between = await playKilled(({ id }) => ['"session.idle"', id], [COMPLETE, "Done."]);
  });

  test("the goal goes on at once and is told what ended and what is lost, each once (M6, M7)", async () => {
    const { play, ids } = survivors;
    await play.untilGoal("complete");
    await expectOnce(play, [...RESULTS, 'kind="continuation"']);
    expectLost((await play.framed("continuation"))[0], ids[2]);
  });

  test("killed between the end of a turn and the send, one continuation goes out", async () => {
    await between.untilGoal("complete");
    expect(await between.framed("continuation")).toHaveLength(1);
  });

  test("killed between the reservation and the send of what ended, it is told exactly once", async () => {
    const { play, finish } = await playSurvivors(["I have read the second.", COMPLETE, "Done."]);
    await finish();
    killOn('"session.updated"', play.id, '"kind":"task-outcome","outcomes":[{');
    await stage.restart({ kill: true });
    await stage.server.exited;
    await stage.restart();
    const reserved = (await play.stored())?.reserved?.id;
    expect((await play.messages()).map(({ info }) => info.id)).not.toContain(reserved ?? "none was reserved");
    await play.untilGoal("complete");
    await expectOnce(play, [...RESULTS, 'kind="continuation"']);
  });

  test("killed right after the send, before its turn began, the same message is answered", async () => {
    const play = await playKilled(
      ({ id }) => ['"message.part.updated"', id, 'kind=\\"continuation'],
      [COMPLETE, "Done."],
    );
    await play.untilGoal("complete");
    expect(await play.framed("continuation")).toHaveLength(1);
    expect((await play.stored())?.goal?.turns).toBe(1);
  });
});

describe("neither a reload nor a quit is the user's abort", () => {
  playIn(() => sleeping);

  test("a reload while the root and its tasks work pauses nothing and cancels nothing (D10)", async () => {
    const play = await playWorking(["You are back.", COMPLETE, "Done."]);
    await stage.server.client.instance.dispose();
    await Bun.sleep(500);
    expectUntouched(storedOnDisk(play));
    await play.goal("");
    expect((await play.framed("answer")).at(-1)).toContain("sleeping since OpenCode was started again");
    await untilSettled(play);
    expect((await play.stored())?.tasks.map(({ status }) => status)).toEqual(["lost", "lost"]);
    expect(await play.framed("continuation")).toEqual([]);
    await play.say("go on");
    await play.untilGoal("complete");
    await expectOnce(play, ["back half", "fore half"]);
  });

  // OpenCode publishes the abort of the turn late, to the instance that this message loads.
  test("a message that is the first sign of life after a reload wakes the goal (D10, M6)", async () => {
    const play = await playWorking(["You are back.", COMPLETE, "Done."]);
    await stage.server.client.instance.dispose();
    await play.say("go on");
    await play.untilGoal("complete");
    await expectOnce(play, ["back half", "fore half"]);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`a quit by ${signal} pauses nothing and cancels nothing (D10)`, async () => {
      const play = await playWorking([COMPLETE, "Done."]);
      process.kill(stage.server.pid, signal);
      await stage.server.exited;
      expectUntouched(storedOnDisk(play));
      await stage.restart();
      await untilSettled(play);
      expect((await play.stored())?.tasks.map(({ status }) => status)).toEqual(["lost", "lost"]);
      await play.goal("resume");
      await play.untilGoal("complete");
      expect((await play.framed("continuation"))[0]).toContain("2 lost");
    });
  }

  test("an abort that nothing follows is the user's: the goal is paused and the tasks are cancelled (G5)", async () => {
    const play = await playWorking([]);
    await play.abort();
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "user" });
    await untilSettled(play);
    expect((await play.stored())?.tasks.map(({ status }) => status)).toEqual(["cancelled", "cancelled"]);
  });
});

describe("a reload with resume_on_start", () => {
  playIn(() => resuming);

  test("the goal goes on with the next request of any kind (D10)", async () => {
    const play = await playWorking([COMPLETE, "Done."]);
    await stage.server.client.instance.dispose();
    await stage.server.client.session.list();
    await play.untilGoal("complete");
    const [continuation, ...more] = await play.framed("continuation");
    expect(more).toEqual([]);
    expect(continuation).toContain("2 lost");
  });
});

interface Survivors {
  readonly play: Play;
  /** One task each: finished and delivered, finished and not delivered, interrupted. */
  readonly ids: readonly string[];
  /** Lets the second task end. OpenCode's report is held back, and the plugin would not wait for it for long. */
  finish(): Promise<void>;
}

async function playSurvivors(rest: readonly Reply[]): Promise<Survivors> {
  const [reported, finished] = [createGate(), createGate()];
  const play = await stage.play({
    root: [
      { toolCalls: [task("reported"), task("finished"), task("interrupted")] },
      "Waiting.",
      "I have read the first.",
      ...rest,
    ],
    children: {
      reported: { text: "reported result", until: reported.opened },
      finished: { text: `finished result, ${NEVER_STORED}`, until: finished.opened },
      interrupted: [{ text: "half way there", toolCalls: [SHELL] }, { hang: true }],
    },
  });
  await play.goal("survive");
  reported.open();
  await untilTask(play, "reported", (stub) => "delivery" in stub && stub.delivery.state === "reconciled");
  const interrupted = await taskOf(play, "interrupted");
  await untilAsked(interrupted.id, 2);
  const child = await taskOf(play, "finished");
  const finish = async () => {
    finished.open();
    await play.until("the second task has finished", () => hasFinished(child.id));
  };
  return { play, ids: ((await play.stored())?.tasks ?? []).map(({ id }) => id), finish };
}

/** A root that waits inside its turn for a foreground task, while another one works in the background. */
async function playWorking(rest: readonly Reply[]): Promise<Play> {
  const half = (text: string) => [{ text, toolCalls: [SHELL] }, { hang: true }];
  const play = await stage.play({
    root: [{ toolCalls: [task("back")] }, { toolCalls: [task("fore", false)] }, ...rest],
    children: { back: half("back half"), fore: half("fore half") },
  });
  void play.goal("be interrupted").catch(ignore);
  await untilTask(play, "fore", ({ run }) => run.promptID !== undefined);
  for (const name of ["back", "fore"]) await untilAsked((await taskOf(play, name)).id, 2);
  return play;
}

/** Read without OpenCode, which would load the plugin again. */
function storedOnDisk(play: Play): StoredRoot {
  using database = new Database(join(stage.opencode.root, "data/opencode/opencode.db"), { readonly: true });
  const row = database.query<{ metadata: string }, [string]>("SELECT metadata FROM session WHERE id = ?").get(play.id);
  return JSON.parse(row?.metadata ?? "{}").goalkeeper;
}

function expectUntouched({ goal, tasks }: StoredRoot): void {
  expect(goal?.status).toBe("active");
  expect(tasks).toMatchObject([{ status: "queued" }, { status: "queued" }]);
  for (const stub of tasks) expect(stub.interruptedAt).toBeUndefined();
}

async function playResumedTask(): Promise<Play> {
  const again =
    (name: string, prompt: string): ReplyFunction =>
    ({ messages }) => {
      const id = /ses_\w+/.exec(
        messages.map((message) => JSON.stringify(message)).find((text) => text.includes(`${name} result`)) ?? "",
      )?.[0];
      const call = task(name);
      return { toolCalls: [{ ...call, args: { ...call.args, prompt, task_id: id } }] };
    };
  const play = await stage.play({
    root: [
      { toolCalls: [task("early")] },
      "Waiting.",
      again("early", NEVER_STORED),
      { toolCalls: [task("late")] },
      "Waiting.",
      again("late", "once more"),
      "Waiting again.",
    ],
    children: { early: "early result", late: ["late result", { hang: true }] },
  });
  await play.goal("resume the tasks that are left");
  await untilTask(play, "late", ({ run }) => run.number === 2 && run.promptID !== undefined);
  await untilTask(play, "early", ({ run }) => run.number === 2);
  return play;
}

async function playOwnTurn(): Promise<Play> {
  const play = await stage.play(["First turn.", { hang: true }, COMPLETE, "Done."]);
  await play.goal("be killed in a turn");
  await untilAsked(play.id, 2);
  return play;
}

/** A goal whose process is killed by an event after its first turn, and started again. */
async function playKilled(on: (play: Play) => readonly string[], rest: readonly Reply[]): Promise<Play> {
  const gate = createGate();
  const play = await stage.play([{ text: "First turn.", until: gate.opened }, ...rest]);
  void play.goal("be killed while sending").catch(ignore);
  await untilAsked(play.id, 1);
  killOn(...on(play));
  gate.open();
  await stage.server.exited;
  await stage.restart();
  return play;
}

async function playHanging(): Promise<Play> {
  const play = await stage.play([{ hang: true }]);
  void play.goal("stay here").catch(ignore);
  await play.until("the goal is stored", async () => (await play.stored())?.goal?.status === "active");
  return play;
}

async function playPaused(): Promise<Play> {
  const play = await stage.play([{ hang: true }, COMPLETE, "Done."]);
  void play.goal("be paused").catch(ignore);
  await untilAsked(play.id, 1);
  await play.abort();
  await play.untilGoal("paused");
  return play;
}

async function playComplete(): Promise<Play> {
  const play = await stage.play([COMPLETE, "Done."]);
  await play.goal("be complete");
  await play.untilGoal("complete");
  return play;
}

async function playBlocked(): Promise<Play> {
  const block = { name: "update_goal", args: { status: "blocked", blocker: "I need a key" } };
  const play = await stage.play([{ toolCalls: [block] }, "I need a key."]);
  await play.goal("be blocked");
  await play.untilGoal("blocked");
  return play;
}

function ignore(): void {
  // The process that would have answered was killed.
}

function killOn(...words: readonly string[]): void {
  writeFileSync(join(stage.opencode.directory, KILL_ON), JSON.stringify(words));
}

/** A task as it is stored, which may be a moment after it has begun. */
async function taskOf(play: Play, name: string): Promise<TaskStub> {
  return untilTask(play, name, () => true);
}

async function untilTask(play: Play, name: string, isTrue: (task: TaskStub) => boolean): Promise<TaskStub> {
  let found: TaskStub | undefined;
  await play.until(`the task "${name}" is as it should be`, async () => {
    found = (await play.stored())?.tasks.find(({ title }) => title.startsWith(name));
    return found !== undefined && isTrue(found);
  });
  if (found === undefined) throw new Error("unreachable: the task was seen");
  return found;
}

/** No task is live any more. */
async function untilSettled(play: Play): Promise<void> {
  await play.until("every task has ended", async () =>
    ((await play.stored())?.tasks ?? []).every((stub) => "endedAt" in stub),
  );
}

async function untilAsked(sessionID: string, times: number): Promise<void> {
  await stage.model.waitForRequest((request) => request.sessionID === sessionID && request.step === times - 1);
}

async function hasFinished(sessionID: string): Promise<boolean> {
  const last = (await stage.server.messages(sessionID)).at(-1)?.info;
  return last?.role === "assistant" && last.finish === "stop" && last.time.completed !== undefined;
}

/** What an agent must know of a lost task: which one, how far it came, and that it must not wait. */
function expectLost(told: string | undefined, id: string | undefined, lastWords = "half way there"): void {
  const line = told?.split("\n").find((line) => line.includes(id ?? "no task"));
  expect(line).toContain("LOST");
  expect(line).toContain("do not wait for it");
  expect(line).toContain(lastWords);
}

async function expectOnce(play: Play, words: readonly string[]): Promise<void> {
  const transcript = (await play.messages())
    .filter(({ info }) => info.role === "user")
    .map(textOf)
    .join("\n");
  for (const word of words) expect([word, transcript.split(word).length - 1]).toEqual([word, 1]);
}
