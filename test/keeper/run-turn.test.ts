import { beforeEach, describe, expect, test } from "bun:test";
import type { Found } from "../../src/delivery/outbox.ts";
import type { Goal, GoalEvent } from "../../src/goals/goal.ts";
import type { Hold } from "../../src/goals/run-hold.ts";
import type { HostEvent } from "../../src/host/port.ts";
import type { RunConfig } from "../../src/keeper/config.ts";
import { Keeper } from "../../src/keeper/keeper.ts";
import type { Effect, Saved } from "../../src/keeper/messages.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import {
  aGoal,
  aLook,
  aMessage,
  anID,
  aSession,
  CHILD,
  GATE,
  known,
  ROOT,
  T0,
  TIMING,
  VOICE,
} from "../support/builders.ts";

const SECOND = 1_000;
const CEILING = 1_800 * SECOND;
const SET = { type: "set", id: "goal_1", objective: "make the build pass" } as const;
const IDLE: HostEvent = { type: "session-idle", sessionID: ROOT };
const HELD: HostEvent = { type: "turn-held", sessionID: ROOT, messageID: anID(999), readID: anID(1) };
const GOES_ON: HostEvent = { type: "turn-goes-on", sessionID: ROOT };
const ABORT: HostEvent = {
  type: "session-error",
  sessionID: ROOT,
  error: { name: "MessageAbortedError", message: "aborted" },
};

interface Settings {
  readonly run?: Partial<RunConfig>;
  /** Anywhere else than in `opencode run`. */
  readonly elsewhere?: boolean;
  readonly maxAutoTurns?: number;
  readonly noProgressTurns?: number;
}

/**
 * One turn of an `opencode run` in a keeper whose effects are recorded. Writes and sends are answered as OpenCode does on
 * a good day, unless a test says otherwise.
 */
class Turn {
  readonly clock = new SimulatedClock(T0);
  readonly effects: Effect[] = [];
  readonly holds: Hold[] = [];
  readonly keeper: Keeper;
  /** How writes are answered; undefined: not at all. */
  saves: Saved | undefined = { kind: "ok" };
  /** Whether sends are answered. */
  sends = true;
  clocks = 0;
  private made = 200;
  private lastID = anID(100);
  private readonly found = new Map<string, "finished" | "failed">();

  constructor({ run = {}, elsewhere = false, maxAutoTurns = 25, noProgressTurns = 0 }: Settings = {}) {
    this.keeper = new Keeper({
      clock: this.clock,
      config: {
        timing: TIMING,
        gate: GATE,
        command: "goal",
        limits: { budget: { turns: maxAutoTurns, tokens: 0, ms: 0 }, maxPromptFailures: 3, noProgressTurns },
        concurrency: 5,
        cancelOnInterrupt: true,
        reportHoldMs: 900_000,
        hasReadTool: true,
        run: elsewhere ? undefined : { waits: true, ceilingMs: CEILING, ...run },
      },
      adopts: true,
      owner: { host: "h", pid: 1, processStartedAt: 1, instance: "me" },
      runner: "me",
      ids: { message: () => anID(++this.made), part: () => `prt_${this.made}` },
      perform: (effect) => this.perform(effect),
      observe: (observation) => {
        if (observation.type === "hold") this.holds.push(observation.hold);
        if (observation.type === "input" && observation.input.type === "clock") this.clocks++;
      },
    });
    this.host({ type: "session-seen", session: aSession(ROOT), created: true });
    this.userSays(this.lastID).answers();
  }

  host(...events: readonly HostEvent[]): this {
    for (const event of events) {
      if (event.type !== "session-seen") this.keeper.manager.signs.mark(event.sessionID, this.clock.now());
      // The step that is held answers the newest message.
      const held = event.type === "turn-held" ? { ...event, readID: this.lastID } : event;
      this.keeper.dispatch({ type: "host", event: held });
    }
    return this;
  }

  userSays(messageID: string): this {
    this.lastID = messageID;
    const said = { sessionID: ROOT, messageID } as const;
    return this.host(
      { type: "user-message", ...said, voice: VOICE },
      { type: "user-text", ...said, text: "and the docs", synthetic: false, ignored: false },
      { type: "session-busy", sessionID: ROOT },
    );
  }

  /** The host publishes the message of ours that it has stored last, and begins its next step with it. */
  takes(): this {
    this.lastID = this.prompts.at(-1)?.messageID ?? this.lastID;
    const text = this.prompts.at(-1)?.text ?? "";
    const message = { sessionID: ROOT, messageID: this.lastID } as const;
    return this.host(
      { type: "user-message", ...message, voice: VOICE },
      { type: "user-text", ...message, text, synthetic: true, ignored: false },
      { type: "session-busy", sessionID: ROOT },
    ).answers();
  }

