import { describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Script } from "../../src/testing/index.ts";
import { launch } from "./background.ts";
import { openRun, type RunStage, rootMetadata, said } from "./run-stage.ts";
import { ANY_SESSION, breakCalls, type Fault, UNRELIABLE_HOST } from "./unreliable-host.ts";

const UNSTORED = /^goalkeeper: goal and tasks of this session could not be stored; it is tried again: .*out of order$/;
const NOT_STORED =
  "goalkeeper: goal and tasks of this session are not stored as they are now: the next run finds what could be stored last";

/** OpenCode, whose database takes no metadata of ours, from the write number `from` on. */
async function openBroken(script: Script, fault: Partial<Fault> = {}): Promise<RunStage> {
  const before = [[UNRELIABLE_HOST, { max_prompt_failures: 2 }]] as const;
  const stage = await openRun(script, { goalkeeper: false, before });
  breakCalls(stage.opencode.directory, ANY_SESSION, { call: "update", how: "refuses", times: 1_000, ...fault });
  return stage;
}

function mend({ opencode }: RunStage): void {
  rmSync(join(opencode.directory, "faults"), { recursive: true });
}

describe.concurrent("opencode run when nothing can be stored", () => {
  test("a task that was launched does not start, and is named when the process exits", async () => {
    await using stage = await openBroken({
      root: [{ toolCalls: [launch("alpha")] }, "I wait.", "Never asked."],
      children: { alpha: "never said" },
    });
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 1, stdout: "I wait.\n" });
    expect(said(result)).toContainEqual(expect.stringMatching(UNSTORED));
    expect(said(result).slice(-2)).toEqual(['goalkeeper: 1 background task ends with OpenCode: "alpha"', NOT_STORED]);
    expect(stage.model.requests.filter(({ parentSessionID }) => parentSessionID !== undefined)).toEqual([]);
  });

  test("a goal pauses with the reason, and the process exits, also when the host never answers a write", async () => {
    await using stage = await openBroken({ root: ["One.", "Never asked."] }, { how: "hangs" });
    const result = await stage.run("--command", "goal", "fix it");
    expect(result).toMatchObject({ exitCode: 1, stdout: "One.\n" });
    expect(said(result)).toEqual([
      expect.stringContaining("goal and tasks of this session could not be stored; it is tried again: "),
      expect.stringContaining("the goal is paused: its state could not be stored: session.update: "),
      NOT_STORED,
    ]);
    expect(stage.requests()).toHaveLength(1);
    expect(rootMetadata(stage)).toEqual([undefined]);
  });

  test("an outcome that cannot be told any more is named, and the next run tells it", async () => {
    await using stage = await openBroken(
      {
        root: [{ toolCalls: [launch("alpha")] }, "I wait.", "Let me see.", "It found nothing."],
        children: { alpha: { text: "nothing found", delayMs: 1_500 } },
      },
      { from: 2 },
    );
    const result = await stage.run("look at it");
    expect(result).toMatchObject({ exitCode: 1, stdout: "I wait.\n" });
    expect(said(result).slice(-2)).toEqual([
      'goalkeeper: the agent was not told how 1 background task ended: "alpha"',
      NOT_STORED,
    ]);
    mend(stage);
    expect(await stage.run("-c", "what of it?")).toMatchObject({ exitCode: 0 });
    expect(JSON.stringify(stage.requests().at(-1)?.messages).split("nothing found")).toHaveLength(2);
  });
});
