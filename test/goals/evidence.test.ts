import { describe, expect, test } from "bun:test";
import { callsText, countingCalls, evidenceProblems } from "../../src/goals/evidence.ts";
import type { TranscriptMessage, TranscriptPart } from "../../src/host/port.ts";
import { anAnswer, T0 } from "../support/builders.ts";

type Call = Partial<Extract<TranscriptPart, { type: "tool" }>>;

function aCall(callID: string, more: Call = {}): TranscriptPart {
  return {
    type: "tool",
    callID,
    tool: "bash",
    state: "completed",
    title: "npm test",
    input: "{}",
    output: "",
    ...more,
  };
}

function said(at: number, ...parts: TranscriptPart[]): TranscriptMessage {
  return anAnswer(`msg_${at}`, "msg_0", { createdAt: at, parts });
}

const TRANSCRIPT = [
  said(T0 - 1, aCall("call_before")),
  said(T0, aCall("call_ok"), aCall("call_failed", { state: "error" }), aCall("call_runs", { state: "running" })),
  said(
    T0 + 1,
    aCall("call_goal", { tool: "get_goal" }),
    { type: "text", text: "done" },
    aCall("call_last", { title: "" }),
  ),
];

describe("evidence", () => {
  test("counts the calls that have succeeded since the goal began, the goal tools aside", () => {
    expect(countingCalls(TRANSCRIPT, T0).map(({ callID }) => callID)).toEqual(["call_ok", "call_last"]);
  });

  test("that names no calls, or such calls, has no problem", () => {
    expect(evidenceProblems([{ claim: "it is so" }], TRANSCRIPT, T0)).toEqual([]);
    const evidence = [
      { claim: "a", tool_call_ids: ["call_ok"] },
      { claim: "b", tool_call_ids: ["call_last", "call_ok"] },
    ];
    expect(evidenceProblems(evidence, TRANSCRIPT, T0)).toEqual([]);
  });

  test.each([
    ["call_nowhere", "there is no such call in this session"],
    ["call_failed", "it failed"],
    ["call_runs", "it has not ended"],
    ["call_before", "it came before the goal began"],
    ["call_goal", "get_goal proves nothing"],
  ])("that names %s says: %s", (id, problem) => {
    const evidence = [{ claim: "a", tool_call_ids: ["call_ok", id, id] }];
    expect(evidenceProblems(evidence, TRANSCRIPT, T0)).toEqual([`- ${id}: ${problem}`]);
  });

  test("an id that is given again counts when one of its calls does", () => {
    const problemsOf = (...transcript: TranscriptMessage[]) =>
      evidenceProblems([{ claim: "a", tool_call_ids: ["call_1"] }], transcript, T0);
    const [ok, failed] = [aCall("call_1"), aCall("call_1", { state: "error" })];
    expect(problemsOf(said(T0, ok), said(T0 + 1, failed))).toEqual([]);
    expect(problemsOf(said(T0, failed), said(T0 + 1, ok))).toEqual([]);
    expect(problemsOf(said(T0, ok), said(T0 + 1, aCall("call_1", { tool: "get_goal" })))).toEqual([]);
    expect(problemsOf(said(T0 - 1, ok), said(T0, failed))).toEqual(["- call_1: it failed"]);
    expect(problemsOf(said(T0 - 2, failed), said(T0 - 1, ok))).toEqual(["- call_1: it came before the goal began"]);
  });

  test("the calls are listed with their ids, the newest last, and not all of a long session", () => {
    expect(callsText([])).toBe("");
    expect(callsText(countingCalls(TRANSCRIPT, T0))).toEndWith("- call_ok bash: npm test\n- call_last bash");
    const many = countingCalls([said(T0, ...Array.from({ length: 100 }, (_, at) => aCall(`call_${at}`)))], T0);
    expect(callsText(many).split("\n")).toHaveLength(13);
    expect(callsText(many)).toContain("call_99");
  });
});
