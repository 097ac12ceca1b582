import { beforeEach, describe, expect, test } from "bun:test";
import { frame } from "../../src/delivery/frame.ts";
import type { Goal } from "../../src/goals/goal.ts";
import type { Root } from "../../src/goals/root.ts";
import type { HostEvent, TurnEvent } from "../../src/host/port.ts";
import { RunHold } from "../../src/host/run-hold.ts";
import type { Input } from "../../src/keeper/messages.ts";
import { aGoal, aGoalThatIs, aRoot, ROOT, T0 } from "../support/builders.ts";

const STEP = "msg_a";

/** Books that hold a turn until a test lets it go, or let it go at once. */
class Books {
  readonly inputs: Input[] = [];
  readonly announced: TurnEvent[] = [];
  readonly known = new Set([ROOT]);
  readonly asked: string[] = [];
  currentGoal: Goal | undefined;
  holds = true;
  presence: Root["presence"] = { kind: "awake" };
  claim: Promise<number | undefined> = Promise.resolve(undefined);
  onAnnounce = (_event: TurnEvent): void => undefined;
  private held = false;
  readonly runHold: RunHold = new RunHold({
    keeper: {
      dispatch: (input) => this.dispatch(input),
      goal: () => this.currentGoal,
      lastOf: (_sessionID, messageIDs) => messageIDs.toSorted().at(-1) ?? "",
      root: (sessionID) => {
        if (!this.known.has(sessionID)) return undefined;
        return aRoot({
          presence: this.presence,
          activity: this.held ? { kind: "held", since: T0, readID: "msg_1" } : { kind: "busy", askAt: T0 },
        });
      },
    },
    taken: (rootID) => {
      this.asked.push(rootID);
      return this.claim;
    },
    announce: (event) => {
      this.announced.push(event);
      this.onAnnounce(event);
    },
  });

  get events(): readonly HostEvent[] {
    return this.inputs.flatMap((input) => (input.type === "host" ? [input.event] : []));
  }

  /** What the books have heard of, in order. */
  get heard(): readonly string[] {
    return this.inputs.map((input) => (input.type === "host" ? input.event.type : input.type));
  }

  /** As the keeper does: the effect comes while the event is handled. */
  letGo(sessionID = ROOT): void {
    this.held = false;
    this.runHold.release(sessionID);
  }

  private dispatch(input: Input): void {
    this.inputs.push(input);
    if (input.type !== "host") return;
    if (input.event.type === "turn-goes-on") this.letGo();
    if (input.event.type !== "turn-held") return;
    if (this.holds) this.held = true;
    else this.letGo();
  }
}

let books: Books;
let runHold: RunHold;

beforeEach(() => {
  books = new Books();
  runHold = books.runHold;
});

function assistant(more: Record<string, unknown> = {}): void {
  const info = { role: "assistant", id: STEP, sessionID: ROOT, parentID: "msg_1", ...more };
  runHold.receive({ type: "message.updated", properties: { info } });
}

function finish(more: Record<string, unknown> = {}): void {
  const part = { type: "step-finish", sessionID: ROOT, messageID: STEP, reason: "stop", ...more };
  runHold.receive({ type: "message.part.updated", properties: { part } });
}

/** Says whether OpenCode still waits. */
function watch(hook: Promise<void>): { isWaiting(): Promise<boolean> } {
  let isOver = false;
  hook.then(
    () => {
      isOver = true;
    },
    () => {
      isOver = true;
    },
  );
  return {
    async isWaiting() {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      return !isOver;
    },
  };
}

function request(text: string, more: Record<string, unknown> = {}) {
  const info = { role: "user", id: "msg_5", sessionID: ROOT, ...more };
  return [
    { info: { role: "assistant", id: "msg_0", sessionID: ROOT }, parts: [] },
    { info, parts: [{ type: "text", text }] },
  ];
}

const WAITING = frame("waiting", "msg_5", "It is kept open for them.");

