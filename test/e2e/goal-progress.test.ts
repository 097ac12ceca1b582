import { afterAll, beforeAll, expect, test } from "bun:test";
import { createGate } from "../../src/testing/index.ts";
import { COMPLETE, openStages, type Stage, task } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  [stage] = await openStages([{ options: { max_task_block_seconds: 1, no_progress_turns: 1 } }]);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

test("a call that returns behind a report which OpenCode has stored while it worked is progress all the same", async () => {
  const [slow, quick] = [createGate(), createGate()];
  const play = await stage.play({
    root: [{ toolCalls: [task("slow")] }, "I wait.", { toolCalls: [task("quick", false)] }, "Read.", COMPLETE, "Done."],
    children: {
      slow: { text: "slow result", until: slow.opened },
      quick: { text: "quick result", until: quick.opened },
    },
  });
  await play.goal("do it");
  await play.until("quick works in a continuation", async () => {
    const answers = await play.messages();
    return answers.some(({ parts }) => parts.some((part) => part.type === "tool" && isRunning(part, "quick")));
  });
  slow.open();
  await play.until("the report of slow is stored", async () => (await play.prompts()).join().includes("slow result"));
  quick.open();
  const goal = async () => (await play.stored())?.goal;
  await play.until("the goal is paused or goes on", async () => {
    const { status, turns = 0 } = (await goal()) ?? {};
    return status === "paused" || turns > 1;
  });
  expect((await goal())?.status).not.toBe("paused");
  await play.untilGoal("complete");
});

function isRunning({ state }: { readonly state: { status: string; input: unknown } }, name: string): boolean {
  return state.status === "running" && JSON.stringify(state.input).includes(name);
}
