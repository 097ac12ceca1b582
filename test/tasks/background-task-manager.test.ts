import { describe, expect, test } from "bun:test";
import type { HostEvent, SessionInfo } from "../../src/host/port.ts";
import { BackgroundTaskManager, type TaskChange } from "../../src/tasks/background-task-manager.ts";
import type { TaskEffect } from "../../src/tasks/task-event.ts";
import {
  aLook,
  anEndedTask,
  anID,
  aQueuedTask,
  aSession,
  CHILD,
  delivered,
  OURS,
  ROOT,
  T0,
  TIMING,
} from "../support/builders.ts";

const SECOND = 1_000;
const MINUTE = 60_000;

/** A manager with a clock that a test sets, and everything that it says. */
class Books {
  now = T0;
  readonly changes: TaskChange[] = [];
  readonly effects: TaskEffect[] = [];
  readonly manager = new BackgroundTaskManager({
    now: () => this.now,
    timing: TIMING,
    runner: "me",
    adopts: true,
    onChange: (change) => this.changes.push(change),
    onEffect: (effect) => this.effects.push(effect),
  });

  constructor(...sessions: readonly SessionInfo[]) {
    for (const session of sessions) this.manager.receive({ type: "session-seen", session, created: true });
  }

  receive(...events: readonly HostEvent[]): this {
    for (const event of events) this.manager.receive(event);
    return this;
  }

  watch(): this {
    this.manager.watch(ROOT);
    return this;
  }

  tickAt(now: number): this {
    this.now = now;
    this.manager.tick();
    return this;
  }

  task(id = CHILD) {
    return this.manager.get(id);
  }
}

const CHILD_OF_ROOT = aSession(CHILD, { parentID: ROOT });
const GRANDCHILD = aSession("ses_grandchild", { parentID: CHILD });

/** A root with a child and a grandchild; nothing watches them yet. */
function books(): Books {
  return new Books(aSession(ROOT), CHILD_OF_ROOT, GRANDCHILD);
}

/** The host shows a session: renamed, touched, or written to. */
function shown(sessionID: string): HostEvent {
  return { type: "session-seen", session: aSession(sessionID), created: false };
}

/** The host's answer about a session, or its next word of one that is older than we are. */
function seenLate(session: SessionInfo): HostEvent {
  return { type: "session-seen", session, created: false };
}

function busy(sessionID = CHILD): HostEvent {
  return { type: "session-busy", sessionID };
}

function idle(sessionID = CHILD): HostEvent {
  return { type: "session-idle", sessionID };
}

function call(more: Partial<Extract<HostEvent, { type: "tool" }>> & { background?: boolean } = {}): HostEvent {
  const { background = false, ...event } = more;
  const child = { sessionID: CHILD, background, title: "t" };
  const part = { sessionID: ROOT, messageID: "msg_parent", callID: "call_1", tool: "task", output: "" };
  return { type: "tool", state: "running", ...part, child, ...event };
}

function hostTold(sessionID = ROOT, messageID = anID(5)): HostEvent {
  const told = { taskID: CHILD, ended: "completed", text: "the result" } as const;
  return { type: "user-text", sessionID, messageID, text: "<task …>", synthetic: true, ignored: false, told };
}

function answer(parentID: string, more: Partial<Extract<HostEvent, { type: "assistant-message" }>> = {}): HostEvent {
  const ended = { summary: false, completedAt: T0, error: undefined, usage: undefined };
  const message = { sessionID: ROOT, messageID: "msg_a", ...ended };
  return { type: "assistant-message", parentID, ...message, ...more };
}

function text(sessionID: string, value: string): HostEvent {
  return { type: "assistant-text", sessionID, text: value };
}

