/** A budget holds inside a turn: what OpenCode would let go on for ever is ended (U7). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createGate } from "../../src/testing/index.ts";
import { launch } from "./background.ts";
import { openRun, said, storedRoot } from "./run-stage.ts";
import { openStages, type Stage } from "./stage.ts";

const USED = { promptTokens: 900, completionTokens: 100 };
/** OpenCode asks again after an answer whose finish it does not know. */
const ENDLESS = { text: "More.", finish: "unknown", usage: USED };
/** No context is large enough for what this one is said to have read. */
const TOO_MUCH = { promptTokens: 7_900, completionTokens: 100 };
const SMALL = "scripted/small";

let stage: Stage;
let crowded: Stage;
let timed: Stage;

beforeAll(async () => {
  const options = { no_progress_turns: 0 };
  [stage, crowded, timed] = await openStages(
    [
      { options },
      { options, config: { model: SMALL, small_model: SMALL } },
      { options: { ...options, max_goal_seconds: 2 } },
    ],
    { model: {}, small: { limit: { context: 8_000, output: 1_000 } } },
  );
});

afterAll(() => stage?.[Symbol.asyncDispose]());

describe.concurrent("a turn without end", () => {
  test("of tokens: the goal is limited, then its turn is ended, and nothing wraps up (U7)", async () => {
    const play = await stage.play(() => ENDLESS);
    await Promise.all([refused(play.goal("spend it --tokens 4k")), play.untilGoal("limited")]);
    await play.untilIdle();
    const { goal } = (await play.stored()) ?? {};
    // The steps that OpenCode makes while that is written do not put its end off.
    expect(goal).toMatchObject({ limit: "4k tokens", wrapUp: "cut", spent: 5_000, turns: 0 });
    expect(await play.prompts()).toHaveLength(1);
    await toast(stage, "Goal limited: 4k tokens used up and a quarter more; the turn was ended. /goal resume goes on.");
    await refused(play.goal("why"));
    const [why = ""] = await play.framed("answer");
    expect(why).toContain(
      "the goal has reached its limit of 4k tokens, and the turn that went a quarter beyond it was ended",
    );
  });

  test("of a compaction that never gets small is ended as well", async () => {
    const play = await crowded.play(() => ({ text: "Too much.", usage: TOO_MUCH }));
    await Promise.all([refused(play.goal("spend it --tokens 40k")), play.untilGoal("limited")]);
    await play.untilIdle();
    expect((await play.stored())?.goal).toMatchObject({ limit: "40k tokens", wrapUp: "cut", turns: 0 });
    expect(await play.framed("wrapup")).toEqual([]);
  });

  test("of which no step ends: its time is looked at all the same", async () => {
    const play = await timed.play({ text: "Never.", hang: true });
    await Promise.all([refused(play.goal("spend it")), play.untilGoal("limited")]);
    await play.untilIdle();
    expect((await play.stored())?.goal).toMatchObject({ limit: "2s", wrapUp: "cut" });
    // On a slow machine the time is over before the request is made.
    await play.until("the request is given up", () => play.requests().every(({ state }) => state === "disconnected"));
  });

  test("that a message of the user's has begun is the user's to end", async () => {
    const play = await stage.play(() => ENDLESS);
    const first = refused(play.say("Talk to me."));
    await play.until("it talks", () => play.requests().length > 0);
    const set = refused(play.goal("spend it --tokens 2k"));
    await play.untilGoal("active");
    // What is used is written when the turn is over: here each request is a thousand.
    const begun = play.requests().length;
    await play.until("it has used up far more", () => play.requests().length > begun + 6);
    expect((await play.stored())?.goal?.status).toBe("active");
    await play.abort();
    await Promise.all([first, set]);
    expect((await play.untilGoal("paused")).goal).toMatchObject({ by: "user" });
  });
});

test("a launched task without end is cancelled beside an idle root, which wraps up once and is told", async () => {
  const gate = createGate();
  const play = await stage.play({
    root: [{ toolCalls: [launch("endless")], usage: USED }, { text: "I wait.", usage: USED }, "This is left."],
    children: { endless: { ...ENDLESS, until: gate.opened } },
  });
  await play.goal("spend it --tokens 6k");
  gate.open();
  await play.untilGoal("limited");
  await play.until("it has wrapped up", () => play.requests().length === 3);
  await play.untilIdle();
  const [wrapUp, ...more] = await play.framed("wrapup");
  expect(more).toEqual([]);
  expect(wrapUp).toContain("cancelled");
  expect(wrapUp).toContain("the budget of the goal is used up: 6k tokens");
  await toast(stage, "Goal limited: 6k tokens used up. 1 background task cancelled. /goal resume goes on.");
});

test("in opencode run the last line says that the turn was ended, and the exit code is not 0", async () => {
  await using run = await openRun(() => ENDLESS);
  const result = await run.run("--command", "goal", "spend it --tokens 4k");
  expect(storedRoot(run)?.goal).toMatchObject({ status: "limited", wrapUp: "cut" });
  expect(said(result).at(-1)).toStartWith(
    "goalkeeper: the goal is limited: 4k tokens used up and a quarter more; the turn was ended; to go on: opencode run -s ses_",
  );
  expect(result.stderr.trim().split("\n").at(-1)).toContain("goalkeeper: the goal is limited");
  expect(result.exitCode).toBe(1);
});

function toast(on: Stage, words: string): Promise<unknown> {
  return on.server.events.waitFor(
    ({ type, properties }) => type === "tui.toast.show" && String(properties.message).includes(words),
  );
}

/** Answered commands and turns that end with an error are errors for whoever waits for them. */
function refused(command: Promise<void>): Promise<void> {
  return command.catch(() => undefined);
}
