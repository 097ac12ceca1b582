import { describe, expect, test } from "bun:test";
import type { Decision, WaitReason } from "../../src/goals/gate.ts";
import { decisionKey } from "../../src/keeper/decision-key.ts";
import { T0 } from "../support/builders.ts";

function waits(...reasons: readonly WaitReason[]): string {
  return decisionKey({ kind: "wait", reasons });
}

const until = T0;
const TASK = { taskID: "ses_1", title: "a" } as const;
const ASK = { why: "ask-open", sessionID: "ses_1", kind: "question", about: "Which?", endedBy: "user" } as const;

describe("the same decision for a reader", () => {
  test("a deadline that moves makes no other one", () => {
    const moved = { until: T0 + 1 };
    expect(waits({ why: "root-busy", until })).toBe(waits({ why: "root-busy", ...moved }));
    const task = { why: "task-live", ...TASK, status: "running" } as const;
    expect(waits({ ...task, until })).toBe(waits({ ...task, ...moved }));
  });
});

describe("another decision for a reader", () => {
  const decisions: Decision[] = [
    { kind: "continue", prompt: "continuation", overdueTaskIDs: [] },
    { kind: "continue", prompt: "wrapup", overdueTaskIDs: [] },
    { kind: "stop", reason: { why: "no-goal" } },
    { kind: "stop", reason: { why: "complete" } },
    ...(
      [
        { why: "root-busy", until },
        { why: "provider-retries", message: "429", until },
        { why: "task-live", ...TASK, status: "running", until },
        { why: "task-live", ...TASK, status: "missing", until },
        { why: "task-live", ...TASK, taskID: "ses_2", status: "running", until },
        { why: "outcome-untold", ...TASK, until },
        { why: "outcome-unanswered", ...TASK, until },
        { why: "outcome-unanswered", ...TASK, taskID: "ses_2", until },
        ASK,
        { ...ASK, about: "Which one?" },
        { ...ASK, sessionID: "ses_2" },
        { ...ASK, kind: "permission" },
        { why: "user-message-unanswered", until },
        { why: "back-off", failures: 1, until },
        { why: "quiet", endedBy: "user" },
        { why: "asleep", endedBy: "user" },
      ] satisfies WaitReason[]
    ).map((reason): Decision => ({ kind: "wait", reasons: [reason] })),
  ];

  test("every kind, reason, task, status and question is one of its own", () => {
    expect(new Set(decisions.map(decisionKey)).size).toBe(decisions.length);
  });

  test("so is one reason more or less", () => {
    expect(waits({ why: "root-busy", until }, ASK)).not.toBe(waits({ why: "root-busy", until }));
  });
});
