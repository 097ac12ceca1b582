import { describe, expect, test } from "bun:test";
import { frame } from "../../src/delivery/frame.ts";
import { receiveAsk } from "../../src/goals/asks.ts";
import {
  newRoot,
  type Presence,
  type Root,
  receiveInRoot,
  release,
  rootDeadline,
  startTurn,
  type Turn,
} from "../../src/goals/root.ts";
import type { HostEvent, TurnError } from "../../src/host/port.ts";
import { aRoot, bySpelling, CHILD, ROOT, T0, VOICE } from "../support/builders.ts";

const SECOND = 1_000;
const ABORTED: TurnError = { name: "MessageAbortedError", message: "aborted" };
const API_ERROR: TurnError = { name: "APIError", message: "503" };

const BUSY: HostEvent = { type: "session-busy", sessionID: ROOT };
const IDLE: HostEvent = { type: "session-idle", sessionID: ROOT };
const turn = (more: Partial<Turn> = {}): Turn => ({
  by: "continuation",
  messageID: "msg_1",
  progressed: false,
  error: undefined,
  ...more,
});
const busyRoot = (more: Partial<Root> = {}) => aRoot({ activity: { kind: "busy", askAt: T0 + 9 }, ...more });
const retryingRoot = (more: Partial<Root> = {}) =>
  aRoot({ activity: { kind: "retrying", until: T0 + 9_000, message: "429" }, ...more });

function error(value: TurnError): HostEvent {
  return { type: "session-error", sessionID: ROOT, error: value };
}

function userText(more: Partial<Extract<HostEvent, { type: "user-text" }>> = {}): HostEvent {
  const text = { text: "go on", synthetic: false, ignored: false };
  return { type: "user-text", sessionID: ROOT, messageID: "msg_5", ...text, ...more };
}

function answer(parentID: string, more: Partial<Extract<HostEvent, { type: "assistant-message" }>> = {}): HostEvent {
  const begun = { summary: false, completedAt: undefined, error: undefined, usage: undefined };
  return { type: "assistant-message", sessionID: ROOT, messageID: "msg_a", parentID, ...begun, ...more };
}

function tool(more: Partial<Extract<HostEvent, { type: "tool" }>> = {}): HostEvent {
  const part = { messageID: "msg_a", callID: "call_1", tool: "bash", state: "completed", output: "" } as const;
  return { type: "tool", sessionID: ROOT, ...part, ...more };
}

function next(root: Root, event: HostEvent, now = T0 + SECOND): Root {
  return receiveInRoot(root, event, now, bySpelling);
}

describe("activity", () => {
  test("a new root is idle, awake and owes nobody an answer", () => {
    expect(newRoot(ROOT, T0)).toEqual(aRoot({ openedAt: T0, voice: undefined, lastMessageID: "", lastSpokenID: "" }));
  });

  test("busy holds, and the host is asked after 30 seconds without any event", () => {
    const root = next(aRoot(), BUSY);
    expect(root.activity).toEqual({ kind: "busy", askAt: T0 + 31 * SECOND });
    expect(rootDeadline(root)).toBe(T0 + 31 * SECOND);
  });

  test("a retry is waited for until the host tries again, at least a second", () => {
    const retry = (until: number): HostEvent => ({ type: "session-retrying", sessionID: ROOT, until, message: "429" });
    expect(next(busyRoot(), retry(T0 + 60 * SECOND)).activity).toMatchObject({
      until: T0 + 60 * SECOND,
      message: "429",
    });
    expect(rootDeadline(next(busyRoot(), retry(0)))).toBe(T0 + 2 * SECOND);
  });

  test("idle begins with the first of its pair: the second does not renew it", () => {
    const root = next(busyRoot(), IDLE, T0 + SECOND);
    expect(root.activity).toEqual({ kind: "idle", since: T0 + SECOND });
    expect(next(root, IDLE, T0 + 2 * SECOND)).toBe(root);
    expect(rootDeadline(root)).toBe(Number.POSITIVE_INFINITY);
  });

  test("a failed turn settles for half a second after its first idle: the second one may still take a prompt away", () => {
    const failed = next(next(busyRoot(), error(API_ERROR)), IDLE, T0 + SECOND);
    expect(failed.activity).toEqual({ kind: "settling", until: T0 + SECOND + 500 });
    expect(rootDeadline(failed)).toBe(T0 + SECOND + 500);
    expect(next(failed, IDLE, T0 + SECOND + 30)).toBe(failed);
    expect(next(failed, BUSY).activity.kind).toBe("busy");
  });

  test("what else happens in a session does not touch its root", () => {
    const root = busyRoot();
    const session = { id: ROOT, title: "t", createdAt: T0, archived: false, metadata: {} };
    const others: HostEvent[] = [
      { type: "session-seen", session, created: false },
      { type: "session-deleted", sessionID: ROOT },
      { type: "session-compacted", sessionID: ROOT },
      { type: "assistant-text", sessionID: ROOT, text: "t" },
    ];
    for (const event of others) expect(next(root, event)).toBe(root);
  });
});