describe("which child is a task", () => {
  test("no footprint where nothing is used: a child of a root that nobody watches has no record", () => {
    const { manager } = books().receive(busy(), call(), idle());
    expect(manager.sizes).toEqual({ tasks: 0, signs: 0, roots: 0 });
  });

  test("a child is a task from its first busy, nested ones too, and a root never is", () => {
    const { manager } = books().watch().receive(busy(ROOT), busy(CHILD), busy("ses_grandchild"));
    expect(manager.of(ROOT).map(({ id, status, origin }) => [id, status, origin])).toEqual([
      [CHILD, "running", "adopted"],
      ["ses_grandchild", "running", "adopted"],
    ]);
  });

  test("a child that only exists is no task yet", () => {
    expect(books().watch().manager.of(ROOT)).toEqual([]);
  });

  test("a retry is a sign of work as well", () => {
    const retry: HostEvent = { type: "session-retrying", sessionID: CHILD, until: T0 + MINUTE, message: "429" };
    expect(books().watch().receive(retry).task()).toMatchObject({ status: "running" });
  });

  test("children that already work when a goal begins are found, at any depth", () => {
    const { manager } = books().receive(busy(CHILD), busy("ses_grandchild")).watch();
    expect(manager.of(ROOT).map(({ id }) => id)).toEqual([CHILD, "ses_grandchild"]);
  });

  test("a background call makes a task without a goal, a foreground call does not", () => {
    expect(
      books()
        .receive(call({ background: true }))
        .task(),
    ).toMatchObject({
      status: "queued",
      origin: "background",
      run: { number: 1, callID: "call_1" },
    });
    expect(books().receive(call()).task()).toBeUndefined();
  });

  test("a child from before this process that its parent resumes is a task of that parent", () => {
    const old = call({ child: { sessionID: "ses_old", background: true, title: "old" } });
    expect(books().receive(old).manager.of(ROOT)).toMatchObject([
      { id: "ses_old", parentID: ROOT, origin: "background" },
    ]);
  });

  test("a task that has only been called is asked about after a minute", () => {
    expect(
      books()
        .receive(call({ background: true }))
        .manager.deadline(),
    ).toBe(T0 + MINUTE);
  });

  test("the late error of a call that a reload has aborted ends none", () => {
    const working = books().watch().receive(call());
    const before = working.task();
    expect(working.receive(call({ state: "error", fromBefore: true })).task()).toEqual(before);
    expect(working.receive(call({ state: "error" })).task()).toMatchObject({ status: "failed" });
  });

  test("a foreground call of a watched root makes one", () => {
    expect(books().watch().receive(call()).task()).toMatchObject({ origin: "foreground" });
  });

  test("a child that works when its foreground call has returned is adopted, also where nothing watched its root before", () => {
    const seen = books().receive(call(), busy(), call({ state: "completed" }));
    expect(seen.watch().task()).toMatchObject({ status: "running", origin: "adopted" });
  });

  test("once a root has a task, its other children are tasks, too", () => {
    const { manager } = books().receive(call({ background: true }), busy("ses_grandchild"));
    expect(manager.of(ROOT)).toHaveLength(2);
  });

  test("a call about a child that was seen busy first is that child's origin", () => {
    const task = books()
      .watch()
      .receive(busy(), call({ background: true }))
      .task();
    expect(task).toMatchObject({ status: "running", origin: "background" });
  });

  test.each([call({ state: "completed" }), call({ state: "error" }), call({ background: true, state: "error" })])(
    "the repeated part of an old call makes no task (%#)",
    (event) => {
      expect(books().watch().receive(event).task()).toBeUndefined();
    },
  );

  test("an ended call about a session that was never seen, and any other tool, makes none", () => {
    const { child: _child, ...plain } = call() as Extract<HostEvent, { type: "tool" }>;
    const empty = new Books(aSession(ROOT)).watch().receive(call({ background: true, state: "completed" }), plain);
    expect(empty.manager.sizes.tasks).toBe(0);
  });

  test("a child whose root is not known yet is a task from its next sign of work", () => {
    const late = new Books(aSession(ROOT), GRANDCHILD).watch().receive(busy("ses_grandchild"));
    expect(late.task("ses_grandchild")).toBeUndefined();
    late.receive({ type: "session-seen", session: CHILD_OF_ROOT, created: false }, busy("ses_grandchild"));
    expect(late.task("ses_grandchild")).toMatchObject({ parentID: CHILD, rootID: ROOT });
  });

  test("whose child it is, is asked when the host names a parent that is not known", () => {
    const task = new Books(aSession(ROOT)).watch().receive(seenLate(GRANDCHILD), busy(GRANDCHILD.id));
    expect(task.effects).toEqual([
      { type: "ask-session", sessionID: CHILD },
      { type: "ask-session", sessionID: CHILD },
    ]);
    expect(task.task(GRANDCHILD.id)).toBeUndefined();
    task.receive(seenLate(CHILD_OF_ROOT));
    expect(task.task(GRANDCHILD.id)).toMatchObject({ rootID: ROOT, parentID: CHILD, status: "running" });
    expect(task.task(CHILD)).toBeUndefined();
  });

  test("one level after the other, and not where the way up is known", () => {
    const deep = new Books(aSession(ROOT)).watch().receive(seenLate(aSession("ses_deep", { parentID: GRANDCHILD.id })));
    deep.receive(seenLate(GRANDCHILD), seenLate(CHILD_OF_ROOT), busy("ses_deep"));
    expect(deep.effects).toEqual([
      { type: "ask-session", sessionID: GRANDCHILD.id },
      { type: "ask-session", sessionID: CHILD },
    ]);
    expect(deep.task("ses_deep")).toMatchObject({ rootID: ROOT });
  });

  test("a root without a record of it learns nothing from the answer", () => {
    const unwatched = new Books(aSession(ROOT)).receive(seenLate(GRANDCHILD), busy(GRANDCHILD.id));
    unwatched.receive(seenLate(CHILD_OF_ROOT));
    expect(unwatched.task(GRANDCHILD.id)).toBeUndefined();
    expect(unwatched.watch().task(GRANDCHILD.id)).toMatchObject({ status: "running" });
  });

  test("who only keeps what it has launched asks for nobody else's", () => {
    const asked: TaskEffect[] = [];
    const own = new BackgroundTaskManager({
      now: () => T0,
      timing: TIMING,
      runner: "me",
      adopts: false,
      onChange: () => undefined,
      onEffect: (effect) => asked.push(effect),
    });
    for (const event of [seenLate(GRANDCHILD), busy(GRANDCHILD.id)]) own.receive(event);
    expect(asked).toEqual([]);
  });

  test("a watched root is known, also one from before this process", () => {
    expect(new Books(CHILD_OF_ROOT).receive(busy()).watch().task()).toBeDefined();
    expect(new Books(CHILD_OF_ROOT).watch().receive(busy()).task()).toBeDefined();
  });

  test("a root that is not watched any more, and owes nothing, gets no new tasks", () => {
    const { manager } = books().watch();
    manager.unwatch(ROOT);
    manager.receive(busy());
    expect(manager.of(ROOT)).toEqual([]);
  });
});

