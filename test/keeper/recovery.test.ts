import { beforeEach, describe, expect, test } from "bun:test";
import type { Effect } from "../../src/keeper/messages.ts";
import { Recovery } from "../../src/keeper/recovery.ts";
import type { RootKeeper } from "../../src/keeper/root-keeper.ts";
import { type StoredRoot, stub } from "../../src/keeper/stored-root.ts";
import { BackgroundTaskManager } from "../../src/tasks/background-task-manager.ts";
import type { Task } from "../../src/tasks/task.ts";
import type { TaskEffect } from "../../src/tasks/task-event.ts";
import {
  aMissingTask,
  anEndedTask,
  anID,
  aQueuedTask,
  aTask,
  CHILD,
  delivered,
  OURS,
  ROOT,
  T0,
  TIMING,
  VOICE,
} from "../support/builders.ts";

const LAUNCHED = { origin: "launched", launch: { voice: VOICE, unstable: false }, runner: "before" } as const;
const RUN = { number: 1, startedAt: T0, promptID: "msg_1", attempt: 1 };

let effects: TaskEffect[];
let performed: Effect[];
let opened: { rootID: string; awake: boolean }[];
let manager: BackgroundTaskManager;
let recovery: Recovery;

beforeEach(() => {
  effects = [];
  opened = [];
  manager = new BackgroundTaskManager({
    now: () => T0,
    timing: TIMING,
    runner: "me",
    adopts: true,
    onChange: () => undefined,
    onEffect: (effect) => effects.push(effect),
  });
  const open = (rootID: string) =>
    ({ restore: (_stored: StoredRoot, awake: boolean) => opened.push({ rootID, awake }) }) as unknown as RootKeeper;
  performed = [];
  recovery = new Recovery({ manager, runner: "me", open, perform: (effect) => performed.push(effect) });
});

function stored(...tasks: readonly Task[]): StoredRoot {
  const owner = { host: "h", pid: 2, processStartedAt: 1, instance: "before" };
  // As the host gives it back.
  const books: StoredRoot = { version: 1, self: ROOT, owner, claim: 1, revision: 1, tasks: tasks.map(stub) };
  return JSON.parse(JSON.stringify(books)) as StoredRoot;
}

function restore(tasks: readonly Task[], elsewhere: readonly string[] = []): void {
  recovery.restored({ type: "restored", stored: stored(...tasks), awake: true, elsewhere });
}

describe("after a restart", () => {
  test("one that waited for a slot waits again, and is ours", () => {
    restore([aQueuedTask({ ...LAUNCHED, waits: { for: "slot", prompt: "do it" } })]);
    expect(manager.get(CHILD)).toMatchObject({ status: "queued", waits: { for: "slot" }, runner: "me" });
    expect(manager.waiting().map(({ id }) => id)).toEqual([CHILD]);
    expect(effects).toEqual([]);
  });

  test("one whose prompt was on its way waits, too: its transcript is read before it is sent", () => {
    restore([aQueuedTask({ ...LAUNCHED, run: RUN, waits: { for: "turn", prompt: "do it", until: T0 } })]);
    expect(manager.get(CHILD)).toMatchObject({ status: "queued", waits: { for: "slot" } });
    manager.dispatch(CHILD, { type: "admitted" });
    expect(effects).toMatchObject([{ type: "start", promptID: "msg_1", mayBeThere: true, prompt: undefined }]);
  });

  test.each([
    ["worked", aTask({ ...LAUNCHED, run: RUN })],
    ["was missing", aMissingTask({ ...LAUNCHED, run: RUN })],
    ["had been made by somebody else", aQueuedTask({ origin: "adopted", runner: "before" })],
  ])("one that %s is doubted, and looked at at once", (_name, task) => {
    restore([task]);
    expect(manager.get(CHILD)).toMatchObject({ status: "missing", doubt: "restart", lookAt: T0, runner: "me" });
  });

  test("one that had ended untold is read again before anybody is told: the store holds no text", () => {
    restore([anEndedTask({ ...LAUNCHED, delivery: OURS })]);
    expect(manager.get(CHILD)).toMatchObject({ status: "completed", delivery: { state: "pending", teller: "host" } });
    expect(effects).toMatchObject([{ type: "look", taskID: CHILD, scope: "transcript" }]);
  });

  test("one that had been told stays told", () => {
    restore([anEndedTask({ ...LAUNCHED, delivery: delivered() })]);
    expect(manager.get(CHILD)).toMatchObject({ delivery: { state: "delivered" } });
    expect(effects).toEqual([]);
  });

  test("the books of its root are opened, asleep or awake", () => {
    restore([]);
    expect(opened).toEqual([{ rootID: ROOT, awake: true }]);
  });

  test("nested tasks find their root, although the host has published nothing yet", () => {
    restore([aTask({ ...LAUNCHED, run: RUN }), aTask({ ...LAUNCHED, id: "ses_nested", parentID: CHILD, run: RUN })]);
    expect(manager.tree.rootOf("ses_nested")).toBe(ROOT);
  });
});

