import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGate, type ModelRequest, type Reply } from "../../src/testing/index.ts";
import { COMPLETE, openStages, type Play, type Stage, task, textOf } from "./stage.ts";

/** Accepts as soon as this file is in the project. */
const DONE_FILE = "done";
let stage: Stage;
/** The same, with a definition of done of the user's own. */
let checked: Stage;

beforeAll(async () => {
  const options = { missing_task_grace_seconds: 1, no_progress_turns: 0 };
  const completion_check = { command: ["test", "-f", DONE_FILE] };
  [stage, checked] = await openStages([{ options }, { options: { ...options, completion_check } }]);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

describe("/goal", () => {
  test("edit changes the objective of a goal that goes on: its next continuation has it", async () => {
    const gate = createGate();
    const play = await stage.play(["First turn.", { text: "Second.", until: gate.opened }, COMPLETE, "Done."]);
    const first = play.goal("paint it red");
    await play.until("the second turn works", () => play.requests().length === 2);
    await Promise.all([first, refused(play.goal("edit paint it $& blue"))]);
    gate.open();
    const { goal } = await play.untilGoal("complete");
    expect(goal).toMatchObject({ objective: "paint it $& blue", turns: 2 });
    expect((await play.framed("continuation")).at(-1)).toContain("paint it $&amp; blue");
    expect(await play.prompts()).toHaveLength(3);
  });

  test("why says what was decided and when, and list names the goals of the other sessions; neither asks the model", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("slow")] }, "I wait.", "Read.", COMPLETE, "Done."],
      children: { slow: { text: "slow result", until: gate.opened } },
    });
    const other = await stage.play(["Idle.", "Idle."]);
    await play.goal("wait for the slow one");
    await refused(play.goal("why"));
    expect(await answers(play)).toEqual([expect.stringContaining('ago: it waits: the task "slow" is running')]);
    await refused(other.goal("list"));
    expect((await answers(other)).at(-1)).toContain(`- active: wait for the slow one (`);
    expect(other.requests()).toEqual([]);
    gate.open();
    await play.untilGoal("complete");
  });

  test("on a session that works each word is answered in a toast, and none of them costs a request (G18)", async () => {
    const gate = createGate();
    const play = await stage.play([{ text: "Slow.", until: gate.opened }, "Never asked."]);
    const started = refused(play.goal("work for long"));
    await play.until("the turn works", () => play.requests().length === 1);
    for (const [words, said] of [
      ["status", "State: active\nNow: waits: the agent is working"],
      ["why", "ago: it waits: the agent is working"],
      ["list", "work for long ("],
      ["edit work for longer", "Goal changed: work for longer."],
      ["pause", "Goal paused. /goal resume goes on."],
      ["resume", "Goal resumed: it waits: the agent is working"],
      ["clear", "Goal cleared: work for longer"],
    ] as const) {
      await refused(play.goal(words));
      await stage.server.events.waitFor(
        ({ type, properties }) => type === "tui.toast.show" && String(properties.message).includes(said),
      );
    }
    expect(await play.prompts()).toHaveLength(1);
    gate.open();
    await started;
    await play.untilIdle();
    expect(play.requests()).toHaveLength(1);
    expect((await play.stored())?.goal).toBeUndefined();
  });

  test("limits said with the objective hold for this goal, and a wrong one changes nothing", async () => {
    const play = await stage.play(["One.", "Two.", "This is left."]);
    await refused(play.goal("do it --turns none"));
    expect((await answers(play)).at(-1)).toContain('--turns is "none"; a whole number, 1 or more was expected');
    await play.goal("do it --turns 1");
    const { goal } = await play.untilGoal("limited");
    expect(goal).toMatchObject({ objective: "do it", budget: { turns: 1 }, limit: "1 turn" });
    await play.until("it has wrapped up", () => play.requests().length === 3);
    await play.untilIdle();
    expect(await play.framed("wrapup")).toHaveLength(1);
    // Our own words are more than ASCII, and arrive as they are.
    await refused(play.goal(`edit ${"do it ".repeat(100)}`));
    expect((await answers(play)).at(-1)).toContain("do it…");
  });
});

describe("a budget of tokens", () => {
  test("counts the children, ends in one wrap-up, and resume grants a fresh one (G8)", async () => {
    const usage = { promptTokens: 400, completionTokens: 100 };
    const play = await stage.play({
      root: (asked: ModelRequest): Reply => {
        if (newest(asked).includes("wrapup")) return { text: "This is left.", usage };
        return asked.step === 0 ? { toolCalls: [task("costly", false)], usage } : { text: "On it.", usage };
      },
      children: { costly: { text: "costly result", usage: { promptTokens: 2_000, completionTokens: 500 } } },
    });
    await play.goal("spend --tokens 3k");
    const { goal } = await play.untilGoal("limited");
    expect(goal).toMatchObject({ limit: "3k tokens" });
    expect(goal?.tokens.tasks).toBe(2_500);
    expect(goal?.tokens.own).toBeGreaterThanOrEqual(500);
    await play.until("it has wrapped up", async () => (await play.framed("wrapup")).length === 1);
    await play.untilIdle();
    await refused(play.goal("resume"));
    await play.until("it goes on", async () => (await play.framed("continuation")).length > 0);
    expect((await play.stored())?.goal?.tokens.tasks).toBe(0);
    await play.abort();
  });
});