describe("after a text", () => {
  test("OpenCode waits until the books let the turn go", async () => {
    assistant();
    const hook = watch(runHold.textCompleted(ROOT, STEP));
    expect(await hook.isWaiting()).toBe(true);
    expect(books.events).toEqual([{ type: "turn-held", sessionID: ROOT, messageID: STEP, readID: "msg_1" }]);
    books.letGo();
    expect(await hook.isWaiting()).toBe(false);
  });

  test("books that let it go while they hear of it keep nobody waiting", async () => {
    books.holds = false;
    expect(await watch(runHold.textCompleted(ROOT, STEP)).isWaiting()).toBe(false);
    expect(books.heard).toEqual(["turn-held"]);
  });

  test("a session without books is not held: a child, or one that is gone", async () => {
    expect(await watch(runHold.textCompleted("ses_child", STEP)).isWaiting()).toBe(false);
    expect([books.inputs, books.asked]).toEqual([[], []]);
  });

  test("a summary is not held", async () => {
    assistant({ summary: true });
    expect(await watch(runHold.textCompleted(ROOT, STEP)).isWaiting()).toBe(false);
    expect(books.inputs).toEqual([]);
    expect(await watch(runHold.textCompleted(ROOT, "msg_b")).isWaiting()).toBe(true);
  });

  test("a step that has called a tool is not held: OpenCode goes on by itself (R8)", async () => {
    assistant();
    runHold.toolBegins(ROOT);
    expect(await watch(runHold.textCompleted(ROOT, STEP)).isWaiting()).toBe(false);
    expect(books.inputs).toEqual([]);
  });

  test("the next step is held again", async () => {
    runHold.toolBegins(ROOT);
    await runHold.requestBegins(request("go on"));
    expect(await watch(runHold.textCompleted(ROOT, STEP)).isWaiting()).toBe(true);
  });

  test("a tool that begins while the text before it is held lets the turn go on", async () => {
    const hook = watch(runHold.textCompleted(ROOT, STEP));
    expect(await hook.isWaiting()).toBe(true);
    runHold.toolBegins(ROOT);
    expect(await hook.isWaiting()).toBe(false);
    expect(books.heard).toEqual(["turn-held", "turn-goes-on"]);
  });

  test("a tool of a session that nobody holds is not worth a word", () => {
    runHold.toolBegins(ROOT);
    runHold.toolBegins("ses_child");
    expect(books.inputs).toEqual([]);
  });

  test("a second text of the same session takes the place of the first, and neither is left waiting", async () => {
    const first = watch(runHold.textCompleted(ROOT, STEP));
    expect(await first.isWaiting()).toBe(true);
    const second = watch(runHold.textCompleted(ROOT, STEP));
    expect([await first.isWaiting(), await second.isWaiting()]).toEqual([false, true]);
    books.letGo();
    expect(await second.isWaiting()).toBe(false);
  });

  test("two sessions are held apart", async () => {
    books.known.add("ses_2");
    const hooks = [watch(runHold.textCompleted(ROOT, STEP)), watch(runHold.textCompleted("ses_2", STEP))] as const;
    expect([await hooks[0].isWaiting(), await hooks[1].isWaiting()]).toEqual([true, true]);
    books.letGo("ses_2");
    expect([await hooks[0].isWaiting(), await hooks[1].isWaiting()]).toEqual([true, false]);
  });

  test("letting go what nobody holds means nothing, before and after", async () => {
    books.letGo();
    const hook = watch(runHold.textCompleted(ROOT, STEP));
    expect(await hook.isWaiting()).toBe(true);
    books.letGo();
    books.letGo();
    expect(await hook.isWaiting()).toBe(false);
    expect(books.announced.filter(({ type }) => type === "turn-goes-on")).toHaveLength(1);
  });
});

describe("who keeps the books of a root with a goal", () => {
  test("is asked before the turn is held: afterwards there is no time", async () => {
    books.currentGoal = aGoal();
    expect(await watch(runHold.textCompleted(ROOT, STEP)).isWaiting()).toBe(true);
    expect([books.asked, books.heard]).toEqual([[ROOT], ["turn-held"]]);
  });

  test("is another process: the books hear of it first", async () => {
    books.currentGoal = aGoal();
    books.claim = Promise.resolve(3);
    watch(runHold.textCompleted(ROOT, STEP));
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(books.inputs[0]).toEqual({ type: "moved", rootID: ROOT, claim: 3 });
    expect(books.heard).toEqual(["moved", "turn-held"]);
  });

  test.each([undefined, aGoalThatIs("paused"), aGoalThatIs("complete")])(
    "is not asked without one (%#)",
    async (goal) => {
      books.currentGoal = goal;
      expect(await watch(runHold.textCompleted(ROOT, STEP)).isWaiting()).toBe(true);
      expect(books.asked).toEqual([]);
    },
  );

  test("a tool that begins meanwhile: the step is not held", async () => {
    books.currentGoal = aGoal();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    books.claim = promise;
    const hook = watch(runHold.textCompleted(ROOT, STEP));
    expect(await hook.isWaiting()).toBe(true);
    runHold.toolBegins(ROOT);
    resolve(undefined);
    expect(await hook.isWaiting()).toBe(false);
    expect(books.inputs).toEqual([]);
  });

  test("a question that fails holds nobody", async () => {
    books.currentGoal = aGoal();
    books.claim = Promise.reject(new Error("no answer"));
    expect(await watch(runHold.textCompleted(ROOT, STEP)).isWaiting()).toBe(false);
  });
});

