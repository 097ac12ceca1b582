import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { escapeText, excerpt, type FrameKind, frame, readFrame, tail, unescapeText } from "../../src/delivery/frame.ts";

const KINDS: FrameKind[] = ["answer", "goal", "continuation", "wrapup", "task-outcome"];
const someKind = fc.constantFrom(...KINDS);
const someID = fc.stringMatching(/^msg_[0-9A-Za-z]+$/);
/** Any text, half surrogate pairs and what could break a frame included. */
const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(fc.constantFrom("<", "&", "&lt;", "&amp;", "amp;", "</goalkeeper>", "$&", "$ARGUMENTS", "\uD83D", "\n", "ß"))
    .map((parts) => parts.join("")),
);
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

describe("the frame", () => {
  test("is one opening line, the body, one closing line", () => {
    expect(frame("continuation", "msg_1", "Go on.")).toBe(
      '<goalkeeper kind="continuation" id="msg_1">\nGo on.\n</goalkeeper>',
    );
  });

  test("gives back its kind and id, whatever it holds", () => {
    fc.assert(
      fc.property(someKind, someID, anyText, (kind, id, body) => {
        expect(readFrame(frame(kind, id, body))).toEqual({ kind, id });
      }),
    );
  });

  test("is ours only where it begins the text: a user who quotes one speaks for himself", () => {
    const quoted = frame("continuation", "msg_1", "x");
    expect(readFrame(`look: ${quoted}`)).toBeUndefined();
    expect(readFrame(`\n${quoted}`)).toBeUndefined();
    expect(readFrame("")).toBeUndefined();
    expect(readFrame("<goalkeeper>")).toBeUndefined();
    expect(readFrame('<goalkeeper kind="goal" id="ses_1">')).toBeUndefined();
  });

  test("reading any text throws never", () => {
    fc.assert(fc.property(anyText, (text) => expect(() => readFrame(text)).not.toThrow()));
  });
});

describe("foreign text in a frame", () => {
  test("comes back unchanged, whatever it is", () => {
    fc.assert(fc.property(anyText, (text) => expect(unescapeText(escapeText(text))).toBe(text)));
  });

  test("cannot open or close a tag", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(escapeText(text)).not.toContain("<");
        expect(frame("goal", "msg_1", escapeText(text)).match(/<\/goalkeeper>/g)).toHaveLength(1);
      }),
    );
  });

  test("of 100,000 characters in any script is not shortened", () => {
    const text = "日本語 $& $ARGUMENTS </goalkeeper> 🚀 ".repeat(4_000);
    expect(unescapeText(escapeText(text))).toBe(text);
  });
});

describe("an excerpt", () => {
  test("is the beginning on one line, with a sign that there is more", () => {
    expect(excerpt(" a\n\tb  c ", 10)).toBe("a b c");
    expect(excerpt("abcdef", 6)).toBe("abcdef");
    expect(excerpt("abcdefg", 6)).toBe("abcde…");
  });

  test("is never longer than allowed, and never splits a character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 2, max: 20 }), (text, length) => {
        const short = excerpt(text, length);
        expect(short.length).toBeLessThanOrEqual(length);
        expect(short).not.toMatch(/[\n\r\t]/);
        expect(short).not.toMatch(LONE_SURROGATE);
      }),
    );
  });
});

describe("a tail", () => {
  test("is the end, and says how much is left out", () => {
    expect(tail("abcdef", 6)).toBe("abcdef");
    expect(tail("abcdefgh", 6)).toBe("[2 characters before this are left out]\ncdefgh");
  });

  test("never splits a character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 20 }), (text, length) => {
        const end = tail(text, length);
        expect(end).not.toMatch(LONE_SURROGATE);
        expect(text.endsWith(end.replace(/^\[\d+ characters before this are left out\]\n/, ""))).toBe(true);
      }),
    );
  });
});
