/** A tool of another plugin that is called `task`, as OpenCode's own, and returns while its child works (U15). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createGate } from "../../src/testing/index.ts";
import { untilTasks } from "./background.ts";
import { FOREIGN_TASK_TOOL } from "./foreign-task-tool.ts";
import { COMPLETE, openStages, type Stage, task } from "./stage.ts";

let stage: Stage;
/** Its children begin some time after the call has returned. */
let slow: Stage;

beforeAll(async () => {
  [stage, slow] = await openStages([
    { after: [FOREIGN_TASK_TOOL] },
    { after: [[FOREIGN_TASK_TOOL, { promptsAfterMs: 1_200 }]] },
  ]);
});

afterAll(() => stage[Symbol.asyncDispose]());

describe.concurrent("a child of another plugin's tool named task", () => {
  for (const [name, on] of [
    ["that works when the call returns", () => stage],
    ["that begins after the call has returned", () => slow],
  ] as const) {
    test(`one ${name} is waited for, and told by its maker alone`, async () => {
      const gate = createGate();
      const play = await on().play({
        root: [{ toolCalls: [task("helper", false)] }, "I wait.", "It has helped.", COMPLETE, "Done."],
        children: { helper: { text: "found it", until: gate.opened } },
      });
      await play.goal("have it found");
      await play.until("the child works", () =>
        on().model.requests.some(({ parentSessionID }) => parentSessionID === play.id),
      );
      const [stub] = await untilTasks(on(), play, "it is adopted", ([first]) => first?.origin === "adopted");
      expect(stub?.status).toBe("queued");
      expect(await play.framed("continuation")).toEqual([]);
      gate.open();
      const { tasks } = await play.untilGoal("complete");
      expect(tasks).toMatchObject([{ origin: "adopted", status: "completed" }]);
      const told = (await play.prompts()).filter((text) => text.includes("found it"));
      expect(told).toEqual(["Sub-agent has ended: found it"]);
    });
  }
});
