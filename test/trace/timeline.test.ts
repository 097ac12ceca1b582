import { expect, test } from "bun:test";
import type { Message } from "../../src/delivery/outbox.ts";
import type { HoldReason, ReleaseReason } from "../../src/goals/run-hold.ts";
import type { Observation } from "../../src/keeper/messages.ts";
import type { Task } from "../../src/tasks/task.ts";
import { toRecord } from "../../src/trace/record.ts";
import type { TraceRecord } from "../../src/trace/schema.ts";
import { Timeline, timeline } from "../../src/trace/timeline.ts";
import { painterFor, timelineText } from "../../src/trace/timeline-text.ts";
import {
  CHILD,
  EVERYTHING,
  failed,
  goal,
  host,
  input,
  lost,
  message,
  missing,
  ROOT,
  running,
  task,
} from "./fixtures.ts";

const START = 1_000_000;

/** Observations with the second at which they were made. */
function story(...observed: readonly (readonly [seconds: number, Observation])[]): readonly string[] {
  const records = observed.map(([seconds, observation]) => record(seconds, observation));
  return timeline(records).map((line) => `${line.ms / 1_000} ${line.who}: ${line.what}`);
}

function record(seconds: number, observation: Observation): TraceRecord {
  const entry = toRecord(observation, START + seconds * 1_000, true);
  if (entry === undefined) throw new Error("nothing to record");
  return { seq: 1, pid: 1, root: ROOT, ...entry } as TraceRecord;
}

const busy = host({ type: "session-busy", sessionID: ROOT });
const idle = host({ type: "session-idle", sessionID: ROOT });
const queued: Task = { ...running, status: "queued", waits: { for: "sign", askAt: 0 } } as Task;
const waits = (...untils: readonly number[]): Observation => ({
  type: "decision",
  rootID: ROOT,
  decision: {
    kind: "wait",
    reasons: untils.map((until, index) => ({
      why: "task-live",
      taskID: `${CHILD}${index}`,
      title: `part ${index} (@general subagent)`,
      status: "running",
      until: START + until * 1_000,
    })),
  },
});

test("a stranger reads that a task works on behind the call that made it", () => {
  const observed = { kind: "returned", lookAt: 0, worked: true, output: "", messageID: "msg_1" } as const;
  const returned = { ...running, observed } as Task;
  expect(story([0.5, task(running, returned)], [1, task(returned, running)])).toEqual([
    "0.5 “tests”: works on, though its call has returned: whoever made it tells how it ends",
  ]);
});

test("a stranger reads which task started, how it failed, and that the agent was not told", () => {
  expect(
    story([0, task(undefined, queued, "noticed")], [0.5, task(queued, running)], [1.5, task(running, failed)]),
  ).toEqual(["0.5 “tests”: starts (background)", "1.5 “tests”: failed after 2.5s (APIError 401: s3cret words)"]);
});

test("a task that was launched says when it is queued, when it starts, and who tells of its end", () => {
  const launched = { origin: "launched" } as const;
  const inLine = { ...queued, ...launched, waits: { for: "slot", prompt: "go" } } as Task;
  const sent = { ...inLine, waits: { for: "turn", until: 0 } } as Task;
  const works = { ...running, ...launched } as Task;
  const owed = { ...failed, ...launched, delivery: { state: "pending", teller: "goalkeeper" } } as Task;
  const told = { state: "delivered", sessionID: ROOT, messageID: "msg_1", at: 0, byTurn: false } as const;
  const known = { ...owed, delivery: told } as Task;
  const settled = { ...owed, delivery: { state: "reconciled", at: 0 } } as Task;
  const again = { ...inLine, run: { number: 2, startedAt: START } } as Task;
  expect(
    story(
      [0, task(undefined, inLine, "noticed")],
      [0, task(inLine, sent)],
      [1, task(sent, works)],
      [2, task(works, owed, "looked")],
      [3, task(owed, known)],
      [4, task(known, settled)],
      [5, task(settled, again)],
      [6, task(again, { ...works, run: again.run } as Task)],
    ),
  ).toEqual([
    "0 “tests”: is launched and queued",
    "1 “tests”: starts",
    "2 “tests”: failed after 2.5s (APIError 401: s3cret words); goalkeeper will tell the agent",
    "3 “tests”: the agent has been told how it ended",
    "4 “tests”: the agent has answered: settled",
    "5 “tests”: is queued again (run 2)",
    "6 “tests”: starts (run 2)",
  ]);
});

test("a call that launches is told by its task, and one that launches nothing by itself", () => {
  const call = (state: "completed" | "error", output: string) =>
    host({ type: "tool", sessionID: ROOT, messageID: "msg_2", callID: "c", tool: "background_task", state, output });
  expect(
    story(
      [0, call("completed", 'Launched: "tests" (ses_1). It starts now.')],
      [1, call("completed", 'There is no agent "x". Nothing was started.')],
      [2, call("error", "")],
    ),
  ).toEqual([
    '1 main: has launched nothing: There is no agent "x". Nothing was started.',
    "2 main: its tool background_task failed",
  ]);
});

