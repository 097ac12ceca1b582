import { describe, expect, test } from "bun:test";
import { createGate } from "../../src/testing/index.ts";
import { launch } from "./background.ts";
import { until } from "./limits.ts";
import { COMPANION } from "./run-companion.ts";
import { NEIGHBOUR } from "./run-neighbour.ts";
import { openRun, rootMetadata, said, storedRoot } from "./run-stage.ts";
import { COMPLETE } from "./stage.ts";

const HELPER = { name: "delegate", args: { subject: "helper" } };

describe.concurrent("opencode run beside other plugins", () => {
  test("a child that another plugin makes and tells of itself is waited for, in a run without goal and tasks, also when it begins to work after the agent's last word", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [HELPER] }, "I wait.", "It has helped."],
        children: { helper: { text: "nothing found", delayMs: 1_500 } },
      },
      { after: [[NEIGHBOUR, { promptsAfterMs: 1_000 }]] },
    );
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "I wait.\nIt has helped.\n" });
    expect(stage.lastRead()).toContain("has ended: nothing found");
    expect(stage.requests()).toHaveLength(3);
    expect(said(result)).toEqual([
      expect.stringContaining('waiting for 1 background task: "helper"'),
      expect.stringContaining("helper: completed after"),
    ]);
  });

  test("a goal waits for it, and goes on after it", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [HELPER] }, "I wait.", "It has helped.", COMPLETE, "Done."],
        children: { helper: { text: "helped", delayMs: 1_500 } },
      },
      { before: [NEIGHBOUR] },
    );
    const result = await stage.run("--command", "goal", "fix it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "I wait.\nIt has helped.\nDone.\n" });
    expect(storedRoot(stage)?.goal).toMatchObject({ status: "complete", turns: 1 });
  });

  test("beside a task of ours, in a turn that ends without a text, it is waited for, too, and both are told once", async () => {
    const { opened: works, open } = createGate();
    const helper = () => {
      open();
      return { text: "helped", delayMs: 2_500 };
    };
    await using stage = await openRun(
      {
        root: [
          { toolCalls: [HELPER, launch("alpha")] },
          { text: "", until: works },
          "I wait.",
          "I have read it.",
          "I have read it.",
        ],
        children: { helper, alpha: { text: "nothing found", delayMs: 800 } },
      },
      { after: [NEIGHBOUR] },
    );
    const result = await stage.run("look at it");
    expect(result.exitCode).toBe(0);
    expect(result.stdout).toEndWith("I have read it.\n");
    const read = JSON.stringify(stage.requests().at(-1)?.messages);
    expect(read.split("has ended: helped")).toHaveLength(2);
    expect(read.split("nothing found")).toHaveLength(2);
  });

  test("one that is killed together with OpenCode is told as lost in the next run", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [HELPER] }, "I wait.", "Let me see.", "It is lost."],
        children: { helper: { text: "never said", delayMs: 30_000 } },
      },
      { after: [NEIGHBOUR], options: { missing_task_grace_seconds: 0.5 } },
    );
    const first = await stage.opencode.start(["run", "look at it"]);
    const isStored = () => JSON.stringify(rootMetadata(stage)).includes("helper");
    await until("it waits, and that is stored", () => first.stderr.includes("goalkeeper: waiting for") && isStored());
    await first.kill();
    expect(await stage.run("-c", "what of it?")).toMatchObject({ exitCode: 0 });
    // With the user's message, when it was known by then, or in one of its own.
    expect(JSON.stringify(stage.requests().at(-1)?.messages).split("1 lost")).toHaveLength(2);
  });

  test("when nobody tells of it, the process exits once it has ended", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [HELPER] }, "I wait."],
        children: { helper: { text: "helped", delayMs: 1_000 } },
      },
      { after: [[NEIGHBOUR, { tells: false }]] },
    );
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 0, stdout: "I wait.\n" });
    expect(said(result).at(-1)).toMatch(/^goalkeeper: helper: completed after/);
  });

  test("when another plugin aborts the session while it is held, the run ends at once, as it always does", async () => {
    await using stage = await openRun(
      {
        root: [{ toolCalls: [launch("alpha")] }, "I wait."],
        children: { alpha: { hang: true } },
      },
      { before: [[COMPANION, { abortsAfterTextMs: 1_000 }]] },
    );
    const result = await stage.run("look at it");
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain("Aborted");
    expect(said(result)[0]).toContain('waiting for 1 background task: "alpha"');
    expect(stage.requests()).toHaveLength(2);
  });
});
