import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { aGoal } from "../support/builders.ts";
import { launch, results } from "./background.ts";
import { OLD_HOST } from "./old-host.ts";
import { writeMetadata } from "./other-client.ts";
import { OTHER_PLUGIN, type OtherOptions, THEIR_ANSWER } from "./other-plugin.ts";
import { SECOND_COPY } from "./second-copy.ts";
import { COMPLETE, openStages, type Play, type Stage } from "./stage.ts";

/** Set by `npm run hosts`, on a host that is too old indeed. */
const IS_OLD = process.env.GOALKEEPER_HOST_IS_OLD !== undefined;
const NAMES = ["update_goal", "background_output", "background_cancel"];

/** Another plugin with names of ours, before ours or behind it, as a `plugin` list has it. */
const other = (options: OtherOptions) => [[OTHER_PLUGIN, options as Record<string, unknown>]] as const;

/** The other plugin is listed first and has the command; ours has the tools. */
let first: Stage;
/** The other plugin is listed last and has the tools; ours has the command. */
let last: Stage;
/** The other plugin is listed last and has the command. */
let over: Stage;
/** Ours is there twice, the second time with another name for its command. */
let twice: Stage;
let old: Stage;

beforeAll(async () => {
  [first, last, over, twice, old] = await openStages([
    { before: other({ command: "under", tools: NAMES }) },
    { after: other({ command: "under", tools: NAMES }) },
    { after: other({ command: "over" }) },
    { after: [[SECOND_COPY, { command: "pursue" }]] },
    IS_OLD ? {} : { goalkeeper: false, before: [OLD_HOST] },
  ]);
});

afterAll(() => first?.[Symbol.asyncDispose]());

function toasts({ server }: Stage): string[] {
  const shown = server.events.all.filter(({ type }) => type === "tui.toast.show");
  return shown.map(({ properties }) => String(properties.message));
}

async function command(stage: Stage, play: Play, name: string, args: string): Promise<void> {
  await stage.server.client.session.command({ path: { id: play.id }, body: { command: name, arguments: args } });
}

describe.concurrent("another plugin with names of ours (U14)", () => {
  test("listed first has the command /goal: ours is left out, and what to do is said once", async () => {
    const play = await first.play(["Their turn.", "Their turn."]);
    await play.until("it is said", () => toasts(first).some((said) => said.includes("/goal is taken")));
    await play.goal("fix it");
    expect(await play.prompts()).toEqual(["Their goal: fix it"]);
    expect((await play.stored())?.goal).toBeUndefined();
    expect(toasts(first).filter((said) => said.includes("taken"))).toEqual([
      'The command /goal is taken by you, or a plugin listed before goalkeeper: goals are not started with it. To have it, give goalkeeper another name with the option "command", or list goalkeeper first.',
    ]);
  });

  test("listed last has the command /goal, whatever we have registered before, and that is said", async () => {
    const play = await over.play(["Their turn."]);
    await play.until("it is said", () => toasts(over).some((said) => said.includes("behind goalkeeper")));
    await play.goal("fix it");
    expect(await play.prompts()).toEqual(["Their goal: fix it"]);
  });

  test("listed first has none of the tools, and an id of its tasks is refused in words", async () => {
    const play = await first.play([
      { toolCalls: [{ name: "background_output", args: { task_id: "bg_1a2b3c4d" } }] },
      { toolCalls: [launch("ours")] },
      "Read.",
      "Read it all.",
    ]);
    await play.say("read it");
    await play.until("it is read", () => play.requests().length >= 2);
    const [said] = await results(first, play.id, "background_output");
    expect(said).toContain('"bg_1a2b3c4d" is no task of goalkeeper\'s');
    expect(said).not.toContain("try again");
    expect(toasts(first).filter((shown) => shown.includes("Another plugin has the tool"))).toEqual([]);
  });

  test("listed last has the tools: that is said once, and a goal whose report it answers is paused", async () => {
    const play = await last.play(["First turn.", COMPLETE, "Done.", "Never asked for."]);
    await play.goal("be reported to somebody else");
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "error", reason: expect.stringContaining('has answered "update_goal"') });
    await play.untilIdle();
    expect(await results(last, play.id, "update_goal")).toEqual([THEIR_ANSWER]);
    expect(play.requests()).toHaveLength(3);
    const said = () => toasts(last).filter((toast) => toast.includes("Another plugin has the tools"));
    // Toasts soon after a start are seen by nobody: it is said a few seconds later.
    await play.until("it is said", () => said().length > 0);
    expect(said()).toEqual([
      'Another plugin has the tools update_goal, background_output, background_cancel, and the agent gets its and not goalkeeper\'s. To have them, list goalkeeper behind that plugin; or leave ours out with the option "tools".',
    ]);
  });
});

describe.concurrent("our plugin twice in one instance (S1)", () => {
  test("works under both names of its command, on the same books, once", async () => {
    const play = await twice.play(["First turn.", COMPLETE, "Done."]);
    await command(twice, play, "pursue", "happen once");
    const { goal } = await play.untilGoal("complete");
    expect(goal?.objective).toBe("happen once");
    expect(await play.framed("goal")).toHaveLength(1);
    expect(await play.framed("continuation")).toHaveLength(1);
    expect(toasts(twice).filter((said) => said.includes("taken") || said.includes("Another plugin"))).toEqual([]);
  });
});

describe.concurrent("a host that is too old (U13)", () => {
  const why = IS_OLD
    ? /this is OpenCode 1\.\d+\.\d+, where goals stop/i
    : /this is OpenCode 1\.18\.10, where goals stop/i;

  test("says so in a toast and in the log, and starts no goal by a command or a tool", async () => {
    const play = await old.play([{ toolCalls: [{ name: "create_goal", args: { objective: "x" } }] }, "None."]);
    await play.until("it is said", () => toasts(old).some((said) => why.test(said)));
    await play.goal("fix it");
    await play.until("it is refused", () => toasts(old).some((said) => /^Nothing was started: this is/.test(said)));
    expect(play.requests()).toHaveLength(0);
    await play.say("make it a goal");
    await play.until("it was tried", () => play.requests().length === 2);
    const [refused] = await results(old, play.id, "create_goal");
    expect(refused).toMatch(why);
    expect((await play.stored())?.goal).toBeUndefined();
    expect(old.opencode.readLog()).toMatch(/goalkeeper: This is OpenCode 1/);
  });

  test("pauses a goal that is active, with the reason", async () => {
    const play = await old.play(["Hello."]);
    const owner = { host: "gone", pid: 1, processStartedAt: 1, instance: "gone" };
    const goal = aGoal({ startedAt: Date.now(), allowedAt: Date.now() });
    const stored: StoredRoot = { version: 1, self: play.id, owner, claim: 1, revision: 1, goal, tasks: [] };
    await writeMetadata(old, play.id, { goalkeeper: stored });
    await play.say("hello");
    const paused = await play.untilGoal("paused");
    expect(paused.goal).toMatchObject({ by: "error", reason: expect.stringMatching(why) });
    await play.untilIdle();
    expect(play.requests()).toHaveLength(1);
  });
});
