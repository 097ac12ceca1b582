import { expect, test } from "bun:test";
import { createHooks, type HookDependencies } from "../../src/host/hooks.ts";
import { DEFAULT_OPTIONS, type Options } from "../../src/options.ts";

const GOAL = ["get_goal", "create_goal", "update_goal"];
const BACKGROUND = ["background_task", "background_output", "background_cancel"];

/** Which tools a model gets; none of them is called. */
function tools(families: Options["tools"]) {
  const options = { ...DEFAULT_OPTIONS, tools: families };
  return createHooks({ options } as unknown as HookDependencies).tool ?? {};
}

test("the option tools decides which families a model gets", () => {
  expect(Object.keys(tools(["goal", "background"]))).toEqual([...GOAL, ...BACKGROUND]);
  expect(Object.keys(tools(["goal"]))).toEqual(GOAL);
  expect(Object.keys(tools(["background"]))).toEqual(BACKGROUND);
  expect(Object.keys(tools([]))).toEqual([]);
});

test("the descriptions of the background tools are short: they are part of every request", () => {
  for (const { description } of Object.values(tools(["background"])))
    expect(description.length).toBeLessThanOrEqual(250);
});