  /** An answer to the newest message begins. */
  answers(): this {
    const message = { summary: false, completedAt: undefined, error: undefined, usage: undefined };
    return this.host({
      type: "assistant-message",
      sessionID: ROOT,
      messageID: anID(999),
      parentID: this.lastID,
      ...message,
    });
  }

  usesTool(): this {
    const part = { messageID: anID(999), callID: "call_1", tool: "bash", state: "completed", output: "" } as const;
    return this.host({ type: "tool", sessionID: ROOT, ...part });
  }

  /** Its last step is complete: the turn ends in a few milliseconds. */
  stepEnds(parentID = this.lastID): this {
    return this.host({ type: "step-ended", sessionID: ROOT, messageID: anID(999), readID: parentID });
  }

  setGoal(): this {
    this.keeper.dispatch({ type: "goal", rootID: ROOT, event: SET });
    return this;
  }

  /** Tasks that have begun to work. */
  async launches(...ids: readonly string[]): Promise<this> {
    for (const id of ids) {
      const made = { id, parentID: ROOT, title: `title of ${id}`, createdAt: this.clock.now() };
      const task = { ...made, launch: { voice: VOICE, unstable: false }, promptID: "msg_p", prompt: "do it" };
      this.keeper.dispatch({ type: "launched", rootID: ROOT, task, requestedAt: this.clock.now() });
    }
    await this.clock.advance(SECOND);
    expect(this.keeper.tasks(ROOT).map(({ status }) => status)).toEqual(ids.map(() => "running"));
    return this;
  }

  /** A task of OpenCode's own Task tool, which OpenCode tells about. */
  startsNative(id: string): this {
    const child = { sessionID: id, background: true, title: `title of ${id}` };
    const part = { messageID: anID(999), callID: id, tool: "task", output: "" };
    return this.host(
      { type: "session-seen", session: aSession(id, { parentID: ROOT }), created: true },
      { type: "tool", sessionID: ROOT, state: "running", ...part, child },
      { type: "session-busy", sessionID: id },
    );
  }

  async ends(taskID: string, how: "finished" | "failed" = "finished"): Promise<this> {
    this.found.set(taskID, how);
    this.host({ type: "session-idle", sessionID: taskID });
    await this.clock.advance(SECOND);
    return this;
  }

  /** Lets time pass in which every task shows that it is at work. */
  async works(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    while (this.clock.now() < until) {
      for (const { id } of this.keeper.tasks(ROOT)) this.keeper.manager.signs.mark(id, this.clock.now());
      await this.clock.advanceTo(Math.min(until, this.clock.now() + 20 * SECOND));
    }
  }

  asks(sessionID: string): this {
    return this.host({ type: "ask-opened", sessionID, askID: "per_1", kind: "permission", about: "bash" });
  }

  /** Everything that was sent into the root. */
  get prompts() {
    return this.sent.map(({ prompt }) => prompt);
  }

  get sent() {
    return this.effects.filter((effect) => effect.type === "send").filter(({ prompt }) => prompt.sessionID === ROOT);
  }

  get kinds(): readonly (string | undefined)[] {
    return this.prompts.map(({ text }) => /^<goalkeeper kind="([a-z-]+)"/.exec(text)?.[1]);
  }

  get releases(): number {
    return this.effects.filter(({ type }) => type === "release").length;
  }

  /** Why the turn was let go, each time; and what it was held for. */
  get story(): readonly string[] {
    return this.holds.map((hold) =>
      hold.kind === "release" ? hold.why : hold.reasons.map(({ taskID }) => taskID).join("+"),
    );
  }

  get stored(): StoredRoot | undefined {
    return this.effects.filter((effect) => effect.type === "save").at(-1)?.stored;
  }

  get goal(): Goal | undefined {
    return this.keeper.goal(ROOT);
  }

  get isHeld(): boolean {
    return this.keeper.root(ROOT)?.activity.kind === "held";
  }

  answersSaves(): void {
    this.saves = { kind: "ok" };
    const last = this.effects.filter((effect) => effect.type === "save").at(-1);
    if (last !== undefined) this.saved(last.revision, this.saves);
  }

  answersSends(): void {
    this.sends = true;
    const [last] = this.sent.slice(-1);
    if (last !== undefined) this.accepted(last.prompt.messageID);
  }

  private perform(effect: Effect): void {
    this.effects.push(effect);
    const { keeper } = this;
    if (effect.type === "save" && this.saves !== undefined) this.saved(effect.revision, this.saves);
    if (effect.type === "send" && this.sends) this.accepted(effect.prompt.messageID);
    if (effect.type === "start") {
      keeper.dispatch({ type: "started", taskID: effect.taskID, run: effect.run, answer: known("sent") });
      keeper.dispatch({ type: "host", event: { type: "session-busy", sessionID: effect.taskID } });
    }
    if (effect.type !== "look") return;
    const how = this.found.get(effect.taskID);
    const error = { name: "APIError", message: "no such key", statusCode: 401 };
    const ended =
      how === "failed" ? ({ kind: "failed", text: "", error } as const) : { kind: "finished", text: "done" };
    const look = how === undefined ? aLook() : aLook(ended as Parameters<typeof aLook>[0]);
    keeper.dispatch({ type: "looked", taskID: effect.taskID, run: effect.run, look });
  }

