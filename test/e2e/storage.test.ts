import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { METADATA_KEY, setAsideKey } from "../../src/host/store.ts";
import { createGate } from "../../src/testing/index.ts";
import { until } from "./limits.ts";
import { logLines, request, writeMetadata } from "./other-client.ts";
import { COMPLETE, openStages, PLUGIN, type Play, type Stage, task } from "./stage.ts";
import { breakCalls, calls, UNRELIABLE_HOST } from "./unreliable-host.ts";

const OPTIONS = { max_prompt_failures: 2 };
/** Wrong in four ways. */
const CARELESS = { max_auto_turn: 3, tools: "goal", auto_continue: "no", missing_task_grace_seconds: -1 };

/** Two more installations of the plugin. */
let copies: string;
let stage: Stage;
let careless: Stage;
/** Two projects, with the plugin listed twice and both copies. */
let crowded: readonly Stage[];

beforeAll(async () => {
  const command = { goal: { template: "Say hello to $ARGUMENTS." } };
  copies = mkdtempSync(join(tmpdir(), "goalkeeper-copies-"));
  const installed = ["one", "two"].map((name) => {
    for (const part of ["package.json", "dist"])
      cpSync(join(new URL(PLUGIN).pathname, part), join(copies, name, part), { recursive: true });
    return join(copies, name);
  });
  const crowd = { after: [...installed, PLUGIN] };
  [stage, careless, ...crowded] = await openStages([
    { options: OPTIONS, before: [[UNRELIABLE_HOST, OPTIONS]] },
    { options: CARELESS, config: { command } },
    crowd,
    crowd,
  ]);
});

afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
  rmSync(copies, { recursive: true });
});

describe.concurrent("one instance", () => {
  test("listed twice, installed twice more, in two directories: one continuation and one record each (S1)", async () => {
    const run = async (project: Stage) => {
      const play = await project.play({
        root: [{ toolCalls: [task("only")] }, "Go on.", "Go on.", COMPLETE, "Go on."],
        children: { only: "only result" },
      });
      await play.goal("happen once");
      await play.untilGoal("complete");
      const messages = JSON.stringify(await play.messages());
      const count = (words: string) => messages.split(words).length - 1;
      return {
        goals: count('kind=\\"goal\\"'),
        continuations: count('kind=\\"continuation\\"'),
        reports: count('state=\\"completed\\"'),
        records: (await play.stored())?.tasks.length,
      };
    };
    const once = { goals: 1, continuations: 1, reports: 1, records: 1 };
    expect(await Promise.all(crowded.map(run))).toEqual([once, once]);
    // Two in each of the two, for OpenCode itself drops what is listed twice; and one beside the unreliable host.
    expect(logLines(stage, "another copy is active in this directory")).toHaveLength(5);
  });
});

describe.concurrent("metadata that others write", () => {
  for (const call of ["get", "update"] as const) {
    const when = call === "get" ? "between our read and our write" : "while we write";
    test(`what another plugin writes ${when} is not lost (S2)`, async () => {
      const play = await stage.play(["First turn.", "Second turn.", COMPLETE, "Done."]);
      breakCalls(stage.opencode.directory, play.id, { call, how: "is overtaken", times: 4 });
      await play.goal("live with a neighbour");
      await play.untilGoal("complete");
      expect(calls(stage.opencode.directory, play.id).length).toBeGreaterThanOrEqual(4);
      const neighbours = async () =>
        Object.keys(await stage.server.metadata(play.id)).filter((key) => /^neigh/.test(key));
      await play.until("all of it is there", async () => (await neighbours()).length === 4);
      expect(await play.framed("continuation")).toHaveLength(2);
    });
  }

  test("our key is written again when another plugin drops or replaces it (S2)", async () => {
    const gate = createGate();
    const play = await stage.play({
      root: [{ toolCalls: [task("meanwhile")] }, "Waiting.", "I have read it.", COMPLETE, "Done."],
      children: { meanwhile: { text: "done", until: gate.opened } },
    });
    await play.goal("be overwritten");
    for (const metadata of [{ neighbour: 1 }, { neighbour: 2, goalkeeper: { version: 99 } }]) {
      await writeMetadata(stage, play.id, metadata);
      const isBack = async () => (await play.stored())?.goal?.objective === "be overwritten";
      await play.until("our key is back", isBack);
      await play.until(
        "theirs is kept",
        async () => (await stage.server.metadata(play.id)).neighbour === metadata.neighbour,
      );
    }
    expect((await stage.server.metadata(play.id))[setAsideKey(METADATA_KEY)]).toEqual({ version: 99 });
    gate.open();
    const { goal, tasks } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    expect(tasks).toHaveLength(1);
  });

  const unreadable: readonly [string, string | object][] = [
    ["text", "\u0000\u0000\u0000"],
    ["of a later version", { version: 99, self: "", goal: { text: "from the future" } }],
    ["of wrong types", { version: 1, self: 7, owner: [], claim: "1", revision: null, tasks: {} }],
  ];
  for (const [what, value] of unreadable) {
    test(`stored state that is ${what} is set aside with a log line, and the session can be used (S3)`, async () => {
      const play = await stage.play(["Hello.", "First turn.", COMPLETE, "Done."]);
      await writeMetadata(stage, play.id, { goalkeeper: value, neighbour: "kept" });
      await play.say("hello");
      await stage.server.waitForIdle(play.id);
      expect(await stage.server.metadata(play.id)).toEqual({ goalkeeper: value, neighbour: "kept" });
      await play.goal("start anew, from nothing");
      await play.untilGoal("complete");
      expect(await stage.server.metadata(play.id)).toMatchObject({
        [setAsideKey(METADATA_KEY)]: value,
        neighbour: "kept",
      });
      await untilLogged(stage, `stored state of ${play.id} cannot be read`);
      await untilLogged(stage, `stored state of ${play.id} is set aside`);
    });
  }
});

