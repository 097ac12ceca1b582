import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Message } from "../../src/delivery/outbox.ts";
import { load } from "../../src/host/store.ts";
import { parseStoredRoot } from "../../src/host/stored-schema.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { stub } from "../../src/keeper/stored-root.ts";
import { aGoal, aMissingTask, anEndedTask, aTask, delivered, hostTells, OURS, ROOT } from "../support/builders.ts";

const KEY = "goalkeeper";
const owner = { host: "h", pid: 1, processStartedAt: 2, instance: "i" };
const tasks = [
  aTask(),
  aMissingTask(),
  anEndedTask({ delivery: OURS }),
  anEndedTask({ delivery: hostTells(5) }),
  anEndedTask({ delivery: delivered() }),
].map(stub);
const stored: StoredRoot = { version: 1, self: ROOT, owner, claim: 1, revision: 1, goal: aGoal(), tasks };

describe("stored state", () => {
  test("what is written is read back the same", () => {
    expect(parseStoredRoot(JSON.parse(JSON.stringify(stored)))).toEqual({ stored: JSON.parse(JSON.stringify(stored)) });
  });

  test.each(["paused", "complete", "blocked", "limited"])("a goal that is %s is read back the same", (status) => {
    const more = {
      at: 1,
      by: "user",
      reason: "r",
      evidence: [{ claim: "c" }],
      blocker: "b",
      limit: "l",
      wrapUp: "owed",
    };
    const goal = { ...aGoal(), ...more, status } as never;
    expect(parseStoredRoot({ ...stored, goal })).toHaveProperty("stored");
  });

  test.each(["continuation", "wrapup", "task-outcome", "waiting"] satisfies Message["kind"][])(
    "a reserved %s is read back the same",
    (kind) => {
      const reserved = { id: "msg_1", partID: "prt_1", kind, outcomes: [], overdueTaskIDs: [] };
      expect(parseStoredRoot({ ...stored, reserved })).toEqual({ stored: { ...stored, reserved } });
    },
  );

  test("another version, a wrong type or nonsense is refused with the place where it is wrong (S3)", () => {
    for (const [wrong, place] of [
      [{ ...stored, version: 99 }, "version"],
      [{ ...stored, claim: "1" }, "claim"],
      [{ ...stored, goal: { ...aGoal(), status: "dreaming" } }, "goal"],
      ["\0\0\0", "the whole value"],
      [null, "the whole value"],
    ] as const) {
      expect(parseStoredRoot(wrong)).toMatchObject({ problem: expect.stringContaining(place) });
    }
  });

  test("a copy that a fork has made names another session, and is none of the fork's (G16)", () => {
    expect(load({ id: "ses_fork", metadata: { goalkeeper: stored } }, KEY)).toEqual({ kind: "copy", of: ROOT });
    expect(load({ id: ROOT, metadata: {} }, KEY)).toEqual({ kind: "none" });
  });

  test("no stored value makes reading throw (Z1)", () => {
    fc.assert(fc.property(fc.anything(), (value) => void load({ id: ROOT, metadata: { goalkeeper: value } }, KEY)));
  });
});
