import { describe, expect, test } from "bun:test";
import { frame } from "../../src/delivery/frame.ts";
import type { TranscriptMessage } from "../../src/host/port.ts";
import { find, lostMessage, type ToldAs, toldAs, wasRead } from "../../src/keeper/read-back.ts";
import type { EndedTask } from "../../src/tasks/task.ts";
import { anAnswer, anEndedTask, anUnfinishedAnswer, aUserMessage, CHILD, delivered, T0 } from "../support/builders.ts";

/** What a process leaves of a message when it dies before the parts are stored. */
const NOTHING = { text: "", rawText: "", parts: [], torn: true } as const;

function torn(id: string, more: Partial<TranscriptMessage> = {}): TranscriptMessage {
  return aUserMessage(id, { ...NOTHING, ...more });
}

describe("what became of a message", () => {
  const OURS = aUserMessage("msg_5", { text: "", rawText: frame("continuation", "msg_5", "Go on.") });
  const BEFORE = [aUserMessage("msg_1"), anAnswer("msg_2", "msg_1")];

  const cases: [string, readonly TranscriptMessage[], ReturnType<typeof find>][] = [
    ["absent: it was never stored", BEFORE, { kind: "absent" }],
    ["absent: nothing was", [], { kind: "absent" }],
    ["unanswered: stored and newest", [...BEFORE, OURS], { kind: "unanswered", text: OURS.rawText }],
    ["answered", [...BEFORE, OURS, anAnswer("msg_6", "msg_5")], { kind: "answered" }],
    [
      "answered, by an answer that failed",
      [OURS, anAnswer("msg_6", "msg_5", { error: { name: "E", message: "" } })],
      { kind: "answered" },
    ],
    [
      "answered, and something was said since",
      [OURS, anAnswer("msg_6", "msg_5"), aUserMessage("msg_7")],
      { kind: "answered" },
    ],
    ["overtaken by a later message", [OURS, aUserMessage("msg_7")], { kind: "overtaken" }],
    [
      "overtaken, and that one is answered",
      [OURS, aUserMessage("msg_7"), anAnswer("msg_8", "msg_7")],
      { kind: "overtaken" },
    ],
    [
      "not overtaken by the request of a compaction",
      [OURS, aUserMessage("msg_7", { compaction: true })],
      { kind: "unanswered", text: OURS.rawText },
    ],
    [
      "not answered by a summary",
      [OURS, anAnswer("msg_6", "msg_5", { summary: true })],
      { kind: "unanswered", text: OURS.rawText },
    ],
    [
      "not answered by the answer to another one",
      [OURS, anAnswer("msg_6", "msg_1")],
      { kind: "unanswered", text: OURS.rawText },
    ],
    [
      "replayed by a compaction and answered",
      [OURS, { ...OURS, id: "msg_8" }, anAnswer("msg_9", "msg_8")],
      { kind: "answered" },
    ],
  ];

  const notRead: typeof cases = [
    ["torn: there without its tag", [...BEFORE, torn("msg_5")], { kind: "torn" }],
    ["torn before a compaction", [torn("msg_5"), aUserMessage("msg_7", { compaction: true })], { kind: "torn" }],
    ["as good as absent: torn, and others stand behind it", [torn("msg_5"), aUserMessage("msg_7")], { kind: "absent" }],
    ["as good as absent: torn, and an answer was given", [torn("msg_5"), anAnswer("a", "msg_5")], { kind: "absent" }],
    [
      "whole, although another plugin has put something before our tag",
      [{ ...OURS, rawText: `Today is Monday.\n${OURS.rawText}` }],
      { kind: "unanswered", text: `Today is Monday.\n${OURS.rawText}` },
    ],
  ];

  test.each([...cases, ...notRead])("%s", (_name, transcript, found) => {
    expect(find(transcript, "msg_5")).toEqual(found);
  });
});

describe("whether the prompt of a task is there and was read", () => {
  test.each([
    ["not while nothing is there", [], false],
    ["not while nobody has answered", [aUserMessage("msg_5")], false],
    ["answered", [aUserMessage("msg_5"), anAnswer("msg_6", "msg_5")], true],
    ["read with a later one", [aUserMessage("msg_5"), aUserMessage("msg_7")], true],
    ["not when its text is not there, and a later one was answered", [torn("msg_5"), aUserMessage("msg_7")], false],
  ] as const)("%s", (_name, transcript, isRead) => {
    expect(wasRead(transcript, "msg_5")).toBe(isRead);
  });
});