describe("before a request", () => {
  test("whose newest message keeps the turn open, OpenCode waits", async () => {
    const hook = watch(runHold.requestBegins(request(WAITING)));
    expect(await hook.isWaiting()).toBe(true);
    expect(books.events).toEqual([{ type: "turn-held", sessionID: ROOT, messageID: "msg_5", readID: "msg_5" }]);
    books.letGo();
    expect(await hook.isWaiting()).toBe(false);
  });

  test.each([
    ["is the user's", request("go on")],
    ["is a continuation of ours", request(frame("continuation", "msg_5", "Go on."))],
    ["is an answer", request(WAITING, { role: "assistant" })],
    ["is in a session without books", request(WAITING, { sessionID: "ses_child" })],
    ["is older than another one", [...request(WAITING), ...request("go on", { id: "msg_6" })]],
    ["has no id", request(WAITING, { id: undefined })],
    ["is not there", []],
  ])("whose newest message %s, it does not", async (_what, messages) => {
    expect(await watch(runHold.requestBegins(messages)).isWaiting()).toBe(false);
    expect(books.inputs).toEqual([]);
  });
});

describe("a continuation that an earlier process has stored too late", () => {
  const hello = { info: { role: "user", id: "msg_6", sessionID: ROOT }, parts: [{ type: "text", text: "hello" }] };
  const sleeps: Root["presence"] = { kind: "goal-asleep", since: T0 };

  async function read(presence: Root["presence"], ...behind: ReturnType<typeof request>): Promise<readonly unknown[]> {
    books.presence = presence;
    const messages = [...behind, hello];
    await runHold.requestBegins(messages);
    return messages.map(({ info }) => info.id);
  }

  test("is not read by the agent while the goal sleeps", async () => {
    expect(await read(sleeps, ...request(frame("continuation", "msg_5", "Go on.")))).toEqual(["msg_0", "msg_6"]);
    expect(await read({ kind: "asleep", since: T0 }, ...request(frame("continuation", "msg_5", "Go on.")))).toEqual([
      "msg_0",
      "msg_6",
    ]);
  });

  test("is read when the goal goes on", async () => {
    const ids = ["msg_0", "msg_5", "msg_6"];
    expect(await read({ kind: "awake" }, ...request(frame("continuation", "msg_5", "Go on.")))).toEqual(ids);
  });

  test.each([
    ["carries an outcome", request(frame("continuation", "msg_5", "Go on.\n\n1 lost."))],
    ["asks for a last word", request(frame("wrapup", "msg_5", "The limit is reached."))],
    ["is the user's", request("go on")],
  ])("is read all the same when it %s", async (_what, messages) => {
    expect(await read(sleeps, ...messages)).toEqual(["msg_0", "msg_5", "msg_6"]);
  });

  test("stays in the history once it is answered", async () => {
    const [before, continuation] = request(frame("continuation", "msg_5", "Go on."));
    const answer = { info: { role: "assistant", id: "msg_5a", sessionID: ROOT, parentID: "msg_5" }, parts: [] };
    if (before === undefined || continuation === undefined) throw new Error("two are made");
    expect(await read(sleeps, before, continuation, answer)).toEqual(["msg_0", "msg_5", "msg_5a", "msg_6"]);
  });
});

