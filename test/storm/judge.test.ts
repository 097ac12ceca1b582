/** What `npm run storm` calls a breach. */
import { expect, test } from "bun:test";
import { type Evidence, judge } from "../../scripts/storm/judge.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import type { ModelRequest, StoredMessage } from "../../src/testing/index.ts";
import { aGoalThatIs, aTask } from "../support/builders.ts";

const TASK = "ses_task";
const TOLD = `<goalkeeper kind="continuation" id="msg_2">\nBackground tasks ended: 1 completed.\n- "t1" (${TASK}): completed\n</goalkeeper>`;

function said(id: string, text: string, role: "user" | "assistant" = "user", parentID = ""): StoredMessage {
  const parts = text === "" ? [] : [{ type: "text", text }];
  return { info: { id, role, parentID }, parts } as unknown as StoredMessage;
}

function asked(lastUserText: string): ModelRequest {
  return { kind: "turn", lastUserText } as ModelRequest;
}

const WORKED = {
  id: TASK,
  title: "t1",
  isDeleted: false,
  messages: [said("m", "t1: go"), said("a", "done", "assistant")],
};
const COMPLETE: StoredRoot = {
  version: 1,
  self: "ses_root",
  owner: { host: "h", pid: 1, processStartedAt: 1, instance: "i" },
  claim: 1,
  revision: 1,
  goal: aGoalThatIs("complete"),
  tasks: [],
};
const GOOD: Evidence = {
  messages: [said("msg_1", "begin"), said("msg_2", TOLD), said("msg_3", "Done.", "assistant", "msg_2")],
  stored: COMPLETE,
  children: [WORKED],
  requests: [asked("begin")],
  spoken: ["begin"],
};

test("a story in which everything was told once has none", () => {
  expect(judge(GOOD, false)).toEqual([]);
});

const more = (...messages: readonly StoredMessage[]) => ({ messages: [...GOOD.messages, ...messages] });

test.each<[string, Partial<Evidence>, string]>([
  ["a goal that is not complete", { stored: undefined }, "the goal is gone"],
  ["a task that nobody was told of", { messages: [said("msg_1", "begin")] }, "t1 (ses_task) was never told"],
  [
    "a task that was told twice, also where OpenCode did it",
    more(said("msg_4", `<task id="${TASK}" state="completed">\n</task>`)),
    "t1 (ses_task) was told 2 times",
  ],
  [
    "a message of ours that is there twice",
    more(said("msg_5", TOLD)),
    'the message "continuation msg_2" stands 2 times',
  ],
  [
    "an empty message that was answered",
    more(said("msg_6", ""), said("msg_7", "What?", "assistant", "msg_6")),
    "the empty message msg_6 was answered",
  ],
  ["a request that holds nothing", { requests: [asked(" ")] }, "the model was asked nothing"],
  ["a word of the user's that is there twice", more(said("msg_8", "begin")), '"begin" stands 2 times'],
])("%s is one", (_name, change, breach) => {
  expect(judge({ ...GOOD, ...change }, false)).toContain(breach);
});

test("people make tasks go on, also those that are deleted since, and every run is told", () => {
  const again = more(said("msg_4", `<task id="${TASK}" state="completed">\n</task>`));
  const twice = { ...GOOD, ...again, children: [{ ...WORKED, messages: [...WORKED.messages, said("n", "and more")] }] };
  expect(judge(twice, true)).toEqual([]);
  const stored = { ...COMPLETE, tasks: [aTask({ id: TASK, run: { number: 2, startedAt: 0 } })] };
  const deleted = { ...GOOD, ...again, stored, children: [{ ...WORKED, messages: [], isDeleted: true }] };
  expect(judge(deleted, true)).toEqual([]);
  expect(judge({ ...deleted, stored: COMPLETE }, true)).toEqual(["t1 (ses_task) was told 2 times"]);
});

test("an empty message that nobody has answered is OpenCode's, and what was told before is no second time", () => {
  const reminder = `<goalkeeper kind="continuation" id="msg_9">\n- "t1" (${TASK}): completed, reported above\n</goalkeeper>`;
  expect(judge({ ...GOOD, ...more(said("msg_6", ""), said("msg_9", reminder)) }, false)).toEqual([]);
});
