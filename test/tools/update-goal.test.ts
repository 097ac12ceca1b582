import { beforeEach, describe, expect, test } from "bun:test";
import type { GoalEvent } from "../../src/goals/goal.ts";
import type { CheckResult } from "../../src/host/completion-check.ts";
import { updateGoal } from "../../src/tools/update-goal.ts";
import { Desk } from "./desk.ts";

const PASSED: CheckResult = { kind: "passed" };
const COMPLETE = { status: "complete", evidence: [{ claim: "npm test passes" }] };
const SET: GoalEvent = { type: "set", id: "goal_1", objective: "fix it" };

/** A goal, and a completion check that ends when the test says so. */
class Checked {
  readonly ends: ((result: CheckResult) => void)[] = [];
  readonly call: (abort?: AbortSignal) => Promise<string>;

  constructor(readonly desk: Desk) {
    const { root } = desk;
    const tool = updateGoal({
      ...desk.goalTools(),
      check: () => new Promise((resolve) => this.ends.push(resolve)),
    });
    this.call = (abort) => {
      const context = { sessionID: root, messageID: "msg_call", agent: "build" };
      return tool.execute(COMPLETE, abort === undefined ? context : { ...context, abort });
    };
    this.happens(SET);
  }

  happens(event: GoalEvent): void {
    this.desk.keeper.dispatch({ type: "goal", rootID: this.desk.root, event });
  }

  get toasts(): readonly string[] {
    return this.desk.host.toasts.map(({ message }) => message);
  }

  get status(): string | undefined {
    return this.desk.keeper.goal(this.desk.root)?.status;
  }

  /** Lets what is under way get to its check, and the n-th check end. */
  async ended(check = 0, result = PASSED): Promise<void> {
    await this.desk.pass();
    this.ends[check]?.(result);
    await this.desk.pass();
  }
}

let checked: Checked;

beforeEach(async () => {
  checked = new Checked(await Desk.open());
});

describe("a goal whose completion check runs", () => {
  test("is complete when it passes", async () => {
    const answer = checked.call();
    await checked.ended();
    expect(await answer).toStartWith("The goal is complete.");
    expect(checked.status).toBe("complete");
  });

  test.each<[string, GoalEvent[], string | undefined, RegExp]>([
    ["pause", [{ type: "pause", by: "user", reason: "you said so" }], "paused", /the user has paused the goal/],
    ["clear", [{ type: "clear" }], undefined, /was cleared/],
    ["another goal", [{ ...SET, id: "goal_2" }], "active", /another goal was set/],
    ["edit", [{ type: "edit", objective: "fix more" }], "active", /its objective was changed/],
    ["a blocker", [{ type: "blocked", blocker: "no key" }], "blocked", /is blocked: no key/],
  ])("is not complete after: %s; the answer says what happened", async (_, events, status, says) => {
    const answer = checked.call();
    await checked.desk.pass();
    for (const event of events) checked.happens(event);
    await checked.ended();
    expect(await answer).toMatch(/^Not complete: /);
    expect(await answer).toMatch(says);
    expect(checked.status).toBe(status);
  });

  test("is complete when a limit was reached meanwhile, or it was resumed", async () => {
    const answer = checked.call();
    await checked.desk.pass();
    checked.happens({ type: "pause", by: "user", reason: "you said so" });
    checked.happens({ type: "resume", liveTaskIDs: [] });
    checked.happens({ type: "limit-reached", limit: "25 turns" });
    await checked.ended();
    expect(await answer).toStartWith("The goal is complete.");
  });
});

describe("calls side by side", () => {
  test("share one check", async () => {
    const answers = [checked.call(), checked.call(), checked.call()];
    await checked.ended();
    expect(checked.ends).toHaveLength(1);
    const said = await Promise.all(answers);
    expect(said[0]).toStartWith("The goal is complete.");
    expect(said.slice(1)).toEqual(["The goal is complete already.", "The goal is complete already."]);
  });

  test("are all told that it failed, the user once, and the next call has a check of its own", async () => {
    const answers = [checked.call(), checked.call()];
    await checked.ended(0, { kind: "failed", how: "ended with exit code 1", output: "" });
    for (const answer of answers) expect(await answer).toContain("exit code 1");
    expect(checked.toasts).toEqual([
      "Not complete yet: the completion check ended with exit code 1. The agent was told.",
    ]);
    const next = checked.call();
    await checked.ended(1);
    expect(await next).toStartWith("The goal is complete.");
  });

  test("the user who has paused the goal meanwhile is not told that the check failed", async () => {
    const answer = checked.call();
    await checked.desk.pass();
    checked.happens({ type: "pause", by: "user", reason: "you said so" });
    await checked.ended(0, { kind: "failed", how: "ended with exit code 1", output: "" });
    expect(await answer).toStartWith("Not complete: the user has paused the goal meanwhile");
    expect(checked.toasts).toEqual(["Goal paused by you. /goal resume goes on."]);
  });

  test("do not share one that the user has aborted, or that was for another objective", async () => {
    const abort = new AbortController();
    const answers = [checked.call(abort.signal)];
    await checked.desk.pass();
    abort.abort();
    answers.push(checked.call());
    await checked.desk.pass();
    checked.happens({ type: "edit", objective: "fix more" });
    answers.push(checked.call());
    await checked.desk.pass();
    expect(checked.ends).toHaveLength(3);
    for (const end of [0, 1, 2]) await checked.ended(end);
    expect((await Promise.all(answers)).map((said) => said.split(".")[0])).toEqual([
      "Not complete: its objective was changed meanwhile",
      "Not complete: its objective was changed meanwhile",
      "The goal is complete",
    ]);
  });
});
