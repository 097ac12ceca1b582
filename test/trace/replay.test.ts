import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProviderError } from "../../src/host/port.ts";
import { replay } from "../../src/trace/replay.ts";
import { replayText } from "../../src/trace/replay-text.ts";
import type { TraceRecord } from "../../src/trace/schema.ts";
import { VOICE } from "../support/builders.ts";
import { ROOT } from "./fixtures.ts";
import { type LifeOptions, RecordedLife } from "./lives.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "replay-test-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function newLife(options: Partial<LifeOptions> = {}): RecordedLife {
  return new RecordedLife({ directory, ...options });
}

/** A goal that goes on by itself, with a task that ends beside it. */
function usual(): RecordedLife {
  const life = newLife();
  life.seen(ROOT);
  life.goal();
  life.turn();
  life.launch("ses_task");
  life.wait(1_000);
  life.host({ type: "session-busy", sessionID: "ses_task" });
  life.wait(2_000);
  life.host({ type: "session-idle", sessionID: "ses_task" });
  life.wait(20_000);
  life.turn();
  life.close();
  return life;
}

/** Everything of a trace comes out the same again, and there is something that could come out. */
function expectSame(trace: readonly TraceRecord[], lives = 1): void {
  const replayed = replay(trace);
  expect(replayed.map(({ stopped, differences }) => ({ stopped, differences }))).toEqual(
    Array.from({ length: lives }, () => ({ stopped: undefined, differences: [] })),
  );
  for (const { transitions, records } of replayed) expect(Math.min(transitions, records)).toBeGreaterThan(0);
}

/** As if the line had been written otherwise. */
function tampered(
  trace: readonly TraceRecord[],
  isIt: (record: TraceRecord) => boolean,
  change: (record: never) => object,
): { readonly lines: readonly TraceRecord[]; readonly seq: number } {
  const at = trace.findIndex(isIt);
  const record = trace[at];
  if (record === undefined) throw new Error("there is no such line");
  return { lines: trace.with(at, { ...record, ...change(record as never) } as TraceRecord), seq: record.seq };
}

test("a goal with a task comes out the same again, under the ids that it had", () => {
  const trace = usual().trace();
  expectSame(trace);
  const sent = trace.filter((record) => record.kind === "outbox" && record.message !== undefined);
  expect(sent.length).toBeGreaterThan(0);
});

test("a person is told how much was replayed", () => {
  const [life] = replay(usual().trace());
  expect(life === undefined ? [] : replayText(life)).toEqual([
    expect.stringMatching(/^replayed \d+ records: \d+ transitions and \d+ decisions came out the same$/),
  ]);
});

describe("what is not as it was is reported with its line", () => {
  test("a decision", () => {
    const isWait = (record: TraceRecord) => record.kind === "decision" && record.decision.kind === "wait";
    const stop = { decision: { kind: "stop", reason: { why: "no-goal" } } };
    const { lines, seq } = tampered(usual().trace(), isWait, () => stop);
    const [life] = replay(lines);
    expect(life?.different).toBe(1);
    expect(life?.differences).toMatchObject([{ seq, recorded: stop, replayed: { decision: { kind: "wait" } } }]);
    expect(life === undefined ? [] : replayText(life).slice(1, 3)).toEqual([
      expect.stringMatching(new RegExp(`^line ${seq}, \\+\\d.*: {"kind":"decision"`)),
      `  decision.kind: recorded "stop", replayed "wait"`,
    ]);
  });

  test("an input: what follows from another one is something else", () => {
    const isLaunch = (record: TraceRecord) => record.kind === "input" && record.input.type === "launched";
    const { lines } = tampered(usual().trace(), isLaunch, ({ input }: { input: object }) => ({
      input: { ...input, title: "another title" },
    }));
    const [life] = replay(lines);
    expect(life?.differences[0]?.recorded).toMatchObject({ kind: "task", event: "launched", title: "ses_task" });
    expect(life?.differences[0]?.replayed).toMatchObject({ title: "another title" });
  });

  test("an input of which more comes than is recorded, and one of which less comes", () => {
    const trace = usual().trace();
    const isDecision = (record: TraceRecord) => record.kind === "decision";
    const cut = trace.filter((record) => record !== trace.find(isDecision));
    const lines = cut.map((record, index) => ({ ...record, seq: index + 1 }));
    expect(replay(lines)[0]?.differences[0]).toMatchObject({ replayed: { kind: "decision" } });
    const isSave = (record: TraceRecord) => record.kind === "input" && record.input.type === "goal";
    const { lines: cleared } = tampered(trace, isSave, ({ input }: { input: object }) => ({
      input: { ...input, event: "clear" },
    }));
    expect(replay(cleared)[0]?.differences[0]).toMatchObject({ recorded: { kind: "goal" }, replayed: undefined });
  });

  test("an option that was another one", () => {
    const isStart = (record: TraceRecord) => record.kind === "start";
    const { lines } = tampered(usual().trace(), isStart, ({ config }: { config: { gate: object } }) => ({
      config: { ...config, gate: { ...config.gate, autoContinue: false } },
    }));
    expect(replay(lines)[0]?.different).toBeGreaterThan(0);
  });

  test("and no more than a few of many", () => {
    const isStart = (record: TraceRecord) => record.kind === "start";
    const { lines } = tampered(usual().trace(), isStart, () => ({ adopts: false }));
    const moved = lines.map((record) => ("origin" in record ? { ...record, run: 7 } : record));
    const [life] = replay(moved, { mostDifferences: 1 });
    expect(life?.different).toBeGreaterThan(1);
    expect(life?.differences.length).toBe(1);
    expect(life === undefined ? [] : replayText(life).at(-1)).toMatch(/^and \d+ more$/);
  });
});

