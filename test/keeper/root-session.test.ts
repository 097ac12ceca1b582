import { beforeEach, describe, expect, test } from "bun:test";
import type { GoalEvent } from "../../src/goals/goal.ts";
import type { HostEvent } from "../../src/host/port.ts";
import { RootSession } from "../../src/keeper/root-session.ts";
import type { Task } from "../../src/tasks/task.ts";
import { anAbortedTask, aTask, ROOT, T0 } from "../support/builders.ts";

const ABORTED = { name: "MessageAbortedError", message: "aborted" };
const PAUSED: GoalEvent = { type: "pause", by: "user", reason: "you interrupted" };

const BUSY: HostEvent = { type: "session-busy", sessionID: ROOT };
const IDLE: HostEvent = { type: "session-idle", sessionID: ROOT };
const ERROR: HostEvent = { type: "session-error", sessionID: ROOT, error: ABORTED };
const SPOKEN: HostEvent = {
  type: "user-text",
  sessionID: ROOT,
  messageID: "msg_5",
  text: "go on",
  synthetic: false,
  ignored: false,
};

/** An aborted answer, to an earlier message than {@link SPOKEN}. */
function answered(more: { readonly fromBefore?: true } = {}): HostEvent {
  const message = { sessionID: ROOT, messageID: "msg_2", parentID: "msg_1", summary: false } as const;
  return { type: "assistant-message", ...message, completedAt: T0, error: ABORTED, usage: undefined, ...more };
}

/** A session, with what it tells of. */
class Watched {
  now = T0;
  tasks: readonly Task[] = [];
  readonly told: (GoalEvent | "interrupted")[] = [];
  readonly session = new RootSession(ROOT, {
    now: () => this.now,
    tasks: () => this.tasks,
    run: undefined,
    lastSignAt: () => this.now,
    onGoalEvent: (event) => this.told.push(event),
    onInterrupted: () => this.told.push("interrupted"),
    askStatuses: () => undefined,
  });

  hear(...events: readonly HostEvent[]): this {
    for (const event of events) this.session.receive(event, true);
    return this;
  }

  pass(ms: number): this {
    this.now += ms;
    this.session.clock();
    return this;
  }

  get presence(): string {
    return this.session.state.presence.kind;
  }
}

let watched: Watched;

beforeEach(() => {
  watched = new Watched();
});

describe("an abort", () => {
  test("is the user's when nothing has shown otherwise 250 ms later", () => {
    watched.hear(BUSY, ERROR, IDLE).pass(249);
    expect(watched.told).toEqual([]);
    watched.pass(1);
    expect(watched.told).toEqual([PAUSED, "interrupted"]);
    expect(watched.presence).toBe("quiet");
  });

  test("is the user's when he goes on writing", () => {
    watched.hear(BUSY, ERROR, IDLE, SPOKEN);
    expect(watched.told).toEqual([PAUSED, "interrupted"]);
    expect(watched.presence).toBe("awake");
  });

  test("of an idle session whose own tasks were aborted just before is the user's, too", () => {
    watched.tasks = [anAbortedTask({ observed: { kind: "aborted", since: T0, lookAt: T0 } })];
    watched.hear(IDLE).pass(3_000);
    expect(watched.told).toEqual([PAUSED, "interrupted"]);
  });
});

describe("after a reload (D10)", () => {
  /** The user writes at once, and a task of before is not given up yet. */
  function afterReload(): Watched {
    const watched = new Watched();
    watched.tasks = [aTask({ origin: "launched" })];
    return watched.hear(SPOKEN).pass(100);
  }

  test("the late end of the turn before it is no abort, in whatever order it is heard", () => {
    for (const late of [
      [answered({ fromBefore: true }), IDLE],
      [ERROR, IDLE, answered({ fromBefore: true }), IDLE],
      [IDLE, answered({ fromBefore: true }), IDLE],
    ]) {
      const watched = afterReload();
      watched.hear(...late).pass(4_000);
      expect(watched.told).toEqual([]);
      expect(watched.presence).toBe("awake");
    }
  });

  test("an abort of which nothing shows that it is of before is the user's, 3 s later", () => {
    const watched = afterReload().hear(ERROR, IDLE, answered(), IDLE).pass(2_899);
    expect(watched.told).toEqual([]);
    watched.pass(1);
    expect(watched.told).toEqual([PAUSED, "interrupted"]);
  });
});