  private saved(revision: number, result: Saved): void {
    this.keeper.dispatch({ type: "saved", rootID: ROOT, revision, result });
  }

  private accepted(messageID: string): void {
    this.keeper.dispatch({ type: "sent", rootID: ROOT, sessionID: ROOT, messageID, answer: known(undefined) });
  }
}

let turn: Turn;

beforeEach(() => {
  turn = new Turn();
});

describe("a turn in which nothing is owed", () => {
  test("is let go at once: nothing is written, asked or sent, and no timer is left", async () => {
    turn.host(HELD);
    expect(turn.effects).toEqual([{ type: "release", rootID: ROOT }]);
    expect(turn.story).toEqual(["nothing-owed"]);
    turn.stepEnds().host(IDLE);
    await turn.clock.advance(60 * SECOND);
    expect(turn.effects).toHaveLength(1);
    expect(turn.keeper.sizes).toMatchObject({ roots: 0, armed: false });
  });

  test("is let go at each of its texts, once", () => {
    turn.host(HELD, HELD);
    expect(turn.releases).toBe(2);
  });
});

describe("a turn with a task", () => {
  test("is held until the outcome is stored in it, and let go once", async () => {
    await turn.launches(CHILD);
    turn.host(HELD);
    await turn.works(600 * SECOND);
    expect([turn.isHeld, turn.releases, turn.sent]).toEqual([true, 0, []]);
    turn.sends = false;
    await turn.ends(CHILD);
    expect(turn.sent).toMatchObject([{ deposit: true, prompt: { synthetic: true } }]);
    expect(turn.prompts[0]?.text).toContain("Background tasks ended: 1 completed.");
    expect([turn.isHeld, turn.releases]).toEqual([true, 0]);
    turn.answersSends();
    expect([turn.isHeld, turn.releases]).toEqual([false, 1]);
    expect(turn.keeper.tasks(ROOT)).toMatchObject([{ delivery: { state: "delivered" } }]);
    turn.takes().host(HELD).stepEnds().host(IDLE);
    expect([turn.releases, turn.sent.length]).toEqual([2, 1]);
    expect(turn.keeper.tasks(ROOT)).toMatchObject([{ delivery: { state: "reconciled" } }]);
  });

  test("says each change of what it waits for once", async () => {
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD);
    await turn.ends("ses_1");
    await turn.ends("ses_2");
    expect(turn.story).toEqual(["ses_1+ses_2", "ses_2", "ses_1+ses_2", "nothing-owed"]);
    expect(turn.kinds).toEqual(["task-outcome"]);
  });

  test("that is OpenCode's own is held until OpenCode has told it, and we say nothing", async () => {
    turn.startsNative(CHILD).host(HELD);
    expect(turn.isHeld).toBe(true);
    turn.host({ type: "session-idle", sessionID: CHILD });
    const told = { taskID: CHILD, ended: "completed", text: "done" } as const;
    const message = { sessionID: ROOT, messageID: anID(300) } as const;
    turn.host(
      { type: "user-message", ...message, voice: VOICE },
      { type: "user-text", ...message, text: "<task …>", synthetic: true, ignored: false, told },
    );
    expect([turn.isHeld, turn.releases, turn.sent]).toEqual([false, 1, []]);
    await turn.clock.advance(60 * SECOND);
    expect(turn.releases).toBe(1);
  });

  test("is not let go by a busy, which OpenCode says again and again", async () => {
    await turn.launches(CHILD);
    turn.host(HELD, { type: "session-busy", sessionID: ROOT });
    expect([turn.isHeld, turn.releases]).toEqual([true, 0]);
  });

  test("is let go when a tool of the step begins, and held again at its end", async () => {
    await turn.launches(CHILD);
    turn.host(HELD, GOES_ON);
    expect([turn.isHeld, turn.releases]).toEqual([false, 1]);
    turn.usesTool().host(HELD);
    expect([turn.isHeld, turn.releases]).toEqual([true, 1]);
    await turn.ends(CHILD);
    expect([turn.isHeld, turn.releases]).toEqual([false, 2]);
  });

  test("with one that asks is not held for that one", async () => {
    await turn.launches(CHILD);
    turn.host(HELD).asks(CHILD);
    expect([turn.story, turn.releases]).toEqual([[CHILD, "nothing-owed"], 1]);
  });

  test("with one that asks: a success beside it is told at once, for nobody waits for the other", async () => {
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD).asks("ses_2");
    await turn.ends("ses_1");
    expect(turn.kinds).toEqual(["task-outcome"]);
    expect([turn.isHeld, turn.releases]).toEqual([false, 1]);
  });

  test("with wait_in_run off is not held for it, and what has ended is told all the same", async () => {
    turn = new Turn({ run: { waits: false } });
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD);
    expect([turn.story, turn.releases]).toEqual([["nothing-owed"], 1]);
    await turn.ends("ses_1", "failed");
    turn.host(HELD);
    expect([turn.kinds, turn.sent[0]?.deposit, turn.releases]).toEqual([["task-outcome"], true, 2]);
  });

  test("is held anywhere else without a word: only opencode run lets turns go", () => {
    const other = new Turn({ elsewhere: true });
    other.host(HELD);
    expect([other.holds, other.releases]).toEqual([[], 0]);
  });
});

