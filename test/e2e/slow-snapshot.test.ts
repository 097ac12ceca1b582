/** With snapshots on OpenCode stores how a turn ended when git is done with it: here, when the test lets git go on (U19). */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGate } from "../../src/testing/index.ts";
import { untilTasks } from "./background.ts";
import { COMPLETE, openStage, type Stage, task } from "./stage.ts";

let stage: Stage;
let bin: string;
/** While this file exists no snapshot is finished. */
let hold: string;

beforeAll(async () => {
  bin = mkdtempSync(join(tmpdir(), "slow-git-"));
  hold = join(bin, "hold");
  const waits = `case "$*" in */snapshot/*) while [ -e '${hold}' ]; do sleep 0.1; done;; esac`;
  writeFileSync(join(bin, "git"), `#!/bin/sh\n${waits}\nexec '${Bun.which("git")}' "$@"\n`);
  chmodSync(join(bin, "git"), 0o755);
  stage = await openStage({
    git: true,
    env: { PATH: `${bin}:${process.env.PATH}` },
    config: { snapshot: true },
    options: { missing_task_grace_seconds: 0.5 },
  });
});

afterAll(async () => {
  rmSync(hold, { force: true });
  await stage[Symbol.asyncDispose]();
  rmSync(bin, { recursive: true, force: true });
});

test("a task whose provider has refused it has failed with that, and is not lost, also before OpenCode has stored it", async () => {
  const gate = createGate();
  const refused = { error: { status: 401, message: "that key is not good" }, until: gate.opened };
  const play = await stage.play({
    root: [{ toolCalls: [task("theirs")] }, "I wait.", ...Array(4).fill("I see."), COMPLETE, "Done."],
    children: { theirs: refused },
  });
  await play.goal("let it fail");
  await play.untilIdle();
  writeFileSync(hold, "");
  gate.open();
  const [ended] = await untilTasks(stage, play, "it has ended", ([one]) => one !== undefined && "outcome" in one);
  rmSync(hold);
  const error = { message: expect.stringContaining("that key is not good") };
  expect(ended).toMatchObject({ status: "failed", outcome: { error } });
  await play.until("the agent is told", async () => (await play.prompts()).join("\n").includes("that key is not good"));
  expect((await play.prompts()).join("\n")).not.toContain("LOST");
});
