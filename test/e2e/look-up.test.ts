import { afterAll, beforeAll, expect, test } from "bun:test";
import { OpencodeHost } from "../../src/host/opencode.ts";
import { lookUpTask } from "../../src/tasks/look-up.ts";
import { COMPLETE, openStage, type Stage, task } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ options: { task_cleanup_delay_seconds: 0.2 } });
});

afterAll(() => stage[Symbol.asyncDispose]());

test("after the query window an id is answered from the child's own session (T11)", async () => {
  const play = await stage.play({
    root: [{ toolCalls: [task("brief")] }, "Waiting.", "Read.", COMPLETE, "Done."],
    children: { brief: "the brief result" },
  });
  await play.goal("outlive the record");
  await play.untilGoal("complete");
  await play.until("the record is gone", async () => (await play.stored())?.tasks.length === 0);
  const [child] = await stage.server.children(play.id);
  const host = new OpencodeHost(stage.server.client, stage.opencode.directory);
  const noRecord = () => undefined;
  expect(await lookUpTask(child?.id ?? "", noRecord, host)).toEqual({
    from: "session",
    reading: { kind: "finished", text: "the brief result" },
  });
  await stage.server.client.session.delete({ path: { id: child?.id ?? "" } });
  const deleted = await lookUpTask(child?.id ?? "", noRecord, host);
  expect(deleted).toMatchObject({ from: "nowhere", reason: expect.stringContaining("deleted") });
});
