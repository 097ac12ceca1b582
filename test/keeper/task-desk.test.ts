import { beforeEach, describe, expect, test } from "bun:test";
import { TaskDesk } from "../../src/keeper/task-desk.ts";
import { BackgroundTaskManager, type NewTask, type TaskChange } from "../../src/tasks/background-task-manager.ts";
import { isLive, type Task } from "../../src/tasks/task.ts";
import type { TaskEffect } from "../../src/tasks/task-event.ts";
import { anEndedTask, aSession, ROOT, T0, TIMING, VOICE } from "../support/builders.ts";

let now: number;
let changes: TaskChange[];
let effects: TaskEffect[];
let asleep: Set<string>;
let undone: Set<string>;
let written: Set<string>;
let manager: BackgroundTaskManager;
let desk: TaskDesk;

beforeEach(() => {
  now = T0;
  changes = [];
  effects = [];
  asleep = new Set();
  undone = new Set();
  written = new Set();
  manager = new BackgroundTaskManager({
    now: () => now,
    timing: TIMING,
    runner: "me",
    adopts: true,
    onChange: (change) => changes.push(change),
    onEffect: (effect) => effects.push(effect),
  });
  manager.tree.see(aSession(ROOT));
  desk = newDesk(2);
});

function newDesk(concurrency: number): TaskDesk {
  const isWritten = ({ id }: Task) => written.has(id);
  const quiet = { asleep: () => asleep, undone: () => undone };
  return new TaskDesk({ now: () => now, manager, runner: "me", concurrency, ...quiet, isWritten });
}

function newTask(id: string, more: Partial<NewTask> = {}): NewTask {
  const launch = { voice: VOICE, unstable: false };
  return { id, parentID: ROOT, title: id, createdAt: now, launch, promptID: `msg_${id}`, prompt: "do it", ...more };
}

interface Settings extends Partial<NewTask> {
  readonly requestedAt?: number;
  readonly stopped?: string;
  readonly isWritten?: boolean;
}

function launch(id: string, { requestedAt = now, stopped, isWritten = true, ...more }: Settings = {}): void {
  if (isWritten) written.add(id);
  desk.launched({ type: "launched", rootID: ROOT, task: newTask(id, more), requestedAt, stopped });
}

function started(): readonly string[] {
  return effects.flatMap((effect) => (effect.type === "start" ? [effect.taskID] : []));
}

function task(id: string): Task | undefined {
  return manager.get(id);
}

describe("who may start", () => {
  test("first come, first served, as many as the limit allows", () => {
    for (const id of ["ses_a", "ses_b", "ses_c"]) launch(id);
    desk.admitWaiting();
    expect(started()).toEqual(["ses_a", "ses_b"]);
    expect(task("ses_c")).toMatchObject({ status: "queued", waits: { for: "slot" } });
  });

  test("a slot that comes free goes to the next one", () => {
    for (const id of ["ses_a", "ses_b", "ses_c"]) launch(id);
    desk.admitWaiting();
    desk.cancel("ses_a", "enough");
    desk.admitWaiting();
    expect(started()).toEqual(["ses_a", "ses_b", "ses_c"]);
  });

  test("only who stands in the store: a prompt that a crash would forget does not go out", () => {
    launch("ses_a", { isWritten: false });
    desk.admitWaiting();
    expect(started()).toEqual([]);
    written.add("ses_a");
    desk.written();
    desk.admitWaiting();
    expect(started()).toEqual(["ses_a"]);
  });

  test("one that is not written yet takes no slot from one that is", () => {
    desk = newDesk(1);
    launch("ses_a", { isWritten: false });
    launch("ses_b");
    desk.admitWaiting();
    expect(started()).toEqual(["ses_b"]);
  });

  test("in a sleeping root nothing starts by itself, and other roots do not wait for it", () => {
    desk = newDesk(1);
    asleep.add(ROOT);
    launch("ses_a");
    manager.tree.see(aSession("ses_other"));
    written.add("ses_x");
    const other = newTask("ses_x", { parentID: "ses_other" });
    desk.launched({ type: "launched", rootID: "ses_other", task: other, requestedAt: now });
    desk.admitWaiting();
    expect(started()).toEqual(["ses_x"]);
    desk.cancel("ses_x", "enough");
    asleep.clear();
    desk.admitWaiting();
    expect(started()).toEqual(["ses_x", "ses_a"]);
  });

  test("U1 where messages are undone nothing starts, and others pass it", () => {
    desk = newDesk(1);
    undone.add("ses_a");
    launch("ses_a");
    launch("ses_b");
    desk.admitWaiting();
    expect(started()).toEqual(["ses_b"]);
    desk.cancel("ses_b", "enough");
    undone.clear();
    desk.admitWaiting();
    expect(started()).toEqual(["ses_b", "ses_a"]);
  });

  test("a task that waits for others in a tool call lets them have its slot", () => {
    desk = newDesk(1);
    launch("ses_a");
    desk.admitWaiting();
    launch("ses_b", { parentID: "ses_a" });
    desk.admitWaiting();
    expect(started()).toEqual(["ses_a"]);
    manager.attach("ses_b", "ses_a", true);
    desk.admitWaiting();
    expect(started()).toEqual(["ses_a", "ses_b"]);
  });
});

