import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createGate, type Reply, type RunResult } from "../../src/testing/index.ts";
import { RUN_MS } from "./limits.ts";
import { COMPLETE, openStage, type Play, type Stage, task } from "./stage.ts";

/** OpenCode asks this often in one turn before it reports a failure. */
const TRIES = 6;
/** Names no moment, and OpenCode does not wait for minutes before it reports the failure. */
const LIMITED: Reply = { error: { status: 429, message: "slow down", headers: { "retry-after-ms": "0" } } };

const STATES = ["active", "outOfQuota", "paused", "failed", "blocked", "limited", "wrapUpOwed", "complete"] as const;
type State = (typeof STATES)[number];

let stage: Stage;
/** One session for each state that a goal can be in when OpenCode is killed. */
let plays: Readonly<Record<State, Play>>;
/** How many requests each of them had made by then. */
let before: Readonly<Record<State, number>>;
/** `opencode run --command goal …` while no server runs. */
let runs: Readonly<Record<"edit" | "resume" | "list", RunResult>>;

beforeAll(async () => {
  stage = await openStage({ options: { missing_task_grace_seconds: 1, no_progress_turns: 0 } });
  const [active, outOfQuota, paused, failed, blocked, limited, wrapUpOwed, complete] = await Promise.all([
    playActive(),
    playOutOfQuota(),
    playPaused(),
    playFailed(),
    playBlocked(),
    playLimited(),
    playWrapUpOwed(),
    playComplete(),
  ]);
  plays = { active, outOfQuota, paused, failed, blocked, limited, wrapUpOwed, complete };
  before = counts();
  await stage.server.kill();
  const run = (play: Play, ...words: string[]) =>
    stage.opencode.run(["run", "-s", play.id, "--command", "goal", ...words], { timeoutMs: RUN_MS });
  const [edit, resume, list] = await Promise.all([
    run(paused, "edit", "be", "paused", "still"),
    run(complete, "resume"),
    run(blocked, "list"),
  ]);
  runs = { edit, resume, list };
  await stage.restart();
});

afterAll(() => stage?.[Symbol.asyncDispose]());

describe("while no server runs, opencode run", () => {
  test("prints the answer to /goal edit, list and a resume of what is complete, exits 0 and asks no model (G18)", async () => {
    for (const { exitCode } of Object.values(runs)) expect(exitCode).toBe(0);
    expect(counts()).toEqual(before);
    expect(runs.edit.stdout).toBe("Goal changed: be paused still. It is paused by you; /goal resume goes on.\n");
    expect(runs.resume.stdout).toBe("The goal is complete. Start another with /goal <objective>.\n");
    expect(runs.list.stdout).toStartWith(`${STATES.length} sessions have a goal:\n`);
    expect(runs.list.stdout).toContain("- active, asleep: be active (");
    expect(runs.list.stdout).toContain("- limited: 1 turn used up: reach a limit (");
  });
});

describe("killed and started again", () => {
  test("a goal is in the state in which it was, /goal status says so, and nothing is sent in any of them", async () => {
    const shown: Readonly<Record<State, string>> = {
      active: "State: active",
      outOfQuota: "State: active",
      paused: "Goal: be paused still\nState: paused by you",
      failed: "State: paused: APIError: no such key",
      blocked: "State: blocked: I need a key",
      limited: "State: limited: 1 turn used up",
      wrapUpOwed: "State: limited: 1 turn used up",
      complete: "State: complete",
    };
    await Bun.sleep(1_500);
    for (const state of STATES)
      expect([state, await answerTo(plays[state], "status")]).toEqual([state, expect.stringContaining(shown[state])]);
    for (const state of ["active", "outOfQuota", "wrapUpOwed"] as const)
      expect(await answerTo(plays[state], "")).toContain("sleeping since OpenCode was started again (until you act)");
    expect(await answerTo(plays.outOfQuota, "")).toContain("the provider's usage limit is reached (at most");
    expect(counts()).toEqual(before);
    for (const state of STATES) expect(await plays[state].framed("task-outcome")).toEqual([]);
  });

  test("an active goal goes on with /goal resume, and is told what it has lost", async () => {
    const { active } = plays;
    await refused(active.goal("resume"));
    const { goal } = await active.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    expect((await active.framed("continuation"))[0]).toContain("LOST");
  });

  test("a goal that is out of quota has not forgotten how often: the user's message meets it again, and waits for twice as long", async () => {
    const { outOfQuota } = plays;
    await outOfQuota.say("are you there?");
    await outOfQuota.until("it was limited again", async () => (await outOfQuota.stored())?.goal?.quotaHits === 2);
    expect(outOfQuota.requests()).toHaveLength(2 * TRIES);
    const lastTry = outOfQuota.requests().at(-1)?.at ?? 0;
    expect(((await outOfQuota.stored())?.goal?.quotaUntil ?? 0) - lastTry).toBeWithin(120_000, 130_000);
    await refused(outOfQuota.goal("resume"));
    await outOfQuota.untilGoal("complete");
  });

  for (const state of ["paused", "failed", "blocked", "limited"] as const) {
    test(`a goal that was ${state} goes on with /goal resume alone, with a fresh allowance`, async () => {
      const play = plays[state];
      await play.say("hello");
      await play.until("the user is answered", () => play.requests().length === before[state] + 1);
      await play.untilIdle();
      expect(play.requests()).toHaveLength(before[state] + 1);
      await refused(play.goal("resume"));
      const { goal } = await play.untilGoal("complete");
      expect(goal).toMatchObject({ turns: 1, failures: 0 });
    });
  }

  test("a wrap-up that was owed goes out once, after the user's message", async () => {
    const { wrapUpOwed } = plays;
    await wrapUpOwed.say("hello");
    await wrapUpOwed.until("it has wrapped up", async () => (await wrapUpOwed.framed("wrapup")).length > 0);
    await wrapUpOwed.untilIdle();
    // That is written a little later: a crash in between takes nothing away.
    const isWritten = async () => JSON.stringify((await wrapUpOwed.stored())?.goal).includes('"wrapUp":"sent"');
    await wrapUpOwed.until("that is stored", isWritten);
    expect(await wrapUpOwed.framed("wrapup")).toHaveLength(1);
    expect(wrapUpOwed.requests()).toHaveLength(before.wrapUpOwed + 2);
  });

  test("a goal that was complete stays complete, whatever is said", async () => {
    const { complete } = plays;
    expect(await answerTo(complete, "resume")).toContain("The goal is complete.");
    await complete.say("hello");
    await complete.until("the user is answered", () => complete.requests().length === before.complete + 1);
    await complete.untilIdle();
    expect(complete.requests()).toHaveLength(before.complete + 1);
    expect((await complete.stored())?.goal?.status).toBe("complete");
  });
});

