import { describe, expect, test } from "bun:test";
import { RootStorage } from "../../src/keeper/root-storage.ts";

const T0 = 1_700_000_000_000;

test("a write that has begun may be in the session before its answer is here, and one that has failed is not", () => {
  const storage = new RootStorage();
  const may = () => [storage.mayBePresent, storage.isPresent];
  expect(may()).toEqual([false, false]);
  storage.changed(T0);
  storage.begin(1, undefined, T0);
  expect(may()).toEqual([true, false]);
  storage.end(1, { kind: "failed", reason: "disk full" }, T0);
  expect(may()).toEqual([false, false]);
  storage.begin(2, undefined, T0);
  storage.end(2, { kind: "ok" }, T0);
  expect(may()).toEqual([true, true]);
});

test("what changes while a write is under way is due when that has ended", () => {
  const storage = new RootStorage();
  storage.begin(1, undefined, T0);
  storage.changed(T0);
  expect(storage.isDue(T0)).toBe(false);
  storage.end(1, { kind: "ok" }, T0);
  expect(storage.isDue(T0)).toBe(true);
});

/** The moments of the writes within a time, when something asks for the next one at once, again and again. */
function writes(ask: (storage: RootStorage, now: number) => void, withinMs: number): readonly number[] {
  const storage = new RootStorage();
  const moments: number[] = [];
  for (let now = T0; now < T0 + withinMs; now += 10) {
    ask(storage, now);
    if (!storage.isDue(now)) continue;
    moments.push(now - T0);
    storage.begin(moments.length, undefined, now);
    storage.end(moments.length, { kind: "ok" }, now);
  }
  return moments;
}

describe("no path writes in a loop (U17)", () => {
  test("whatever asks for it: 300 writes may follow each other at once, then there are two a second", () => {
    const moments = writes((storage, now) => storage.changed(now), 60_000);
    expect(moments.slice(0, 300)).toEqual(Array.from({ length: 300 }, (_, nth) => nth * 10));
    expect(moments.length).toBeLessThanOrEqual(300 + 120);
  });

  test("after a calm time they are free again", () => {
    const moments = writes((storage, now) => (now < T0 + 3_000 || now > T0 + 200_000) && storage.changed(now), 203_000);
    expect(moments.filter((at) => at > 200_000).length).toBeGreaterThan(290);
  });

  test("what somebody else drops each time is written again at once five times, and then ever more rarely", () => {
    const moments: number[] = [];
    let dropped = T0;
    writes((storage, now) => {
      if (now === dropped) storage.damaged(now);
      if (!storage.isDue(now)) return;
      moments.push(now - T0);
      dropped = now + 10;
    }, 600_000);
    expect(moments.slice(0, 8)).toEqual([0, 10, 20, 30, 40, 1_050, 3_060, 7_070]);
    expect(moments.length).toBeLessThan(20);
  });

  test("news are written at once all the same", () => {
    const storage = new RootStorage();
    for (let times = 0; times < 20; times++) storage.damaged(T0);
    expect(storage.isDue(T0)).toBe(true);
    storage.begin(1, undefined, T0);
    storage.end(1, { kind: "ok" }, T0);
    storage.damaged(T0);
    expect(storage.isDue(T0)).toBe(false);
    storage.changed(T0);
    expect(storage.isDue(T0)).toBe(true);
  });
});
