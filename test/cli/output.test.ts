import { describe, expect, test } from "bun:test";
import type { RunEvent } from "../../src/cli/events.ts";
import { promptFrom } from "../../src/cli/input.ts";
import { Interrupts } from "../../src/cli/interrupts.ts";
import { writer } from "../../src/cli/output.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { ROOT, T0 } from "../support/builders.ts";

const TEXT: RunEvent = { type: "text", sessionID: ROOT, messageID: "msg_1", text: "two\nlines" };
const ENDED: RunEvent = { type: "ended", exitCode: 3, outcome: "blocked", message: "the goal is blocked: no key" };

function written(format: "text" | "json", events: readonly RunEvent[], isTTY = false, env = {}) {
  const out = { stdout: "", stderr: "" };
  const sink = (name: keyof typeof out) => ({
    isTTY,
    write: (text: string) => {
      out[name] += text;
    },
  });
  const write = writer(format, { stdout: sink("stdout"), stderr: sink("stderr"), env }, new SimulatedClock(T0));
  for (const event of events) write(event);
  return out;
}

describe("what a run writes", () => {
  test("for people: the answers on stdout, all else on stderr", () => {
    expect(written("text", [TEXT, ENDED])).toEqual({
      stdout: "two\nlines\n",
      stderr: "goalkeeper: the goal is blocked: no key\n",
    });
  });

  test("for programs: one line of JSON each on stdout, and nothing else", () => {
    const { stdout, stderr } = written("json", [TEXT, ENDED]);
    expect(stderr).toBe("");
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { ...TEXT, at: T0 },
      { ...ENDED, at: T0 },
    ]);
  });

  test("colours in a terminal alone, and not against the user's wish", () => {
    expect(written("text", [ENDED], true).stderr).toContain("\u001b[");
    expect(written("text", [ENDED], true, { NO_COLOR: "1" }).stderr).not.toContain("\u001b[");
    expect(written("text", [TEXT], true).stdout).toBe("two\nlines\n");
  });
});

describe("the prompt", () => {
  async function* piped(...chunks: readonly string[]) {
    yield* chunks;
  }

  test("as it was given; then nothing is read from a pipe that nobody may ever close", async () => {
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) };
    expect(await promptFrom("given", never)).toBe("given");
  });

  test("else what is piped in", async () => {
    expect(await promptFrom(undefined, piped("one ", "two\n"))).toBe("one two");
  });

  test("is missing when nothing is piped in, or a person sits there", async () => {
    const terminal = { isTTY: true, [Symbol.asyncIterator]: () => piped() };
    await expect(promptFrom(undefined, piped("\n"))).rejects.toThrow("the standard input is empty");
    await expect(promptFrom(undefined, terminal)).rejects.toThrow("The prompt is missing");
  });
});

describe("wishes to end", () => {
  test("the first is kind; the second ends it at once", () => {
    const interrupts = new Interrupts();
    let acts = 0;
    interrupts.beforeTheEnd(() => {
      acts++;
    });
    expect([interrupts.ask(T0), interrupts.first.aborted]).toEqual(["kindly", true]);
    expect(interrupts.ask(T0 + 1_000)).toBe("at-once");
    expect(acts).toBe(0);
    interrupts.act();
    expect(acts).toBe(1);
  });

  test("one Ctrl-C that comes twice is one: npx passes on what the terminal has sent already", () => {
    const interrupts = new Interrupts();
    expect([interrupts.ask(T0), interrupts.ask(T0 + 20), interrupts.ask(T0 + 250)]).toEqual([
      "kindly",
      "heard",
      "at-once",
    ]);
  });
});
