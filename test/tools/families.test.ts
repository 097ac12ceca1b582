import { expect, test } from "bun:test";
import { ownTools } from "../../src/host/own-tools.ts";
import type { Options } from "../../src/options.ts";

const GOAL = ["get_goal", "create_goal", "update_goal"];
const BACKGROUND = ["background_task", "background_output", "background_cancel"];

/** Which tools a model gets; none of them is called. */
function tools(families: Options["tools"]) {
  return ownTools(families, {} as Parameters<typeof ownTools>[1]);
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