describe("a turn is never left hanging", () => {
  beforeEach(async () => {
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD);
    expect([turn.isHeld, turn.releases]).toEqual([true, 0]);
  });

  test("by the user's abort, after which nothing of ours is said in it", async () => {
    turn.host(ABORT);
    expect([turn.story.at(-1), turn.releases]).toEqual(["interrupted", 1]);
    await turn.clock.advance(2 * CEILING);
    expect([turn.sent, turn.releases]).toEqual([[], 1]);
  });

  test("by an idle, which shows that OpenCode does not wait any more", () => {
    turn.host(IDLE, IDLE);
    expect(turn.releases).toBe(1);
  });

  test("by the deletion of its session", () => {
    turn.host({ type: "session-deleted", sessionID: ROOT });
    expect(turn.releases).toBe(1);
    expect(turn.keeper.root(ROOT)).toBeUndefined();
  });

  test("by a deletion that shows only when a message is refused", async () => {
    turn.sends = false;
    await turn.ends("ses_1", "failed");
    const [{ messageID = "" } = {}] = turn.prompts;
    const gone = { kind: "gone" } as const;
    turn.keeper.dispatch({ type: "sent", rootID: ROOT, sessionID: ROOT, messageID, answer: gone });
    expect(turn.releases).toBe(1);
  });

  test("by books that cannot be written: nothing can be told, and the tasks are still waited for", async () => {
    turn.saves = { kind: "failed", reason: "disk full" };
    await turn.ends("ses_1", "failed");
    await turn.clock.advance(60 * SECOND);
    expect([turn.isHeld, turn.sent, turn.story.at(-1)]).toEqual([true, [], "ses_2"]);
    await turn.ends("ses_2");
    expect([turn.isHeld, turn.releases]).toEqual([false, 1]);
  });

  test("by another process that keeps the books by now: it tells what is to be told", async () => {
    turn.keeper.dispatch({ type: "moved", rootID: ROOT, claim: 7 });
    await turn.ends("ses_1");
    await turn.ends("ses_2");
    expect([turn.isHeld, turn.releases, turn.sent]).toEqual([false, 1, []]);
  });

  test("by a message that OpenCode never answers for: it is given up, and the turn goes on", async () => {
    turn.sends = false;
    await turn.ends("ses_1");
    await turn.ends("ses_2");
    for (let looks = 0; looks < 40 && turn.isHeld; looks++) {
      await turn.clock.advance(5 * SECOND);
      const absent = { kind: "absent" } as const;
      turn.keeper.dispatch({ type: "verified", rootID: ROOT, sessionID: ROOT, found: absent });
    }
    expect([turn.isHeld, turn.releases]).toEqual([false, 1]);
    expect(turn.sent.every(({ deposit }) => deposit === true)).toBe(true);
  });

  test("once the books are closed nothing is said any more: whoever holds the turn lets it go by himself", async () => {
    turn.keeper.dispose();
    const before = turn.effects.length;
    await turn.clock.advance(2 * CEILING);
    expect([turn.effects.length - before, turn.clock.pending()]).toEqual([0, 0]);
  });
});

describe("an abort while the goal sleeps", () => {
  test("lets the turn go, too", async () => {
    turn = asleep();
    turn.userSays(anID(300)).answers();
    await turn.launches(CHILD);
    turn.host(HELD);
    expect(turn.isHeld).toBe(true);
    turn.host(ABORT);
    expect([turn.isHeld, turn.releases]).toEqual([false, 1]);
  });
});

describe("a continuation that an earlier process has sent", () => {
  const { text: _text, ...reserved } = aMessage({ id: anID(150), kind: "continuation" });

  function finds(found: Found, wakes = false): number | undefined {
    turn = asleep({ reserved });
    turn.userSays(anID(300));
    if (wakes) turn.keeper.dispatch({ type: "wake", rootID: ROOT });
    turn.keeper.dispatch({ type: "verified", rootID: ROOT, sessionID: ROOT, found });
    return turn.keeper.goal(ROOT)?.turns;
  }

  test.each([{ kind: "unanswered", text: "Go on." }, { kind: "overtaken" }] satisfies Found[])(
    "and that nobody has answered is no turn of a goal that sleeps (%#)",
    (found) => expect([finds(found), finds(found, true)]).toEqual([0, 1]),
  );

  test("and that was answered is one", () => {
    expect(finds({ kind: "answered" })).toBe(1);
  });
});

