/** `opencode run` beside another plugin whose tool is called `task`, as OpenCode's own, and returns while its child works (U15). */
import { describe, expect, test } from "bun:test";
import { FOREIGN_TASK_TOOL, type ForeignTaskOptions } from "./foreign-task-tool.ts";
import { openRun, said } from "./run-stage.ts";
import { task } from "./stage.ts";

describe.concurrent("opencode run beside another plugin's tool named task", () => {
  test.each([
    ["names its child in all that it says", {}],
    ["names its child in its result alone", { names: "result" }],
    ["names its child only while it runs", { names: "running" }],
  ] satisfies [string, ForeignTaskOptions][])(
    "that %s: the child is waited for, and told once",
    async (_how, options) => {
      await using stage = await openRun(
        {
          root: [{ toolCalls: [task("helper", false)] }, "I wait.", "It has helped."],
          children: { helper: { text: "found it", delayMs: 2_500 } },
        },
        { after: [[FOREIGN_TASK_TOOL, { ...options }]] },
      );
      const result = await stage.run("look at it");
      expect(result).toMatchObject({ exitCode: 0, stdout: "I wait.\nIt has helped.\n" });
      expect(JSON.stringify(stage.requests().at(-1)?.messages).split("found it")).toHaveLength(2);
      expect(said(result)).toEqual([
        expect.stringContaining('waiting for 1 background task: "helper"'),
        expect.stringContaining("helper: completed after"),
      ]);
    },
  );
});
