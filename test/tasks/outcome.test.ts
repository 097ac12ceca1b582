import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { TranscriptMessage } from "../../src/host/port.ts";
import { byCreation, keep, type Reading, readOutcome, readRun } from "../../src/tasks/outcome.ts";
import { KEPT_TEXT_LENGTH } from "../../src/tasks/task.ts";
import { anAnswer, anUnfinishedAnswer, aReading, aUserMessage, T0 } from "../support/builders.ts";

const PROMPT = aUserMessage("msg_1");
const ABORTED = { error: { name: "MessageAbortedError", message: "aborted" } };
const FAILED = { error: { name: "APIError", message: "401" } };
/** There is no answer to the prompt, nor the beginning of one. */
const NOT_BEGUN = aReading({ kind: "unfinished", text: "", begun: false });

function kind(...transcript: readonly TranscriptMessage[]): Reading["kind"] {
  return readOutcome(transcript, "msg_1").kind;
}

describe("how a run ended", () => {
  test("finished: its last answer is complete and has a final finish reason", () => {
    expect(readOutcome([PROMPT, anAnswer("msg_2", "msg_1", { text: "the result" })], "msg_1")).toEqual(
      aReading({ kind: "finished", text: "the result" }),
    );
  });

  test.each(["tool-calls", "unknown"])("unfinished: the turn goes on after the finish reason %s", (finish) => {
    expect(kind(PROMPT, anAnswer("msg_2", "msg_1", { finish }))).toBe("unfinished");
  });

  test("aborted: a message that is complete and says neither how nor with what error, as after an abort in a retry", () => {
    expect(kind(PROMPT, anUnfinishedAnswer("msg_2", "msg_1", { completedAt: 5 }))).toBe("aborted");
  });

  test("unfinished: killed while the answer was written, or before it began", () => {
    expect(kind(PROMPT, anUnfinishedAnswer("msg_2", "msg_1"))).toBe("unfinished");
    expect(kind(PROMPT, anUnfinishedAnswer("msg_2", "msg_1", { finish: "stop" }))).toBe("unfinished");
    expect(kind(PROMPT)).toBe("unfinished");
    expect(readOutcome([])).toEqual(NOT_BEGUN);
  });

  test("unfinished: a complete step is followed by one that is not", () => {
    const first = anAnswer("msg_2", "msg_1", { finish: "tool-calls" });
    expect(kind(PROMPT, first, anUnfinishedAnswer("msg_3", "msg_1"))).toBe("unfinished");
    expect(kind(PROMPT, first, anAnswer("msg_3", "msg_1"))).toBe("finished");
  });

  test("unfinished: a later user message waits for its answer", () => {
    expect(kind(PROMPT, anAnswer("msg_2", "msg_1"), aUserMessage("msg_3"))).toBe("unfinished");
    expect(kind(PROMPT, anAnswer("msg_2", "msg_1"), aUserMessage("msg_3"), anAnswer("msg_4", "msg_3"))).toBe(
      "finished",
    );
  });

  test("failed: with the error of the last answer and the text so far", () => {
    const failed = anUnfinishedAnswer("msg_3", "msg_1", { ...FAILED, text: "" });
    expect(readOutcome([PROMPT, anAnswer("msg_2", "msg_1", { text: "so far" }), failed], "msg_1")).toEqual(
      aReading({ kind: "failed", text: "so far", ...FAILED }),
    );
  });

  test("an error that a later answer of the same run has overcome does not count", () => {
    expect(kind(PROMPT, anAnswer("msg_2", "msg_1", FAILED), anAnswer("msg_3", "msg_1"))).toBe("finished");
  });

  test("aborted: by the name of the error, whatever its text", () => {
    expect(kind(PROMPT, anAnswer("msg_2", "msg_1", ABORTED))).toBe("aborted");
  });
});