describe("what cannot be replayed says why", () => {
  const why = (lines: readonly TraceRecord[]) =>
    replay(lines).map(({ stopped, records }) => [stopped?.why, records > 0]);

  test("a trace without its beginning", () => {
    expect(why(usual().trace().slice(1))).toEqual([["its beginning is missing", false]]);
  });

  test("one of version 1", () => {
    const lines = usual()
      .trace()
      .map(({ life: _life, ...record }) => (record.kind === "start" ? { ...record, version: 1 } : record));
    expect(why(lines as TraceRecord[])).toEqual([["it is of version 1 of the format; version 3 is needed", false]]);
  });

  test("what comes after lines that are missing, whether or not the trace says that they are", () => {
    const trace = usual().trace();
    expect(why(trace.filter((_record, index) => index !== 9))).toEqual([["lines before this one are missing", true]]);
    const gap = { ...trace[9], kind: "gap", dropped: 3 } as TraceRecord;
    expect(why(trace.with(9, gap))).toEqual([["lines before this one are missing", true]]);
  });

  test("what comes after an error of which only words tell what can be done", () => {
    const life = newLife();
    life.seen(ROOT);
    life.goal();
    // A moment in words is a text like any other.
    const said = { type: "usage_limit_reached", resets_at: "Wed, 15 Nov 2023 22:13:20 GMT" };
    const error: ProviderError = { name: "APIError", message: "no", body: JSON.stringify({ error: said }) };
    life.host({ type: "session-error", sessionID: ROOT, error });
    expect(why(life.trace())).toEqual([
      ["what can be done about this error stands only in its words, which no trace keeps", true],
    ]);
  });
});

test("two lives that share a file, a process or both are replayed one by one", () => {
  const life = newLife();
  const other = newLife({ clock: life.clock });
  for (const one of [life, other, life, other]) {
    one.seen(ROOT);
    one.turn();
    one.goal();
  }
  expectSame(life.trace(), 2);
});

test("a process that was killed while it wrote has not written everything of its last input", () => {
  const life = newLife();
  life.seen(ROOT);
  life.goal();
  const trace = life.trace();
  expectSame(trace.slice(0, trace.findIndex(({ kind }) => kind === "goal") + 1));
});