describe("what another living process runs", () => {
  const works = aTask({ ...LAUNCHED, run: RUN });

  test("is only watched, and read again by and by", () => {
    restore([works], [CHILD]);
    expect(manager.get(CHILD)).toMatchObject({ status: "running", observed: { kind: "elsewhere" }, runner: "before" });
    manager.tick();
    expect(effects).toEqual([{ type: "reread", rootID: ROOT }]);
  });

  test("takes none of our slots, neither one that works nor one that waits", () => {
    restore([works, aQueuedTask({ ...LAUNCHED, id: "ses_waits", waits: { for: "slot" } })], [CHILD, "ses_waits"]);
    expect(manager.seated()).toEqual([]);
    expect(manager.waiting()).toEqual([]);
    expect(manager.get("ses_waits")).toMatchObject({ status: "queued" });
  });

  test("has ended there: it has ended here, too", () => {
    restore([works], [CHILD]);
    const ended = anEndedTask({ ...LAUNCHED, run: RUN, delivery: delivered() });
    recovery.reread({ type: "reread", stored: stored(ended), elsewhere: [CHILD] });
    expect(manager.get(CHILD)).toMatchObject({ status: "completed", delivery: { state: "delivered" } });
  });

  test("is ours as soon as that process is gone", () => {
    restore([works], [CHILD]);
    recovery.reread({ type: "reread", stored: stored(works), elsewhere: [] });
    expect(manager.get(CHILD)).toMatchObject({ status: "missing", doubt: "restart", runner: "me" });
  });

  test("M9 what we run ourselves is never changed by what is stored", () => {
    manager.restore([aTask({ ...LAUNCHED, run: RUN, runner: "me" })]);
    const before = manager.get(CHILD);
    recovery.reread({ type: "reread", stored: stored(anEndedTask({ ...LAUNCHED, run: RUN })), elsewhere: [] });
    expect(manager.get(CHILD)).toBe(before as Task);
  });
});

describe("what the host had told before it was killed", () => {
  const told = { taskID: CHILD, ended: "completed", text: "the result" } as const;

  test("is told, and read if somebody has answered since", () => {
    restore([aTask({ origin: "background", runner: "before" })]);
    const before = { type: "told-before", told, messageID: "msg_8", run: 1 } as const;
    recovery.toldBefore({ ...before, answered: false });
    expect(manager.get(CHILD)).toMatchObject({
      status: "completed",
      delivery: { state: "delivered", messageID: "msg_8" },
    });
    recovery.toldBefore({ ...before, answered: true });
    expect(manager.get(CHILD)).toMatchObject({ delivery: { state: "reconciled" } });
  });

  test("about an earlier run says nothing of this one", () => {
    restore([aTask({ origin: "background", runner: "before", run: { number: 2, startedAt: T0 } })]);
    recovery.toldBefore({ type: "told-before", told, messageID: "msg_8", run: 1, answered: true });
    expect(manager.get(CHILD)).toMatchObject({ status: "missing" });
  });
});