describe("the user's abort", () => {
  const quieting: Presence = { kind: "quieting", until: T0 + SECOND + 250 };

  test("makes the root quiet at once; for 250 ms it may still have been a quit or a reload", () => {
    const root = next(busyRoot(), error(ABORTED));
    expect(root.presence).toEqual(quieting);
    expect(rootDeadline({ ...root, activity: { kind: "idle", since: T0 } })).toBe(T0 + SECOND + 250);
  });

  test("before the provider has begun to answer, it shows only in the assistant message", () => {
    expect(next(busyRoot(), answer("msg_1", { error: ABORTED, completedAt: T0 })).presence).toEqual(quieting);
  });

  test("while the provider is retried, it shows only as an idle without an error", () => {
    expect(next(retryingRoot(), IDLE)).toMatchObject({ activity: { kind: "idle" }, presence: quieting });
  });

  test("while the provider is retried, the completed assistant message before that idle hides nothing", () => {
    const root = next(retryingRoot(), answer("msg_1", { completedAt: T0 }));
    expect(next(root, IDLE).presence).toEqual(quieting);
  });

  test("retries that are spent end with an error and an idle: that is no abort", () => {
    const root = next(next(retryingRoot(), error(API_ERROR)), IDLE);
    expect(root).toMatchObject({ presence: { kind: "awake" }, turn: { error: API_ERROR } });
  });

  test("a plain end is no abort either", () => {
    expect(next(busyRoot(), IDLE).presence).toEqual({ kind: "awake" });
  });

  test("said twice it does not begin anew, and it ends the turn for good", () => {
    const once = next(busyRoot({ turn: turn({ progressed: true }) }), error(ABORTED));
    const twice = next(once, answer("msg_1", { error: ABORTED }), T0 + 2 * SECOND);
    expect(twice.presence).toEqual(quieting);
    expect([once.turn, twice.turn]).toEqual([undefined, undefined]);
  });

  test.each([
    { kind: "quiet", since: T0 },
    { kind: "asleep", since: T0 },
  ] satisfies Presence[])("does not wake a root that is quiet or asleep already (%#)", (presence) => {
    expect(next(busyRoot({ presence }), error(ABORTED)).presence).toEqual(presence);
  });

  test("the late end of an aborted answer does not quiet the user's next turn", () => {
    const root = busyRoot({ lastMessageID: "msg_5" });
    expect(next(root, answer("msg_1", { error: ABORTED })).presence).toEqual({ kind: "awake" });
  });
});