describe("a failure", () => {
  test("is stored in the held turn, which is let go to read it; the next hold waits for the others", async () => {
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD);
    await turn.ends("ses_1", "failed");
    expect(turn.story.at(-1)).toBe("failure");
    expect([turn.kinds, turn.releases]).toEqual([["task-outcome"], 1]);
    expect(turn.prompts[0]?.text).toContain("no such key");
    turn.takes().host(HELD);
    expect([turn.isHeld, turn.releases]).toEqual([true, 1]);
    await turn.ends("ses_2");
    expect([turn.kinds.length, turn.releases]).toEqual([2, 2]);
  });
});

describe("the ceiling", () => {
  test("says once which tasks are left behind, and then lets the turn go", async () => {
    await turn.launches(CHILD);
    turn.host(HELD);
    await turn.works(CEILING - 1);
    expect([turn.isHeld, turn.sent]).toEqual([true, []]);
    await turn.works(1);
    expect([turn.kinds, turn.sent[0]?.deposit]).toEqual([["task-outcome"], true]);
    expect(turn.prompts[0]?.text).toContain("Nobody waits for them any longer");
    expect(turn.prompts[0]?.text).toContain(CHILD);
    expect([turn.story.at(-1), turn.releases]).toEqual(["ceiling", 1]);
    turn.takes().host(HELD);
    expect([turn.story.at(-1), turn.releases, turn.sent.length]).toEqual(["ceiling", 2, 1]);
  });

  test("is not told before it is stored, and the turn is held until then", async () => {
    await turn.launches(CHILD);
    turn.host(HELD);
    turn.sends = false;
    await turn.works(CEILING);
    expect([turn.kinds, turn.releases]).toEqual([["task-outcome"], 0]);
    turn.answersSends();
    expect(turn.releases).toBe(1);
  });

  test("lets what has ended since be told, although others are left behind", async () => {
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD);
    await turn.works(CEILING);
    turn.takes();
    await turn.ends("ses_1");
    turn.host(HELD);
    expect([turn.kinds, turn.story.at(-1), turn.isHeld]).toEqual([["task-outcome", "task-outcome"], "ceiling", false]);
    expect(turn.prompts.at(-1)?.text).toContain("1 completed");
    expect(turn.prompts.at(-1)?.text).not.toContain("Nobody waits");
  });

  test("is told by a message of its own when the one before it was put together earlier", async () => {
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD);
    await turn.works(CEILING - 3 * SECOND);
    turn.saves = undefined;
    await turn.ends("ses_1", "failed");
    await turn.works(3 * SECOND);
    turn.answersSaves();
    expect([turn.kinds.length, turn.story.at(-1)]).toEqual([1, "failure"]);
    turn.takes();
    await turn.works(SECOND);
    turn.host(HELD);
    expect([turn.kinds.length, turn.story.at(-1)]).toEqual([2, "ceiling"]);
    expect(turn.prompts.at(-1)?.text).toContain("Nobody waits for them any longer");
  });

  test("is shared by all holds of one wait", async () => {
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD);
    await turn.works(CEILING / 2);
    await turn.ends("ses_1", "failed");
    turn.takes();
    await turn.works(CEILING / 4);
    turn.host(HELD);
    await turn.works(CEILING / 4 - 2 * SECOND);
    expect([turn.isHeld, turn.kinds.length]).toEqual([true, 1]);
    await turn.works(2 * SECOND);
    expect([turn.isHeld, turn.kinds.length, turn.story.at(-1)]).toEqual([false, 2, "ceiling"]);
  });

  test("does not begin in a step in which a tool works: that was not the end of the turn", async () => {
    await turn.launches(CHILD);
    turn.host(HELD);
    await turn.works(SECOND);
    turn.host(GOES_ON);
    await turn.works(2 * CEILING);
    turn.usesTool().host(HELD);
    await turn.works(CEILING - SECOND);
    expect([turn.isHeld, turn.sent]).toEqual([true, []]);
    await turn.works(SECOND);
    expect([turn.isHeld, turn.kinds]).toEqual([false, ["task-outcome"]]);
  });

  test("goes on, once begun, while a tool works in a later step", async () => {
    await turn.launches("ses_1", "ses_2");
    turn.host(HELD);
    await turn.works(CEILING / 2);
    await turn.ends("ses_1", "failed");
    turn.takes().host(HELD, GOES_ON).usesTool();
    await turn.works(CEILING / 2);
    turn.host(HELD);
    expect([turn.isHeld, turn.kinds.length, turn.story.at(-1)]).toEqual([false, 2, "ceiling"]);
  });

  test("begins anew when nothing was owed in between", async () => {
    await turn.launches("ses_1");
    turn.host(HELD);
    await turn.works(CEILING - 10 * SECOND);
    await turn.ends("ses_1");
    expect(turn.releases).toBe(1);
    turn.takes().startsNative("ses_2").host(HELD);
    await turn.works(CEILING - SECOND);
    expect([turn.isHeld, turn.kinds.length]).toEqual([true, 1]);
  });

  test("says nothing when nothing is left behind: everything has ended meanwhile and was told", async () => {
    await turn.launches("ses_1");
    turn.startsNative("ses_2").host(HELD);
    await turn.ends("ses_1", "failed");
    turn.takes();
    const told = { taskID: "ses_2", ended: "completed", text: "done" } as const;
    const text = { text: "<task …>", synthetic: true, ignored: false, told };
    turn.host({ type: "user-text", sessionID: ROOT, messageID: anID(300), ...text });
    await turn.works(CEILING);
    const before = turn.sent.length;
    turn.host(HELD);
    expect([turn.isHeld, turn.sent.length - before]).toEqual([false, 0]);
  });

  test("without one the turn is held for as long as it takes", async () => {
    turn = new Turn({ run: { ceilingMs: Number.POSITIVE_INFINITY } });
    turn.startsNative(CHILD).host(HELD);
    await turn.works(3 * 3_600 * SECOND);
    expect([turn.isHeld, turn.sent]).toEqual([true, []]);
  });
});

