import { beforeEach, describe, expect, test } from "bun:test";
import type { Goal } from "../../src/goals/goal.ts";
import type { Answer, HostEvent } from "../../src/host/port.ts";
import { Keeper } from "../../src/keeper/keeper.ts";
import type { Effect } from "../../src/keeper/messages.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { anID, aSession, CHILD, ROOT, T0, UNKNOWN, VOICE } from "../support/builders.ts";
import { CONFIG } from "../support/keeper-config.ts";

const SECOND = 1_000;

/** A keeper whose effects a test answers by hand. */
class Desk {
  readonly clock = new SimulatedClock(T0);
  readonly effects: Effect[] = [];
  private made = 100;
  writes = 0;
  readonly storage = {
    deadline: Number.POSITIVE_INFINITY,
    clock() {
      this.deadline = Number.POSITIVE_INFINITY;
    },
  };
  readonly keeper = new Keeper({
    clock: this.clock,
    config: { ...CONFIG, limits: { ...CONFIG.limits, noProgressTurns: 1 } },
    storage: this.storage,
    adopts: true,
    owner: { host: "h", pid: 1, processStartedAt: 1, instance: "me" },
    runner: "me",
    ids: { message: () => anID(++this.made), part: () => `prt_${this.made}` },
    perform: (effect) => this.effects.push(effect),
    observe: () => undefined,
  });

  host(...events: readonly HostEvent[]): this {
    for (const event of events) this.keeper.dispatch({ type: "host", event });
    return this;
  }

  sent(messageID: string, answer: Answer<void>): void {
    this.keeper.dispatch({ type: "sent", rootID: ROOT, sessionID: ROOT, messageID, answer });
  }

  /** Answers every write that is waiting, then gives the prompts that went out since. */
  async sends(): Promise<readonly Extract<Effect, { type: "send" }>[]> {
    const sends: Extract<Effect, { type: "send" }>[] = [];
    for (let rounds = 0; rounds < 20; rounds++) {
      for (const effect of this.effects.splice(0)) {
        if (effect.type === "send") sends.push(effect);
        const { keeper } = this;
        if (effect.type === "save") this.writes++;
        if (effect.type === "save")
          keeper.dispatch({ type: "saved", rootID: ROOT, revision: effect.revision, result: { kind: "ok" } });
        if (effect.type === "verify")
          keeper.dispatch({ type: "verified", rootID: ROOT, sessionID: ROOT, found: { kind: "absent" } });
      }
      await this.clock.advance(50);
    }
    return sends;
  }

  get goal(): Goal | undefined {
    return this.keeper.goal(ROOT);
  }
}

const BUSY: HostEvent = { type: "session-busy", sessionID: ROOT };
const IDLE: HostEvent = { type: "session-idle", sessionID: ROOT };
const SET = { type: "set", id: "goal_1", objective: "make the build pass" } as const;

function userSays(messageID: string): readonly HostEvent[] {
  const said = { sessionID: ROOT, messageID } as const;
  return [
    { type: "user-message", ...said, voice: VOICE },
    { type: "user-text", ...said, text: "and the docs", synthetic: false, ignored: false },
  ];
}

function answer(parentID: string, completedAt: number | undefined): HostEvent {
  const message = { sessionID: ROOT, messageID: "msg_a", summary: false, error: undefined, usage: undefined };
  return { type: "assistant-message", ...message, parentID, completedAt };
}

let desk: Desk;

beforeEach(() => {
  desk = new Desk().host({ type: "session-seen", session: aSession(ROOT), created: true });
  desk.keeper.dispatch({ type: "goal", rootID: ROOT, event: SET });
});

describe("what is stored", () => {
  /** The tokens of all writes so far, as the last of them has them. */
  async function storedTokens(): Promise<number | undefined> {
    const saves: number[] = [];
    for (let rounds = 0; rounds < 10; rounds++) {
      for (const effect of desk.effects.splice(0)) {
        if (effect.type !== "save") continue;
        saves.push(effect.stored.goal?.tokens.own ?? 0);
        desk.keeper.dispatch({ type: "saved", rootID: ROOT, revision: effect.revision, result: { kind: "ok" } });
      }
      await desk.clock.advance(50);
    }
    return saves.at(-1);
  }

  test("what a turn has used is written at its end, although a task keeps the goal from going on", async () => {
    const child = { ...aSession(CHILD), parentID: ROOT };
    desk.host({ type: "session-seen", session: child, created: true }, { ...BUSY, sessionID: CHILD });
    desk.host(...userSays(anID(2)), BUSY);
    await storedTokens();
    const used = { ...answer(anID(2), T0), messageID: anID(3), usage: { tokens: 700, cost: 0 } } as HostEvent;
    desk.host(used, IDLE);
    expect(await storedTokens()).toBe(700);
  });
});

