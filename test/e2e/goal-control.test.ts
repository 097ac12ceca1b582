import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGate, type ModelRequest, type Reply } from "../../src/testing/index.ts";
import { request } from "./other-client.ts";
import { COMPLETE, openStage, type Play, type Stage, task, textOf } from "./stage.ts";

/** Accepts as soon as this file is in the project. */
const DONE_FILE = "done";
let stage: Stage;
/** The same, with a definition of done of the user's own. */
let checked: Stage;

beforeAll(async () => {
  const permission = { "*": "allow", bash: { "*": "allow", "echo asked": "ask" } };
  const options = { missing_task_grace_seconds: 1, no_progress_turns: 0 };
  const completion_check = { command: ["test", "-f", DONE_FILE] };
  [stage, checked] = await Promise.all([
    openStage({ options, config: { permission } }),
    openStage({ options: { ...options, completion_check } }),
  ]);
});

afterAll(() => Promise.all([stage, checked].map((one) => one?.[Symbol.asyncDispose]())));

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

describe("what is asked of the user holds the goal (G6)", () => {
  test("a permission that a child asks for: the status names it, and the goal goes on with the answer", async () => {
    const bash = { name: "bash", args: { command: "echo asked", description: "asks" } };
    const play = await stage.play({
      root: [{ toolCalls: [task("asking")] }, "I wait.", "Read.", COMPLETE, "Done."],
      children: { asking: [{ toolCalls: [bash] }, "asking result"] },
    });
    await play.goal("ask me first");
    const asked = await stage.server.events.waitFor(({ type }) => type === "permission.asked");
    await Bun.sleep(700);
    expect(await play.framed("continuation")).toEqual([]);
    await refused(play.goal("status"));
    expect((await answers(play)).at(-1)).toContain("a permission is open in");
    const { id, sessionID } = asked.properties as { id: string; sessionID: string };
    await request(stage, "POST", `/session/${sessionID}/permissions/${id}`, { response: "once" });
    await play.untilGoal("complete");
  });
});

describe("trouble with the provider (G7)", () => {
  const error = (status: number, message: string, headers = {}) => ({ error: { status, message, headers } });

  test("a failure that OpenCode tries again itself is left to it: one more request, no continuation in between", async () => {
    const play = await stage.play([error(503, "busy", { "retry-after-ms": "300" }), "One.", COMPLETE, "Done."]);
    await play.goal("outlive a failure");
    const { goal } = await play.untilGoal("complete");
    expect(goal).toMatchObject({ failures: 0 });
    expect(await play.framed("continuation")).toHaveLength(1);
    await play.until("it has said so", () => play.requests().length === 4);
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
    const reset = new Date(Date.now() + 4_000).toISOString();
    // OpenCode gives a stream that fails in its midst up after one try, if the code says that asking again is no use.
    const limited = error(429, "slow down", { "retry-after-ms": "1", "anthropic-ratelimit-requests-reset": reset });
    const play = await stage.play([...Array.from({ length: 6 }, () => limited), "One.", COMPLETE, "Done."]);
    await refused(play.goal("wait for the quota"));
    await play.until("the limit is known", async () => ((await play.stored())?.goal?.quotaUntil ?? 0) > 0);
    const { goal } = (await play.stored()) ?? {};
    expect(goal).toMatchObject({ status: "active", failures: 0, quotaUntil: Date.parse(reset) });
    await refused(play.goal("status"));
    expect((await answers(play)).at(-1)).toContain("the provider's usage limit is reached (at most");
    await play.untilGoal("complete");
    await play.until("it has said so", () => play.requests().length === 9);
  });
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