describe("what events mean for a task", () => {
  test("the record says who runs it, whose it is, and when it began", () => {
    const task = books().watch().receive(busy()).task();
    expect(task).toMatchObject({ id: CHILD, parentID: ROOT, rootID: ROOT, runner: "me", createdAt: T0 });
    expect(task).toMatchObject({ title: `title of ${CHILD}`, run: { number: 1, startedAt: T0 } });
  });

  test("idle is passed on, and marks the child as not busy", () => {
    const seen = books().watch().receive(busy(), idle());
    expect(seen.task()).toMatchObject({ observed: { kind: "idle" } });
    expect(seen.manager.tree.get(CHILD)).toMatchObject({ busy: false });
  });

  test("only an abort means something by itself: no other error settles, a compaction may follow", () => {
    const error = { name: "ContextOverflowError", message: "m" };
    const seen = books().watch().receive(busy());
    seen.receive({ type: "session-error", sessionID: CHILD, error });
    expect(seen.task()).toMatchObject({ observed: { kind: "alive" } });
    seen.receive({ type: "session-error", sessionID: CHILD, error: { name: "MessageAbortedError", message: "m" } });
    expect(seen.task()).toMatchObject({ observed: { kind: "aborted" } });
  });

  test("a user message that no model reads is no prompt", () => {
    const said = { type: "user-text", sessionID: CHILD, messageID: anID(1), text: "t", synthetic: false } as const;
    const seen = books()
      .watch()
      .receive(busy(), { ...said, ignored: true });
    expect(seen.task()).not.toHaveProperty("run.promptID");
    expect(seen.receive({ ...said, ignored: false }).task()).toMatchObject({ run: { promptID: anID(1) } });
  });

  test("the host's message settles the task of its own parent only", () => {
    const seen = books().receive(call({ background: true }), busy());
    expect(seen.receive(hostTold("ses_stranger")).task()).toMatchObject({ status: "running" });
    expect(seen.receive(hostTold()).task()).toMatchObject({ status: "completed", outcome: { text: "the result" } });
  });

  test("one change is one write, and an event without a meaning is none", () => {
    const seen = books().watch().receive(busy(), busy(), busy());
    expect(seen.changes.map(({ event }) => event)).toEqual(["noticed", "busy"]);
    expect(seen.changes[0]?.before).toBeUndefined();
    expect(seen.changes[1]?.after).toBe(seen.task());
  });

  test("an event about nobody's task is harmless", () => {
    const { manager, changes } = books();
    manager.dispatch("ses_unknown", { type: "busy" });
    expect(changes).toEqual([]);
  });
});

