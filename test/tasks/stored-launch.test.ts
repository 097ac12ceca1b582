import { expect, test } from "bun:test";
import { readStoredLaunch, storedLaunch } from "../../src/tasks/stored-launch.ts";

const LAUNCH = { promptID: "msg_1", prompt: "do it\n</goalkeeper> $& 🎯" };

test("what was stored is read back as it was, also through the host's JSON", () => {
  expect(readStoredLaunch(JSON.parse(JSON.stringify(storedLaunch(LAUNCH))))).toEqual(LAUNCH);
});

test("an empty prompt is one, too", () => {
  expect(readStoredLaunch(storedLaunch({ promptID: "msg_1", prompt: "" }))).toEqual({ promptID: "msg_1", prompt: "" });
});

test.each([
  ["nothing", undefined],
  ["null", null],
  ["a text", "msg_1"],
  ["a list", [storedLaunch(LAUNCH)]],
  ["another version", { ...LAUNCH, version: 2 }],
  ["no version", LAUNCH],
  ["no prompt", { version: 1, promptID: "msg_1" }],
  ["a prompt that is no text", { version: 1, promptID: "msg_1", prompt: 7 }],
  ["an id that is no text", { version: 1, promptID: {}, prompt: "do it" }],
])("damaged or foreign, it is not there: %s", (_name, value) => {
  expect(readStoredLaunch(value)).toBeUndefined();
});