describe.concurrent("trouble with the provider (G7)", () => {
  const error = (status: number, message: string, headers = {}) => ({ error: { status, message, headers } });
  const times = (count: number, reply: Reply): Reply[] => Array.from({ length: count }, () => reply);
  /** OpenCode asks again at once, and five times, before it reports the failure. */
  const TRIES = 6;
  const AT_ONCE = { "retry-after-ms": "1" };

  test("a failure that OpenCode tries again itself is left to it: one more request, no continuation in between", async () => {
    const play = await stage.play([error(503, "busy", { "retry-after-ms": "300" }), "One.", COMPLETE, "Done."]);
    await play.goal("outlive a failure");
    const { goal } = await play.untilGoal("complete");
    expect(goal).toMatchObject({ failures: 0 });
    expect(await play.framed("continuation")).toHaveLength(1);
    await play.until("it has said so", () => play.requests().length === 4);
  });

  test("one turn that OpenCode gives up is tried again after a back-off, and forgotten when it works", async () => {
    const play = await stage.play([...times(TRIES, error(500, "broken", AT_ONCE)), "One.", COMPLETE, "Done."]);
    await refused(play.goal("outlive a failed turn"));
    await play.until("the failure is counted", async () => (await play.stored())?.goal?.failures === 1);
    const { goal } = await play.untilGoal("complete");
    expect(goal).toMatchObject({ failures: 0, turns: 2 });
    await play.until("it has said so", () => play.requests().length === TRIES + 3);
    expect((play.requests()[TRIES]?.at ?? 0) - (play.requests()[TRIES - 1]?.at ?? 0)).toBeGreaterThan(1_000);
  });

  test("a provider that fails for ever is asked in three turns, with back-off, and then the goal pauses with the reason", async () => {
    const play = await stage.play(() => error(500, "broken", AT_ONCE));
    await refused(play.goal("meet a broken provider"));
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "error", reason: "3 turns in a row failed: APIError: broken", failures: 3 });
    await Bun.sleep(1_500);
    expect(play.requests()).toHaveLength(3 * TRIES);
    expect(await play.framed("continuation")).toHaveLength(2);
    const turns = [0, 1, 2].map((turn) => play.requests()[turn * TRIES]?.at ?? 0);
    const [first = 0, second = 0, third = 0] = turns;
    expect(second - first).toBeGreaterThan(1_000);
    expect(third - second).toBeGreaterThan(2_000);
  });

  test("a key that is refused pauses at once, says what to fix, and costs one request", async () => {
    const play = await stage.play([error(401, "no such key"), "One.", COMPLETE, "Done."]);
    await refused(play.goal("open the door"));
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "error", reason: expect.stringContaining("opencode auth login") });
    await Bun.sleep(1_500);
    expect(play.requests()).toHaveLength(1);
    await refused(play.goal("resume"));
    await play.untilGoal("complete");
  });

  test("a usage limit waits until the provider takes requests again, and then goes on by itself", async () => {
    let reset = 0;
    const limited = (): Reply => {
      // Of the last try it counts: how long the tries take is not known.
      reset = Date.now() + 5_000;
      const moment = new Date(reset).toISOString();
      return error(429, "slow down", { ...AT_ONCE, "anthropic-ratelimit-requests-reset": moment });
    };
    const rest = ["One.", COMPLETE, "Done."];
    const play = await stage.play(({ step }) => (step < TRIES ? limited() : (rest[step - TRIES] ?? "Never asked.")));
    await refused(play.goal("wait for the quota"));
    await untilLimited(play);
    const { goal } = (await play.stored()) ?? {};
    expect(goal).toMatchObject({ status: "active", failures: 0, quotaUntil: reset });
    await refused(play.goal("status"));
    expect((await answers(play)).at(-1)).toContain("the provider's usage limit is reached (at most");
    await play.untilGoal("complete");
    await play.until("it has said so", () => play.requests().length === TRIES + 3);
    expect(play.requests()[TRIES]?.at).toBeGreaterThanOrEqual(reset);
  });

  test("a usage limit of which nobody says when it ends is waited for: a minute, shown by /goal status", async () => {
    // No moment is named by that, and OpenCode does not wait for minutes before it reports the failure.
    const limited = error(429, "slow down", { "retry-after-ms": "0" });
    const play = await stage.play([...times(TRIES, limited), COMPLETE, "Done."]);
    await refused(play.goal("wait without an end"));
    await untilLimited(play);
    const { goal } = (await play.stored()) ?? {};
    expect(goal).toMatchObject({ status: "active", failures: 0, turns: 0 });
    const lastTry = play.requests()[TRIES - 1]?.at ?? 0;
    expect((goal?.quotaUntil ?? 0) - lastTry).toBeWithin(60_000, 70_000);
    await refused(play.goal("status"));
    expect((await answers(play)).at(-1)).toMatch(
      /Now: waits: the provider's usage limit is reached \(at most (1m 0s|[45]\ds) more\)/,
    );
    await Bun.sleep(1_500);
    expect(play.requests()).toHaveLength(TRIES);
    await refused(play.goal("resume"));
    await play.untilGoal("complete");
  });

  test("an end of the usage limit that is short and wrong every time is believed once, not in turn after turn", async () => {
    const play = await stage.play(() => error(429, "slow down", AT_ONCE));
    await refused(play.goal("believe it once"));
    const twice = async () => ((await play.stored())?.goal?.quotaUntil ?? 0) > Date.now() + 30_000;
    await play.until("it waits for longer", twice);
    await Bun.sleep(1_000);
    expect(play.requests()).toHaveLength(2 * TRIES);
    expect((await play.stored())?.goal).toMatchObject({ status: "active", turns: 1 });
    await refused(play.goal("clear"));
  });

  async function untilLimited(play: Play): Promise<void> {
    await play.until("the limit is known", async () => ((await play.stored())?.goal?.quotaUntil ?? 0) > 0);
  }
});