describe("reconciled", () => {
  function told(): Books {
    return books().receive(call({ background: true }), busy(), hostTold(ROOT, anID(5)));
  }

  test("by an ended answer to the outcome's message", () => {
    expect(
      told()
        .receive(answer(anID(5)))
        .task(),
    ).toMatchObject({ delivery: { state: "reconciled" } });
  });

  test("by an answer to any later message: it has read the earlier one", () => {
    expect(
      told()
        .receive(answer(anID(6)))
        .task(),
    ).toMatchObject({ delivery: { state: "reconciled" } });
  });

  test("also by an answer that ended with an error", () => {
    const failed = answer(anID(5), { error: { name: "APIError", message: "m" } });
    expect(told().receive(failed).task()).toMatchObject({ delivery: { state: "reconciled" } });
  });

  test.each([
    ["an answer to an earlier message", answer(anID(4))],
    ["a summary", answer(anID(5), { summary: true })],
    ["an answer that is still written", answer(anID(5), { completedAt: undefined })],
    ["an answer in another session", answer(anID(5), { sessionID: CHILD })],
    ["the parent's idle alone", idle(ROOT)],
  ] satisfies [string, HostEvent][])("not by %s", (_what, event) => {
    expect(told().receive(event).task()).toMatchObject({ delivery: { state: "delivered" } });
  });

  test("a foreground result when the turn that holds it ends, not by an answer in its middle", () => {
    const seen = books()
      .watch()
      .receive(call(), busy(), idle(), call({ state: "completed", output: "found" }));
    expect(seen.receive(answer("msg_zzz")).task()).toMatchObject({ delivery: { state: "delivered", byTurn: true } });
    expect(seen.receive(idle(ROOT)).task()).toMatchObject({ delivery: { state: "reconciled" } });
  });
});

describe("deletion", () => {
  test("a deleted child is cancelled at once and keeps its last text", () => {
    const seen = books().watch().receive(busy(), text(CHILD, "one"), text(CHILD, "two"));
    seen.receive({ type: "session-deleted", sessionID: CHILD, parentID: ROOT });
    expect(seen.task()).toMatchObject({ status: "cancelled", outcome: { text: "two" } });
  });

  test("with its parent every child ends, and there is nobody left to tell", () => {
    const seen = books().receive(call({ background: true }), busy(), busy("ses_grandchild"));
    seen.receive(text(CHILD, "half"), { type: "session-deleted", sessionID: ROOT });
    expect(seen.task()).toMatchObject({
      status: "cancelled",
      outcome: { text: "half" },
      delivery: { state: "undelivered", reason: "its parent session was deleted" },
    });
  });

  test("with its root a nested task ends, too, although its parent was no task", () => {
    const seen = books();
    seen.manager.restore([anEndedTask({ id: "ses_grandchild", parentID: "ses_no_task", delivery: OURS })]);
    seen.receive({ type: "session-deleted", sessionID: ROOT });
    expect(seen.task("ses_grandchild")).toMatchObject({ delivery: { state: "undelivered" } });
  });

  test("an outcome that waited for the deleted parent is undelivered, one that it has answered stays reconciled", () => {
    const seen = books();
    seen.manager.restore([
      anEndedTask({ delivery: OURS }),
      anEndedTask({ id: "ses_2", delivery: { state: "reconciled", at: T0 } }),
    ]);
    seen.receive({ type: "session-deleted", sessionID: ROOT });
    expect(seen.task()).toMatchObject({ status: "completed", delivery: { state: "undelivered" } });
    expect(seen.task("ses_2")).toMatchObject({ delivery: { state: "reconciled" } });
  });

  test("the partial output of a task that ended by a tool error outlives its session", () => {
    const seen = books().watch().receive(call(), busy(), text(CHILD, "half"));
    seen.receive(call({ state: "error", output: "Task cancelled" }));
    seen.receive({ type: "session-deleted", sessionID: CHILD });
    expect(seen.task()).toMatchObject({ status: "failed", outcome: { text: "half" } });
  });
});

