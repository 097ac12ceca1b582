import { expect, test } from "bun:test";
import { RootStorage } from "../../src/keeper/root-storage.ts";

const T0 = 1_700_000_000_000;

test("a write that has begun may be in the session before its answer is here, and one that has failed is not", () => {
  const storage = new RootStorage();
  const may = () => [storage.mayBePresent, storage.isPresent];
  expect(may()).toEqual([false, false]);
  storage.changed(T0);
  storage.begin(1, undefined);
  expect(may()).toEqual([true, false]);
  storage.end(1, { kind: "failed", reason: "disk full" }, T0);
  expect(may()).toEqual([false, false]);
  storage.begin(2, undefined);
  storage.end(2, { kind: "ok" }, T0);
  expect(may()).toEqual([true, true]);
});

test("what changes while a write is under way is due when that has ended", () => {
  const storage = new RootStorage();
  storage.begin(1, undefined);
  storage.changed(T0);
  expect(storage.isDue(T0)).toBe(false);
  storage.end(1, { kind: "ok" }, T0);
  expect(storage.isDue(T0)).toBe(true);
});
