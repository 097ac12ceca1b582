import { expect, test } from "bun:test";
import { hostsTable } from "../../scripts/hosts-table.ts";

test("a version has a column and a test a row; what was not run on a version leaves its cell empty", () => {
  const outcome = (scenario: string, passed = true) => ({ scenario, passed, seconds: 1.26 });
  const table = hostsTable([
    { version: "1.18.3", isAllowed: false, outcomes: [outcome("says so")], code: 0 },
    { version: "1.18.15", isAllowed: true, outcomes: [outcome("goes on"), outcome("ends", false)], code: 1 },
  ]);
  expect(table.split("\n")).toEqual([
    "| test | 1.18.3 (refused) | 1.18.15 |",
    "| --- | --- | --- |",
    "| says so | 1.3 s |  |",
    "| goes on |  | 1.3 s |",
    "| ends |  | FAILED |",
    "| passed | 1 of 1 | 1 of 2 |",
  ]);
});
