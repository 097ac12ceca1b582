import { expect, test } from "bun:test";
import { type Books, rootOfEffect, rootOfInput } from "../../src/keeper/routing.ts";

const books: Books = {
  rootOfTask: (taskID) => (taskID === "ses_child" ? "ses_root" : undefined),
  rootOfSession: (sessionID) => (sessionID === "ses_other" ? undefined : "ses_root"),
};

test("what a host says of a session belongs to the root above it, and of an unknown one to none", () => {
  const busy = (sessionID: string) => rootOfInput({ type: "host", event: { type: "session-busy", sessionID } }, books);
  expect([busy("ses_child"), busy("ses_other")]).toEqual(["ses_root", undefined]);
});

test("what concerns every root belongs to none", () => {
  const statuses = { type: "statuses", answer: { kind: "unknown", reason: "no answer" } } as const;
  expect([rootOfInput({ type: "clock" }, books), rootOfInput(statuses, books)]).toEqual([undefined, undefined]);
  expect(rootOfEffect({ type: "ask-statuses" }, books)).toBeUndefined();
});

test("an effect on a task is for its root, any other for the root that it names", () => {
  expect(rootOfEffect({ type: "abort", taskID: "ses_child", run: 1 }, books)).toBe("ses_root");
  expect(rootOfEffect({ type: "toast", rootID: "ses_2", variant: "info", message: "hi" }, books)).toBe("ses_2");
});