describe("what is not in the inputs of a root is recorded beside them:", () => {
  test("signs of life, on which it depends when the host is asked", () => {
    const life = newLife();
    life.seen(ROOT);
    life.goal();
    life.launch("ses_task");
    life.wait(1_000);
    life.host({ type: "session-busy", sessionID: "ses_task" });
    for (let times = 0; times < 8; times++) {
      life.wait(20_000);
      life.keeper.manager.signs.mark("ses_task", life.clock.at);
    }
    life.wait(100_000);
    expect(life.trace().some((record) => record.kind === "input" && record.signs !== undefined)).toBe(true);
    expectSame(life.trace());
  });

  test("sessions that were known before the root had a trace, or before it was known whose they are", () => {
    const life = newLife();
    life.seen("ses_grandchild", "ses_child");
    life.host({ type: "session-busy", sessionID: "ses_grandchild" });
    life.seen(ROOT);
    life.goal();
    // Only now the grandchild is one of this root, and works.
    life.seen("ses_child", ROOT);
    life.wait(1_000);
    life.host({ type: "session-idle", sessionID: "ses_grandchild" });
    life.wait(5_000);
    expect(life.trace().some((record) => record.kind === "task" && record.taskID === "ses_grandchild")).toBe(true);
    expectSame(life.trace());
  });

  test("sessions that were forgotten: what works below one of them is seen with it again", () => {
    const life = newLife();
    life.seen(ROOT);
    life.seen("ses_child", ROOT);
    life.goal();
    life.wait(100_000);
    expect(life.trace().some((record) => record.kind === "forgotten")).toBe(true);
    life.seen("ses_grandchild", "ses_child");
    life.host({ type: "session-busy", sessionID: "ses_grandchild" });
    life.seen("ses_child", ROOT);
    life.wait(1_000);
    expect(life.trace().some((record) => record.kind === "task" && record.taskID === "ses_grandchild")).toBe(true);
    expectSame(life.trace());
  });

  test("sessions whose idle was missed", () => {
    const life = newLife();
    life.seen("ses_child", ROOT);
    life.host({ type: "session-busy", sessionID: "ses_child" });
    life.seen(ROOT);
    life.host({ type: "session-busy", sessionID: ROOT });
    life.wait(65_000);
    life.dispatch({ type: "statuses", answer: { kind: "known", value: new Map([[ROOT, "busy"]]) } });
    expect(life.trace().some((record) => record.kind === "rested")).toBe(true);
    // A child that worked would be a task of it.
    life.goal();
    life.wait(31_000);
    expectSame(life.trace());
  });

  test("slots that tasks of other sessions have", () => {
    const life = newLife({ config: { concurrency: 1 } });
    for (const id of [ROOT, "ses_other"]) life.seen(id);
    life.launch("ses_theirs", "ses_other");
    life.wait(1_000);
    life.launch("ses_ours");
    life.wait(1_000);
    life.host({ type: "session-busy", sessionID: "ses_theirs" });
    life.wait(1_000);
    life.host({ type: "session-idle", sessionID: "ses_theirs" });
    life.wait(10_000);
    life.host({ type: "session-busy", sessionID: "ses_ours" }, { type: "session-idle", sessionID: "ses_ours" });
    life.wait(10_000);
    const seats = life.trace().flatMap((record) => (record.kind === "seats" ? [record.taken] : []));
    expect(seats).toEqual([["p/m"], []]);
    expectSame(life.trace());
    expectSame(life.trace("ses_other"));
  });

  test("what a message in another session says of a task of this one", () => {
    const life = newLife();
    for (const id of [ROOT, "ses_other"]) life.seen(id);
    life.launch("ses_task");
    life.host({ type: "session-busy", sessionID: "ses_other" }, { type: "session-busy", sessionID: "ses_task" });
    life.wait(91_000);
    life.dispatch({ type: "statuses", answer: { kind: "known", value: new Map([["ses_other", "busy"]]) } });
    const lost = [{ taskID: "ses_task", run: 1 }];
    const text = { text: "", synthetic: true, ignored: false, lost };
    life.host({ type: "user-text", sessionID: "ses_other", messageID: life.messageID(), ...text });
    const told = life.trace().find((record) => record.kind === "task" && record.event === "told-lost");
    expect(told).toMatchObject({ before: { status: "missing" }, after: { status: "lost" } });
    expectSame(life.trace());
  });

  test("the tasks that a message names", () => {
    const life = newLife();
    life.seen(ROOT);
    life.goal();
    life.seen("ses_adopted", ROOT);
    life.host({ type: "session-busy", sessionID: "ses_adopted" }, { type: "session-idle", sessionID: "ses_adopted" });
    life.wait(600);
    const messageID = life.messageID();
    const text = "The agent ses_adopted has finished. A secret.";
    life.host(
      { type: "user-message", sessionID: ROOT, messageID, voice: VOICE },
      { type: "user-text", sessionID: ROOT, messageID, text, synthetic: false, ignored: false },
    );
    const told = life.trace().find((record) => record.kind === "task" && record.event === "maker-told");
    expect(told).toBeDefined();
    expect(JSON.stringify(life.trace())).not.toContain("secret");
    expectSame(life.trace());
  });

  test("the end of a turn from before a reload", () => {
    const life = newLife();
    life.seen(ROOT);
    life.goal();
    const [spoken, old] = [life.messageID(), life.messageID()];
    const aborted = { name: "MessageAbortedError", message: "Aborted" };
    const child = { sessionID: "ses_old", background: false, title: "old" };
    const call = { tool: "task", state: "error", output: "Tool execution aborted", child } as const;
    life.seen("ses_old", ROOT);
    life.host({ type: "session-busy", sessionID: "ses_old" });
    const ended = { summary: false, completedAt: life.clock.at, error: aborted, usage: undefined } as const;
    life.host(
      { type: "user-message", sessionID: ROOT, messageID: spoken, voice: VOICE },
      { type: "session-error", sessionID: ROOT, error: aborted },
      { type: "tool", sessionID: ROOT, messageID: old, callID: "call_1", ...call, fromBefore: true },
      { type: "assistant-message", sessionID: ROOT, messageID: old, parentID: "msg_0", ...ended, fromBefore: true },
      { type: "session-idle", sessionID: ROOT },
    );
    life.wait(10_000);
    expect(life.trace().some((record) => record.kind === "goal" && record.event === "pause")).toBe(false);
    expectSame(life.trace());
  });

  test("a call of a tool of ours that another plugin has answered", () => {
    const life = newLife();
    life.seen(ROOT);
    life.goal();
    const call = { callID: "call_1", tool: "update_goal", state: "completed", output: "their words" } as const;
    const messageID = life.messageID();
    life.host({ type: "tool", sessionID: ROOT, messageID, ...call, byOther: true });
    expect(life.trace().some((record) => record.kind === "goal" && record.event === "pause")).toBe(true);
    expectSame(life.trace());
  });

  test.each([
    { name: "APIError", message: "Overloaded", statusCode: 429, headers: { "retry-after": "120" } },
    { name: "APIError", message: "x", statusCode: 400, body: '{"error":{"code":"insufficient_quota","message":"hi"}}' },
    { name: "APIError", message: "x", body: '{"error":{"type":"usage_limit_reached","resets_in_seconds":7200}}' },
    { name: "UnknownError", message: "Model not found: some/model. A secret." },
    { name: "ContextOverflowError", message: "too long", final: true },
    { name: "APIError", message: "lost", isRetryable: true },
  ] satisfies ProviderError[])("what a provider says of an error: %j", (error) => {
    const life = newLife();
    life.seen(ROOT);
    life.goal();
    const messageID = life.messageID();
    life.host(
      { type: "user-message", sessionID: ROOT, messageID, voice: VOICE },
      { type: "session-busy", sessionID: ROOT },
      { type: "session-error", sessionID: ROOT, error },
      { type: "session-idle", sessionID: ROOT },
    );
    life.wait(700);
    life.host({ type: "session-idle", sessionID: ROOT });
    life.wait(10_000_000);
    expect(life.trace().filter(({ kind }) => kind === "goal").length).toBeGreaterThan(
      error.name.startsWith("C") ? 0 : 1,
    );
    expect(JSON.stringify(life.trace())).not.toContain("secret");
    expectSame(life.trace());
  });

  test("what is left of a root whose session was deleted", () => {
    const life = newLife();
    life.seen(ROOT);
    life.goal();
    life.launch("ses_task");
    life.wait(1_000);
    life.host({ type: "session-deleted", sessionID: ROOT });
    life.wait(700_000);
    life.host({ type: "session-busy", sessionID: "ses_nobody" });
    const cleanups = life.trace().filter((record) => record.kind === "task" && record.event === "cleanup");
    expect(cleanups).toHaveLength(1);
    expectSame(life.trace());
  });
});