describe("evidence (G11)", () => {
  const bash = { id: "call_tests", name: "bash", args: { command: "echo 42 passed", description: "runs the tests" } };
  const complete = (...ids: string[]) => ({
    toolCalls: [
      { name: "update_goal", args: { status: "complete", evidence: [{ claim: "they pass", tool_call_ids: ids }] } },
    ],
  });

  test("that names calls which do not count is refused with those that do, and accepted with them", async () => {
    const play = await stage.play([
      { toolCalls: [bash] },
      complete("call_invented"),
      { toolCalls: [{ name: "get_goal" }] },
      complete("call_tests"),
      "Done.",
    ]);
    await play.goal("make the tests pass");
    const { goal } = await play.untilGoal("complete");
    const [, , refusal, shown] = play.requests().map(newest);
    expect(refusal).toContain("call_invented: there is no such call in this session");
    expect(refusal).toContain("- call_tests bash");
    expect(shown).toContain("- call_tests bash");
    expect(goal).toMatchObject({ evidence: [{ claim: "they pass", tool_call_ids: ["call_tests"] }] });
  });

  test("is not enough where the user's own check fails: its output goes back, and the next time it passes", async () => {
    const play = await checked.play([COMPLETE, { text: "I make it." }, COMPLETE, "Done."]);
    await play.goal("make the file");
    await play.until("the check has refused once", () => play.requests().length >= 2);
    expect(newest(play.requests()[1])).toContain("the user's completion check ended with exit code 1");
    await checked.server.events.waitFor(
      ({ type, properties }) =>
        type === "tui.toast.show" && String(properties.message).includes("the completion check ended with exit code 1"),
    );
    writeFileSync(join(checked.opencode.directory, DONE_FILE), "");
    await play.untilGoal("complete");
    expect(existsSync(join(checked.opencode.directory, DONE_FILE))).toBe(true);
  });
});

describe("where a goal does not go", () => {
  test("in the plan agent it is paused, and no continuation switches the agent (G10)", async () => {
    const play = await stage.play(["I plan.", "I plan."]);
    await play.goal("build it", "plan");
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "restricted-agent" });
    await Bun.sleep(500);
    expect(play.requests()).toHaveLength(1);
  });

  test("one that goes on is paused when the user turns to the plan agent, whose turn is not followed by another", async () => {
    const gate = createGate();
    const play = await stage.play([{ text: "I build.", until: gate.opened }, "I plan.", "Never asked."]);
    const started = play.goal("build it", "build");
    await play.until("the first turn works", () => play.requests().length === 1);
    await play.say("plan it first", "plan");
    await play.until("the message is there", async () => (await play.prompts()).length === 2);
    gate.open();
    await started;
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "restricted-agent" });
    await play.untilIdle();
    expect(await play.framed("continuation")).toEqual([]);
    expect(play.requests()).toHaveLength(2);
  });

  test("two goals in two sessions of one server go on each by itself", async () => {
    const gate = createGate();
    const one = await stage.play(["One.", { text: "Two.", until: gate.opened }, COMPLETE, "Done."]);
    const other = await stage.play(["One.", COMPLETE, "Done."]);
    await Promise.all([one.goal("the first"), other.goal("the second")]);
    await other.untilGoal("complete");
    expect((await one.stored())?.goal).toMatchObject({ status: "active", objective: "the first" });
    gate.open();
    await one.untilGoal("complete");
  });
});

/** A command that is answered without a turn ends in an error, on purpose. */
async function refused(call: Promise<unknown>): Promise<void> {
  await call.catch(() => {});
}

async function answers(play: Play): Promise<string[]> {
  const users = (await play.messages()).filter(({ info }) => info.role === "user");
  return users.map(textOf).filter((text) => text.startsWith('<goalkeeper kind="answer"'));
}

/** What the model has read last. */
function newest(asked: ModelRequest | undefined): string {
  return JSON.stringify(asked?.messages.at(-1) ?? "").replaceAll('\\"', '"');
}