describe("the abort of a turn that a reload has ended", () => {
  const ofBefore = answer("msg_1", { error: ABORTED, completedAt: T0, fromBefore: true });
  const justOpened = (more: Partial<Root> = {}) => aRoot({ openedAt: T0, ...more });
  const waiting: Presence = { kind: "doubting", until: T0 + 3 * SECOND };

  test("interrupts nothing where its answer is the first to show it", () => {
    expect(next(justOpened({ lastMessageID: "" }), ofBefore).presence).toEqual({ kind: "awake" });
  });

  test("may be late: while nothing is known to work, 3 s after the books were opened show whose it is", () => {
    const root = next(justOpened(), error(ABORTED));
    expect(root.presence).toEqual(waiting);
    expect(next(root, ofBefore)).toMatchObject({ presence: { kind: "awake" }, turn: undefined });
    const spoken = next(next(justOpened(), userText()), error(ABORTED));
    expect(next(spoken, ofBefore)).toMatchObject({ presence: { kind: "awake" }, turn: { by: "user" } });
  });

  test("is not waited for where a turn works: that one is of this instance", () => {
    const quieting: Presence = { kind: "quieting", until: T0 + SECOND + 250 };
    expect(next({ ...busyRoot(), openedAt: T0 }, error(ABORTED)).presence).toEqual(quieting);
    expect(next({ ...retryingRoot(), openedAt: T0 }, IDLE).presence).toEqual(quieting);
  });

  test("does not take back the user's abort of a turn that worked", () => {
    const root = next({ ...busyRoot(), openedAt: T0 }, error(ABORTED));
    expect(next(root, ofBefore).presence.kind).toBe("quieting");
  });

  test("wakes nobody", () => {
    for (const presence of [
      { kind: "quiet", since: T0 },
      { kind: "asleep", since: T0 },
    ] satisfies Presence[])
      expect(next(justOpened({ presence }), ofBefore).presence).toEqual(presence);
  });

  test("a turn that ended without an abort changes nothing of that", () => {
    const root = next(justOpened(), error(ABORTED));
    expect(next(root, answer("msg_1", { completedAt: T0, fromBefore: true })).presence).toEqual(waiting);
  });

  test("leaves the turn alone that works by then", () => {
    const root = next(next(justOpened(), error(ABORTED)), BUSY);
    const { activity } = root;
    expect(next(root, ofBefore)).toMatchObject({ presence: { kind: "awake" }, activity, turn: { by: "user" } });
  });

  test("answers nothing that was said since", () => {
    const root = next(justOpened({ lastMessageID: "" }), userText());
    expect(next(root, answer("msg_9", { completedAt: T0, fromBefore: true })).unanswered).toEqual(root.unanswered);
  });
});

describe("the user's message", () => {
  test("wakes the root, waits for its answer, and makes the turn the user's", () => {
    for (const presence of [
      { kind: "quiet", since: T0 },
      { kind: "asleep", since: T0 },
      { kind: "quieting", until: T0 + 9 },
    ] satisfies Presence[]) {
      expect(next(aRoot({ presence, turn: turn({ progressed: true }) }), userText())).toMatchObject({
        presence: { kind: "awake" },
        unanswered: { messageID: "msg_5", isHeard: true, at: T0 + SECOND },
        lastSpokenID: "msg_5",
        turn: { by: "user", progressed: false },
      });
    }
  });

  test.each([
    ["what a plugin or the host added", userText({ synthetic: true })],
    ["what no model reads", userText({ ignored: true })],
    ["a message that the host publishes again", userText({ messageID: "msg_1" })],
    ["an older message", userText({ messageID: "msg_0" })],
    ["our continuation, replayed by a compaction", userText({ text: frame("continuation", "msg_2", "x") })],
    ["our wrap-up, replayed", userText({ text: frame("wrapup", "msg_2", "x") })],
    ["our task outcome, replayed", userText({ text: frame("task-outcome", "msg_2", "x") })],
    ["what keeps a turn open, replayed", userText({ text: frame("waiting", "msg_2", "x") })],
  ] satisfies [string, HostEvent][])("is not %s", (_what, event) => {
    const root = aRoot({ presence: { kind: "quiet", since: T0 } });
    expect(next(root, event)).toBe(root);
  });

  test("is also the one that sets a goal, although we have framed it", () => {
    expect(next(aRoot(), userText({ text: frame("goal", "msg_5", "x") })).unanswered?.messageID).toBe("msg_5");
  });

  test("is answered as soon as an answer to it, or to a later message, begins", () => {
    const root = busyRoot({ unanswered: { messageID: "msg_5", isHeard: true, at: T0 } });
    expect(next(root, answer("msg_5")).unanswered).toBeUndefined();
    expect(next(root, answer("msg_6")).unanswered).toBeUndefined();
    expect(next(root, answer("msg_4")).unanswered).toBeDefined();
    expect(next(root, answer("msg_5", { summary: true })).unanswered).toBeDefined();
    // The message of a command is still being put together: what is answered now is an earlier one.
    const spoken = busyRoot({ unanswered: { messageID: "msg_4", isHeard: false, at: T0 } });
    expect(next(spoken, answer("msg_4")).unanswered).toBeDefined();
    expect(next(spoken, answer("msg_5")).unanswered).toBeUndefined();
  });
});