describe("siblings", () => {
  test("one task's end leaves its siblings alone", () => {
    const sibling = aSession("ses_2", { parentID: ROOT });
    const seen = new Books(aSession(ROOT), CHILD_OF_ROOT, sibling).watch().receive(busy(), busy("ses_2"));
    const before = seen.task("ses_2");
    seen.receive({ type: "session-deleted", sessionID: CHILD });
    seen.tickAt(T0 + TIMING.cleanupDelayMs);
    expect(seen.task()).toBeUndefined();
    expect(seen.task("ses_2")?.status).toBe("running");
    expect(seen.task("ses_2")?.run).toBe(before?.run as never);
    expect(seen.manager.of(ROOT).map(({ id }) => id)).toEqual(["ses_2"]);
  });

  test("tasks are listed oldest first", () => {
    const seen = books();
    const ages = [30, 9, 100, 10].map((age) => anEndedTask({ id: `ses_${age}`, createdAt: T0 + age }));
    seen.manager.restore(ages);
    expect(seen.manager.of(ROOT).map(({ id }) => id)).toEqual(["ses_9", "ses_10", "ses_30", "ses_100"]);
  });
});

describe("deadlines", () => {
  test("nothing is waited for where nothing is", () => {
    expect(new Books().manager.deadline()).toBe(Number.POSITIVE_INFINITY);
  });

  test("the earliest of all tasks counts, and after a tick there is none in the past", () => {
    const seen = books().watch().receive(busy(), busy("ses_grandchild"), idle());
    expect(seen.manager.deadline()).toBe(T0);
    seen.tickAt(T0);
    expect(seen.effects).toEqual([{ type: "look", taskID: CHILD, run: 1, scope: "transcript" }]);
    expect(seen.manager.deadline()).toBe(T0 + 15 * SECOND);
  });

  test("a tick before a deadline changes nothing", () => {
    const seen = books().watch().receive(busy());
    const before = seen.task();
    expect(seen.tickAt(T0 + MINUTE - 1).task()).toBe(before as never);
  });

  test("activity puts off the question, and never recomputes a deadline", () => {
    const seen = books().watch().receive(busy());
    const deadline = seen.manager.deadline();
    seen.manager.signs.mark(CHILD, T0 + 50 * SECOND);
    expect(seen.manager.deadline()).toBe(deadline);
    expect(seen.tickAt(deadline).effects).toEqual([]);
    expect(seen.manager.deadline()).toBe(T0 + 80 * SECOND);
  });

  test("one question for all silent tasks: who was heard of, is idle, ended or runs elsewhere is not among them", () => {
    const seen = books().watch();
    seen.manager.restore([
      aQueuedTask({ id: "silent" }),
      aQueuedTask({ id: "heard" }),
      aQueuedTask({ id: "elsewhere", runner: "other" }),
      aQueuedTask({ id: "young", run: { number: 1, startedAt: T0 + SECOND } }),
      anEndedTask({ id: "ended" }),
    ]);
    seen.receive(busy(), idle());
    seen.now = T0 + MINUTE;
    seen.manager.signs.mark("heard", T0 + 31 * SECOND);
    expect(seen.manager.silent().map(({ id }) => id)).toEqual(["silent"]);
  });
});

