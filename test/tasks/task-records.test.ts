import { describe, expect, test } from "bun:test";
import type { Task } from "../../src/tasks/task.ts";
import { TaskRecords } from "../../src/tasks/task-records.ts";
import { anEndedTask, aQueuedTask, aTask, CHILD, delivered, ROOT, T0 } from "../support/builders.ts";

const WAITS = { for: "slot", prompt: "do it" } as const;
const HAS_SLOT = { for: "turn", prompt: "do it", until: T0 + 10_000 } as const;

function records(...tasks: readonly Task[]): TaskRecords {
  const records = new TaskRecords(() => undefined);
  for (const task of tasks) records.put(task);
  return records;
}

function ids(tasks: readonly Task[]): readonly string[] {
  return tasks.map(({ id }) => id);
}

describe("lists", () => {
  test("those of a root come oldest first, by the number of their time, equal ones as they came", () => {
    const books = records(
      aTask({ id: "ses_c", createdAt: 10 }),
      aTask({ id: "ses_b", createdAt: 9 }),
      aTask({ id: "ses_a", createdAt: 10 }),
    );
    expect(ids(books.of(ROOT))).toEqual(["ses_b", "ses_c", "ses_a"]);
  });

  test("a list is a value: whoever holds one keeps what he has read, and a change makes another", () => {
    const books = records(aTask({ id: "ses_a" }), aTask({ id: "ses_b" }));
    const before = books.of(ROOT);
    expect(books.of(ROOT)).toBe(before);
    books.put(anEndedTask({ id: "ses_a" }));
    expect(before.map(({ status }) => status)).toEqual(["running", "running"]);
    expect(books.of(ROOT).map(({ status }) => status)).toEqual(["completed", "running"]);
    books.put(aTask({ id: "ses_c" }));
    books.remove(aTask({ id: "ses_b" }));
    expect(ids(before)).toEqual(["ses_a", "ses_b"]);
    expect(ids(books.of(ROOT))).toEqual(["ses_a", "ses_c"]);
  });

  test("a change in one root leaves the list of another the same", () => {
    const books = records(aTask({ id: "ses_a" }), aTask({ id: "ses_x", rootID: "ses_other" }));
    const other = books.of("ses_other");
    books.put(anEndedTask({ id: "ses_a" }));
    expect(books.of("ses_other")).toBe(other);
  });

  test("children are those of one session alone, wherever in the tree it is", () => {
    const books = records(aTask({ id: CHILD }), aTask({ id: "ses_nested", parentID: CHILD }));
    expect(ids(books.childrenOf(ROOT))).toEqual([CHILD]);
    expect(ids(books.childrenOf(CHILD))).toEqual(["ses_nested"]);
    expect(ids(books.childrenOf("ses_nested"))).toEqual([]);
  });

  test("children of a session without a record are found through whoever knows its root", () => {
    const books = new TaskRecords((id) => (id === "ses_between" ? ROOT : undefined));
    books.put(aTask({ id: "ses_a", parentID: "ses_between" }));
    expect(ids(books.childrenOf("ses_between"))).toEqual(["ses_a"]);
  });

  test("delivered to a session are the ended tasks that it was told of and has not answered", () => {
    const books = records(
      anEndedTask({ id: "ses_a", delivery: delivered() }),
      anEndedTask({ id: "ses_b", delivery: delivered({ sessionID: CHILD }) }),
      anEndedTask({ id: "ses_c", delivery: { state: "reconciled", at: T0 } }),
      aTask({ id: "ses_d" }),
    );
    expect(ids(books.deliveredTo(ROOT))).toEqual(["ses_a"]);
  });
});

describe("slots", () => {
  const launched = { origin: "launched" } as const;

  test("those that wait for a slot come in the order in which they came, whatever their ids and times", () => {
    const books = records(
      aQueuedTask({ ...launched, id: "ses_z", createdAt: 20, waits: WAITS }),
      aQueuedTask({ ...launched, id: "ses_a", createdAt: 10, waits: WAITS }),
    );
    expect(ids(books.waiting())).toEqual(["ses_z", "ses_a"]);
  });

  test("one that changes while it waits keeps its place; one that waits again comes last", () => {
    const first = aQueuedTask({ ...launched, id: "ses_first", waits: WAITS });
    const second = aQueuedTask({ ...launched, id: "ses_second", waits: WAITS });
    const books = records(first, second);
    books.put({ ...first, title: "renamed" });
    expect(ids(books.waiting())).toEqual(["ses_first", "ses_second"]);
    books.put(anEndedTask({ ...launched, id: "ses_first" }));
    books.put(first);
    expect(ids(books.waiting())).toEqual(["ses_second", "ses_first"]);
  });

  test("a slot has whoever was prompted, and neither one that waits, has ended, waits for its own, nor a native task", () => {
    const books = records(
      aQueuedTask({ ...launched, id: "ses_waits", waits: WAITS }),
      aQueuedTask({ ...launched, id: "ses_prompted", waits: HAS_SLOT }),
      aTask({ ...launched, id: "ses_works" }),
      aTask({ ...launched, id: "ses_awaits", observed: { kind: "awaits-own", since: T0 } }),
      anEndedTask({ ...launched, id: "ses_ended" }),
      aTask({ id: "ses_native", origin: "background" }),
    );
    expect(ids(books.seated())).toEqual(["ses_prompted", "ses_works"]);
    expect(books.isAnyWaiting).toBe(true);
  });

  test("a record that goes gives everything back", () => {
    const waits = aQueuedTask({ ...launched, waits: WAITS });
    const books = records(waits);
    books.remove(waits);
    expect([books.size, books.roots, books.isAnyWaiting, books.has(CHILD), books.hasRoot(ROOT)]).toEqual([
      0,
      0,
      false,
      false,
      false,
    ]);
    expect(books.of(ROOT)).toEqual([]);
  });

  test("each change raises the version", () => {
    const books = records();
    const versions = [books.version];
    books.put(aTask());
    versions.push(books.version);
    books.put(anEndedTask());
    versions.push(books.version);
    books.remove(anEndedTask());
    versions.push(books.version);
    expect(new Set(versions).size).toBe(4);
  });
});