describe("the voice", () => {
  const message = (messageID: string, agent?: string): HostEvent => {
    const voice = agent === undefined ? undefined : { ...VOICE, agent };
    return { type: "user-message", sessionID: ROOT, messageID, voice };
  };

  test("is that of the newest user-role message", () => {
    expect(next(aRoot(), message("msg_2", "plan"))).toMatchObject({ voice: { agent: "plan" }, lastMessageID: "msg_2" });
  });

  test("is not changed by an old message that the host publishes again", () => {
    const root = aRoot({ lastMessageID: "msg_5" });
    expect(next(root, message("msg_2", "plan"))).toBe(root);
  });

  test("may come with a second event about the newest message", () => {
    expect(next(aRoot({ lastMessageID: "msg_2" }), message("msg_2", "plan")).voice?.agent).toBe("plan");
  });

  test("is not lost by a message that has none", () => {
    expect(next(aRoot(), message("msg_2"))).toMatchObject({ voice: VOICE, lastMessageID: "msg_2" });
  });
});

describe("the turn", () => {
  test("is ours when our prompt has started it, and begins with no progress", () => {
    const before = aRoot({ turn: turn({ by: "user", progressed: true, error: API_ERROR }) });
    expect(startTurn(before, "continuation", "msg_2").turn).toEqual(turn({ messageID: "msg_2" }));
    expect(startTurn(before, "report", "msg_2").turn).toMatchObject({ by: "report" });
  });

  test("goes on with a report that is read in it: what it has achieved before is not forgotten", () => {
    const before = aRoot({ turn: turn({ progressed: true }) });
    expect(startTurn(before, "report", "msg_2")).toBe(before);
  });

  test("progresses by a tool call that succeeded", () => {
    const root = busyRoot({ turn: turn() });
    expect(next(root, tool()).turn).toEqual(turn({ progressed: true }));
    expect(next(root, tool({ state: "running" }))).toBe(root);
    expect(next(root, tool({ state: "error" }))).toBe(root);
  });

  test("progresses by one that returns behind a message which was stored while it worked", () => {
    const report: HostEvent = { type: "user-message", sessionID: ROOT, messageID: "msg_b", voice: undefined };
    const root = next(busyRoot({ turn: turn() }), report);
    expect(root.lastMessageID).toBe("msg_b");
    expect(next(root, tool()).turn).toEqual(turn({ progressed: true }));
  });

  test("does not progress by a call of an earlier turn that is published again, nor by a command of the user's own", () => {
    const root = busyRoot({ turn: turn({ messageID: "msg_b" }) });
    expect(next(root, tool())).toBe(root);
    expect(next(busyRoot(), tool()).turn).toBeUndefined();
  });

  test.each(["get_goal", "create_goal", "update_goal"])("does not progress by talking about the goal: %s", (name) => {
    const root = busyRoot({ turn: turn() });
    expect(next(root, tool({ tool: name }))).toBe(root);
  });

  test("remembers its error, also one that nobody saw begin", () => {
    expect(next(busyRoot(), error(API_ERROR)).turn).toEqual(turn({ by: "user", messageID: "", error: API_ERROR }));
    const root = busyRoot({ turn: turn() });
    expect(next(root, error(API_ERROR)).turn).toEqual(turn({ error: API_ERROR }));
  });
});

test("the earliest of what a root waits for is its deadline", () => {
  const busy = busyRoot({
    activity: { kind: "busy", askAt: T0 + 2 * SECOND },
    presence: { kind: "quieting", until: T0 + SECOND },
  });
  expect(rootDeadline(busy)).toBe(T0 + SECOND);
  expect(rootDeadline({ ...busy, presence: { kind: "quiet", since: T0 } })).toBe(T0 + 2 * SECOND);
});