describe("what counts as a turn", () => {
  test("a busy and an idle in which nothing happened end no turn: failures before them still count", async () => {
    for (let round = 0; round < 40 && desk.goal?.status === "active"; round++) {
      for (const { prompt } of await desk.sends()) {
        desk.sent(prompt.messageID, UNKNOWN);
        desk.host(BUSY, IDLE);
      }
      await desk.clock.advance(2 * SECOND);
    }
    expect(desk.goal).toMatchObject({ status: "paused", by: "error", failures: 3 });
  });

  test("a user's message between our continuation and its answer makes the turn the user's", async () => {
    const [send] = await desk.sends();
    const messageID = send?.prompt.messageID ?? "";
    desk.sent(messageID, { kind: "known", value: undefined });
    desk.host({ type: "user-message", sessionID: ROOT, messageID, voice: VOICE });
    desk.host(...userSays(anID(900)), BUSY, answer(anID(900), undefined), answer(anID(900), desk.clock.now()), IDLE);
    expect(desk.goal).toMatchObject({ status: "active", turns: 1, idleTurns: 0 });
  });

  test("without one it is ours, and counts for the progress of the goal", async () => {
    const [send] = await desk.sends();
    const messageID = send?.prompt.messageID ?? "";
    desk.sent(messageID, { kind: "known", value: undefined });
    desk.host(BUSY, answer(messageID, undefined), answer(messageID, desk.clock.now()), IDLE);
    expect(desk.goal).toMatchObject({ status: "paused", by: "no-progress", turns: 1 });
  });
});

test.each(["msg_user1", "msg_6ba7b810-9dad-11d1-80b4-00c04fd430c8", `msg_ffffffffffff${"x".repeat(14)}`])(
  "a user's message %s is answered, the goal goes on behind it, and nothing is written in a loop (U17)",
  async (messageID) => {
    desk.host(...userSays(messageID), BUSY, answer(messageID, undefined), answer(messageID, desk.clock.now()), IDLE);
    expect(desk.keeper.root(ROOT)).toMatchObject({ lastMessageID: messageID, unanswered: undefined });
    const [send] = await desk.sends();
    expect(send?.prompt.text).toContain('kind="continuation"');
    desk.sent(send?.prompt.messageID ?? "", { kind: "known", value: undefined });
    for (let seconds = 0; seconds < 40; seconds++) await desk.sends();
    expect(desk.writes).toBeLessThan(10);
  },
);

test("the order of a session's messages goes with its books, and with the session", () => {
  const { keeper } = new Desk();
  const other = aSession("ses_other");
  const hear = (...events: readonly HostEvent[]) => {
    for (const event of events) keeper.dispatch({ type: "host", event });
    return keeper.manager.order.size;
  };
  for (const session of [aSession(ROOT), other]) hear({ type: "session-seen", session, created: true });
  hear(...userSays("msg_user1"), BUSY);
  expect(hear({ type: "user-message", sessionID: other.id, messageID: "msg_user1", voice: VOICE })).toBe(2);
  expect(hear({ type: "session-deleted", sessionID: other.id })).toBe(1);
  expect(hear(answer("msg_user1", T0), IDLE)).toBe(0);
});

test("a turn that failed before there was a goal is no turn of that goal, however long nothing was asked", async () => {
  const before = new Desk();
  const { clock, keeper } = before;
  const error = { name: "APIError", message: "no such key", statusCode: 401 };
  before.host({ type: "session-seen", session: aSession(ROOT), created: true });
  before.host(...userSays(anID(1)), BUSY, answer(anID(1), undefined));
  before.host({ type: "session-error", sessionID: ROOT, error }, IDLE, IDLE);
  await clock.advance(3_600 * SECOND);
  expect(keeper.sizes.roots).toBe(0);
  keeper.dispatch({ type: "user-speaks", rootID: ROOT });
  keeper.dispatch({ type: "goal", rootID: ROOT, event: SET });
  await clock.advance(SECOND);
  expect(before.goal).toMatchObject({ status: "active", failures: 0 });
});