describe("a prompt behind a turn of its user's", () => {
  const waits = { for: "turn", until: T0 + 15 * SECOND } as const;
  const sent = aQueuedTask({
    origin: "launched",
    launch: { voice: { agent: "general" }, unstable: false },
    run: { number: 1, startedAt: T0, promptID: anID(5), attempt: 1 },
    waits,
  });

  test("waits while the host shows that turn, and is sent again when it does not", () => {
    const seen = books().receive(busy());
    seen.manager.restore([sent]);
    seen.tickAt(T0 + 15 * SECOND);
    expect(seen.effects).toEqual([]);
    expect(seen.task()).toMatchObject({ status: "queued", run: { attempt: 1 } });
    seen.receive(idle()).tickAt(seen.manager.deadline());
    expect(seen.effects).toMatchObject([{ type: "start", mayBeThere: true }]);
  });

  test("is among the silent ones that the host is asked for, and so the end of that turn is not missed", () => {
    const seen = books().receive(busy());
    seen.manager.restore([sent]);
    seen.now = T0 + MINUTE;
    expect(seen.manager.silent().map(({ id }) => id)).toEqual([CHILD]);
    seen.manager.statusRead(CHILD, true);
    seen.tickAt(seen.now);
    expect(seen.effects).not.toContainEqual(expect.objectContaining({ type: "start" }));
    seen.manager.statusRead(CHILD, false);
    expect(seen.manager.silent()).toEqual([]);
    seen.tickAt(seen.manager.deadline());
    expect(seen.effects).toContainEqual(expect.objectContaining({ type: "start" }));
  });
});

describe("the query window", () => {
  test("a record outlives its end, and then goes with everything about it", () => {
    const seen = books().watch().receive(busy(), idle());
    seen.manager.dispatch(CHILD, { type: "looked", run: 1, look: aLook({ kind: "finished", text: "t" }) });
    seen.tickAt(T0 + TIMING.cleanupDelayMs - 1);
    expect(seen.task()).toMatchObject({ status: "completed", outcome: { text: "t" } });
    seen.tickAt(T0 + TIMING.cleanupDelayMs);
    expect(seen.manager.sizes).toEqual({ tasks: 0, signs: 0, roots: 0 });
    seen.tickAt(T0 + TIMING.cleanupDelayMs + MINUTE);
    expect(seen.manager.deadline()).toBe(Number.POSITIVE_INFINITY);
    expect(seen.changes.at(-1)).toMatchObject({ after: undefined, event: "cleanup" });
  });

  test("an outcome that could not be told yet is kept for ever", () => {
    const seen = books();
    seen.manager.restore([anEndedTask({ delivery: OURS })]);
    expect(seen.tickAt(T0 + 100 * TIMING.cleanupDelayMs).task()).toBeDefined();
  });

  test("reading twice gives the same", () => {
    const seen = books();
    seen.manager.restore([anEndedTask()]);
    expect(seen.task()).toBe(seen.task() as never);
    expect(seen.manager.of(ROOT)).toEqual(seen.manager.of(ROOT));
  });
});