describe("the turn of an opencode run", () => {
  const HELD: HostEvent = { type: "turn-held", sessionID: ROOT, messageID: "msg_a", readID: "msg_1" };
  const GOES_ON: HostEvent = { type: "turn-goes-on", sessionID: ROOT };
  const ended = (readID = "msg_1"): HostEvent => ({ type: "step-ended", sessionID: ROOT, messageID: "msg_a", readID });
  const heldRoot = (more: Partial<Root> = {}) =>
    aRoot({ activity: { kind: "held", since: T0, readID: "msg_1" }, ...more });
  const wait = { until: T0 + 60 * SECOND, overdueTold: false };

  test("is held from the moment at which the host waits, and by itself nothing ends that", () => {
    const root = next(busyRoot(), HELD);
    expect(root.activity).toEqual({ kind: "held", since: T0 + SECOND, readID: "msg_1" });
    expect(rootDeadline(root)).toBe(Number.POSITIVE_INFINITY);
  });

  test("a busy, which the host says again and again, does not end that", () => {
    const root = heldRoot();
    expect(next(root, BUSY)).toBe(root);
  });

  test("goes on as busy when it is let go, or when a tool begins; the wait is the same one", () => {
    for (const root of [release(heldRoot({ wait }), T0 + SECOND), next(heldRoot({ wait }), GOES_ON)])
      expect(root).toMatchObject({ activity: { kind: "busy", askAt: T0 + 31 * SECOND }, wait });
  });

  test("one that is not held cannot be let go", () => {
    for (const root of [busyRoot(), aRoot(), retryingRoot()]) {
      expect(release(root, T0 + SECOND)).toBe(root);
      expect(next(root, GOES_ON)).toBe(root);
    }
  });

  test("an idle ends it, for the host waits no longer", () => {
    expect(next(heldRoot(), IDLE).activity).toEqual({ kind: "idle", since: T0 + SECOND });
  });

  test("an abort is the user's, also while it is held", () => {
    expect(next(heldRoot(), error(ABORTED)).presence.kind).toBe("quieting");
  });

  test("is at its end with its last step, and the host is asked when no idle follows", () => {
    const root = next(busyRoot(), ended());
    expect(root.activity).toEqual({ kind: "ending", since: T0 + SECOND, askAt: T0 + 31 * SECOND });
    expect(rootDeadline(root)).toBe(T0 + 31 * SECOND);
    expect(next(root, BUSY).activity.kind).toBe("busy");
    expect(next(root, IDLE).activity.kind).toBe("idle");
  });

  test("is not at its end when a message has come since that step began", () => {
    const root = busyRoot({ lastMessageID: "msg_5" });
    expect(next(root, ended("msg_1"))).toBe(root);
    expect(next(root, ended("msg_5")).activity.kind).toBe("ending");
  });

  test("is at its end by a step that is complete, and has overcome an error that came before it", () => {
    const root = busyRoot({ turn: turn({ by: "user", progressed: true, error: API_ERROR }) });
    expect(next(root, ended())).toMatchObject({
      activity: { kind: "ending" },
      turn: { progressed: true, error: undefined },
    });
  });

  test("has failed of what its message says, which comes after the session's error and says more", () => {
    const root = busyRoot({ turn: turn({ by: "user", error: API_ERROR }) });
    const error = { ...API_ERROR, final: true };
    const message = { type: "assistant-message", sessionID: ROOT, messageID: "msg_9", parentID: "msg_8" } as const;
    const ends = { ...message, summary: false, completedAt: T0, usage: undefined, error };
    expect(next(root, ends).turn?.error).toEqual(error);
    expect(next(root, { ...ends, summary: true }).turn?.error).toEqual(API_ERROR);
  });

  test("the user's message ends the wait: the next one has a ceiling of its own", () => {
    expect(next(heldRoot({ wait }), userText()).wait).toBeUndefined();
    expect(next(heldRoot({ wait }), userText({ synthetic: true })).wait).toEqual(wait);
  });

  test("says nothing about asks", () => {
    const root = receiveAsk(aRoot(), {
      type: "ask-opened",
      sessionID: CHILD,
      askID: "que_1",
      kind: "question",
      about: "?",
    });
    for (const event of [HELD, GOES_ON, ended()]) expect(receiveAsk(root, event)).toBe(root);
  });
});