describe("while a turn is held nobody watches the clock", () => {
  test("in the run", async () => {
    turn.startsNative(CHILD).host(HELD);
    turn.clocks = 0;
    await turn.clock.advance(20 * SECOND);
    expect(turn.clocks).toBeLessThan(5);
  });

  test("in another instance that hears of it, which has tasks of its own there", async () => {
    turn = new Turn({ elsewhere: true });
    await turn.launches(CHILD);
    turn.host(HELD);
    turn.clocks = 0;
    await turn.clock.advance(20 * SECOND);
    expect(turn.clocks).toBeLessThan(5);
    await turn.ends(CHILD);
    expect(turn.sent).toMatchObject([{ deposit: true }]);
  });

  test("past the ceiling, while what is left behind cannot be stored yet", async () => {
    await turn.launches(CHILD);
    turn.host(HELD);
    turn.saves = undefined;
    await turn.works(CEILING);
    turn.clocks = 0;
    await turn.works(5 * SECOND);
    expect(turn.clocks).toBeLessThan(5);
    turn.answersSaves();
    expect(turn.releases).toBe(1);
  });
});

/** As `opencode run -c` finds a goal that an earlier process has left behind. */
function asleep({ reserved }: Pick<StoredRoot, "reserved"> = {}): Turn {
  const found = new Turn();
  const owner = { host: "h", pid: 7, processStartedAt: 7, instance: "earlier" };
  const books = { goal: aGoal(), tasks: [], ...(reserved === undefined ? {} : { reserved }) };
  const stored: StoredRoot = { version: 1, self: ROOT, owner, claim: 1, revision: 1, ...books };
  found.keeper.dispatch({ type: "restored", stored, awake: false, elsewhere: [] });
  return found;
}

