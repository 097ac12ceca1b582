import { describe, expect, test } from "bun:test";
import { TaskManager, type TaskManagerDependencies } from "../../src/library/task-manager.ts";
import type { Task } from "../../src/tasks/task.ts";
import { Desk } from "../tools/desk.ts";

const SECOND = 1_000;
const LONG_MS = 3_600 * SECOND;

describe("wait", () => {
  test("ends with the record as soon as the task has ended", async () => {
    const desk = await Desk.open();
    const id = await launch(desk, "waited for");
    const waited = observe(desk.tasks.wait(id, { timeoutMs: LONG_MS }));
    await desk.pass(SECOND);
    expect(waited.now()).toBe("waits");
    await desk.finish(id, "all of it");
    await desk.pass(SECOND);
    expect(waited.now()).toMatchObject({ id, status: "completed", outcome: { text: "all of it" } });
  });

  test("ends when its time is up, and the task goes on", async () => {
    const desk = await Desk.open();
    const id = await launch(desk, "slow");
    const waited = observe(desk.tasks.wait(id, { timeoutMs: 2 * SECOND }));
    await desk.pass(2 * SECOND);
    expect(waited.now()).toMatchObject({ id, status: "running" });
  });

  test("ends when its signal aborts, and at once if it has aborted before", async () => {
    const desk = await Desk.open();
    const id = await launch(desk, "left alone");
    const controller = new AbortController();
    const waited = [0, 1].map(() => observe(desk.tasks.wait(id, { timeoutMs: LONG_MS, signal: controller.signal })));
    controller.abort();
    waited.push(observe(desk.tasks.wait(id, { timeoutMs: LONG_MS, signal: controller.signal })));
    await desk.pass(1);
    for (const { now } of waited) expect(now()).toMatchObject({ id, status: "running" });
  });

  test("ends when the manager is disposed", async () => {
    const desk = await Desk.open();
    const id = await launch(desk, "abandoned");
    const waited = observe(desk.tasks.wait(id, { timeoutMs: LONG_MS }));
    desk.tasks.dispose();
    await desk.pass(1);
    expect(waited.now()).toMatchObject({ id, status: "running" });
  });

  test("however it ended, it keeps the cleanup away no longer (T6)", async () => {
    const desk = await Desk.open({ task_cleanup_delay_seconds: 10 });
    const id = await launch(desk, "forgotten");
    const controller = new AbortController();
    const waits = [
      desk.tasks.wait(id, { timeoutMs: SECOND }),
      desk.tasks.wait(id, { timeoutMs: LONG_MS, signal: controller.signal }),
      desk.tasks.wait(id, { timeoutMs: LONG_MS }),
    ];
    await desk.pass(SECOND);
    controller.abort();
    await desk.finish(id);
    await desk.pass(SECOND);
    await Promise.all(waits);
    const task = desk.ended(id);
    desk.tasks.handedOver(task, { sessionID: desk.root, messageID: "msg_call" });
    await desk.pass(9 * SECOND);
    expect(desk.tasks.get(id)).toBeDefined();
    await desk.pass(2 * SECOND);
    expect(desk.tasks.get(id)).toBeUndefined();
  });

  test("a task that waits for one of its own gives its slot to it", async () => {
    const desk = await Desk.open({ max_concurrent_tasks: 1 });
    const outer = await launch(desk, "outer");
    const inner = await launch(desk, "inner", outer);
    expect(position(desk, inner)).toBe(1);
    const waited = observe(desk.tasks.wait(inner, { timeoutMs: LONG_MS, callerID: outer }));
    await desk.pass(SECOND);
    expect([position(desk, inner), desk.task(inner).status]).toEqual([0, "running"]);
    await desk.finish(inner, "inner result");
    await desk.pass(SECOND);
    expect(waited.now()).toMatchObject({ status: "completed" });
  });

  test("for a task that nobody knows or that has ended it does not wait", async () => {
    const desk = await Desk.open();
    expect(await desk.tasks.wait("ses_nobody", { timeoutMs: LONG_MS })).toBeUndefined();
    const id = await launch(desk, "early");
    await desk.finish(id);
    await desk.pass(SECOND);
    expect(await desk.tasks.wait(id, { timeoutMs: LONG_MS })).toMatchObject({ id, status: "completed" });
  });
});