test("a look is told when it finds no end, for an end tells itself", () => {
  const finished = { kind: "finished", text: "", usage: { tokens: 0, cost: 0 } } as const;
  const look = (reading: "finished" | "aborted" | "unknown", shown: boolean | undefined) =>
    input({
      type: "looked",
      taskID: CHILD,
      run: 1,
      look: {
        shown: shown === undefined ? { kind: "unknown", reason: "" } : { kind: "known", value: shown },
        listed: { kind: "known", value: true },
        reading:
          reading === "unknown"
            ? { kind: "unknown", reason: "" }
            : { kind: "known", value: { ...finished, kind: reading } },
      },
    });
  expect(
    story(
      [0, task(queued, running)],
      [1, look("finished", false)],
      [2, look("aborted", undefined)],
      [3, look("unknown", false)],
    ).slice(1),
  ).toEqual([
    "2 “tests”: is looked at: it was aborted",
    "3 “tests”: is looked at: what it has written cannot be read, and OpenCode does not show it as working",
  ]);
});

test("tasks in different states are counted by state", () => {
  const live = (status: "running" | "queued", title: string) =>
    ({ why: "task-live", taskID: title, title, status, until: START + 60_000 }) as const;
  const wait = (...statuses: readonly ("running" | "queued")[]): Observation => ({
    type: "decision",
    rootID: ROOT,
    decision: { kind: "wait", reasons: statuses.map((status, index) => live(status, `part ${index}`)) },
  });
  expect(story([0, wait("running", "running", "queued")])).toEqual([
    "0 main: waits: 3 tasks are still open (2 running, 1 queued): “part 0”, “part 1”, “part 2” (at most 1m 0s)",
  ]);
  expect(story([0, wait("queued")])).toEqual(["0 main: waits: 1 task is still queued: “part 0” (at most 1m 0s)"]);
});

test("a restart shows who is missing, why, what decides, and who is lost", () => {
  const start = (pid: number): TraceRecord => ({ at: START, seq: 1, pid, root: ROOT, kind: "start", version: 1 });
  const lines = timeline([
    start(1),
    start(2),
    record(0, task(running, missing)),
    record(2, task(missing, lost, "looked")),
  ]).map(({ who, what }) => `${who}: ${what}`);
  expect(lines).toEqual([
    "OpenCode: a new process (2) takes over the books",
    "“tests”: is missing: OpenCode was started again. What it has written decides (grace: 2s)",
    "“tests”: LOST: OpenCode stopped while it was working. Nobody waits for it any longer; the agent will be told",
  ]);
});

test("why it waits and until when is told once, with all its tasks in one phrase", () => {
  expect(story([0, busy], [1, idle], [1, waits(891, 500)], [5, waits(891, 500)], [6, waits(500)])).toEqual([
    "0 main: starts a turn",
    "1 main: has ended its turn",
    "1 main: waits: 2 tasks are still running: “part 0”, “part 1” (at most 14m 50s)",
    "6 main: waits: 1 task is still running: “part 0” (at most 8m 14s)",
  ]);
});

test("a wait that ends at once is not told", () => {
  expect(story([0, idle], [1, waits(891)], [1.01, busy], [2, idle])).toEqual([
    "1.01 main: starts a turn",
    "2 main: has ended its turn",
  ]);
});

test("a reader that follows a growing trace sees a wait as soon as it has lasted", () => {
  const follower = new Timeline();
  expect(follower.add(record(1, waits(891)))).toEqual([]);
  expect(follower.flush(START + 1_010)).toEqual([]);
  expect(follower.flush(START + 1_200).map(({ what }) => what)).toEqual([
    "waits: 1 task is still running: “part 0” (at most 14m 50s)",
  ]);
  expect(follower.flush(START + 9_000)).toEqual([]);
});

test("while the agent works nothing is said about waiting", () => {
  const decision = { kind: "wait", reasons: [{ why: "root-busy", until: START }] } as const;
  expect(story([0, { type: "decision", rootID: ROOT, decision }], [9, busy])).toEqual(["9 main: starts a turn"]);
});

