import { beforeEach, describe, expect, test } from "bun:test";
import { isEnded } from "../../src/tasks/task.ts";
import { Desk } from "./desk.ts";

let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open();
});

describe("cancelling one task", () => {
  test("ends it, says what it has said so far, and is its delivery", async () => {
    const id = await desk.launch("a");
    desk.keeper.manager.signs.keepText(id, "half of\nit");
    const said = await desk.call("cancel", { task_id: id });
    expect(said).toBe(
      `Cancelled: 1. No more will be reported of it.\n- "a" (${id}): cancelled (its agent cancelled it). It has said: half of it`,
    );
    expect(desk.ended(id)).toMatchObject({
      status: "cancelled",
      outcome: { reason: "its agent cancelled it" },
      delivery: { state: "delivered", sessionID: desk.root, messageID: "msg_call" },
    });
    expect(desk.host.isWorking(id)).toBe(false);
  });

  test("ends those that it has launched, and names them", async () => {
    const id = await desk.launch("a");
    const nested = await desk.launch("b", {}, { sessionID: id });
    const said = await desk.call("cancel", { task_id: id });
    expect(said).toStartWith("Cancelled: 2. No more will be reported of them.");
    for (const task of [id, nested]) {
      expect(said).toContain(`(${task}): cancelled`);
      expect(desk.ended(task).delivery.state).toBe("delivered");
    }
  });

  test("leaves its siblings alone", async () => {
    const [id, sibling] = [await desk.launch("a"), await desk.launch("b")];
    expect(await desk.call("cancel", { task_id: id })).toStartWith("Cancelled: 1.");
    expect(desk.task(sibling).status).toBe("running");
  });

  test("that has ended already says how, and does not count as telling it", async () => {
    const id = await desk.launch("a");
    await desk.finish(id);
    expect(await desk.call("cancel", { task_id: id })).toBe(
      `"a" (${id}) had ended already: completed. Read it with background_output({"task_id":"${id}"})`,
    );
    expect(desk.ended(id)).toMatchObject({ status: "completed", delivery: { state: "pending" } });
  });

  test("that is not there says so, and names those that are", async () => {
    const id = await desk.launch("a");
    const said = await desk.call("cancel", { task_id: "ses_x" });
    expect(said).toStartWith("There is no record of ses_x");
    expect(said).toContain(`Nothing was cancelled. The tasks of this session: "a" (${id}).`);
  });
});

describe("who may cancel", () => {
  test("a task cancels its own tasks, and neither its siblings, itself nor the one above", async () => {
    const [above, sibling] = [await desk.launch("above"), await desk.launch("sibling")];
    const own = await desk.launch("own", {}, { sessionID: above });
    for (const task_id of [sibling, above])
      expect(await desk.call("cancel", { task_id }, { sessionID: above })).toContain("is not a task of yours");
    expect(await desk.call("cancel", { task_id: above }, { sessionID: own })).toContain("is not a task of yours");
    expect(await desk.call("cancel", { task_id: own }, { sessionID: above })).toStartWith("Cancelled: 1.");
    expect(desk.task(above).status).not.toBe("cancelled");
    expect(desk.task(sibling).status).toBe("running");
  });

  test("the root cancels what is nested; the one that launched it is still told by itself", async () => {
    const above = await desk.launch("above");
    const nested = await desk.launch("nested", {}, { sessionID: above });
    expect(await desk.call("cancel", { task_id: nested })).toStartWith("Cancelled: 1.");
    expect(desk.ended(nested).delivery).not.toMatchObject({ sessionID: desk.root });
    expect(desk.task(above).status).toBe("running");
  });

  test("nobody cancels a task of another main session", async () => {
    const other = desk.host.createRoot();
    desk.host.userSays(other, "hello");
    await desk.pass();
    const id = await desk.launch("a", {}, { sessionID: other });
    expect(await desk.call("cancel", { task_id: id })).toContain("belongs to another session");
    expect(desk.task(id).status).toBe("running");
  });
});

describe("cancelling all", () => {
  test("ends every live task of the caller, queued ones too, and names each", async () => {
    const narrow = await Desk.open({ max_concurrent_tasks: 1 });
    const ids = [await narrow.launch("a"), await narrow.launch("b"), await narrow.launch("c")];
    const said = await narrow.call("cancel", { all: true });
    expect(said).toStartWith("Cancelled: 3.");
    for (const id of ids) {
      expect(said).toContain(id);
      expect(narrow.ended(id)).toMatchObject({ status: "cancelled", delivery: { state: "delivered" } });
    }
  });

  test("ends a nested task whose own parent has ended", async () => {
    const above = await desk.launch("above");
    const nested = await desk.launch("nested", {}, { sessionID: above });
    desk.host.failTurn(above);
    await desk.pass(1_000);
    expect(isEnded(desk.task(above))).toBe(true);
    expect(await desk.call("cancel", { all: true })).toStartWith("Cancelled: 1.");
    expect(desk.task(nested).status).toBe("cancelled");
  });

  test("of none says so, and nothing else", async () => {
    expect(await desk.call("cancel", { all: true })).toBe("You have no task that is queued or running.");
  });

  test("stops a launch that is under way: its prompt is never sent", async () => {
    const launching = desk.call("task", { description: "late", prompt: "x" }, { withinMs: 0 });
    expect(await desk.call("cancel", { all: true }, { withinMs: 0 })).toStartWith("You have no task");
    await desk.pass();
    expect(await launching).toContain("It will not run.");
    expect(desk.host.prompts).toEqual([]);
  });

  test("of a task ends its own, and not those of its root", async () => {
    const [above, sibling] = [await desk.launch("above"), await desk.launch("sibling")];
    const own = await desk.launch("own", {}, { sessionID: above });
    expect(await desk.call("cancel", { all: true }, { sessionID: above })).toStartWith("Cancelled: 1.");
    expect(desk.task(own).status).toBe("cancelled");
    expect(desk.task(sibling).status).toBe("running");
  });

  test("of very many is never cut by OpenCode", async () => {
    const said = "語".repeat(5_000);
    for (let count = 0; count < 60; count++) {
      const id = await desk.launch("語".repeat(80));
      desk.keeper.manager.signs.keepText(id, said);
    }
    const cancelled = await desk.call("cancel", { all: true });
    expect(cancelled).toStartWith("Cancelled: 60.");
    expect(cancelled).toEndWith("40 more were cancelled, too.");
    expect(Buffer.byteLength(cancelled)).toBeLessThan(51_200);
  });
});

test("what is missing, doubled or of the wrong kind is answered, and nothing is cancelled", async () => {
  const id = await desk.launch("a");
  const refused = {
    '"task_id" or "all" is missing': [undefined, {}, { task_id: "" }, { all: false }],
    'Either "task_id" or "all" was expected, not both': [{ task_id: id, all: true }],
    '"task_id" is 7; the id of a task was expected.': [{ task_id: 7 }],
    '"all" is "some"; true or false was expected.': [{ all: "some" }],
  };
  for (const [message, calls] of Object.entries(refused)) {
    for (const args of calls) {
      const said = await desk.call("cancel", args);
      expect(said).toContain(message);
      expect(said).toContain("Nothing was cancelled.");
    }
  }
  expect(desk.task(id).status).toBe("running");
});
