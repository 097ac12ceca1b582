import { describe, expect, test } from "bun:test";
import { HostVersion, versionProblem } from "../../src/host/host-version.ts";
import type { Answer } from "../../src/host/port.ts";

describe("goals are pursued (U13)", () => {
  test.each(["1.18.15", "1.18.33", "1.19.0", "1.20.1", "1.100.0"])("on OpenCode %s", (version) => {
    expect(versionProblem(version)).toBeUndefined();
  });

  test.each(["local", "", "0.0.0", "0.0.0-dev-202611281200", "1.18.3-beta.1"])(
    "where nobody knows what it is: %p",
    (version) => {
      expect(versionProblem(version)).toBeUndefined();
    },
  );
});

test.each(["1.18.14", "1.18.3", "1.17.99", "1.9.20", "0.15.8"])(
  "goals are not pursued on OpenCode %s, and what to do is said",
  (version) => {
    expect(versionProblem(version)).toBe(
      `this is OpenCode ${version}, where goals stop after their first turn: update OpenCode to 1.18.15 or newer`,
    );
  },
);

test("goals are not pursued on OpenCode 2, which this was not made for", () => {
  expect(versionProblem("2.0.0")).toBe(
    "this is OpenCode 2.0.0, and goalkeeper is made for OpenCode 1: goals are not pursued here",
  );
});

test("a host is asked until it has answered, and then never again", async () => {
  const answers: Answer<string>[] = [
    { kind: "unknown", reason: "it is busy" },
    { kind: "gone" },
    { kind: "known", value: "1.18.3" },
  ];
  let asked = 0;
  const { problem } = new HostVersion(async () => answers[asked++] ?? { kind: "gone" });
  expect(await problem()).toBeUndefined();
  expect(await problem()).toBeUndefined();
  expect(await problem()).toContain("1.18.3");
  expect(await problem()).toContain("1.18.3");
  expect(asked).toBe(3);
});