describe("subscribe", () => {
  test("a subscriber that throws ends neither the change nor the other subscribers", async () => {
    const desk = await Desk.open();
    const seen: (string | undefined)[] = [];
    desk.tasks.subscribe(() => {
      throw new Error("mine to mend");
    });
    const stop = desk.tasks.subscribe(({ before, after }) => {
      if (before?.status !== after?.status) seen.push(after?.status);
    });
    const id = await launch(desk, "watched");
    await desk.finish(id);
    await desk.pass(SECOND);
    expect(seen).toEqual(["queued", "running", "completed"]);
    const logged = desk.host.logs.find(({ message }) => message.includes("a subscriber failed"));
    expect(logged?.extra?.error).toBe("Error: mine to mend");
    stop();
    await launch(desk, "unwatched");
    expect(seen).toHaveLength(3);
  });

  test("nothing is told after dispose", async () => {
    const desk = await Desk.open();
    const id = await launch(desk, "watched");
    let changes = 0;
    desk.tasks.subscribe(() => changes++);
    desk.tasks.dispose();
    await desk.finish(id);
    await desk.pass(SECOND);
    expect(changes).toBe(0);
  });
});

test("a list gives each waiting task its place among those of its model, and 0 to the others", async () => {
  const desk = await Desk.open({ max_concurrent_tasks: 1 });
  const other = { providerID: "p", modelID: "other" };
  const names = ["works", "next", "after that"];
  const ids: string[] = [];
  for (const name of names) ids.push(await launch(desk, name));
  ids.push(await launch(desk, "works too", desk.root, other), await launch(desk, "next there", desk.root, other));
  const views = desk.tasks.list(desk.root);
  expect(views.map(({ task }) => task.id)).toEqual(ids);
  expect(views.map(({ queuePosition }) => queuePosition)).toEqual([0, 1, 2, 0, 1]);
  expect(await desk.tasks.cancel(ids[1] ?? "")).toMatchObject({ status: "cancelled" });
  expect(position(desk, ids[2] ?? "")).toBe(1);
});

test("what is owed is a task that works, then its untold end, then the unread message about it", async () => {
  const desk = await Desk.open();
  const id = await launch(desk, "owed");
  const why = () => desk.tasks.owed(desk.root).map((owed) => owed.why);
  expect(why()).toEqual(["live"]);
  await desk.finish(id);
  await desk.pass(SECOND);
  expect(why()).toEqual(["untold"]);
  desk.tasks.handedOver(desk.ended(id), { sessionID: desk.root, messageID: "msg_call" });
  expect(why()).toEqual(["unanswered"]);
  desk.host.finishTurn(desk.root, "I have read it.");
  await desk.pass(SECOND);
  expect(why()).toEqual([]);
});

test("an event that cannot be handled is logged and throws nothing (Z1)", () => {
  const logs: string[] = [];
  const tasks = new TaskManager({
    host: { log: (_level: string, message: string) => logs.push(message) },
    receive: () => {
      throw new Error("odd");
    },
  } as unknown as TaskManagerDependencies);
  tasks.event({ type: "session.odd" });
  expect(logs).toEqual(["goalkeeper: the event session.odd could not be handled"]);
});

async function launch(desk: Desk, description: string, parentID = desk.root, model?: Model): Promise<string> {
  const request = { parentID, description, prompt: `do ${description}`, ...(model === undefined ? {} : { model }) };
  const launched = desk.tasks.launch(request);
  await desk.pass();
  const { id } = await launched;
  await desk.pass();
  return id;
}

type Model = { readonly providerID: string; readonly modelID: string };

function position(desk: Desk, taskID: string): number | undefined {
  return desk.tasks.list(desk.root).find(({ task }) => task.id === taskID)?.queuePosition;
}

/** Looks at a promise without waiting for it. */
function observe(promise: Promise<Task | undefined>): { readonly now: () => Task | undefined | "waits" } {
  let value: Task | undefined | "waits" = "waits";
  promise.then(
    (task) => {
      value = task;
    },
    () => undefined,
  );
  return { now: () => value };
}
