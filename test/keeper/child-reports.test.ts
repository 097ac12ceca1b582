import { beforeEach, describe, expect, test } from "bun:test";
import type { OutboxEffect } from "../../src/delivery/outbox.ts";
import { ChildReports } from "../../src/keeper/child-reports.ts";
import type { Task } from "../../src/tasks/task.ts";
import { anEndedTask, aTask, bySpelling, CHILD, delivered, OURS, ROOT, T0 } from "../support/builders.ts";

const HOLD_MS = 900_000;
const LAUNCHED = { origin: "launched" } as const;
const AWAITS = { kind: "awaits-own", since: T0 } as const;
/** A task that has finished its turn and waits for tasks of its own. */
const LISTENER = aTask({ ...LAUNCHED, observed: AWAITS });
const WORKS = aTask(LAUNCHED);

let now: number;
let tasks: readonly Task[];
let effects: [string, OutboxEffect][];
let changes: number;
let undone: readonly string[];
let reports: ChildReports;

beforeEach(() => {
  now = T0;
  tasks = [];
  effects = [];
  changes = 0;
  undone = [];
  let made = 0;
  reports = new ChildReports({
    now: () => now,
    ids: { message: () => `msg_${++made}`, part: () => `prt_${made}` },
    order: { isBefore: (_sessionID, ...ids) => bySpelling(...ids), floor: () => "" },
    holdMs: HOLD_MS,
    hasReadTool: true,
    tasks: () => tasks,
    readerOf: ({ parentID }) => parentID,
    undone: () => undone,
    onChange: () => changes++,
    onEffect: (sessionID, effect) => effects.push([sessionID, effect]),
  });
});

function own(id: string, more: Parameters<typeof anEndedTask>[0] = {}) {
  return anEndedTask({ ...LAUNCHED, id, parentID: CHILD, delivery: OURS, ...more });
}

/** Reports that went out, by whom they went to and whose ends they tell. */
function sent(): readonly (readonly [string, readonly string[]])[] {
  return effects.flatMap(([sessionID, effect]) =>
    effect.type === "send" ? [[sessionID, effect.message.outcomes.map(({ taskID }) => taskID)] as const] : [],
  );
}

function messageID(): string {
  return effects.at(-1)?.[1].message.id ?? "";
}

describe("who is told", () => {
  test("D11 a task that was left waiting is told of its own tasks, without anything to be stored before", () => {
    tasks = [LISTENER, own("ses_a")];
    reports.work();
    expect(sent()).toEqual([[CHILD, ["ses_a"]]]);
    expect(effects[0]?.[1].message).toMatchObject({ kind: "task-outcome" });
  });

  test("one whose turn works is not talked over", () => {
    tasks = [WORKS, own("ses_a")];
    reports.work();
    expect(effects).toEqual([]);
    expect(reports.mayTell(CHILD)).toBe(false);
    tasks = [LISTENER, own("ses_a")];
    reports.work();
    expect(sent()).toHaveLength(1);
  });

  test("U1 one in whose session messages are undone is told when the undo is over", () => {
    undone = [CHILD];
    tasks = [LISTENER, own("ses_a")];
    reports.work();
    expect([effects, reports.mayTell(CHILD)]).toEqual([[], false]);
    undone = [];
    reports.work();
    expect(sent()).toHaveLength(1);
  });

  test("what the root itself has launched is the root's own business", () => {
    tasks = [LISTENER, anEndedTask({ ...LAUNCHED, id: "ses_b", parentID: ROOT })];
    reports.work();
    expect(effects).toEqual([]);
  });

  test("what was told is not told again", () => {
    tasks = [LISTENER, own("ses_a", { delivery: delivered({ sessionID: CHILD }) })];
    reports.work();
    expect(effects).toEqual([]);
  });

  test("two that wait are told each of its own", () => {
    const other = aTask({ ...LAUNCHED, id: "ses_other", observed: AWAITS });
    tasks = [LISTENER, other, own("ses_a"), own("ses_b", { parentID: "ses_other" })];
    reports.work();
    expect(sent()).toEqual([
      [CHILD, ["ses_a"]],
      ["ses_other", ["ses_b"]],
    ]);
  });
});

describe("when", () => {
  const brother = aTask({ ...LAUNCHED, id: "ses_b", parentID: CHILD });

  test("a success waits for what was launched beside it, and not for ever", () => {
    tasks = [LISTENER, own("ses_a", { endedAt: T0 }), brother];
    reports.work();
    expect(effects).toEqual([]);
    expect(reports.deadline).toBe(T0 + HOLD_MS);
    now = T0 + HOLD_MS;
    reports.work();
    expect(sent()).toEqual([[CHILD, ["ses_a"]]]);
  });

  test("D2 a failure does not wait", () => {
    tasks = [LISTENER, own("ses_a", { status: "failed", outcome: {} }), brother];
    reports.work();
    expect(sent()).toEqual([[CHILD, ["ses_a"]]]);
  });

  test("D8 while one is on its way there is no other", () => {
    tasks = [LISTENER, own("ses_a")];
    reports.work();
    tasks = [...tasks, own("ses_b")];
    reports.work();
    expect(sent()).toHaveLength(1);
  });

  test("nobody waits, nothing is due", () => {
    tasks = [WORKS];
    expect(reports.deadline).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("what becomes of it", () => {
  beforeEach(() => {
    tasks = [LISTENER, own("ses_a")];
    reports.work();
  });

  test("taken by the host it is delivered", () => {
    const id = messageID();
    reports.event(CHILD, { type: "accepted", messageID: id });
    expect(effects.at(-1)).toMatchObject([CHILD, { type: "delivered", message: { id } }]);
  });

  test("D4 refused, it is looked for and sent again under its id", () => {
    const id = messageID();
    reports.event(CHILD, { type: "refused", messageID: id, reason: "no" });
    expect(reports.deadline).toBe(T0 + 1_000);
    now = T0 + 1_000;
    reports.clock();
    expect(effects.at(-1)).toMatchObject([CHILD, { type: "verify" }]);
    reports.event(CHILD, { type: "verified", found: { kind: "absent" }, maySend: true });
    expect(effects.at(-1)).toMatchObject([CHILD, { type: "send", message: { id } }]);
  });

  test("D4 refused for good it is given up", () => {
    for (let attempt = 1; attempt <= 4; attempt++) {
      reports.event(CHILD, { type: "refused", messageID: messageID(), reason: "no" });
      now += 10_000;
      reports.clock();
      reports.event(CHILD, { type: "verified", found: { kind: "absent" }, maySend: true });
    }
    expect(effects.at(-1)).toMatchObject([CHILD, { type: "given-up" }]);
  });

  test("its reader has ended: nothing more is said there", () => {
    reports.ended(CHILD);
    const before = effects.length;
    tasks = [own("ses_a")];
    now += 100_000;
    reports.clock();
    reports.work();
    expect(effects).toHaveLength(before);
    expect(reports.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test("every step says that there may be more to say", () => {
    const before = changes;
    reports.event(CHILD, { type: "accepted", messageID: messageID() });
    expect(changes).toBeGreaterThan(before);
  });

  test("an event about a session that is told nothing changes nothing", () => {
    const before = effects.length;
    reports.event("ses_nobody", { type: "accepted", messageID: messageID() });
    expect(effects).toHaveLength(before);
  });
});
