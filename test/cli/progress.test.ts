import { describe, expect, test } from "bun:test";
import type { RunEvent } from "../../src/cli/events.ts";
import { Progress } from "../../src/cli/progress.ts";
import { progressLines } from "../../src/cli/words.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { CHILD, ROOT, T0 } from "../support/builders.ts";

type Status = Extract<RunEvent, { type: "session" }>["status"];

function begin() {
  const clock = new SimulatedClock(T0);
  const lines: string[] = [];
  const progress = new Progress(clock, (event) => lines.push(...progressLines(event, T0)));
  return { clock, lines, tell: (event: RunEvent) => progress.event(event) };
}

function child(status: Status): RunEvent {
  return { type: "session", sessionID: CHILD, parentID: ROOT, title: "Review (@general subagent)", status };
}

function agent(status: Status): RunEvent {
  return { type: "session", sessionID: ROOT, title: "root", status };
}

function waits(...tasks: readonly string[]): RunEvent {
  return { type: "waiting", for: tasks.map((title) => ({ why: "task-live", key: "k", sessionID: title, title })) };
}

const ANSWERED: RunEvent = { type: "ended", exitCode: 0, outcome: "answered", message: "answered" };

describe("the lines for people", () => {
  test("a task has two: its beginning, and how it ended, whichever is told first", async () => {
    const failed: RunEvent = { type: "task", sessionID: CHILD, title: "Review", status: "failed", reason: "bad key" };
    for (const end of [
      [child("idle"), failed],
      [failed, child("idle")],
    ]) {
      const { clock, lines, tell } = begin();
      tell(child("busy"));
      for (const event of end) tell(event);
      await clock.advance(5_000);
      expect(lines).toEqual(['task "Review" works', 'task "Review" failed: bad key']);
    }
  });

  test("one of which nobody tells how it ended has ended its turn", async () => {
    const { clock, lines, tell } = begin();
    tell(child("busy"));
    tell(child("idle"));
    await clock.advance(1_000);
    expect(lines).toEqual(['task "Review" works', 'task "Review" has ended its turn']);
  });

  test("a turn that goes on at once has not ended", async () => {
    const { clock, lines, tell } = begin();
    for (const status of ["busy", "idle", "busy", "retrying", "busy", "retrying"] as const) tell(agent(status));
    await clock.advance(5_000);
    expect(lines).toEqual(["the agent works", "the agent: the provider is asked again"]);
  });

  test("at the end of the run each task has ended, and of the agent the end says enough", () => {
    const { lines, tell } = begin();
    for (const event of [agent("busy"), child("busy"), child("idle"), agent("idle"), ANSWERED]) tell(event);
    expect(lines).toEqual(["the agent works", 'task "Review" works', 'task "Review" has ended its turn', "answered"]);
  });

  test("what is waited for is said when something is added, not when something is done", () => {
    const { lines, tell } = begin();
    for (const event of [waits("a", "b"), waits("b"), waits(), waits("b", "c")]) tell(event);
    expect(lines).toEqual(['waiting for task "a", task "b"', 'waiting for task "b", task "c"']);
  });

  test("how to go on with a goal is the last line", () => {
    const { lines, tell } = begin();
    tell({ type: "ended", exitCode: 4, outcome: "limited", message: "used up", toGoOn: "goalkeeper run -c --resume" });
    expect(lines).toEqual(["used up", "to go on: goalkeeper run -c --resume"]);
  });
});
