import { expect, test } from "bun:test";
import { frame } from "../../src/delivery/frame.ts";
import type { Observation } from "../../src/keeper/messages.ts";
import { readLine, readTrace } from "../../src/trace/read.ts";
import { toRecord } from "../../src/trace/record.ts";
import { CHILD, EVERYTHING, failed, goal, host, ROOT, running, SECRET, task } from "./fixtures.ts";

const AT = 1_002_000;

function line(observation: Observation, withText = false): string {
  return JSON.stringify({ seq: 1, pid: 1, root: ROOT, ...toRecord(observation, AT, withText) });
}

test("no text of a user, a model, a task or a provider is in a trace unless it was asked for", () => {
  for (const observation of EVERYTHING) expect(line(observation)).not.toContain(SECRET);
});

test("with text asked for, the same observations show it", () => {
  const shown = EVERYTHING.filter((observation) => line(observation, true).includes(SECRET));
  expect(shown.length).toBeGreaterThan(25);
});

test("instead of a text its length is kept", () => {
  const entry = toRecord(host({ type: "assistant-text", sessionID: ROOT, text: "twelve chars" }), AT, false);
  expect(entry).toMatchObject({ kind: "host", event: { type: "assistant-text", text: 12 } });
});

test("everything that is written can be read back unchanged", () => {
  for (const withText of [false, true]) {
    for (const observation of EVERYTHING) {
      const written = line(observation, withText);
      const read = readLine(written);
      expect(read.kind === "record" ? JSON.parse(JSON.stringify(read.record)) : written).toEqual(JSON.parse(written));
    }
  }
});

test("a failed task keeps what a reader needs: how long it ran, the error's name and status, whether it was told", () => {
  expect(toRecord(task(running, failed), AT, false)).toMatchObject({
    kind: "task",
    taskID: CHILD,
    before: { status: "running", observed: "alive" },
    after: { status: "failed", ranMs: 2_500, delivery: "undelivered", error: { name: "APIError", statusCode: 401 } },
  });
});

test("why the gate waits is kept with its moments", () => {
  const decision = {
    kind: "wait",
    reasons: [
      { why: "back-off", failures: 2, until: AT + 5 },
      { why: "quiet", endedBy: "user" },
    ],
  } as const;
  expect(toRecord({ type: "decision", rootID: ROOT, decision }, AT, false)).toEqual({
    at: AT,
    kind: "decision",
    decision,
  } as never);
});

test("why a turn is held is kept with its moments; a wait without an end has none", () => {
  const live = { why: "task-live", taskID: CHILD, title: "tests", status: "running" } as const;
  const record = (until: number) =>
    toRecord({ type: "hold", rootID: ROOT, hold: { kind: "hold", reasons: [{ ...live, until }], until } }, AT, false);
  expect(record(AT + 5)).toMatchObject({
    kind: "hold",
    hold: { kind: "hold", reasons: [{ ...live, until: AT + 5 }], until: AT + 5 },
  });
  const endless = JSON.parse(JSON.stringify(record(Number.POSITIVE_INFINITY)));
  expect(endless.hold).not.toHaveProperty("until");
  expect(endless.hold.reasons[0]).not.toHaveProperty("until");
});

test("what is sent into a turn that works is told from a prompt", () => {
  const prompt = {
    sessionID: ROOT,
    messageID: "msg_1",
    partID: "prt_1",
    text: SECRET,
    voice: undefined,
    synthetic: true,
  };
  const send = (deposit: boolean) =>
    toRecord({ type: "effect", rootID: ROOT, effect: { type: "send", rootID: ROOT, prompt, deposit } }, AT, false);
  expect(send(true)).toMatchObject({ kind: "effect", effect: { type: "send", deposit: true } });
  expect(JSON.stringify(send(false))).not.toContain('"deposit":true');
});

test("a reason in our own words is kept, one in a provider's words is not", () => {
  const paused = (by: "no-progress" | "error") =>
    toRecord(
      {
        type: "goal",
        rootID: ROOT,
        before: goal,
        after: { ...goal, status: "paused", by, reason: "2 turns", at: AT },
        event: "turn-ended",
      },
      AT,
      false,
    );
  expect(paused("no-progress")).toMatchObject({ by: "no-progress", reason: "2 turns" });
  expect(paused("error")).toMatchObject({ by: "error", reason: 7 });
});

test("a text of ours is recognised by its tag, although the text itself is left out", () => {
  const text = frame("continuation", "msg_7", SECRET);
  const event = {
    type: "user-text",
    sessionID: ROOT,
    messageID: "msg_8",
    text,
    synthetic: true,
    ignored: false,
  } as const;
  expect(toRecord(host(event), AT, false)).toMatchObject({ event: { frame: { kind: "continuation", id: "msg_7" } } });
});

test("a very long text is cut even when text is asked for", () => {
  const entry = toRecord(host({ type: "assistant-text", sessionID: ROOT, text: "x".repeat(1_000_000) }), AT, true);
  expect(JSON.stringify(entry).length).toBeLessThan(11_000);
});

test("a torn line and lines of a later version are counted, not thrown", () => {
  const good = line({ type: "decision", rootID: ROOT, decision: { kind: "stop", reason: { why: "no-goal" } } });
  const alien = JSON.stringify({ at: 1, seq: 1, pid: 1, root: ROOT, kind: "telepathy" });
  const read = readTrace(`${good}\n{"at":1,"se\n${alien}\n42\nnull\n\n${good}\n${good.slice(0, 20)}`);
  expect({ records: read.records.length, torn: read.torn, unknown: read.unknown }).toEqual({
    records: 2,
    torn: 2,
    unknown: 3,
  });
});
