import { expect, test } from "bun:test";
import { claim, registry } from "../../src/host/registry.ts";

test("the first claim of a directory wins until it is released (S1)", () => {
  const release = claim("/registry-test", "one");
  expect(release).toBeFunction();
  expect(claim("/registry-test", "two")).toBeUndefined();
  expect(registry().instances.has("one")).toBe(true);
  release?.();
  expect(registry().instances.has("one")).toBe(false);
  const next = claim("/registry-test", "two");
  // A late release of an earlier owner takes nothing from the present one.
  release?.();
  expect(claim("/registry-test", "three")).toBeUndefined();
  next?.();
});
