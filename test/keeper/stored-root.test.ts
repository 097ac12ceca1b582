import { describe, expect, test } from "bun:test";
import { MOST_STUBS, stub, stubs } from "../../src/keeper/stored-root.ts";
import type { EndedTask, Task } from "../../src/tasks/task.ts";
import {
  aMissingTask,
  anAbortedTask,
  anEndedTask,
  anIdleTask,
  aQueuedTask,
  aTask,
  delivered,
  hostTells,
  OURS,
  T0,
} from "../support/builders.ts";

const RECONCILED = { state: "reconciled", at: T0 } as const;

/** Tasks in the order of their age. */
function many(count: number, make: (id: string) => Task): readonly Task[] {
  return Array.from({ length: count }, (_, index) => make(`ses_${index}`));
}

describe("the stub of a task", () => {
  const LIVE = [aTask(), anIdleTask(), anAbortedTask(), aMissingTask(), aQueuedTask()];

  test("is the same whatever the host shows of a live task: an observation is not worth a write", () => {
    for (const task of LIVE) expect(stub(task)).toEqual(aQueuedTask({ waits: { for: "sign", askAt: 0 } }));
  });

  test("says that the user interrupted it, and which run it is", () => {
    const run = { number: 2, startedAt: T0, callID: "call_1", promptID: "msg_1" };
    expect(stub(aTask({ run, interruptedAt: T0 }))).toEqual(
      aQueuedTask({ run, interruptedAt: T0, waits: { for: "sign", askAt: 0 } }),
    );
  });

  test("of an ended task has everything but the output, which its session has", () => {
    const error = { name: "APIError", message: "401" };
    const task = anEndedTask({
      status: "failed",
      outcome: { text: "long", error, reason: "r" },
      delivery: delivered(),
    });
    expect(stub(task)).toEqual({ ...task, outcome: { error, reason: "r" } });
    expect(stub(anEndedTask())).not.toHaveProperty("outcome.text");
  });

  test("survives JSON unchanged", () => {
    for (const task of [...LIVE, anEndedTask({ delivery: hostTells(T0) })]) {
      expect(JSON.parse(JSON.stringify(stub(task)))).toEqual(stub(task));
    }
  });
});

describe("at most 200 stubs", () => {
  test("up to there all are stored", () => {
    expect(stubs(many(MOST_STUBS, (id) => anEndedTask({ id, delivery: RECONCILED })))).toHaveLength(200);
  });

  test("beyond them the oldest settled ones go, in order, and no more than needed", () => {
    const kept = stubs(many(MOST_STUBS + 3, (id) => anEndedTask({ id, delivery: RECONCILED })));
    expect(kept).toHaveLength(200);
    expect(kept[0]?.id).toBe("ses_3");
    expect(kept.at(-1)?.id).toBe("ses_202");
  });

  test.each([
    ["live", (id: string) => aTask({ id })],
    ["still to be told by us", (id: string) => anEndedTask({ id, delivery: OURS })],
    ["still to be told by the host", (id: string) => anEndedTask({ id, delivery: hostTells(T0) })],
    ["told and not answered", (id: string) => anEndedTask({ id, delivery: delivered() })],
  ] satisfies [string, (id: string) => Task][])("one that is %s never goes, however old", (_what, make) => {
    const old = make("ses_old");
    const kept = stubs([old, ...many(MOST_STUBS, (id) => anEndedTask({ id, delivery: RECONCILED }))]);
    expect(kept[0]?.id).toBe("ses_old");
    expect(kept).toHaveLength(200);
    expect(stubs(many(MOST_STUBS + 3, make))).toHaveLength(203);
  });

  test.each([
    RECONCILED,
    { state: "undelivered", at: T0, reason: "gone" },
    { state: "not-owed" },
  ] satisfies EndedTask["delivery"][])("one that nobody waits for may go (%#)", (delivery) => {
    const kept = stubs([anEndedTask({ id: "ses_old", delivery }), ...many(MOST_STUBS, (id) => aTask({ id }))]);
    expect(kept.map(({ id }) => id)).not.toContain("ses_old");
  });
});