describe("places", () => {
  test("are counted from 1 for those that have to wait; who goes as soon as it is written has none", () => {
    for (const id of ["ses_a", "ses_b", "ses_c", "ses_d"]) launch(id, { isWritten: false });
    expect([...desk.queuePositions()]).toEqual([
      ["ses_c", 1],
      ["ses_d", 2],
    ]);
  });

  test("nobody waits: there are none", () => {
    expect(desk.queuePositions().size).toBe(0);
  });
});

describe("cancel", () => {
  test("takes what the task has launched along, at any depth, and leaves its siblings alone", () => {
    launch("ses_a");
    launch("ses_b");
    launch("ses_a1", { parentID: "ses_a" });
    launch("ses_a2", { parentID: "ses_a1" });
    desk.cancel("ses_a", "enough");
    const reason = "the task that it belongs to was cancelled";
    expect(task("ses_a")).toMatchObject({ status: "cancelled", outcome: { reason: "enough" } });
    for (const id of ["ses_a1", "ses_a2"]) expect(task(id)).toMatchObject({ status: "cancelled", outcome: { reason } });
    expect(task("ses_b")).toMatchObject({ status: "queued" });
  });

  test("of one that has ended changes nothing, and of one that nobody knows neither", () => {
    launch("ses_a");
    desk.cancel("ses_a", "enough");
    const before = task("ses_a");
    desk.cancel("ses_a", "again");
    desk.cancel("ses_nobody", "enough");
    expect(task("ses_a")).toBe(before as Task);
  });

  test("T13 what the task is launching at that moment comes too late", () => {
    launch("ses_a");
    const requestedAt = now;
    now += 10;
    desk.cancel("ses_a", "enough");
    now += 10;
    launch("ses_late", { parentID: "ses_a", requestedAt });
    desk.admitWaiting();
    expect(task("ses_late")).toMatchObject({ status: "cancelled" });
    expect(started()).toEqual([]);
  });
});

