import { expect, test } from "bun:test";
import { audit, type TaskSession } from "../../demo/books.ts";
import type { StoredMessage } from "../../src/testing/index.ts";

/** As much of a transcript as the demo's check reads. */
function message(role: "user" | "assistant", ...parts: readonly object[]): StoredMessage {
  return { info: { role }, parts } as unknown as StoredMessage;
}

const text = (said: string) => ({ type: "text", text: said });
const called = (tool: string, output: string, input = {}, metadata = {}) => ({
  type: "tool",
  tool,
  state: { status: "completed", input, output, metadata },
});
const launched = (id: string) =>
  called("background_task", `Launched: "${id}" (${id}), general. It starts now.\nTo read it: …`, { description: id });
const report = (...lines: readonly string[]) =>
  message("user", text(['<goalkeeper kind="task-outcome" id="msg_0">', ...lines, "</goalkeeper>"].join("\n")));
const tag = '<goalkeeper kind="continuation" id="msg_1">';

const start = message("assistant", launched("ses_a"), launched("ses_b"), launched("ses_c"));
const A = '- "a" (ses_a): completed\n<output>\n1 &lt; 2\n</output>';
const B = '- "b" (ses_b): failed: no key';
const C = '- "c" (ses_c): LOST (gone)';
const ended = report("Background tasks ended: 1 completed, 1 failed. 1 still works.", A, B);
const lost = message("user", text(`${tag}\nGo on\n\nBackground tasks ended: 1 lost.\n${C}`));
const plain = message("user", text(`${tag}\nGo on`));
const metadata = (turns: number, status = "complete") => ({ goalkeeper: { goal: { status, turns, evidence: [{}] } } });

/** A task's own session with its last answer. */
function session(id: string, info: object, ...parts: readonly object[]): TaskSession {
  const answer = { info: { role: "assistant", time: {}, ...info }, parts } as unknown as StoredMessage;
  return { id, title: `${id} (@general)`, messages: [message("user", text("do it")), answer] };
}

const done = { time: { completed: 1 }, finish: "stop" };
const noKey = { time: { completed: 1 }, error: { name: "APIError", data: { message: "no key" } } };
const sessions = [session("ses_a", done, text("1 < 2")), session("ses_b", noKey), session("ses_c", {})];

function broken(
  messages: readonly StoredMessage[],
  stored: Record<string, unknown>,
  own: readonly TaskSession[] = sessions,
): readonly string[] {
  return audit(messages, own, stored)
    .checks.filter(({ holds }) => !holds)
    .map(({ what }) => what);
}

const onceOf = (tally: string) => `every background task was settled exactly once (${tally})`;
const shownOf = (tally: string) =>
  `what was told is what the task's own session shows, with its result or error (${tally})`;

test("books that balance pass", () => {
  expect(broken([start, ended, lost, plain], metadata(2))).toEqual([]);
  const { tasks } = audit([start, ended, lost, plain], sessions, metadata(2));
  expect(tasks.map(({ title, shows, told }) => [title, shows, ...told.map(({ by }) => by)])).toEqual([
    ["ses_a", "finished", "goalkeeper"],
    ["ses_b", "an error", "goalkeeper"],
    ["ses_c", "broken off", "goalkeeper"],
  ]);
});

test("the demo's own check notices each way in which books do not balance", () => {
  expect(broken([start, ended, report(A), lost], metadata(1))).toEqual([onceOf("2 of 3")]);
  expect(broken([start, ended, plain, lost], metadata(2))).toEqual(["no continuation went out while a task was live"]);
  expect(broken([start, ended, lost], metadata(2))).toEqual([
    "the continuations in the transcript (1) are the turns of the goal (2)",
  ]);
  expect(broken([start, ended, lost], metadata(1, "active"))).toEqual(["the goal is active, with evidence (1)"]);
  expect(broken([start, ended, plain], metadata(1))).toContain(onceOf("2 of 3"));
  expect(broken([], {}, []).length).toBe(7);
});

test("what was told is held against what each task's own session shows", () => {
  const [a, b, c] = sessions as [TaskSession, TaskSession, TaskSession];
  const story = [start, ended, lost];
  expect(broken(story, metadata(1), [a, b, session("ses_c", done)])).toEqual([shownOf("2 of 3")]);
  expect(broken(story, metadata(1), [session("ses_a", done, text("3 < 4")), b, c])).toEqual([shownOf("2 of 3")]);
  const calls = { ...done, finish: "tool-calls" };
  expect(broken(story, metadata(1), [session("ses_a", calls, text("1 < 2")), b, c])).toEqual([shownOf("2 of 3")]);
  expect(broken(story, metadata(1), [a, session("ses_b", done), c])).toEqual([shownOf("2 of 3")]);
  expect(broken(story, metadata(1), [])).toEqual([shownOf("0 of 3")]);
});

test("a session that no call has launched is a task that was never settled, unless the agent has awaited it", () => {
  const more = [...sessions, session("ses_d", done)];
  const awaits = message("assistant", called("task", "", {}, { sessionId: "ses_d" }));
  expect(broken([start, ended, lost], metadata(1), more)).toContain(onceOf("3 of 4"));
  expect(broken([start, awaits, ended, lost], metadata(1), more)).toEqual([]);
});

test("the mark of a model that is not to be relied on hides no outcome", () => {
  const marked = (line: string) => line.replace("):", ") (unstable model: verify):");
  const lostToo = message("user", text(`${tag}\nGo on\n\n${marked(C)}`));
  expect(broken([start, report(marked(A), marked(B)), lostToo], metadata(1))).toEqual([]);
});

test("a task that was lost must stand in a continuation", () => {
  expect(broken([start, ended, report(C), plain], metadata(1))).toEqual([
    "the lost one was named to the agent in a continuation",
  ]);
});

test("a reminder of what was told is not another telling", () => {
  const reminder = message("user", text(`${tag}\nGo on\n- "a" (ses_a): completed, reported above`));
  expect(broken([start, ended, lost, reminder], metadata(2))).toEqual([]);
});

test("what the agent has read by itself tells it once, and no more after it was told", () => {
  const read = message(
    "assistant",
    called("background_output", '"a" (ses_a): completed after 2s.\nIts result:\n1 < 2'),
  );
  const looked = message(
    "assistant",
    called("background_output", '"a" (ses_a): running for 2s.\nIt has said nothing.'),
  );
  expect(broken([start, looked, ended, read, lost], metadata(1))).toEqual([]);
  expect(broken([start, read, read, report(B), lost], metadata(1))).toEqual([]);
  expect(broken([start, read, ended, lost], metadata(1))).toEqual([onceOf("2 of 3")]);
});
