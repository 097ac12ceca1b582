/** An agent that could never end a goal is named, with what it lacks, and is not continued. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { untilTurn } from "./background.ts";
import { COMPLETE, openStages, type Play, type Stage } from "./stage.ts";

const agent = {
  mute: { mode: "primary", permission: { update_goal: "deny" } },
  toolless: { mode: "primary", tools: { update_goal: false } },
  hasty: { mode: "primary", steps: 1 },
} as const;
let stage: Stage;
/** What the user's configuration denies to all agents. */
let denied: Stage;

beforeAll(async () => {
  const options = { no_progress_turns: 0 };
  [stage, denied] = await openStages([
    { options, config: { agent } },
    { options, config: { permission: { update_goal: "deny" } } },
  ]);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

describe.concurrent("an agent that cannot end a goal pauses it after the turn that has begun", () => {
  const MAY_NOT = "may not call update_goal, with which it would end the goal";

  test.each([
    ["mute", () => stage, MAY_NOT],
    ["toolless", () => stage, MAY_NOT],
    ["hasty", () => stage, "has only one step (steps: 1), in which it can call no tool"],
    ["build", () => denied, MAY_NOT],
  ] as const)("%s", async (name, on, lacks) => {
    const play = await on().play(["I have done what I can."]);
    await play.goal("paint it", name);
    const { goal } = await play.untilGoal("paused");
    expect(goal).toMatchObject({ by: "unable-agent", reason: `the agent "${name}" ${lacks}`, turns: 0 });
    await play.untilIdle();
    expect(play.requests()).toHaveLength(1);
  });
});

test("the next /goal of that agent begins nothing; with another one it goes on, and one that may is never asked about", async () => {
  const play = await stage.play(["Hello.", "Hello again.", "One.", COMPLETE, "Done."]);
  await play.say("hello", "mute");
  await untilTurn(play, 1);
  await play.untilIdle();
  await refused(play.goal("paint it"));
  expect((await play.untilGoal("paused")).goal).toMatchObject({ objective: "paint it", by: "unable-agent" });
  await answers(play, 'Nothing was started. The goal is paused: the agent "mute" may not call update_goal');
  expect(play.requests()).toHaveLength(1);
  await refused(play.goal("resume"));
  await answers(play, "Not resumed: the goal is paused");
  await play.say("hello", "build");
  await untilTurn(play, 2);
  await play.untilIdle();
  await refused(play.goal("resume"));
  expect((await play.untilGoal("complete")).goal).toMatchObject({ objective: "paint it" });
});

async function answers(play: Play, words: string): Promise<void> {
  await play.until(words, async () => (await play.framed("answer")).some((text) => text.includes(words)));
}

/** An answered command is an error for whoever waits for its turn. */
function refused(command: Promise<void>): Promise<void> {
  return command.catch(() => undefined);
}
