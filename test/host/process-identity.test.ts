import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { isAlive, newOwner, ownerKey, parseOwnerKey } from "../../src/host/process-identity.ts";

const NONE: ReadonlySet<string> = new Set();

test("an owner comes back from its key unchanged", () => {
  const owner = newOwner();
  expect(parseOwnerKey(ownerKey(owner))).toEqual(owner);
  expect(parseOwnerKey("nonsense")).toBeUndefined();
});

test("an instance of this process lives as long as it is registered: a reload makes another one", () => {
  const owner = newOwner();
  expect(isAlive(owner, new Set([owner.instance]))).toBe(true);
  expect(isAlive(owner, NONE)).toBe(false);
});

test("an ended process is dead, and so is another one that got its pid", () => {
  const { pid } = spawnSync("true");
  expect(isAlive({ ...newOwner(), pid: pid ?? -1 }, NONE)).toBe(false);
  expect(isAlive({ ...newOwner(), pid: process.ppid, processStartedAt: 1 }, NONE)).toBe(false);
});

test("a process that lives is alive, and one on another host cannot be looked at", () => {
  const parent = { ...newOwner(), pid: process.ppid, processStartedAt: 0 };
  expect(isAlive(parent, NONE)).toBe(true);
  expect(isAlive({ ...parent, host: "elsewhere", pid: 1 }, NONE)).toBe(true);
});