describe("a goal in a run", () => {
  beforeEach(() => {
    turn.setGoal();
  });

  test("has the id of its next message stored before the turn is let go", () => {
    const fresh = new Turn();
    fresh.saves = undefined;
    fresh.setGoal().host(HELD);
    expect([fresh.isHeld, fresh.releases]).toEqual([true, 0]);
    expect(fresh.stored?.reserved).toMatchObject({ kind: "continuation", outcomes: [] });
    fresh.answersSaves();
    expect([fresh.isHeld, fresh.releases]).toEqual([false, 1]);
  });

  test("goes on at the end of the last step, with that id and without waiting for a write", async () => {
    turn.host(HELD);
    const reserved = turn.stored?.reserved;
    turn.saves = undefined;
    turn.effects.length = 0;
    turn.stepEnds();
    expect(turn.sent).toMatchObject([{ deposit: true, prompt: { messageID: reserved?.id, partID: reserved?.partID } }]);
    expect(turn.prompts[0]?.text).toStartWith(`<goalkeeper kind="continuation" id="${reserved?.id}">`);
    expect(turn.effects[0]?.type).toBe("send");
  });

  test("goes on once per turn, although its end is seen twice and an idle may follow", async () => {
    turn.host(HELD).stepEnds().stepEnds();
    expect(turn.kinds).toEqual(["continuation"]);
    turn.host(IDLE, IDLE);
    await turn.clock.advance(SECOND);
    expect(turn.kinds).toEqual(["continuation"]);
  });

  test("each turn of it is counted once: its last step ends it, and the idle of the process adds nothing", () => {
    turn.host(HELD).stepEnds().takes();
    expect(turn.goal).toMatchObject({ turns: 1, idleTurns: 0 });
    turn.host(HELD).stepEnds();
    expect(turn.goal).toMatchObject({ turns: 1, idleTurns: 1 });
    turn.host(IDLE, IDLE);
    expect(turn.goal).toMatchObject({ turns: 1, idleTurns: 1 });
  });

  test("makes progress by a tool in its turn, as everywhere", () => {
    turn.host(HELD).stepEnds().takes().usesTool().host(HELD).stepEnds();
    expect(turn.goal).toMatchObject({ turns: 1, idleTurns: 0 });
  });

  test("three turns in a row have three messages with ids of their own, each stored before", () => {
    const reserved: (string | undefined)[] = [];
    for (let round = 0; round < 3; round++) {
      turn.host(HELD);
      reserved.push(turn.stored?.reserved?.id);
      turn.stepEnds().takes();
    }
    expect(turn.prompts.map(({ messageID }) => messageID)).toEqual(reserved as string[]);
    expect(new Set(reserved).size).toBe(3);
    expect(turn.goal?.turns).toBe(3);
  });

  test("does not go on after a step that a newer message follows: the turn is not at its end", () => {
    turn.host(HELD);
    turn.userSays(anID(300)).stepEnds(anID(100));
    expect(turn.sent).toEqual([]);
    turn.answers().host(HELD).stepEnds();
    expect(turn.kinds).toEqual(["continuation"]);
  });

  test("does not go on after a turn that has failed, and counts the failure once", () => {
    const error = { name: "APIError", message: "503", statusCode: 503 };
    turn.host({ type: "session-error", sessionID: ROOT, error }, IDLE, IDLE);
    expect([turn.sent, turn.goal?.failures]).toEqual([[], 1]);
  });

  test("goes on at the end of a turn that has overcome an error: OpenCode has compacted, and the step is complete", () => {
    const error = { name: "ContextOverflowError", message: "too long" };
    turn.host({ type: "session-error", sessionID: ROOT, error }, HELD).stepEnds();
    expect(turn.sent).toHaveLength(1);
  });

  test.each([
    { type: "pause", by: "user", reason: "you said so" },
    { type: "complete", evidence: [{ claim: "it works" }] },
    { type: "blocked", blocker: "no key" },
    { type: "clear" },
  ] satisfies GoalEvent[])("does not go on when it has ended in the turn (%#)", (event) => {
    turn.keeper.dispatch({ type: "goal", rootID: ROOT, event });
    turn.host(HELD).stepEnds().host(IDLE);
    expect([turn.sent, turn.releases]).toEqual([[], 1]);
  });

  test("has its wrap-up in the same turn, once", () => {
    turn = new Turn({ maxAutoTurns: 1 }).setGoal();
    turn.host(HELD).stepEnds().takes().host(HELD);
    const reserved = turn.stored?.reserved?.id;
    turn.stepEnds();
    expect(turn.kinds).toEqual(["continuation", "wrapup"]);
    expect(turn.sent.at(-1)).toMatchObject({ deposit: true, prompt: { messageID: reserved } });
    turn.takes().host(HELD).stepEnds().host(IDLE);
    expect(turn.kinds).toHaveLength(2);
    expect(turn.goal).toMatchObject({ status: "limited", wrapUp: "sent", turns: 1 });
  });

  test("pauses for want of progress at the end of the step, and is not sent on", () => {
    turn = new Turn({ noProgressTurns: 1 }).setGoal();
    turn.host(HELD).stepEnds().takes().host(HELD).stepEnds().host(IDLE);
    expect(turn.goal).toMatchObject({ status: "paused", by: "no-progress", turns: 1, idleTurns: 1 });
    expect(turn.kinds).toEqual(["continuation"]);
  });

  test("is told outcomes in the hold, and continued without them at the end of the turn that reads them", async () => {
    await turn.launches(CHILD);
    turn.host(HELD);
    await turn.ends(CHILD);
    expect([turn.kinds, turn.releases]).toEqual([["task-outcome"], 1]);
    turn.takes().host(HELD);
    expect(turn.releases).toBe(2);
    turn.stepEnds();
    expect(turn.kinds).toEqual(["task-outcome", "continuation"]);
    expect(turn.prompts.at(-1)?.text).not.toContain("Background tasks ended");
    expect(turn.goal).toMatchObject({ turns: 0, idleTurns: 0 });
  });

  test("is told in the hold what has ended before it", async () => {
    await turn.launches(CHILD);
    await turn.ends(CHILD);
    turn.host(HELD);
    expect([turn.kinds, turn.isHeld]).toEqual([["task-outcome"], false]);
  });

  test("goes on beside a task whose ceiling in the goal is over, without waiting in the run", async () => {
    await turn.launches(CHILD);
    turn.host(HELD);
    await turn.works(GATE.maxTaskBlockMs - 2 * SECOND);
    expect(turn.isHeld).toBe(true);
    await turn.works(2 * SECOND);
    expect([turn.isHeld, turn.story.at(-1)]).toEqual([false, "goal-continues"]);
    turn.stepEnds();
    expect(turn.kinds).toEqual(["continuation"]);
    expect(turn.prompts[0]?.text).toContain("still running");
  });
});