async function playActive(): Promise<Play> {
  const play = await stage.play({
    root: [{ toolCalls: [task("cut off")] }, "I wait.", COMPLETE, "Done."],
    children: { "cut off": { hang: true } },
  });
  await play.goal("be active");
  await untilTask(play);
  return play;
}

async function playOutOfQuota(): Promise<Play> {
  const tries = (count: number) => Array.from({ length: count }, () => LIMITED);
  const play = await stage.play([...tries(2 * TRIES), COMPLETE, "Done."]);
  await refused(play.goal("be out of quota"));
  await play.until("it is limited", async () => (await play.stored())?.goal?.quotaHits === 1);
  return play;
}

async function playPaused(): Promise<Play> {
  const gate = createGate();
  const play = await stage.play([{ text: "First turn.", until: gate.opened }, "Hello.", COMPLETE, "Done."]);
  const started = play.goal("be paused");
  await play.until("the turn works", () => play.requests().length === 1);
  await refused(play.goal("pause"));
  gate.open();
  await started;
  await play.untilIdle();
  return play;
}

async function playFailed(): Promise<Play> {
  const play = await stage.play([{ error: { status: 401, message: "no such key" } }, "Hello.", COMPLETE, "Done."]);
  await refused(play.goal("be refused"));
  await play.untilGoal("paused");
  return play;
}

async function playBlocked(): Promise<Play> {
  const block = { name: "update_goal", args: { status: "blocked", blocker: "I need a key" } };
  const play = await stage.play([{ toolCalls: [block] }, "I need a key.", "Hello.", COMPLETE, "Done."]);
  await play.goal("be blocked");
  await play.untilGoal("blocked");
  await play.until("it has said so", () => play.requests().length === 2);
  await play.untilIdle();
  return play;
}

async function playLimited(): Promise<Play> {
  const play = await stage.play(["One.", "Two.", "This is left.", "Hello.", COMPLETE, "Done."]);
  await play.goal("reach a limit --turns 1");
  await play.until("it has wrapped up", () => play.requests().length === 3);
  await play.untilIdle();
  return play;
}

/** The limit is reached in a turn whose task still works: the wrap-up waits for that. */
async function playWrapUpOwed(): Promise<Play> {
  const play = await stage.play({
    root: ["One.", { toolCalls: [task("cut short")] }, "I wait.", "Hello.", "This is left."],
    children: { "cut short": { hang: true } },
  });
  await play.goal("owe a wrap-up --turns 1");
  const { goal } = await play.untilGoal("limited");
  expect(goal).toMatchObject({ wrapUp: "owed" });
  await untilTask(play);
  return play;
}

async function playComplete(): Promise<Play> {
  const play = await stage.play([COMPLETE, "Done.", "Hello."]);
  await play.goal("be complete");
  await play.untilGoal("complete");
  await play.until("it has said so", () => play.requests().length === 2);
  await play.untilIdle();
  return play;
}

async function untilTask(play: Play): Promise<void> {
  const isAsked = () => stage.model.requests.some(({ parentSessionID }) => parentSessionID === play.id);
  await play.until("its task works", async () => isAsked() && (await play.stored())?.tasks.length === 1);
  await play.untilIdle();
}

function counts(): typeof before {
  return Object.fromEntries(STATES.map((state) => [state, plays[state].requests().length])) as typeof before;
}

async function answerTo(play: Play, words: string): Promise<string> {
  await refused(play.goal(words));
  return (await play.framed("answer")).at(-1) ?? "no answer";
}

/** A command that is answered without a turn ends in an error, on purpose. */
async function refused(call: Promise<unknown>): Promise<void> {
  await call.catch(() => {});
}