test("the records of a deleted root go without its books being opened or written again", async () => {
  const siblings = [CHILD, "ses_2"];
  for (const id of siblings) {
    desk.host({ type: "session-seen", session: aSession(id, { parentID: ROOT }), created: true });
    const child = { sessionID: id, background: true, title: "t" };
    const part = { sessionID: ROOT, messageID: "msg_a", callID: id, tool: "task", output: "" };
    desk.host({ type: "tool", state: "running", ...part, child }, { type: "session-busy", sessionID: id });
  }
  await desk.sends();
  const told = { taskID: CHILD, ended: "completed", text: "done" } as const;
  const text = { text: "<task …>", synthetic: true, ignored: false, told };
  desk.host({ type: "user-text", sessionID: ROOT, messageID: anID(900), ...text }, answer(anID(900), desk.clock.now()));
  await desk.clock.advance(SECOND);
  desk.host({ type: "session-deleted", sessionID: "ses_2", parentID: ROOT });
  desk.host({ type: "session-deleted", sessionID: ROOT });
  expect(desk.keeper.tasks(ROOT)).toHaveLength(2);
  desk.effects.length = 0;
  await desk.clock.advance(2 * CONFIG.timing.cleanupDelayMs);
  expect(desk.effects).toEqual([]);
  expect(desk.keeper.sizes).toEqual({ roots: 0, tasks: 0, signs: 0, armed: false });
});

describe("a message of the user's that is on its way", () => {
  let fresh: Desk;

  beforeEach(() => {
    fresh = new Desk().host({ type: "session-seen", session: aSession(ROOT), created: true });
    fresh.keeper.dispatch({ type: "user-speaks", rootID: ROOT });
  });

  test("nothing overtakes it, although the session had no books before it", async () => {
    fresh.keeper.dispatch({ type: "goal", rootID: ROOT, event: SET });
    expect(fresh.keeper.decision(ROOT)).toMatchObject({ kind: "wait", reasons: [{ why: "user-message-unanswered" }] });
    expect(await fresh.sends()).toEqual([]);
  });

  test("one that never arrives leaves no books behind", async () => {
    await fresh.clock.advance(30 * SECOND);
    expect(fresh.keeper.sizes.roots).toBe(0);
    await fresh.clock.advance(30 * SECOND);
    expect(fresh.keeper.sizes.armed).toBe(false);
  });
});

describe("a session that is no task and whose idle was never heard", () => {
  const child = aSession(CHILD, { parentID: ROOT });

  function working(): Desk {
    const seen = new Desk().host({ type: "session-seen", session: aSession(ROOT), created: true });
    return seen.host(
      { type: "session-seen", session: child, created: true },
      { type: "session-busy", sessionID: CHILD },
    );
  }

  test("is forgotten with its root once the host does not show it any more", async () => {
    const seen = working();
    await seen.clock.advance(60 * SECOND);
    expect(seen.effects).toEqual([{ type: "ask-statuses" }]);
    seen.keeper.dispatch({ type: "statuses", answer: { kind: "known", value: new Map() } });
    await seen.clock.advance(60 * SECOND);
    expect(seen.keeper.manager.tree.size).toBe(0);
    expect(seen.keeper.sizes.armed).toBe(false);
  });

  test("is kept while the host shows it as working, and while the host does not answer", async () => {
    const seen = working();
    for (const answer of [{ kind: "known", value: new Map([[CHILD, "busy" as const]]) }, UNKNOWN] as const) {
      await seen.clock.advance(60 * SECOND);
      seen.keeper.dispatch({ type: "statuses", answer });
    }
    expect(seen.keeper.manager.tree.rootOf(CHILD)).toBe(ROOT);
    expect(seen.keeper.sizes.armed).toBe(true);
  });
});

test("the alarm rings for what the storage waits for, too", async () => {
  const seen = new Desk();
  seen.storage.deadline = T0 + SECOND;
  seen.host({ type: "session-compacted", sessionID: ROOT });
  expect(seen.keeper.deadline()).toBe(T0 + SECOND);
  await seen.clock.advance(SECOND);
  expect(seen.keeper.sizes.armed).toBe(false);
});
