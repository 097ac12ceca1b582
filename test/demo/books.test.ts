import { expect, test } from "bun:test";
import { audit } from "../../demo/books.ts";
import type { StoredMessage } from "../../src/testing/index.ts";

/** As much of a transcript as the demo's check reads. */
function message(role: "user" | "assistant", ...parts: readonly object[]): StoredMessage {
  return { info: { role }, parts } as unknown as StoredMessage;
}

const text = (said: string) => ({ type: "text", text: said });
const started = (id: string) => ({
  type: "tool",
  tool: "task",
  state: { status: "completed", input: { description: id }, metadata: { sessionId: id, background: true } },
});
const start = message("assistant", started("ses_a"), started("ses_b"), started("ses_c"));
const completed = message("user", text('<task id="ses_a" state="completed">\n…'));
const failed = message("user", text('<task id="ses_b" state="error">\n…'));
const tag = '<goalkeeper kind="continuation" id="msg_1">';
const lost = message("user", text(`${tag}\nGo on\n\nBackground tasks ended: 1 lost.\n- "c" (ses_c): LOST (gone)`));
const plain = message("user", text(`${tag}\nGo on`));
const metadata = (turns: number, status = "complete") => ({ goalkeeper: { goal: { status, turns, evidence: [{}] } } });

function broken(messages: readonly StoredMessage[], stored: Record<string, unknown>): readonly string[] {
  return audit(messages, stored)
    .checks.filter(({ holds }) => !holds)
    .map(({ what }) => what);
}

test("books that balance pass", () => {
  expect(broken([start, completed, failed, lost, plain], metadata(2))).toEqual([]);
});

test("the demo's own check notices each way in which books do not balance", () => {
  const twice = "every background task was settled exactly once (2 of 3)";
  expect(broken([start, completed, completed, failed, lost], metadata(1))).toEqual([twice]);
  expect(broken([start, completed, failed, plain, lost], metadata(2))).toEqual([
    "no continuation went out while a task was live",
  ]);
  expect(broken([start, completed, failed, lost], metadata(2))).toEqual([
    "the continuations in the transcript (1) are the turns of the goal (2)",
  ]);
  expect(broken([start, completed, failed, lost], metadata(1, "active"))).toEqual([
    "the goal is active, with evidence (1)",
  ]);
  expect(broken([start, completed, failed, plain], metadata(1))).toContain(twice);
  expect(broken([], {}).length).toBe(6);
});

test("a reminder of what was told is not another telling", () => {
  const reminder = message("user", text(`${tag}\nGo on\n- "a" (ses_a): completed, reported above`));
  expect(broken([start, completed, failed, lost, reminder], metadata(2))).toEqual([]);
});