describe("a turn that ends without a text", () => {
  test("is kept going for its tasks, with a message whose id is stored, and held before its next request", async () => {
    await turn.launches(CHILD);
    const reserved = turn.stored?.reserved?.id;
    expect(reserved).toBeDefined();
    turn.saves = undefined;
    turn.stepEnds();
    expect(turn.kinds).toEqual(["waiting"]);
    expect(turn.sent).toMatchObject([{ deposit: true, prompt: { messageID: reserved } }]);
    expect(turn.prompts[0]?.text).toContain(CHILD);
    turn.answersSaves();
    turn.takes().host(HELD);
    expect([turn.isHeld, turn.releases]).toEqual([true, 0]);
    await turn.ends(CHILD);
    expect([turn.kinds, turn.releases]).toEqual([["waiting", "task-outcome"], 1]);
  });

  test("is kept going for an outcome that is not told yet, which would come too late with the continuation", async () => {
    turn.setGoal();
    await turn.launches(CHILD);
    await turn.ends(CHILD);
    turn.stepEnds();
    expect(turn.kinds).toEqual(["waiting"]);
    turn.takes().host(HELD);
    expect([turn.kinds, turn.isHeld]).toEqual([["waiting", "task-outcome"], false]);
  });

  test("is kept going once: its end is seen twice", async () => {
    await turn.launches(CHILD);
    turn.stepEnds().stepEnds();
    expect(turn.kinds).toEqual(["waiting"]);
  });

  test("counts neither as a turn of the goal nor as a lack of progress", async () => {
    turn.setGoal();
    await turn.launches(CHILD);
    turn.stepEnds().takes().host(HELD);
    expect(turn.goal).toMatchObject({ turns: 0, idleTurns: 0 });
  });

  test("is not kept going when nothing is owed, for one that only asks, or with wait_in_run off", async () => {
    turn.stepEnds();
    expect(turn.sent).toEqual([]);
    const asking = await new Turn().launches(CHILD);
    asking.asks(CHILD).stepEnds();
    expect(asking.sent).toEqual([]);
    const off = await new Turn({ run: { waits: false } }).launches(CHILD);
    off.stepEnds();
    expect(off.sent).toEqual([]);
  });

  test("is not kept going beyond the ceiling", async () => {
    await turn.launches(CHILD);
    turn.host(HELD);
    await turn.works(CEILING);
    turn.takes().stepEnds();
    expect(turn.kinds).toEqual(["task-outcome"]);
  });

  test("is not kept going after the user's abort", async () => {
    await turn.launches(CHILD);
    turn.host(ABORT).stepEnds().host(IDLE);
    await turn.clock.advance(60 * SECOND);
    expect(turn.sent).toEqual([]);
  });
});

describe("a goal that sleeps", () => {
  beforeEach(() => {
    turn = asleep();
  });

  test("is left asleep by a prompt, whose own tasks are waited for and told", async () => {
    turn.userSays(anID(300)).answers();
    expect(turn.keeper.root(ROOT)?.presence.kind).toBe("goal-asleep");
    await turn.launches(CHILD);
    turn.host(HELD);
    await turn.ends(CHILD);
    expect([turn.kinds, turn.releases]).toEqual([["task-outcome"], 1]);
    turn.takes().host(HELD).stepEnds().host(IDLE);
    expect(turn.kinds).toEqual(["task-outcome"]);
    expect(turn.goal?.status).toBe("active");
  });

  test("is not woken by the user's second message either", () => {
    turn.userSays(anID(300)).answers().host(HELD).stepEnds().userSays(anID(301)).answers().host(HELD).stepEnds();
    expect(turn.keeper.root(ROOT)?.presence.kind).toBe("goal-asleep");
    expect(turn.sent).toEqual([]);
  });

  test("is woken by its command, and stays awake when the message of that arrives", () => {
    turn.keeper.dispatch({ type: "user-speaks", rootID: ROOT });
    turn.userSays(anID(300)).answers();
    expect(turn.keeper.root(ROOT)?.presence.kind).toBe("awake");
    turn.host(HELD).stepEnds();
    expect(turn.kinds).toEqual(["continuation"]);
  });

  test("goes to sleep with the rest elsewhere, and is woken by a message", () => {
    const other = new Turn({ elsewhere: true });
    const owner = { host: "h", pid: 7, processStartedAt: 7, instance: "earlier" };
    const stored: StoredRoot = { version: 1, self: ROOT, owner, claim: 1, revision: 1, goal: aGoal(), tasks: [] };
    other.keeper.dispatch({ type: "restored", stored, awake: false, elsewhere: [] });
    other.userSays(anID(300));
    expect(other.keeper.root(ROOT)?.presence.kind).toBe("awake");
  });
});