describe.concurrent("what happens to a session", () => {
  test("a fork has no goal of its own and never continues, and can get one (G16)", async () => {
    const play = await stage.play(["First turn.", { hang: true }]);
    await play.goal("stay the only one");
    await play.until("the continuation is being answered", () => play.requests().length === 2);
    const fork = await forked(play, ["Hello from the fork.", COMPLETE, "Done."]);
    await fork.say("hello");
    await stage.server.waitForIdle(fork.id);
    await Bun.sleep(500);
    expect(fork.requests()).toHaveLength(1);
    expect(fork.requests()[0]?.system).not.toContain("This session pursues a goal");
    await fork.goal("");
    expect((await fork.framed("answer")).at(-1)).toContain("No goal in this session.");
    await fork.goal("be another one");
    await fork.untilGoal("complete");
    expect((await fork.stored())?.self).toBe(fork.id);
    expect((await play.stored())?.goal).toMatchObject({ status: "active", objective: "stay the only one" });
    await play.abort();
  });

  test("deleting the root ends its goal: nothing is sent any more, and nothing goes wrong (G17)", async () => {
    const play = await stage.play({
      root: [{ toolCalls: [task("orphan")] }, "Waiting.", "Never asked."],
      children: { orphan: { hang: true } },
    });
    breakCalls(stage.opencode.directory, play.id, { call: "get", how: "refuses", times: 0 });
    await play.goal("be deleted");
    await play.until("the task is stored", async () => (await play.stored())?.tasks.length === 1);
    await request(stage, "DELETE", `/session/${play.id}`);
    await Bun.sleep(500);
    const asked = calls(stage.opencode.directory, play.id).length;
    expect(asked).toBeGreaterThan(0);
    // Longer than a write that has failed waits until it is tried again.
    await Bun.sleep(2_500);
    expect(calls(stage.opencode.directory, play.id)).toHaveLength(asked);
    expect(play.requests()).toHaveLength(2);
    expect(logLines(stage, play.id)).toEqual([]);
  });

  test("archiving the root pauses its goal (G17)", async () => {
    const gate = createGate();
    const play = await stage.play([{ text: "First turn.", until: gate.opened }, "Never asked."]);
    const started = play.goal("be archived");
    await play.until("the first turn runs", () => play.requests().length === 1);
    await request(stage, "PATCH", `/session/${play.id}`, { time: { archived: Date.now() } });
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ reason: "the session was archived" });
    gate.open();
    await started;
    await Bun.sleep(500);
    expect(play.requests()).toHaveLength(1);
  });

  test("what cannot be stored is not acted upon: the goal pauses with the reason, and resumes", async () => {
    const play = await stage.play(["First turn.", COMPLETE, "Done."]);
    breakCalls(stage.opencode.directory, play.id, { call: "update", how: "refuses", times: 2 });
    await play.goal("be stored");
    const { properties } = await stage.server.events.waitFor(
      ({ type, properties }) => type === "tui.toast.show" && String(properties.message).includes("could not be stored"),
    );
    expect(properties.message).toContain("out of order");
    expect(play.requests()).toHaveLength(1);
    expect(await play.framed("continuation")).toEqual([]);
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "storage" });
    await play.goal("resume");
    await play.untilGoal("complete");
    expect(await play.framed("continuation")).toHaveLength(1);
  });
});