test("a turn that is held says what for, and why it goes on; that nothing is owed needs no words", () => {
  const hold = (...reasons: readonly HoldReason[]): Observation => ({
    type: "hold",
    rootID: ROOT,
    hold: { kind: "hold", reasons, until: START + 61_000 },
  });
  const lets = (why: ReleaseReason): Observation => ({ type: "hold", rootID: ROOT, hold: { kind: "release", why } });
  const live = (status: "running" | "queued", title: string, until = START + 61_000) =>
    ({ why: "task-live", taskID: title, title, status, until }) as const;
  const untold = { why: "outcome-untold", taskID: CHILD, title: "tests", until: START + 63_000 } as const;
  expect(
    story(
      [0, busy],
      [1, hold(live("running", "a"), live("queued", "b"))],
      [2, hold(live("running", "a"))],
      [3, hold(untold)],
      [4, lets("failure")],
      [5, lets("goal-continues")],
      [6, lets("ceiling")],
      [7, lets("interrupted")],
      [8, lets("nothing-owed")],
      [9, hold(live("running", "a", Number.POSITIVE_INFINITY))],
      [10, hold()],
    ).slice(1),
  ).toEqual([
    "1 main: is held: 2 tasks are still open (1 running, 1 queued): “a”, “b” (at most 1m 0s)",
    "2 main: is held: 1 task is still running: “a” (at most 59s)",
    '3 main: is held: how the task "tests" ended is about to be told (at most 1m 0s more)',
    "4 main: goes on: a task has not completed, and the agent is told",
    "5 main: goes on: the goal goes on beside the tasks that still work",
    "6 main: goes on: nobody waits any longer for the tasks that still work",
    "7 main: goes on: you interrupted",
    "9 main: is held: 1 task is still running: “a” (however long that takes)",
  ]);
});

test("what passes through the end of a turn is told by what follows from it", () => {
  expect(
    story(
      [0, host({ type: "turn-held", sessionID: ROOT, messageID: "msg_2", readID: "msg_1" })],
      [1, host({ type: "turn-goes-on", sessionID: ROOT })],
      [2, host({ type: "step-ended", sessionID: ROOT, messageID: "msg_2", readID: "msg_1" })],
    ),
  ).toEqual([]);
});

test("a message that keeps a turn open is called that", () => {
  const waiting: Message = { ...message, kind: "waiting", outcomes: [] };
  const outbox = (state: string): Observation => ({ type: "outbox", rootID: ROOT, state, message: waiting });
  expect(story([0, outbox("reserved")], [0, outbox("sending")])).toEqual([
    "0 main: goalkeeper sends a message that keeps the turn open",
  ]);
});

test("continuations are numbered from the sending to the start, a resend says so", () => {
  const outbox = (state: string): Observation => ({ type: "outbox", rootID: ROOT, state, message });
  const continued: Observation = {
    type: "goal",
    rootID: ROOT,
    before: goal,
    after: { ...goal, turns: 1 },
    event: "continued",
  };
  expect(
    story(
      [0, task(queued, running)],
      [1, outbox("reserved")],
      [1, outbox("sending")],
      [11, outbox("backing-off")],
      [12, outbox("sending")],
      [13, continued],
    ).slice(1),
  ).toEqual([
    "1 main: goalkeeper sends continuation 1, which tells of “tests”",
    "11 main: continuation 1 has started no turn: it is tried again",
    "12 main: goalkeeper sends continuation 1 again, which tells of “tests”",
    "13 main: continuation 1 has started",
  ]);
});

test("the end of a goal names its time, its continuations and its evidence", () => {
  const after = { ...goal, turns: 2, status: "complete", evidence: [{ claim: "a" }], at: START } as const;
  expect(story([75, { type: "goal", rootID: ROOT, before: goal, after, event: "complete" }])).toEqual([
    "0 main: GOAL COMPLETE after 1m 15s and 2 continuations, with 1 piece of evidence",
  ]);
});

test("text that is left out is shown by its length", () => {
  const entry = toRecord(input({ type: "clock" }), START, false);
  expect(entry).toBeDefined();
  const set = toRecord({ type: "goal", rootID: ROOT, before: undefined, after: goal, event: "set" }, START, false);
  const lines = timeline([{ seq: 1, pid: 1, root: ROOT, ...set } as TraceRecord]);
  expect(lines[0]?.what).toBe("a goal is set: (12 characters)");
});

test("every record has something to say or nothing, and never the word undefined", () => {
  for (const observation of EVERYTHING) {
    for (const line of story([0, observation])) expect(line).not.toMatch(/undefined|NaN|Infinity|\[object/);
  }
});

test("on a screen lines are broken under what they say", () => {
  const line = { ms: 12_300, who: "“tests”", what: "one two three four five six seven", tone: "plain" } as const;
  expect(timelineText(line, { width: 52 })).toBe(
    ["   +12.3s  task “tests”         one two three four", `${" ".repeat(32)}five six seven`].join("\n"),
  );
  expect(timelineText({ ...line, who: "“a very long name of a task”" })).toContain("  task “a very long …” one two");
});

test("colours need a terminal, and a user who wants them", () => {
  const painted = (stream: { isTTY?: boolean }, env: Record<string, string>) => painterFor(stream, env)("x", "bad");
  expect(painted({ isTTY: true }, { TERM: "xterm" })).toBe("\u001b[31mx\u001b[0m");
  expect(painted({ isTTY: true }, { NO_COLOR: "1" })).toBe("x");
  expect(painted({ isTTY: true }, { TERM: "dumb" })).toBe("x");
  expect(painted({}, {})).toBe("x");
});