describe("compaction", () => {
  const REQUEST = aUserMessage("msg_3", { compaction: true, text: "", rawText: "" });
  const SUMMARY = anAnswer("msg_4", "msg_3", { summary: true, text: "what happened" });
  const STEP = anAnswer("msg_2", "msg_1", { finish: "tool-calls", text: "step" });

  test("killed after a compaction: the summary is not the result and does not finish the run", () => {
    expect(readOutcome([PROMPT, STEP, REQUEST, SUMMARY], "msg_1")).toEqual(
      aReading({ kind: "unfinished", text: "step", begun: true }),
    );
  });

  test("compacted after the end: the run has still finished", () => {
    expect(kind(PROMPT, anAnswer("msg_2", "msg_1"), REQUEST, SUMMARY)).toBe("finished");
  });

  test("the run goes on after a compaction until its continuation is answered", () => {
    const goOn = aUserMessage("msg_5");
    expect(kind(PROMPT, STEP, REQUEST, SUMMARY, goOn)).toBe("unfinished");
    expect(kind(PROMPT, STEP, REQUEST, SUMMARY, goOn, anAnswer("msg_6", "msg_5"))).toBe("finished");
  });
});

describe("which run", () => {
  const FIRST = [PROMPT, anAnswer("msg_2", "msg_1", { text: "first" })];

  test("killed right after a resume: the answer of the earlier run does not finish the next one", () => {
    expect(readOutcome([...FIRST, aUserMessage("msg_3")], "msg_3")).toEqual(NOT_BEGUN);
  });

  test("a prompt that is not in the transcript (a revert) says nothing about its run", () => {
    expect(readOutcome(FIRST, "msg_9")).toEqual(NOT_BEGUN);
  });

  test("without a known prompt the whole transcript is the run", () => {
    expect(readOutcome(FIRST)).toEqual(aReading({ kind: "finished", text: "first" }));
  });

  test("the text is that of the last answer that has any", () => {
    expect(readOutcome([...FIRST, anAnswer("msg_3", "msg_1", { text: "" })], "msg_1").text).toBe("first");
  });
});

describe("a run whose prompt was never seen", () => {
  const FIRST = [PROMPT, anAnswer("msg_2", "msg_1", { text: "first" })];
  const resumed = { number: 2, startedAt: T0 + 9_000 };
  const later = { createdAt: resumed.startedAt };

  test("is the whole transcript when it is the first", () => {
    expect(readRun(FIRST, { number: 1, startedAt: T0 + 9_000 })).toEqual(aReading({ kind: "finished", text: "first" }));
  });

  test("is nothing yet when it resumes an earlier one: that one's answer is not its own", () => {
    expect(readRun(FIRST, resumed)).toEqual(NOT_BEGUN);
    const answeredLate = [PROMPT, anAnswer("msg_2", "msg_1", { ...later, text: "first" })];
    expect(readRun(answeredLate, resumed)).toEqual(NOT_BEGUN);
  });

  test("is what came after the resume", () => {
    const second = [aUserMessage("msg_3", later), anAnswer("msg_4", "msg_3", { ...later, text: "second" })];
    expect(readRun([...FIRST, ...second], resumed)).toEqual(aReading({ kind: "finished", text: "second" }));
  });

  test("is found by its prompt once that is known, whatever the clocks say", () => {
    expect(readRun(FIRST, { ...resumed, promptID: "msg_1" })).toEqual(aReading({ kind: "finished", text: "first" }));
    expect(readRun([...FIRST, aUserMessage("msg_3")], { ...resumed, promptID: "msg_3" }).kind).toBe("unfinished");
  });
});

describe("whether a run has begun", () => {
  const begun = (...transcript: readonly TranscriptMessage[]) => readOutcome(transcript, "msg_1");

  test("not before there is the beginning of an answer to its prompt", () => {
    expect(begun(PROMPT)).toMatchObject({ kind: "unfinished", begun: false });
    expect(begun(PROMPT, anUnfinishedAnswer("msg_2", "msg_1", { text: "" }))).toMatchObject({ begun: true });
  });

  test("an answer to its prompt is a beginning, also when a later message is unanswered", () => {
    const answered = [PROMPT, anAnswer("msg_2", "msg_1")];
    expect(begun(...answered, aUserMessage("msg_3"))).toMatchObject({ kind: "unfinished", begun: true });
  });

  test("the answer of an earlier run is none, and neither is a summary", () => {
    const before = [aUserMessage("msg_0"), anAnswer("msg_00", "msg_0")];
    expect(begun(...before, PROMPT)).toMatchObject({ begun: false });
    expect(begun(PROMPT, anAnswer("msg_2", "msg_1", { summary: true }))).toMatchObject({ begun: false });
  });
});

