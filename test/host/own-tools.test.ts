import { describe, expect, test } from "bun:test";
import { isOwnTool, ownTools, TakenTools, takenToolsText } from "../../src/host/own-tools.ts";
import { hasReachedUs, wasCalled } from "../../src/host/registry.ts";

const OWN = { update_goal: { description: "ours" }, background_output: { description: "ours, too" } };

function shown(...definitions: readonly (readonly [toolID: string, description: string])[]): TakenTools {
  const taken = new TakenTools(OWN);
  for (const [toolID, description] of definitions) taken.see({ toolID }, { description });
  return taken;
}

describe("tools that another plugin has, too (U14)", () => {
  test("are its when its definition is the last one that is shown, and that is news once", () => {
    const taken = shown(["update_goal", "ours"], ["update_goal", "theirs"], ["background_output", "ours, too"]);
    expect(taken.news()).toEqual(["update_goal"]);
    taken.see({ toolID: "update_goal" }, { description: "theirs" });
    expect(taken.news()).toEqual([]);
  });

  test("are ours when ours is the last one", () => {
    expect(shown(["update_goal", "theirs"], ["update_goal", "ours"]).news()).toEqual([]);
  });

  test("do not matter when ours were left out, whatever their name is", () => {
    expect(shown(["get_goal", "theirs"], ["constructor", "theirs"]).news()).toEqual([]);
  });

  test("are named, with what can be done", () => {
    expect(takenToolsText(["background_output", "background_cancel"])).toBe(
      "Another plugin has the tools background_output, background_cancel, and the agent gets its and not goalkeeper's. " +
        'To have them, list goalkeeper behind that plugin; or leave ours out with the option "tools".',
    );
  });
});

test("a name is one of ours only in a family that is not left out", () => {
  expect(isOwnTool("update_goal", ["goal", "background"])).toBe(true);
  expect(isOwnTool("update_goal", ["background"])).toBe(false);
  expect(isOwnTool("toString", ["goal", "background"])).toBe(false);
});

describe("a call", () => {
  const call = { sessionID: "ses_1", messageID: "msg_1", tool: "get_goal" };

  test("has reached us when our tool was executed in that message, under that name", async () => {
    expect(hasReachedUs(call)).toBe(false);
    const tools = ownTools(["goal"], {} as Parameters<typeof ownTools>[1]);
    await tools.get_goal?.execute({}, { ...call, agent: "build" } as never).catch(() => undefined);
    expect(hasReachedUs(call)).toBe(true);
    expect(hasReachedUs({ ...call, tool: "update_goal" })).toBe(false);
    expect(hasReachedUs({ ...call, messageID: "msg_2" })).toBe(false);
    expect(hasReachedUs({ ...call, sessionID: "ses_2" })).toBe(false);
  });

  test("is forgotten when a thousand others have come", () => {
    wasCalled(call);
    for (let count = 0; count < 1_000; count++) wasCalled({ ...call, messageID: `msg_later_${count}` });
    expect(hasReachedUs(call)).toBe(false);
  });
});
