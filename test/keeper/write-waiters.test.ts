import { expect, test } from "bun:test";
import { WriteWaiters } from "../../src/keeper/write-waiters.ts";

test("all who wait for a root are told once it is written, and nobody else", async () => {
  const waiters = new WriteWaiters();
  const told: string[] = [];
  for (const name of ["one 1", "one 2", "two 1"])
    void waiters.over(name.startsWith("one") ? "ses_one" : "ses_two").then(() => told.push(name));
  waiters.tell(() => false);
  await Promise.resolve();
  expect(told).toEqual([]);
  waiters.tell((rootID) => rootID === "ses_one");
  await Promise.resolve();
  expect(told).toEqual(["one 1", "one 2"]);
  // Who was told waits no longer.
  waiters.tell(() => true);
  await Promise.resolve();
  expect(told).toEqual(["one 1", "one 2", "two 1"]);
});
