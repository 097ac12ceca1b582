import { beforeEach, expect, test } from "bun:test";
import { KEPT_MS, UnneededSessions, type Use } from "../../src/tasks/unneeded-sessions.ts";
import { T0 } from "../support/builders.ts";

let now: number;
let uses: Record<string, Use>;
let forgotten: string[];
let asked: number;
let sessions: UnneededSessions;

beforeEach(() => {
  now = T0;
  uses = {};
  forgotten = [];
  asked = 0;
  sessions = new UnneededSessions({
    now: () => now,
    useOf: (sessionID) => uses[sessionID] ?? "none",
    forget: (sessionID) => {
      forgotten.push(sessionID);
      sessions.forgotten(sessionID);
    },
    askStatuses: () => asked++,
  });
});

function tickAfter(ms: number): void {
  now += ms;
  sessions.tick();
}

test("nothing is waited for before anything was heard", () => {
  expect(sessions.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("each is looked at as long after it was heard of last, and not before", () => {
  sessions.heard("ses_a");
  now += 10;
  sessions.heard("ses_b");
  sessions.heard("ses_a");
  expect(sessions.deadline()).toBe(T0 + 10 + KEPT_MS);
  tickAfter(KEPT_MS - 1);
  expect(forgotten).toEqual([]);
  tickAfter(1);
  expect(forgotten).toEqual(["ses_b", "ses_a"]);
  expect(sessions.deadline()).toBe(Number.POSITIVE_INFINITY);
});

test("one that is needed is looked at again, later", () => {
  uses.ses_a = "needed";
  sessions.heard("ses_a");
  tickAfter(KEPT_MS);
  expect(sessions.deadline()).toBe(now + KEPT_MS);
  uses.ses_a = "none";
  tickAfter(KEPT_MS);
  expect(forgotten).toEqual(["ses_a"]);
});

test("one that is held sets no deadline until it is heard of again", () => {
  uses.ses_a = "held";
  sessions.heard("ses_a");
  tickAfter(KEPT_MS);
  expect(sessions.deadline()).toBe(Number.POSITIVE_INFINITY);
  expect(forgotten).toEqual([]);
});

test("the host is asked once for all that are doubtful, and what it does not show has come to rest", () => {
  for (const id of ["ses_a", "ses_b", "ses_c"]) {
    uses[id] = "doubtful";
    sessions.heard(id);
  }
  tickAfter(KEPT_MS);
  expect(asked).toBe(1);
  sessions.heard("ses_c");
  expect(sessions.resting(new Set(["ses_a"]))).toEqual(["ses_b"]);
  expect(sessions.resting(new Set())).toEqual([]);
});
