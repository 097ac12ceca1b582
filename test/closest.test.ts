import { expect, test } from "bun:test";
import { closest } from "../src/closest.ts";

test.each([
  ["model", 0],
  ["mode", 1],
  ["modell", 1],
  ["nodel", 1],
  ["mdoel", 1],
  ["MODEL", 0],
  ["mdel s", 3],
  ["", 5],
])("%p is found within %p slips of one letter each, and not with fewer", (word, slips) => {
  expect(closest(word, ["model"], slips)).toEqual(["model"]);
  expect(closest(word, ["model"], slips - 1)).toEqual([]);
});

test("the closest comes first, and among equals the one that was named first", () => {
  expect(closest("opus", ["opuss-4", "opuss", "opus", "opua"], 2)).toEqual(["opus", "opuss", "opua"]);
});