describe("the last step of a turn", () => {
  beforeEach(() => assistant());

  test.each(["stop", "length", undefined])("ends it: %s", (reason) => {
    finish({ reason });
    expect(books.events).toEqual([{ type: "step-ended", sessionID: ROOT, messageID: STEP, readID: "msg_1" }]);
  });

  test.each(["tool-calls", "unknown"])("does not end it, for OpenCode goes on by itself: %s", (reason) => {
    finish({ reason });
    expect(books.inputs).toEqual([]);
  });

  test.each(["content-filter", "error"])(
    "is none that a message could keep going, for the turn fails: %s",
    (reason) => {
      finish({ reason });
      expect(books.inputs).toEqual([]);
    },
  );

  test("does not end it when a tool has worked in it, whatever the provider calls its end", () => {
    runHold.toolBegins(ROOT);
    finish();
    expect(books.inputs).toEqual([]);
  });

  test.each([
    ["of another message", { messageID: "msg_b" }],
    ["of a session that was not seen", { sessionID: "ses_2" }],
    ["that is no end of a step", { type: "text" }],
  ])("is not one %s", (_what, more) => {
    finish(more);
    expect(books.inputs).toEqual([]);
  });

  test("is none in a session without books", () => {
    assistant({ sessionID: "ses_child" });
    finish({ sessionID: "ses_child" });
    expect(books.inputs).toEqual([]);
  });

  test("is none of a summary", () => {
    assistant({ summary: true });
    finish();
    expect(books.inputs).toEqual([]);
  });

  test("names the message that it answers, as it was published last", () => {
    assistant({ parentID: "msg_2" });
    finish();
    expect(books.events).toMatchObject([{ readID: "msg_2" }]);
  });

  test("names the newest message that it has read: what it answers may have been stored behind that, under an older id", async () => {
    const read = ["msg_3", "msg_2"].map((id) => ({ info: { id, role: "user", sessionID: ROOT }, parts: [] }));
    await runHold.requestBegins(read);
    assistant({ parentID: "msg_2" });
    finish();
    expect(books.events).toMatchObject([{ readID: "msg_3" }]);
  });
});

describe("events and hooks that are not as they should be", () => {
  const values = [undefined, null, 42, "text", [], {}, { info: null }, { part: [] }, { info: { role: "assistant" } }];

  test("never throw, and mean nothing", async () => {
    for (const type of ["message.updated", "message.part.updated", "session.idle", "", "toString"])
      for (const properties of values) runHold.receive({ type, properties });
    runHold.receive({ type: "message.updated", properties: { info: { role: "assistant", id: 1, sessionID: ROOT } } });
    runHold.receive({ type: "message.part.updated", properties: { part: { type: "step-finish", sessionID: {} } } });
    for (const info of values) await runHold.requestBegins([{ info, parts: values }]);
    expect(books.inputs).toEqual([]);
  });

  test("a waiting message among parts of any shape is found", async () => {
    const info = { role: "user", id: "msg_5", sessionID: ROOT };
    const parts = [...values, { type: "text", text: WAITING }];
    expect(await watch(runHold.requestBegins([{ info, parts }])).isWaiting()).toBe(true);
  });
});

describe("others who have something to tell in a held turn", () => {
  test("hear when it is held and when it goes on", async () => {
    expect(await watch(runHold.textCompleted(ROOT, STEP)).isWaiting()).toBe(true);
    books.letGo();
    expect(books.announced).toEqual([
      { type: "turn-held", sessionID: ROOT, messageID: STEP, readID: STEP },
      { type: "turn-goes-on", sessionID: ROOT },
    ]);
  });

  test("hear of no hold where nothing is held", async () => {
    books.holds = false;
    await runHold.textCompleted(ROOT, STEP);
    expect(books.announced.filter(({ type }) => type === "turn-held")).toEqual([]);
  });

  test("who fail at that leave nobody waiting", async () => {
    const hook = watch(runHold.textCompleted(ROOT, STEP));
    expect(await hook.isWaiting()).toBe(true);
    books.onAnnounce = () => {
      throw new Error("their books are broken");
    };
    expect(() => books.letGo()).toThrow("their books are broken");
    expect(await hook.isWaiting()).toBe(false);
  });
});

test("when the plugin is disposed every turn goes on", async () => {
  books.known.add("ses_2");
  const hooks = [runHold.textCompleted(ROOT, STEP), runHold.requestBegins(request(WAITING, { sessionID: "ses_2" }))];
  const watched = hooks.map(watch);
  for (const hook of watched) expect(await hook.isWaiting()).toBe(true);
  runHold.dispose();
  for (const hook of watched) expect(await hook.isWaiting()).toBe(false);
  expect(() => runHold.dispose()).not.toThrow();
});

test("books that are closed by then hold nobody", async () => {
  books.currentGoal = aGoal();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  books.claim = promise;
  const hook = watch(runHold.textCompleted(ROOT, STEP));
  expect(await hook.isWaiting()).toBe(true);
  runHold.dispose();
  books.known.clear();
  resolve(undefined);
  expect(await hook.isWaiting()).toBe(false);
});
