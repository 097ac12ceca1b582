import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readTrace } from "../../src/trace/read.ts";
import { replay } from "../../src/trace/replay.ts";
import { launch } from "./background.ts";
import { COMPLETE, openStages, type Stage } from "./stage.ts";
import { untilAllReconciled, untilTask } from "./stored-tasks.ts";

test("what was traced of a goal with a failed and a lost task, over a kill and a restart, comes out the same again (X5)", async () => {
  const options = { debug_log: true, missing_task_grace_seconds: 1, resume_on_start: true };
  const [opened] = await openStages([{ options }]);
  await using stage = opened;
  const play = await stage.play({
    root: [{ toolCalls: [launch("bad"), launch("slow")] }, "Waiting.", "It has failed.", COMPLETE, "Done."],
    children: { bad: { error: { status: 400, message: "a prompt that nobody else may read" } }, slow: { hang: true } },
  });
  await play.goal("do both");
  await untilTask(play, "bad", ({ status }) => status === "failed");
  await play.until("the failure was read", () => play.requests().length === 3);
  await play.untilIdle();
  await stage.restart({ kill: true });
  await play.untilGoal("complete");
  await untilAllReconciled(play);
  await play.untilIdle();

  const lives = replay(traceOf(play.id, stage));
  expect(lives.map(({ stopped, differences }) => ({ stopped, differences }))).toEqual(
    Array.from({ length: 2 }, () => ({ stopped: undefined, differences: [] })),
  );
  for (const { transitions, decisions } of lives) {
    expect(transitions).toBeGreaterThan(5);
    expect(decisions).toBeGreaterThan(2);
  }
});

function traceOf(rootID: string, { opencode }: Stage) {
  const name = `${rootID}.jsonl`;
  const files = readdirSync(opencode.root, { recursive: true, encoding: "utf8" });
  const path = files.find((file) => file.endsWith(name));
  const { records, torn, unknown } = readTrace(readFileSync(join(opencode.root, path ?? name), "utf8"));
  expect({ torn, unknown }).toEqual({ torn: 0, unknown: 0 });
  return records;
}
