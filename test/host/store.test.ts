import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Answer, HostPort } from "../../src/host/port.ts";
import { newOwner, ownerKey } from "../../src/host/process-identity.ts";
import { type Holdings, holdings } from "../../src/host/registry.ts";
import { Store } from "../../src/host/store.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { aSession, ROOT, T0 } from "../support/builders.ts";

const KEY = "goalkeeper";
const MINUTE = 60_000;
/** Another instance in this process, which lives. */
const BESIDE = newOwner();

let now: number;
let metadata: Record<string, unknown>;
let answer: Answer<void>;
let writes: number;
let forgotten: string[];
let moved: string[];
let damaged: number;
/** What another plugin writes just before the next write of ours. */
let overtaken: (() => void) | undefined;
let host: { -readonly [Call in "session" | "writeMetadata" | "log"]: HostPort[Call] };
let store: Store;
let ours: Holdings;
let theirs: Holdings;

beforeEach(() => {
  now = T0;
  metadata = {};
  answer = { kind: "known", value: undefined };
  writes = 0;
  forgotten = [];
  moved = [];
  damaged = 0;
  overtaken = undefined;
  ours = holdings(KEY, () => undefined);
  theirs = holdings(KEY, () => undefined);
  host = {
    session: async () => ({ kind: "known", value: aSession(ROOT, { metadata, updatedAt: T0 }) }),
    writeMetadata: async (_sessionID, written) => {
      writes++;
      overtaken?.();
      if (answer.kind === "known") metadata = JSON.parse(JSON.stringify(written));
      return answer;
    },
    log: () => undefined,
  };
  store = new Store({
    key: KEY,
    host,
    runsElsewhere: (runner) => runner === ownerKey(BESIDE),
    holdings: ours,
    onDamage: () => damaged++,
    onMoved: (rootID, claim) => moved.push(`${rootID} ${claim}`),
    onForgotten: (rootID) => forgotten.push(rootID),
    now: () => now,
  });
});

afterEach(() => {
  ours.end();
  theirs.end();
});

function books(revision: number, claim = 1): StoredRoot {
  const owner = { host: "h", pid: 1, processStartedAt: 1, instance: "me" };
  return { version: 1, self: ROOT, owner, claim, revision, tasks: [] };
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

describe("two instances in one process that restored a root under the same claim", () => {
  const written = (): StoredRoot => metadata[KEY] as StoredRoot;

  beforeEach(() => {
    metadata = { [KEY]: { ...books(1), owner: BESIDE } };
  });

  test("the one that wrote first keeps it while nobody uses it", async () => {
    expect(await store.save(books(2))).toMatchObject({ kind: "owned-elsewhere" });
    expect(written().owner.instance).toBe(BESIDE.instance);
  });

  test("the one whose session is used owns it, whoever wrote first (U11)", async () => {
    ours.take(ROOT);
    expect(await store.save(books(2))).toEqual({ kind: "ok" });
    expect(written().owner.instance).toBe("me");
  });

  test("the one whose session is not used keeps nothing of what it wrote, and is told when it wants to send", async () => {
    metadata = {};
    await store.save(books(1, 3));
    shows();
    theirs.take(ROOT);
    // The other one had no need to claim it higher.
    metadata = { [KEY]: { ...books(1), owner: BESIDE } };
    expect(await store.taken(ROOT)).toBe(3);
    shows();
    expect(moved).toEqual([`${ROOT} 3`]);
    expect(await store.save(books(2, 3))).toEqual({ kind: "owned-elsewhere", claim: 3 });
    expect(written().owner.instance).toBe(BESIDE.instance);
  });
});

describe("what another plugin writes between our read and our write (U18)", () => {
  beforeEach(() => {
    count = 0;
  });

  let count = 0;

  /** It counts, and the events about all writes come at once, in their order. */
  function counts(times: number): void {
    let left = times;
    overtaken = () => {
      if (left-- <= 0) return;
      metadata = { ...metadata, count: ++count };
      shows();
    };
  }

  /** As the host does: whoever has written hears of it. */
  async function saves(revision: number): Promise<void> {
    const saved = store.save(books(revision));
    for (let turns = 0, before = writes; turns < 1_000; turns++) {
      await Promise.resolve();
      if (writes === before) continue;
      before = writes;
      shows();
    }
    await saved;
  }

  test("is put back at once, without anybody who keeps the books", async () => {
    await saves(1);
    counts(1);
    await saves(2);
    expect(metadata).toMatchObject({ count: 1, [KEY]: { revision: 2 } });
    expect([writes, damaged]).toEqual([3, 0]);
  });

  test("is put back once: what was put back is not written again with the next write of ours", async () => {
    await saves(1);
    counts(1);
    await saves(2);
    metadata = { ...metadata, count: 0 };
    shows();
    await saves(3);
    expect([metadata.count, writes]).toEqual([0, 4]);
  });

  test("is not put back over what was written since", async () => {
    await saves(1);
    counts(1);
    const saved = store.save(books(2));
    await settle();
    metadata = { ...metadata, count: 7 };
    shows({ ...metadata, count: undefined });
    await settle();
    await saved;
    expect(metadata.count).toBe(7);
  });

  test("is read from the event that comes before the answer of the read, if that is newer", async () => {
    await saves(1);
    const asked = host.session;
    host.session = async (sessionID) => {
      const answer = await asked(sessionID);
      metadata = { ...metadata, count: 5 };
      store.observe(aSession(ROOT, { metadata, updatedAt: T0 + 1 }));
      return answer;
    };
    await saves(2);
    expect([metadata.count, writes]).toEqual([5, 2]);
  });

  test("and the next time, and the next: ten times in a row, and then it is left to whoever keeps the books", async () => {
    await saves(1);
    counts(1_000);
    await saves(2);
    expect([writes, damaged]).toEqual([12, 1]);
  });
});