describe.concurrent("bad input", () => {
  test("the goal tools answer nonsense with what is missing, and the goal goes on (Z1, Z2, G12)", async () => {
    const nonsense: readonly [name: string, args: Record<string, unknown> | string, said: string][] = [
      ["update_goal", {}, '"status" must be "complete" or "blocked"'],
      ["update_goal", "[1,2]", '"status" must be "complete" or "blocked"'],
      ["update_goal", "null", '"status" must be "complete" or "blocked"'],
      ["update_goal", { status: 7 }, '"status" must be "complete" or "blocked"'],
      ["update_goal", { status: "complete" }, '"evidence" is missing'],
      ["update_goal", { status: "complete", evidence: "" }, '"evidence" is missing'],
      ["update_goal", { status: "complete", evidence: null }, '"evidence" is missing'],
      ["update_goal", { status: "complete", evidence: [null, 5, [], {}, { claim: 3 }] }, '"evidence" is missing'],
      ["update_goal", { status: "blocked", blocker: { is: "here" } }, '"blocker" is missing'],
      ["create_goal", {}, '"objective" is missing'],
      ["create_goal", { objective: ["a"] }, '"objective" is missing'],
      ["create_goal", { objective: "something else" }, "this session has another one"],
      ["create_goal", { objective: "make sense" }, "exists already"],
      ["create_goal", { objective: "make sense" }, "exists already"],
      ["get_goal", { of: "whom" }, "Goal: make sense"],
    ];
    const play = await stage.play([{ toolCalls: nonsense.map(([name, args]) => ({ name, args })) }, COMPLETE, "Done."]);
    await play.goal("make sense");
    const { goal } = await play.untilGoal("complete");
    expect(goal).toMatchObject({ objective: "make sense", evidence: [{ claim: "it was checked" }] });
    const results = play.requests()[1]?.toolResults ?? [];
    expect(results).toHaveLength(nonsense.length);
    for (const [index, [name, , said]] of nonsense.entries()) {
      expect(results[index]?.name).toBe(name);
      expect(results[index]?.output).toContain(said);
    }
    expect(logLines(stage, "failed")).toEqual([]);
  });

  test("/goal without an objective says how to start one, and starts no turn (Z2)", async () => {
    const play = await stage.play(["Never asked."]);
    await play.goal("   ");
    expect((await play.prompts()).at(-1)).toContain("Start one with /goal <objective>.");
    await play.goal('""');
    expect(play.requests()).toEqual([]);
    expect(await stage.server.metadata(play.id)).toEqual({});
  });

  test("a wrong option is named in the log and in a toast, and its default is used (Z2)", async () => {
    // One toast for all of them: each takes the place of the one before it.
    const { properties } = await careless.server.events.waitFor(
      ({ type, properties }) => type === "tui.toast.show" && String(properties.message).includes("ignored"),
    );
    expect(properties.variant).toBe("warning");
    for (const option of Object.keys(CARELESS)) {
      expect(properties.message).toContain(option);
      await untilLogged(careless, `ption \\"${option}\\"`);
    }
    // The tools are there, and the goal is continued.
    const create = { name: "create_goal", args: { objective: "use the defaults" } };
    const play = await careless.play([{ toolCalls: [create] }, "First turn.", COMPLETE, "Done."]);
    await play.say("set a goal");
    const { goal } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
  });

  test("a command of the user's own with our name is left alone, and the log says so (Z2)", async () => {
    const play = await careless.play(["Hello."]);
    await play.goal("the world");
    expect(await play.prompts()).toEqual(["Say hello to the world."]);
    await untilLogged(careless, "The command /goal is taken by you");
    expect(await careless.server.metadata(play.id)).toEqual({});
  });
});

/** A fork, with a script of its own. */
async function forked(play: Play, replies: readonly (string | typeof COMPLETE)[]): Promise<Play> {
  const { id } = (await request(stage, "POST", `/session/${play.id}/fork`, {})) as { id: string };
  return stage.play(replies, id);
}

/** OpenCode writes its log a little later. */
async function untilLogged(stage: Stage, words: string): Promise<void> {
  await until(`the log says "${words}"`, () => logLines(stage, words).length > 0);
  expect(logLines(stage, words)).toHaveLength(1);
}