describe("how an outcome that the books call told stands in its reader's transcript", () => {
  const byMessage = anEndedTask({ origin: "launched", delivery: delivered({ messageID: "msg_5" }) });
  const byHost = anEndedTask({ origin: "background", delivery: delivered({ messageID: "msg_5" }) });
  const byTool = anEndedTask({ origin: "launched", delivery: delivered({ messageID: "msg_5", byTurn: true }) });
  const byMaker = anEndedTask({ origin: "adopted", delivery: delivered({ messageID: "msg_5" }) });
  const ours = aUserMessage("msg_5", { text: "", rawText: frame("task-outcome", "msg_5", "it ended") });
  const users = aUserMessage("msg_5", { rawText: `go on\n${frame("task-outcome", "msg_5", "it ended")}` });
  const hosts = aUserMessage("msg_5", { told: { taskID: CHILD, ended: "completed", text: "done" } });
  const call = (state: "running" | "completed", output: string) =>
    anAnswer("msg_5", "msg_1", {
      parts: [{ type: "tool", callID: "c", tool: "background_output", state, title: "", input: "{}", output }],
    });
  const answer = anAnswer("msg_6", "msg_5");

  const cases: [string, EndedTask, readonly TranscriptMessage[], ToldAs][] = [
    ["ours, and answered", byMessage, [ours, answer], "answered"],
    ["ours, and answered with a later message", byMessage, [ours, aUserMessage("m"), anAnswer("a", "m")], "answered"],
    ["ours, and only an earlier message is answered", byMessage, [ours, anAnswer("a", "msg_1")], "unanswered"],
    ["ours, and its answer has not ended", byMessage, [ours, anUnfinishedAnswer("a", "msg_5")], "unanswered"],
    ["ours, and only a summary came", byMessage, [ours, { ...answer, summary: true }], "unanswered"],
    ["ours, without its text", byMessage, [torn("msg_5")], "not-told"],
    ["ours, and not there at all", byMessage, [], "not-told"],
    ["with the user's message", byMessage, [users], "unanswered"],
    ["with the user's message, which came without our part", byMessage, [aUserMessage("msg_5")], "not-told"],
    ["by OpenCode", byHost, [hosts, answer], "answered"],
    ["by OpenCode, without its text", byHost, [torn("msg_5")], "not-told"],
    ["by a tool result that is there", byTool, [call("completed", `"a" (${CHILD}): completed`)], "answered"],
    ["by a tool call that never returned", byTool, [call("running", "")], "not-told"],
    ["by a tool result about another task", byTool, [call("completed", '"b" (ses_b): completed')], "not-told"],
    ["by its maker, in words that nobody else knows", byMaker, [aUserMessage("msg_5"), answer], "answered"],
    ["by its maker, without the text: that is the maker's", byMaker, [torn("msg_5")], "unanswered"],
  ];

  test.each(cases)("%s", (_name, task, transcript, as) => {
    expect(toldAs(transcript, task)).toBe(as);
  });
});

describe("the user's last message", () => {
  const none = { reservedID: undefined, goal: undefined };
  const goal = { id: "msg_goal", startedAt: T0 - 10 };
  const command = aUserMessage("msg_1", { rawText: frame("goal", "msg_goal", "make it work") });
  const cases: [string, readonly TranscriptMessage[], Parameters<typeof lostMessage>[1], string | undefined][] = [
    ["is lost when nothing but its row is there", [torn("msg_5")], none, "msg_5"],
    ["is lost behind the command that has started the goal", [command, torn("msg_5")], { ...none, goal }, "msg_5"],
    ["is not: it was the command that has started the goal", [torn("msg_5")], { ...none, goal }, undefined],
    ["is not: it is a message of ours", [torn("msg_5")], { ...none, reservedID: "msg_5" }, undefined],
    ["is not: the user has written again", [torn("msg_5"), aUserMessage("msg_7")], none, undefined],
    ["is not: somebody has answered it", [torn("msg_5"), anAnswer("msg_6", "msg_5")], none, undefined],
    ["is not: it may only be on its way", [torn("msg_5", { createdAt: T0 + 1 })], none, undefined],
    ["is not: it is whole", [aUserMessage("msg_5")], none, undefined],
  ];

  test.each(cases)("%s", (_name, transcript, knownOnes, lostID) => {
    expect(lostMessage(transcript, knownOnes, T0 + 1)).toBe(lostID);
  });
});
