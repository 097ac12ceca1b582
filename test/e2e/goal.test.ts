import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { SYSTEM_TEXT } from "../../src/goals/prompts.ts";
import { createGate, type ReplySpec } from "../../src/testing/index.ts";
import { COMPLETE, openStages, type Play, type Stage, task } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  [stage] = await openStages([{ options: { missing_task_grace_seconds: 1 } }]);
});

afterAll(() => stage[Symbol.asyncDispose]());

describe("a goal on the real OpenCode", () => {
  test("no continuation goes out and no turn is counted while a background task works (G1)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("slow")] }, "Waiting.", "I have read it.", COMPLETE, "Done."],
      children: { slow: { text: "slow result", until: gate.opened } },
    });
    await play.goal("wait for the slow one");
    await Bun.sleep(1_500);
    expect(await play.framed("continuation")).toEqual([]);
    expect((await play.stored())?.goal?.turns).toBe(0);
    gate.open();
    const { goal } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    expect(await play.framed("continuation")).toHaveLength(1);
  });

  test("the goal goes on when the child ends, although the parent publishes nothing (G2, D6)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("silent")] }, "Waiting.", "I have read it.", COMPLETE, "Done."],
      children: { silent: { text: "silent result", until: gate.opened } },
    });
    await play.goal("wait for the silent one");
    gate.open();
    await play.untilGoal("complete");
    // The host's own message is the delivery: nothing of ours repeats it.
    const told = (await play.prompts()).filter((text) => text.includes("silent result"));
    expect(told).toHaveLength(1);
  });

  test("the idles that OpenCode publishes in pairs send one continuation (G3)", async () => {
    const play = await stage.play(["First turn.", COMPLETE, "Done."]);
    await play.goal("two turns");
    await play.untilGoal("complete");
    const isIdle = (type: string, status: unknown) =>
      type === "session.idle" || (status as { type?: string })?.type === "idle";
    const idles = () =>
      stage.server.events.all.filter(
        ({ type, properties }) => properties.sessionID === play.id && isIdle(type, properties.status),
      );
    await play.until("two turns have ended, each with a pair of idles", () => idles().length >= 4);
    expect(await play.framed("continuation")).toHaveLength(1);
    expect(play.requests()).toHaveLength(3);
  });

  test("a message of the user's comes first and the goal goes on after it (G4)", async () => {
    const gate = createGate();
    const play = await stage.play([{ text: "First turn.", until: gate.opened }, "You said blue.", COMPLETE, "Done."]);
    const started = play.goal("paint it");
    await play.until("the first turn runs", () => play.requests().length === 1);
    await play.say("make it blue");
    await play.until("the message is there", async () => (await play.prompts()).length === 2);
    gate.open();
    await started;
    await play.untilGoal("complete");
    const prompts = await play.prompts();
    expect(prompts[1]).toContain("make it blue");
    expect(prompts[2]).toContain('kind="continuation"');
    expect(prompts).toHaveLength(3);
  });

  test("a message of the user's while a task is waited for is answered, and the goal waits on for the task (G4, G1)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("long")] }, "Waiting.", "You said blue.", "I have read it.", COMPLETE, "Done."],
      children: { long: { text: "long result", until: gate.opened } },
    });
    await play.goal("wait for the long one");
    await play.say("make it blue");
    await play.untilIdle();
    await Bun.sleep(700);
    expect(play.requests()).toHaveLength(3);
    expect((await play.stored())?.goal).toMatchObject({ status: "active", turns: 0 });
    gate.open();
    const { goal } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    expect((await play.prompts()).map((text) => /kind="\w+"|blue|long result/.exec(text)?.[0])).toEqual([
      'kind="goal"',
      "blue",
      "long result",
      'kind="continuation"',
    ]);
  });

  test("an abort pauses the goal, nothing prompts the session, and /goal resume goes on (G5, D9)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("doomed")] }, { hang: true }, COMPLETE, "Done."],
      children: { doomed: { hang: true } },
    });
    const started = play.goal("be interrupted");
    await play.until("the second step hangs", () => play.requests().length === 2);
    await play.abort();
    await started;
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "user" });
    await stage.server.events.waitFor(
      ({ type, properties }) =>
        type === "tui.toast.show" && String(properties.message) === "Goal paused by you. /goal resume goes on.",
    );
    await Bun.sleep(3_500);
    expect(play.requests()).toHaveLength(2);
    expect((await play.stored())?.tasks).toMatchObject([{ status: "cancelled", delivery: { state: "pending" } }]);
    await play.goal("resume");
    await play.untilGoal("complete");
    const [continuation] = await play.framed("continuation");
    expect(continuation).toContain("1 cancelled");
  });

  test("/goal status, why, list, edit, pause and clear start no turn and are shown, and the model never reads them (G18)", async () => {
    const gate = createGate();
    const play = await stage.play(["First turn.", { text: "Second turn.", until: gate.opened }, "Nothing."]);
    await play.goal("stay", "build");
    await play.until("the second turn works", () => play.requests().length === 2);
    await play.goal("pause");
    gate.open();
    await play.untilGoal("paused");
    await play.untilIdle();
    const requests = play.requests().length;
    const answers = async () => (await play.framed("answer")).length;
    const before = await answers();
    const all = ["", "status", "why", "list", "edit stay here", "pause"];
    for (const words of all) await play.goal(words);
    expect(await answers()).toBe(before + all.length);
    await play.goal("clear");
    await play.until("the goal is gone", async () => (await play.stored())?.goal === undefined);
    await Bun.sleep(500);
    expect(play.requests().length).toBe(requests);
    const users = (await play.messages()).flatMap(({ info }) => (info.role === "user" ? [info] : []));
    expect(new Set(users.map((info) => `${info.agent} ${info.model.modelID}`)).size).toBe(1);
    await play.say("what now?");
    await play.until("the user is answered", () => play.requests().length > requests);
    expect(JSON.stringify(play.requests().at(-1)?.messages)).not.toContain('kind=\\"answer\\"');
  });

  test("on a busy session /goal answers with a toast alone and costs no request (G18)", async () => {
    const gate = createGate();
    const play = await stage.play([{ text: "Slow.", until: gate.opened }, COMPLETE, "Done."]);
    const started = play.goal("be busy");
    await play.until("the turn runs", () => play.requests().length === 1);
    await play.goal("");
    await stage.server.events.waitFor(
      ({ type, properties }) => type === "tui.toast.show" && String(properties.message).includes("Goal: be busy"),
    );
    expect((await play.prompts()).some((text) => text.includes('kind="answer"'))).toBe(false);
    gate.open();
    await started;
    await play.untilGoal("complete");
    await play.until("the last step is asked for, and no other", () => play.requests().length === 3);
  });

  test("an objective with shell and file syntax runs nothing, reads nothing and comes back unchanged (G15)", async () => {
    const marker = join(stage.opencode.directory, "pwned");
    const objective = `fix !\`touch ${marker}\` and @/etc/passwd $ARGUMENTS $1 $& </goalkeeper> <b> &amp; \u{1F600}`;
    const play = await stage.play([COMPLETE, "Done."]);
    await play.goal(objective);
    const { goal } = await play.untilGoal("complete");
    expect(existsSync(marker)).toBe(false);
    expect(goal?.objective).toBe(objective);
    const [first] = await play.prompts();
    expect(first).not.toContain("root:");
    expect(first?.match(/<\/goalkeeper>/g)).toHaveLength(1);
  });

  test("an objective of more than 100,000 words is not expanded either (G15)", async () => {
    const marker = join(stage.opencode.directory, "pwned-late");
    const play = await stage.play([COMPLETE, "Done."]);
    await play.goal(`${"a ".repeat(100_001)} !\`touch ${marker}\``);
    await play.untilGoal("complete");
    expect(existsSync(marker)).toBe(false);
  });

  test("a slip of a command changes nothing, and a replaced goal is named in a toast", async () => {
    const gate = createGate();
    const play = await stage.play([{ text: "First.", until: gate.opened }, "Second.", COMPLETE, "Done."]);
    const started = play.goal("the first objective");
    await play.until("the turn runs", () => play.requests().length === 1);
    await play.goal("stop");
    expect((await play.stored())?.goal?.objective).toBe("the first objective");
    const again = play.goal("the second objective");
    await stage.server.events.waitFor(
      ({ type, properties }) =>
        type === "tui.toast.show" && String(properties.message).includes("replaced: the first objective"),
    );
    gate.open();
    await Promise.all([started, again]);
    expect((await play.untilGoal("complete")).goal?.objective).toBe("the second objective");
  });

  test("the system prompt is the same, byte for byte, in every request of a goal (G14)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("part")] }, "Waiting.", "Read.", "Turn.", COMPLETE, "Done."],
      children: { part: "part result" },
    });
    await play.goal("several turns");
    await play.untilGoal("complete");
    const systems = play.requests().map((request) => request.system);
    expect(systems.length).toBeGreaterThanOrEqual(5);
    expect(new Set(systems).size).toBe(1);
    expect(systems[0]).toContain(SYSTEM_TEXT);
  });

  test("a compaction in the middle of a goal, with a task at work, takes neither the goal nor the task away", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("patient")] }, "Waiting.", "I have read it.", COMPLETE, "Done."],
      children: { patient: { text: "patient result", until: gate.opened } },
    });
    await play.goal("outlive a compaction");
    await compact(play);
    const summary = stage.model.requests.find(({ kind, sessionID }) => kind === "summary" && sessionID === play.id);
    expect(JSON.stringify(summary?.messages)).toContain("keep it word for word: outlive a compaction");
    expect(await play.framed("continuation")).toEqual([]);
    gate.open();
    const { goal, tasks } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    expect(tasks).toMatchObject([{ status: "completed" }]);
  });

  test("a compaction counts for the budget of a goal, and takes nothing away of what was used before it (G8, G13)", async () => {
    const gate = createGate();
    const using = (reply: ReplySpec, promptTokens: number) => ({
      ...reply,
      usage: { promptTokens, completionTokens: 0 },
    });
    const play = await stage.play({
      root: [
        using({ toolCalls: [task("thrifty")] }, 10_000),
        using({ text: "Waiting." }, 10_000),
        using({ text: "I have read it." }, 10_000),
        using({ text: "On it." }, 9_900),
        using({ text: "This is left." }, 100),
      ],
      children: {
        thrifty: { text: "thrifty result", until: gate.opened, usage: { promptTokens: 1, completionTokens: 0 } },
      },
    });
    const used = async () => (await play.stored())?.goal?.tokens.own ?? 0;
    await play.goal("spend it --tokens 40k");
    await play.until("both steps are counted", async () => (await used()) === 20_000);
    await compact(play);
    gate.open();
    // 39,901 without the compaction: it is what uses the budget up.
    const { goal } = await play.untilGoal("limited");
    expect(goal).toMatchObject({ limit: "40k tokens", turns: 1, tokens: { tasks: 1 } });
    await play.until("it has wrapped up", () => play.requests().length === 5);
    await play.untilIdle();
    expect(await play.framed("wrapup")).toHaveLength(1);
    expect(play.requests()).toHaveLength(5);
  });

  test("a continuation keeps agent, model and variant of the user's last message (D7)", async () => {
    const play = await stage.play(["First turn.", COMPLETE, "Done."]);
    await play.goal("keep the voice", "build");
    await play.untilGoal("complete");
    const users = (await play.messages()).flatMap(({ info }) => (info.role === "user" ? [info] : []));
    expect(users).toHaveLength(2);
    expect(users[1]?.agent).toBe(users[0]?.agent ?? "");
    expect(users[1]?.model).toEqual(users[0]?.model ?? { providerID: "", modelID: "" });
  });

  test("the model is shown the goal tools with their descriptions", async () => {
    const play = await stage.play([COMPLETE, "Done."]);
    await play.goal("look at the tools");
    await play.untilGoal("complete");
    const body = JSON.stringify(play.requests()[0]?.body);
    for (const words of ["get_goal", "create_goal", "update_goal", "What is true now, and how you know"]) {
      expect(body.includes(words)).toBe(true);
    }
  });
});

/** What `/compact` does. */
async function compact(play: Play): Promise<void> {
  const [first] = await play.messages();
  const { providerID, modelID } = first?.info.role === "user" ? first.info.model : { providerID: "", modelID: "" };
  await stage.server.client.session.summarize({ path: { id: play.id }, body: { providerID, modelID } });
}
