import { beforeEach, expect, test } from "bun:test";
import { RunAnswer, written } from "../../src/host/run-answer.ts";
import type { RunMode } from "../../src/host/run-mode.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { ROOT, T0 } from "../support/builders.ts";

let clock: SimulatedClock;
/** What was printed, asked and done, in order. */
let done: string[];

beforeEach(() => {
  clock = new SimulatedClock(T0);
  done = [];
});

function answer(format: RunMode["format"], stored: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  const given = new RunAnswer({
    mode: { format },
    clock,
    stored: (rootID) => {
      done.push(`stored ${rootID}`);
      return stored();
    },
    stdout: async (text) => void done.push(`out ${text}`),
    stderr: async (text) => void done.push(`err ${text}`),
    exit: (code) => done.push(`exit ${code}`),
  });
  return given.give("ses_child", ROOT, "Goal: fix it\nState: active");
}

test("the answer is printed as it is, once the books are stored, and the process ends well", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const given = answer("text", () => promise);
  await clock.advance(1_000);
  expect(done).toEqual([`stored ${ROOT}`]);
  resolve();
  await given;
  expect(done.slice(1)).toEqual(["out Goal: fix it\nState: active\n", "exit 0"]);
  expect(clock.pending()).toBe(0);
});

test("with --format json it is one event of one line, of the session that was asked in", async () => {
  await answer("json");
  const [, printed = "", exit] = done;
  expect(JSON.parse(printed.slice("out ".length))).toEqual({
    type: "goalkeeper",
    timestamp: T0,
    sessionID: "ses_child",
    event: "answer",
    message: "Goal: fix it\nState: active",
  });
  expect(printed.match(/\n/g)).toHaveLength(1);
  expect([exit, done.length]).toEqual(["exit 0", 3]);
});

test("books that are not stored within five seconds: the answer is given, with a warning, and the exit code is 1", async () => {
  const given = answer("text", () => new Promise(() => undefined));
  await clock.advance(4_999);
  expect(done).toHaveLength(1);
  await clock.advance(1);
  await given;
  expect(done.slice(1)).toEqual([
    "out Goal: fix it\nState: active\n",
    "err goalkeeper: this was not stored within 5 s and may be lost\n",
    "exit 1",
  ]);
});

test("so do books whose write fails", async () => {
  await answer("text", () => Promise.reject(new Error("disk full")));
  expect(done.at(-1)).toBe("exit 1");
});

test("what was refused is printed as any answer, and the exit code is 1", async () => {
  const given = new RunAnswer({
    mode: { format: "text" },
    clock,
    stored: async () => undefined,
    stdout: async (text) => void done.push(`out ${text}`),
    stderr: async (text) => void done.push(`err ${text}`),
    exit: (code) => done.push(`exit ${code}`),
  });
  await given.give(ROOT, ROOT, "No.", true);
  expect(done).toEqual(["out No.\n", "exit 1"]);
});

test("the process exits once the answer has left it, and not before: a pipe takes it piece by piece", async () => {
  const held: (() => void)[] = [];
  const stream = { write: (_text: string, taken: () => void) => held.push(taken) > 0 };
  const given = new RunAnswer({
    mode: { format: "text" },
    clock,
    stored: async () => undefined,
    stdout: (text) => written(stream as never, text),
    stderr: async () => undefined,
    exit: (code) => done.push(`exit ${code}`),
  });
  const whole = given.give(ROOT, ROOT, "x".repeat(200_000));
  await clock.advance(60_000);
  expect([held.length, done]).toEqual([1, []]);
  held[0]?.();
  await whole;
  expect(done).toEqual(["exit 0"]);
});
