import { expect, test } from "bun:test";
import { claim, enlist, registry } from "../../src/host/registry.ts";

test("the first claim of a directory wins until it is released (S1)", () => {
  const release = claim("/registry-test", "one");
  expect(release).toBeFunction();
  expect(claim("/registry-test", "two")).toBeUndefined();
  release?.();
  const next = claim("/registry-test", "two");
  // A late release of an earlier owner takes nothing from the present one.
  release?.();
  expect(claim("/registry-test", "three")).toBeUndefined();
  next?.();
});

test("an instance lives from its enlisting to its end, whether or not it has a directory", () => {
  const delist = enlist("one");
  enlist("two");
  expect([...registry().instances]).toEqual(expect.arrayContaining(["one", "two"]));
  delist();
  expect(registry().instances.has("one")).toBe(false);
  expect(registry().instances.has("two")).toBe(true);
});
