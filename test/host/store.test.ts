import { beforeEach, describe, expect, test } from "bun:test";
import type { Answer } from "../../src/host/port.ts";
import { Store } from "../../src/host/store.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { aSession, ROOT, T0 } from "../support/builders.ts";

const KEY = "goalkeeper";
const MINUTE = 60_000;

let now: number;
let metadata: Record<string, unknown>;
let answer: Answer<void>;
let writes: number;
let forgotten: string[];
let store: Store;

beforeEach(() => {
  now = T0;
  metadata = {};
  answer = { kind: "known", value: undefined };
  writes = 0;
  forgotten = [];
  store = new Store({
    key: KEY,
    host: {
      session: async () => ({ kind: "known", value: aSession(ROOT, { metadata }) }),
      writeMetadata: async (_sessionID, written) => {
        writes++;
        if (answer.kind === "known") metadata = JSON.parse(JSON.stringify(written));
        return answer;
      },
      log: () => undefined,
    },
    runsElsewhere: () => false,
    // Nobody keeps the books of the root any more.
    onDamage: () => undefined,
    onMoved: () => undefined,
    onForgotten: (rootID) => forgotten.push(rootID),
    now: () => now,
  });
});

function books(revision: number): StoredRoot {
  const owner = { host: "h", pid: 1, processStartedAt: 1, instance: "me" };
  return { version: 1, self: ROOT, owner, claim: 1, revision, tasks: [] };
}

/** The event about what stands in the session now, or stood there. */
function shows(shown: Record<string, unknown> = metadata): void {
  store.observe(aSession(ROOT, { metadata: shown }));
}

/** Whatever the store has begun by itself is over; no time passes. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await Promise.resolve();
}

describe("a root of which nothing is kept any more", () => {
  test("is forgotten at once when the event about the last write has come", async () => {
    await store.save(books(1));
    shows();
    store.release(ROOT);
    expect(forgotten).toEqual([ROOT]);
    expect(store.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test("is forgotten when that event comes", async () => {
    await store.save(books(1));
    store.release(ROOT);
    expect(forgotten).toEqual([]);
    shows();
    expect(forgotten).toEqual([ROOT]);
    expect(store.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test("is forgotten a minute later when that event never comes", async () => {
    await store.save(books(1));
    store.release(ROOT);
    expect(store.deadline).toBe(T0 + MINUTE);
    now += MINUTE - 1;
    store.clock();
    expect(forgotten).toEqual([]);
    now += 1;
    store.clock();
    expect(forgotten).toEqual([ROOT]);
    expect(store.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test("is forgotten as well when its last write never landed, and events about others do not prolong that", async () => {
    answer = { kind: "unknown", reason: "time-out" };
    await store.save(books(1));
    store.release(ROOT);
    now += MINUTE / 2;
    shows({ other: 1 });
    expect(store.deadline).toBe(T0 + MINUTE);
    now += MINUTE / 2;
    store.clock();
    expect(forgotten).toEqual([ROOT]);
  });

  test("stays when it is written to again meanwhile", async () => {
    await store.save(books(1));
    store.release(ROOT);
    await store.save(books(2));
    now += MINUTE;
    store.clock();
    expect(forgotten).toEqual([]);
  });

  test("still gets back what the last write has replaced, although nobody keeps its books", async () => {
    await store.save(books(1));
    shows();
    const read = { ...metadata };
    await store.save(books(2));
    store.release(ROOT);
    // Another plugin has written between our read and our write.
    shows({ ...read, other: "theirs" });
    shows();
    await settle();
    expect(metadata).toMatchObject({ other: "theirs", [KEY]: { revision: 2 } });
    shows();
    await settle();
    expect([forgotten, writes]).toEqual([[ROOT], 3]);
    expect(store.deadline).toBe(Number.POSITIVE_INFINITY);
  });

  test("is given up with what could not be put back", async () => {
    await store.save(books(1));
    shows();
    const read = { ...metadata };
    await store.save(books(2));
    store.release(ROOT);
    answer = { kind: "unknown", reason: "time-out" };
    shows({ ...read, other: "theirs" });
    shows();
    await settle();
    expect(writes).toBe(3);
    now += MINUTE;
    store.clock();
    expect(forgotten).toEqual([ROOT]);
  });
});
