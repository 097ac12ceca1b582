import { beforeEach, describe, expect, test } from "bun:test";
import type { GoalEvent } from "../../src/goals/goal.ts";
import type { HostEvent } from "../../src/host/port.ts";
import { RootSession } from "../../src/keeper/root-session.ts";
import type { Task } from "../../src/tasks/task.ts";
import { anAbortedTask, anEndedTask, aSession, aTask, bySpelling, CHILD, ROOT, T0 } from "../support/builders.ts";

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
    isBefore: bySpelling,
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

test.each([true, false])(
  "a call of a tool of ours that another plugin has answered pauses the goal, in a root and in a task below it (U14): %p",
  (inRoot) => {
    const own = new Watched();
    const call = { sessionID: "ses_any", messageID: "msg_2", callID: "call_1", output: "" } as const;
    const event = { type: "tool", ...call, tool: "update_goal", state: "completed" } as const;
    own.session.receive(event, inRoot);
    expect(own.told).toEqual([]);
    own.session.receive({ ...event, byOther: true }, inRoot);
    expect(own.told).toEqual([
      {
        type: "pause",
        by: "error",
        reason:
          'another plugin has answered "update_goal": list goalkeeper behind it, or leave ours out with the option "tools"',
      },
    ]);
  },
);

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

  const OLD = answered({ fromBefore: true });
  /** Aborted while its provider was retried: that leaves no error in it. */
  const RETRIED = { ...OLD, error: undefined } as HostEvent;

  test.each([
    ["its message, its idle", [OLD, IDLE]],
    ["its error and an idle, its message, its idle", [ERROR, IDLE, OLD, IDLE]],
    ["an idle, its message, its idle", [IDLE, OLD, IDLE]],
    ["a message without an error, its idle", [RETRIED, IDLE]],
  ])("the late end of the turn before it is no abort: %s", (_, late) => {
    const watched = afterReload()
      .hear(...late)
      .pass(4_000);
    expect([watched.told, watched.presence]).toEqual([[], "awake"]);
  });

  test.each([
    ["its message, its idle", [BUSY, OLD, IDLE]],
    ["its error before the turn begins, its message and its idle after that", [ERROR, IDLE, BUSY, OLD, IDLE]],
  ])("the late end of the turn before it does not end the user's: %s", (_, late) => {
    const watched = afterReload()
      .hear(...late)
      .pass(1_000);
    expect(watched.session.state).toMatchObject({ activity: { kind: "busy" }, turn: { by: "user" } });
    watched.hear(IDLE);
    expect(watched.told).toEqual([{ type: "turn-ended", by: "user", progressed: false, error: undefined }]);
  });

  test("an idle that does not follow the end of the old turn is that of the new one", () => {
    const watched = afterReload().hear(BUSY, OLD).pass(251).hear(IDLE);
    expect(watched.session.state.activity.kind).toBe("idle");
    expect(watched.told).toHaveLength(1);
  });

  test("an answer of before that is published again long after the reload does not take an idle along", () => {
    const watched = afterReload().hear(BUSY).pass(3_000).hear(RETRIED, IDLE);
    expect(watched.session.state.activity.kind).toBe("idle");
  });

  test("who writes before that shows does not make the abort his own", () => {
    const watched = afterReload()
      .hear(ERROR, IDLE, { ...SPOKEN, messageID: "msg_6" }, OLD, IDLE)
      .pass(4_000);
    expect([watched.told, watched.presence]).toEqual([[], "awake"]);
    const resumed = afterReload().hear(ERROR, IDLE);
    resumed.session.wake();
    expect([resumed.told, resumed.presence]).toEqual([[], "awake"]);
  });

  test("an abort of which nothing shows that it is of before is the user's, 3 s later", () => {
    const watched = afterReload().hear(ERROR, IDLE, answered(), IDLE).pass(2_899);
    expect(watched.told).toEqual([]);
    watched.pass(1);
    expect(watched.told).toEqual([PAUSED, "interrupted"]);
  });
});

describe("U1 messages that are undone", () => {
  const seen = (id: string): HostEvent => ({
    type: "session-seen",
    session: aSession(id, { undone: true }),
    created: false,
  });
  const undone = () => watched.session.state.asks.map(({ sessionID }) => sessionID);

  test("hold in the root, and in a task that lives", () => {
    watched.tasks = [aTask()];
    watched.hear(seen(ROOT));
    watched.session.receive(seen(CHILD), false);
    expect(undone()).toEqual([ROOT, CHILD]);
  });

  test("hold nothing in a task that has ended, or in a session that is none", () => {
    watched.tasks = [anEndedTask()];
    for (const id of [CHILD, "ses_other"]) watched.session.receive(seen(id), false);
    expect(undone()).toEqual([]);
  });

  test("hold no longer when they are gone: whoever writes comes first", () => {
    const gone: HostEvent = { type: "message-removed", sessionID: ROOT, messageID: "msg_3" };
    watched.hear({ type: "user-message", sessionID: ROOT, messageID: "msg_2", voice: undefined });
    expect(watched.hear(gone).session.state.unanswered).toBeUndefined();
    watched.hear(seen(ROOT), gone);
    expect(undone()).toEqual([]);
    expect(watched.session.state.unanswered).toEqual({ messageID: "msg_2", isHeard: false, at: T0 });
    watched.pass(1_000).hear({ type: "session-seen", session: aSession(ROOT), created: false }, SPOKEN);
    expect(watched.session.state.unanswered).toEqual({ messageID: "msg_5", isHeard: true, at: T0 + 1_000 });
  });

  test("hold no longer when a command of the user's becomes a message", () => {
    watched.hear(seen(ROOT)).session.userSpeaks();
    expect(undone()).toEqual([]);
  });
});