describe("the tree is not a leak", () => {
  test("sessions that nobody watches are forgotten when they are idle", () => {
    const { manager } = books().receive(busy(ROOT), busy(), idle(), idle("ses_grandchild"), idle(ROOT));
    expect(manager.tree.size).toBe(0);
  });

  test("a root with records is not", () => {
    const seen = books().receive(call({ background: true }), busy(), idle(), idle(ROOT));
    expect(seen.manager.tree.rootOf(CHILD)).toBe(ROOT);
  });

  test("a session that the host shows once more when its turn is over is forgotten when nothing follows", () => {
    const seen = new Books(aSession(ROOT)).receive(busy(ROOT), idle(ROOT), shown(ROOT));
    seen.tickAt(T0 + MINUTE - 1);
    expect(seen.manager.tree.size).toBe(1);
    seen.tickAt(T0 + MINUTE);
    expect(seen.manager.tree.size).toBe(0);
    expect(seen.manager.deadline()).toBe(Number.POSITIVE_INFINITY);
  });

  test("a root whose turn is about to begin is not forgotten because the last record below it goes", () => {
    const seen = new Books(aSession(ROOT), CHILD_OF_ROOT);
    seen.manager.restore([anEndedTask({ delivery: delivered() })]);
    seen.manager.dispatch(CHILD, { type: "reconciled", run: 1 });
    seen.now = T0 + TIMING.cleanupDelayMs - 1;
    seen.receive(shown(ROOT)).tickAt(T0 + TIMING.cleanupDelayMs);
    expect(seen.task()).toBeUndefined();
    seen.receive(busy(ROOT));
    expect(seen.manager.tree.get(ROOT)).toMatchObject({ busy: true });
  });

  test("a watched root stays known without a deadline, and goes when nobody watches it any more", () => {
    const seen = new Books(aSession(ROOT)).watch().tickAt(T0 + MINUTE);
    expect(seen.manager.tree.size).toBe(1);
    expect(seen.manager.deadline()).toBe(Number.POSITIVE_INFINITY);
    seen.manager.unwatch(ROOT);
    seen.tickAt(T0 + 2 * MINUTE);
    expect(seen.manager.tree.size).toBe(0);
  });

  test("a child stays known while it works, and so does the root above it", () => {
    const seen = books()
      .receive(busy("ses_grandchild"))
      .tickAt(T0 + MINUTE);
    expect(["ses_grandchild", CHILD, ROOT].map((id) => seen.manager.tree.rootOf(id))).toEqual([ROOT, ROOT, ROOT]);
    expect(seen.manager.deadline()).toBe(T0 + 2 * MINUTE);
  });

  test("the host is asked about a child that works unwatched and of which nothing was heard", () => {
    const seen = books()
      .receive(busy(), busy(ROOT))
      .tickAt(T0 + MINUTE);
    expect(seen.effects).toEqual([{ type: "ask-statuses" }]);
    expect(seen.manager.resting(new Set([CHILD]))).toEqual([]);
    seen.tickAt(T0 + 2 * MINUTE);
    expect(seen.manager.resting(new Set())).toEqual([CHILD]);
  });

  test("one that was heard of since then is not taken for one at rest", () => {
    const seen = books()
      .receive(busy())
      .tickAt(T0 + MINUTE);
    seen.receive(busy());
    expect(seen.manager.resting(new Set())).toEqual([]);
  });

  test("a task that is still shown as working when its record goes is asked for as well", () => {
    const seen = books().watch().receive(busy());
    seen.manager.dispatch(CHILD, { type: "cancel", reason: "enough", text: undefined });
    seen.manager.dispatch(CHILD, { type: "looked", run: 1, look: aLook({ kind: "unfinished", text: "" }) });
    seen.manager.dispatch(CHILD, { type: "delivered", run: 1, sessionID: ROOT, messageID: anID(1) });
    seen.manager.dispatch(CHILD, { type: "reconciled", run: 1 });
    seen.tickAt(T0 + TIMING.cleanupDelayMs);
    expect(seen.task()).toBeUndefined();
    seen.effects.length = 0;
    seen.tickAt(seen.manager.deadline());
    expect(seen.effects).toEqual([{ type: "ask-statuses" }]);
  });

  test("a child of one that was forgotten finds its root again by asking", () => {
    const task = new Books(aSession(ROOT), CHILD_OF_ROOT);
    task.tickAt(T0 + MINUTE);
    expect(task.manager.tree.get(CHILD)).toBeUndefined();
    task.watch().receive(seenLate(GRANDCHILD), busy(GRANDCHILD.id));
    expect(task.effects).toContainEqual({ type: "ask-session", sessionID: CHILD });
    task.receive(seenLate(CHILD_OF_ROOT));
    expect(task.task(GRANDCHILD.id)).toMatchObject({ rootID: ROOT });
  });

  test("with a session all below it are forgotten, also those whose own deletion was not heard", () => {
    const seen = books().receive(busy("ses_grandchild"), { type: "session-deleted", sessionID: ROOT });
    expect(seen.manager.tree.size).toBe(0);
    expect(seen.manager.deadline()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("restore", () => {
  test("records come back as they were stored, and what is known already is not overwritten", () => {
    const seen = books().watch().receive(busy());
    const stored = anEndedTask({ id: "ses_2", delivery: delivered() });
    seen.manager.restore([stored, anEndedTask()]);
    expect(seen.task("ses_2")).toBe(stored);
    expect(seen.task()).toMatchObject({ status: "running" });
  });

  test("what another process runs is asked for in the store, not settled here", () => {
    const seen = books();
    seen.manager.restore([aQueuedTask({ runner: "other" })]);
    seen.tickAt(T0 + MINUTE);
    expect(seen.effects).toEqual([{ type: "reread", rootID: ROOT }]);
    expect(seen.task()).toMatchObject({ status: "queued", runner: "other" });
  });

  test("an ended one of another process does not make the alarm ring in circles", () => {
    const seen = books();
    seen.manager.restore([anEndedTask({ runner: "other", delivery: { state: "pending", teller: "host", until: T0 } })]);
    seen.tickAt(T0);
    expect(seen.manager.deadline()).toBeGreaterThan(T0);
  });
});