describe("what a task has cost", () => {
  const paid = (tokens: number) => ({ usage: { tokens, cost: tokens / 1_000 } });

  test("is the sum over all its runs, steps and summaries, whichever run is read", () => {
    const transcript = [
      PROMPT,
      anAnswer("msg_2", "msg_1", { ...paid(1), finish: "tool-calls" }),
      anAnswer("msg_3", "msg_1", paid(2)),
      anAnswer("msg_4", "msg_1", { ...paid(4), summary: true }),
      aUserMessage("msg_5"),
      anUnfinishedAnswer("msg_6", "msg_5", paid(8)),
    ];
    const all = { tokens: 15, cost: 0.015 };
    expect(readOutcome(transcript, "msg_1").usage).toEqual(all);
    expect(readOutcome(transcript, "msg_5").usage).toEqual(all);
    expect(readOutcome(transcript, "msg_9").usage).toEqual(all);
    expect(readRun(transcript, { number: 2, startedAt: T0 + 9_000 }).usage).toEqual(all);
  });
});

describe("what is kept of a text", () => {
  test("its end, 32 KB of it", () => {
    expect(keep(`start${"x".repeat(KEPT_TEXT_LENGTH)}`)).toBe("x".repeat(KEPT_TEXT_LENGTH));
    expect(keep("short")).toBe("short");
    expect(readOutcome([PROMPT, anAnswer("msg_2", "msg_1", { text: "y".repeat(99_999) })]).text).toHaveLength(32_768);
  });

  test("never half a character", () => {
    expect(keep(`🚀${"x".repeat(KEPT_TEXT_LENGTH - 1)}`)).toBe("x".repeat(KEPT_TEXT_LENGTH - 1));
  });
});

describe("any transcript", () => {
  const someID = fc.constantFrom("msg_1", "msg_2", "msg_3", "");
  const someMessage: fc.Arbitrary<TranscriptMessage> = fc.record(
    {
      id: someID,
      role: fc.constantFrom("user", "assistant"),
      parentID: someID,
      createdAt: fc.double(),
      completedAt: fc.double(),
      finish: fc.constantFrom("stop", "tool-calls", "unknown", "length", ""),
      summary: fc.boolean(),
      error: fc.constantFrom(ABORTED.error, FAILED.error),
      text: fc.string(),
      compaction: fc.boolean(),
      rawText: fc.string(),
      parts: fc.constant([]),
      usage: fc.record({ tokens: fc.nat(), cost: fc.nat() }),
    },
    { requiredKeys: ["id", "role", "createdAt", "summary", "text", "compaction", "rawText", "parts"] },
  );

  test("is read without a throw, and only a complete final answer finishes it", () => {
    fc.assert(
      fc.property(fc.array(someMessage), fc.option(someID, { nil: undefined }), (transcript, promptID) => {
        const reading = readOutcome(transcript, promptID);
        expect(reading.text.length).toBeLessThanOrEqual(KEPT_TEXT_LENGTH);
        if (reading.kind !== "finished") return;
        const final = (message: TranscriptMessage) =>
          message.role === "assistant" && !message.summary && message.completedAt !== undefined && !message.error;
        expect(transcript.some(final)).toBe(true);
      }),
    );
  });
});

describe("order of messages", () => {
  const message = fc.record({ createdAt: fc.nat(20) });

  test("by the number, not by its digits: 9 comes before 10", () => {
    const sorted = [10, 9, 100, 1].map((createdAt) => ({ createdAt, id: "x" })).sort(byCreation);
    expect(sorted.map(({ createdAt }) => createdAt)).toEqual([1, 9, 10, 100]);
  });

  test("those of one moment stay as they came: whoever prompts chooses the ids", () => {
    const sorted = ["b", "a", "c"].map((id) => ({ createdAt: 1, id })).sort(byCreation);
    expect(sorted.map(({ id }) => id)).toEqual(["b", "a", "c"]);
  });

  test("one order for all: antisymmetric, and later never comes first", () => {
    fc.assert(
      fc.property(message, message, (a, b) => {
        expect(Math.sign(byCreation(a, b)) + Math.sign(byCreation(b, a))).toBe(0);
        if (a.createdAt < b.createdAt) expect(byCreation(a, b)).toBeLessThan(0);
      }),
    );
  });
});
