import { expect, test } from "bun:test";
import { ordinal } from "../../src/tools/task-words.ts";

test("places are written as people say them", () => {
  const places = [1, 2, 3, 4, 10, 11, 12, 13, 21, 22, 101, 111, 112, 113, 1_003];
  const said = "1st 2nd 3rd 4th 10th 11th 12th 13th 21st 22nd 101st 111th 112th 113th 1003rd";
  expect(places.map(ordinal).join(" ")).toBe(said);
});