describe("what the books call told after a restart", () => {
  const told = anEndedTask({ ...LAUNCHED, run: RUN, delivery: delivered({ messageID: "msg_5" }) });
  const say = (as: "answered" | "not-told") =>
    recovery.readBack({
      type: "read-back",
      rootID: ROOT,
      told: [{ taskID: CHILD, run: 1, messageID: "msg_5", as }],
      lostID: undefined,
    });

  test("is read in the transcript first", () => {
    restore([told]);
    expect(performed).toMatchObject([{ type: "read-back", rootID: ROOT, taskIDs: [CHILD], before: { pid: 2 } }]);
  });

  test("holds nothing any more if it was answered", () => {
    restore([told]);
    say("answered");
    expect(manager.get(CHILD)).toMatchObject({ delivery: { state: "reconciled" } });
  });

  test("is told if it was not, once its text was read again", () => {
    restore([told]);
    say("not-told");
    expect(manager.get(CHILD)).toMatchObject({ delivery: { state: "pending", teller: "host" } });
    expect(effects).toMatchObject([{ type: "look", taskID: CHILD, scope: "transcript" }]);
  });

  test("is not asked about where another process runs the task", () => {
    restore([told], [CHILD]);
    expect(performed).toMatchObject([{ taskIDs: [] }]);
  });

  test("has been read if it was the result of a tool of OpenCode's: its turn is over", () => {
    restore([anEndedTask({ origin: "foreground", delivery: delivered({ byTurn: true }) })]);
    expect(manager.get(CHILD)).toMatchObject({ delivery: { state: "reconciled" } });
  });
});

describe("what is written after a restart, whatever form its id has", () => {
  const USERS = "msg_user1";

  function write(sessionID: string): void {
    const event = { type: "user-text", messageID: USERS, text: "go on", synthetic: false, ignored: false } as const;
    manager.order.hear({ ...event, sessionID });
    manager.receive({ ...event, sessionID });
  }

  test.each([
    ["of OpenCode's own form", anID(1)],
    ["of another form", "msg_user9"],
  ])("is another run of a task that has ended, whose prompt has an id %s", (_form, promptID) => {
    restore([anEndedTask({ ...LAUNCHED, run: { ...RUN, promptID }, delivery: { state: "not-owed" } })]);
    write(CHILD);
    expect(manager.get(CHILD)).toMatchObject({ run: { number: 2, promptID: USERS } });
  });

  test("and answered, has what was told before it answered, too", () => {
    restore([anEndedTask({ ...LAUNCHED, run: RUN, delivery: delivered({ messageID: anID(5) }) })]);
    write(ROOT);
    const ended = { summary: false, completedAt: T0, error: undefined, usage: undefined };
    manager.receive({ type: "assistant-message", sessionID: ROOT, messageID: anID(7), parentID: USERS, ...ended });
    expect(manager.get(CHILD)).toMatchObject({ delivery: { state: "reconciled" } });
  });

  test("comes behind the message of ours that was on its way", () => {
    const reserved = { id: anID(3), partID: "prt_1", kind: "continuation", outcomes: [], overdueTaskIDs: [] } as const;
    recovery.restored({ type: "restored", stored: { ...stored(), reserved }, awake: true, elsewhere: [] });
    write(ROOT);
    expect(manager.order.isBefore(ROOT, reserved.id, USERS)).toBe(true);
  });
});

describe("a message of the user's of which only the row is left", () => {
  const lost = { type: "read-back", rootID: ROOT, told: [], lostID: "msg_5" } as const;

  test("is said to be lost", () => {
    restore([]);
    recovery.readBack(lost);
    expect(performed.slice(1)).toMatchObject([
      { type: "toast", message: "Your last message was lost when OpenCode stopped. Write it again." },
    ]);
  });

  test("is not, where it may have been OpenCode's report of a background task", () => {
    restore([aTask({ origin: "background", runner: "before" })]);
    recovery.readBack(lost);
    expect(performed.slice(1)).toEqual([]);
  });
});
