import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { TranscriptMessage, TranscriptPart } from "../../src/host/port.ts";
import { lastPage, pageOf, renderTranscript } from "../../src/tools/transcript-page.ts";
import { anAnswer, aUserMessage } from "../support/builders.ts";

const HALF_A_PAIR = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

/** Texts that are longer than a page in characters, in lines or in bytes. */
const longText = fc
  .array(fc.tuple(fc.constantFrom("a", "語", "😀", "\n", "a\n", "x".repeat(997)), fc.nat(400)), { maxLength: 60 })
  .map((pieces) => pieces.map(([piece, times]) => piece.repeat(times)).join(""));

function pages(text: string): readonly string[] {
  const all: string[] = [];
  for (let offset: number | undefined = 0; offset !== undefined; ) {
    const page = pageOf(text, offset);
    all.push(page.text);
    offset = page.next;
  }
  return all;
}

describe("pages", () => {
  test("put together are the whole text; none is cut by OpenCode, and none splits a surrogate pair", () => {
    fc.assert(
      fc.property(longText, (text) => {
        const all = pages(text);
        expect(all.join("")).toBe(text);
        for (const page of all) {
          expect(page.length).toBeLessThanOrEqual(15_000);
          expect(page.split("\n").length).toBeLessThanOrEqual(1_501);
          expect(Buffer.byteLength(page)).toBeLessThanOrEqual(45_000);
          expect(page).not.toMatch(HALF_A_PAIR);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("that are followed by another one stay what they are while the text grows", () => {
    fc.assert(
      fc.property(longText, longText, fc.nat(20_000), (text, more, offset) => {
        const before = pageOf(text, offset);
        if (before.next !== undefined) expect(pageOf(text + more, offset)).toEqual(before);
      }),
      { numRuns: 60 },
    );
  });

  test("from an offset within a surrogate pair begin with the whole of it", () => {
    expect(pageOf("a😀b", 2).text).toBe("😀b");
  });

  test("behind the end are empty", () => {
    expect(pageOf("abc", 99)).toEqual({ text: "", next: undefined });
  });

  test("never begin behind what can still change", () => {
    const text = "x".repeat(20_000);
    expect(pageOf(text, 0, 4_000)).toEqual({ text: "x".repeat(4_000), next: 4_000 });
    expect(pageOf(text, 4_000, 4_000).next).toBe(19_000);
  });
});

describe("the end of a text", () => {
  test("is the whole of a short one", () => {
    expect(lastPage("a\nb")).toBe("a\nb");
  });

  test("fits into a tool result, says how much is missing, and splits no surrogate pair", () => {
    for (const text of ["😀".repeat(20_000), "语".repeat(20_001), "a\n".repeat(5_000)]) {
      const end = lastPage(`${text}!`);
      expect(end).toStartWith("[");
      expect(end).toContain("characters before this are left out]");
      expect(end).toEndWith("!");
      expect(end).not.toMatch(HALF_A_PAIR);
      expect(Buffer.byteLength(end)).toBeLessThan(46_000);
      expect(end.split("\n").length).toBeLessThan(1_600);
    }
  });
});

const text = (said: string): TranscriptPart => ({ type: "text", text: said });
const tool = (more: Partial<Extract<TranscriptPart, { type: "tool" }>> = {}): TranscriptPart => ({
  type: "tool",
  callID: "call_1",
  tool: "bash",
  state: "completed",
  title: "",
  input: '{"command":"ls"}',
  output: "a.ts",
  ...more,
});
const user = (...parts: TranscriptPart[]): TranscriptMessage => aUserMessage("msg_1", { parts });
const assistant = (...parts: TranscriptPart[]): TranscriptMessage => anAnswer("msg_2", "msg_1", { parts });

describe("a transcript", () => {
  test("is rendered in its true order: texts, tool calls with their state, and errors", () => {
    const failed = tool({ tool: "read", state: "error", output: "no such file" });
    const message = { ...assistant(text("first"), tool(), failed, text("then")) };
    const error = { name: "APIError", message: "429" };
    const { text: said } = renderTranscript([user(text("do it")), { ...message, error }]);
    expect(said).toBe(
      [
        "[1] user",
        "do it",
        "",
        "[2] assistant",
        "first",
        '> bash {"command":"ls"}',
        "  completed: a.ts",
        '> read {"command":"ls"}',
        "  error: no such file",
        "then",
        "! APIError: 429",
      ].join("\n"),
    );
  });

  test("leaves reasoning out, and says which message is a summary", () => {
    const summary = { ...assistant(text("so far")), summary: true };
    const { text: said } = renderTranscript([assistant({ type: "reasoning", text: "hm" }), summary]);
    expect(said).toBe("[1] assistant\n\n[2] assistant, a summary of what was before\nso far");
  });

  test("shows a message of the machine's that has no part of its own", () => {
    const synthetic = aUserMessage("msg_1", { parts: [], rawText: "<goalkeeper>it has ended</goalkeeper>" });
    expect(renderTranscript([synthetic]).text).toBe("[1] user\n<goalkeeper>it has ended</goalkeeper>");
  });

  test("shows both ends of a long input and a long output, and splits no surrogate pair", () => {
    const long = `begin${"😀".repeat(5_000)}end`;
    const { text: said } = renderTranscript([assistant(tool({ input: long, output: long }))]);
    expect(said.length).toBeLessThan(2_700);
    expect(said).not.toMatch(HALF_A_PAIR);
    expect(said.split("characters are left out]")).toHaveLength(3);
    expect(said).toContain("> bash begin");
    expect(said).toEndWith("end");
  });

  test("keeps what was rendered when messages are added, and knows where each begins", () => {
    const messages = [user(text("a")), assistant(text("b"), tool()), user(text("c"))];
    const all = renderTranscript(messages);
    for (let count = 1; count < messages.length; count++)
      expect(all.text).toStartWith(renderTranscript(messages.slice(0, count)).text);
    expect(all.starts.map((start) => all.text.slice(start, start + 3))).toEqual(["[1]", "[2]", "[3]"]);
  });

  test("is settled before a tool call that works", () => {
    const before = renderTranscript([assistant(text("a"))]).text;
    for (const state of ["running", "pending"] as const) {
      const { text: said, settled } = renderTranscript([assistant(text("a"), tool({ state }), tool())]);
      expect(said.slice(0, settled)).toBe(before);
    }
    const over = renderTranscript([assistant(text("a"), tool())]);
    expect(over.settled).toBe(over.text.length);
  });
});