describe("launches that were stopped", () => {
  test("T13 a child that is there too late has a record, and is never prompted", () => {
    desk.stopLaunches(ROOT);
    launch("ses_a", { requestedAt: now - 5 });
    desk.admitWaiting();
    const reason = "it was cancelled while it was being created";
    expect(task("ses_a")).toMatchObject({ status: "cancelled", outcome: { reason } });
    expect(effects).toEqual([]);
  });

  test("those of a root stop everything below it, those of a child only its own", () => {
    launch("ses_a");
    desk.stopLaunches("ses_a");
    launch("ses_a1", { parentID: "ses_a", requestedAt: now - 1 });
    launch("ses_b", { requestedAt: now - 1 });
    expect(task("ses_a1")).toMatchObject({ status: "cancelled" });
    expect(task("ses_b")).toMatchObject({ status: "queued" });
    desk.stopLaunches(ROOT);
    launch("ses_a2", { parentID: "ses_a", requestedAt: now - 1 });
    expect(task("ses_a2")).toMatchObject({ status: "cancelled" });
  });

  test("one that was asked for later is none of them", () => {
    desk.stopLaunches(ROOT);
    now += 1;
    launch("ses_a");
    expect(task("ses_a")).toMatchObject({ status: "queued" });
  });

  test("are known for as long as a launch takes, and then no more", () => {
    launch("ses_a");
    expect(desk.deadline).toBe(Number.POSITIVE_INFINITY);
    desk.cancel("ses_a", "enough");
    now += 1_000;
    desk.stopLaunches(ROOT);
    expect(desk.deadline).toBe(T0 + 60_000);
    now = desk.deadline;
    desk.clock();
    expect(desk.deadline).toBe(T0 + 61_000);
    launch("ses_late", { requestedAt: T0 + 500 });
    expect(task("ses_late")).toMatchObject({ status: "cancelled" });
    now = desk.deadline;
    desk.clock();
    expect(desk.deadline).toBe(T0 + 61_000 + 59_000);
    now = desk.deadline;
    desk.clock();
    expect(desk.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test("again, they are known for as long from then on", () => {
    desk.stopLaunches(ROOT);
    now += 1_000;
    desk.stopLaunches(ROOT);
    expect(desk.deadline).toBe(T0 + 61_000);
  });

  test("whoever launches may have stopped it himself, with his own words", () => {
    launch("ses_a", { stopped: "its turn was over" });
    expect(task("ses_a")).toMatchObject({ status: "cancelled", outcome: { reason: "its turn was over" } });
  });

  test("a resume that is under way is stopped as well, and the record is as it was", () => {
    const ended = anEndedTask({ id: "ses_a", origin: "launched", runner: "me" });
    manager.restore([ended]);
    const resume = {
      taskID: "ses_a",
      callerID: ROOT,
      messageID: "msg_call",
      promptID: "msg_9",
      prompt: "more",
    } as const;
    const launch = { voice: VOICE, unstable: false };
    desk.stopLaunches(ROOT);
    desk.resumed({ type: "resume", rootID: ROOT, ...resume, launch, requestedAt: now });
    expect(task("ses_a")).toBe(ended);
    desk.resumed({ type: "resume", rootID: ROOT, ...resume, launch, requestedAt: now + 1 });
    expect(task("ses_a")).toMatchObject({ status: "queued", run: { number: 2, promptID: "msg_9" } });
  });
});

test.each([
  { state: "pending", teller: "goalkeeper" },
  { state: "pending", teller: "host", until: T0 + 2_000 },
  { state: "undelivered", at: T0, reason: "gone" },
] as const)(
  "a resume hands over what nobody was told before the next run begins: a record holds one outcome (%#)",
  (delivery) => {
    manager.restore([anEndedTask({ id: "ses_a", origin: "launched", runner: "me", delivery })]);
    changes = [];
    const launch = { voice: VOICE, unstable: false };
    const resume = {
      taskID: "ses_a",
      callerID: ROOT,
      messageID: "msg_call",
      promptID: "msg_9",
      prompt: "more",
    } as const;
    desk.resumed({ type: "resume", rootID: ROOT, ...resume, launch, requestedAt: now + 1 });
    const [first, last] = [changes[0]?.after, changes.at(-1)?.after];
    expect(first).toMatchObject({
      run: { number: 1 },
      delivery: { state: "delivered", messageID: "msg_call", byTurn: true },
    });
    expect(last).toMatchObject({ status: "queued", run: { number: 2 } });
  },
);

test("a tool result that tells an outcome is its delivery, until the turn that has it ends", () => {
  launch("ses_a");
  desk.cancel("ses_a", "enough");
  desk.read({ type: "read", rootID: ROOT, taskID: "ses_a", run: 1, sessionID: ROOT, messageID: "msg_call" });
  expect(task("ses_a")).toMatchObject({ delivery: { state: "delivered", sessionID: ROOT, byTurn: true } });
  manager.receive({ type: "session-idle", sessionID: ROOT });
  expect(task("ses_a")).toMatchObject({ delivery: { state: "reconciled" } });
  expect(changes.filter(({ before, after }) => before && after && isLive(before) && !isLive(after))).toHaveLength(1);
});
