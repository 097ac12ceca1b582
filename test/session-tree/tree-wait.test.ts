import { describe, expect, test } from "bun:test";
import type { Answer, SessionInfo } from "../../src/host/port.ts";
import { QUIET_MS, SLOW_QUIET_MS } from "../../src/session-tree/outcome.ts";
import type { Asked, OpencodeEvent, Stream, TreeSource } from "../../src/session-tree/source.ts";
import type { SessionTreeState } from "../../src/session-tree/state.ts";
import type { TreeEvent } from "../../src/session-tree/tree.ts";
import { TreeWait, type TreeWaitSettings } from "../../src/session-tree/tree-wait.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { CHILD, GONE, known, ROOT, T0, UNKNOWN } from "../support/builders.ts";
import { answers, says } from "./stories.ts";

const INFO: SessionInfo = { id: ROOT, title: "root", createdAt: T0, archived: false, metadata: {} };
const ANSWERED: readonly TreeEvent[] = [says("msg_1"), answers("msg_1")];

/** OpenCode as a test wants it: what it answers is changed in place. */
class ScriptedSource implements TreeSource {
  session: Answer<SessionInfo> = known(INFO);
  statuses: Asked["statuses"] = known(new Map());
  below: SessionInfo[] = [];
  told: readonly TreeEvent[] = ANSWERED;
  opened = 0;
  questions: boolean[] = [];
  signal: AbortSignal | undefined;
  refuses: Error | undefined;
  publish: (event: OpencodeEvent) => void = () => undefined;
  close: (reason: string) => void = () => undefined;

  root(): Promise<Answer<SessionInfo>> {
    return Promise.resolve(this.session);
  }

  async open(onEvent: (event: OpencodeEvent) => void, signal: AbortSignal): Promise<Stream> {
    if (this.refuses !== undefined) throw this.refuses;
    this.opened++;
    this.publish = onEvent;
    this.signal = signal;
    return { closed: new Promise((resolve) => (this.close = resolve)) };
  }

  async ask(everything: boolean): Promise<Asked> {
    this.questions.push(everything);
    const { session: root, statuses, below, told } = this;
    return { root, statuses, below: everything ? below : [], told };
  }

  status(sessionID: string, type: "busy" | "idle"): void {
    this.publish({ type: "session.status", properties: { sessionID, status: { type } } });
  }
}

function begin(settings: Partial<TreeWaitSettings> = {}, source = new ScriptedSource()) {
  const clock = new SimulatedClock(T0);
  const seen: SessionTreeState[] = [];
  const all = { rootID: ROOT, onChange: (state: SessionTreeState) => void seen.push(state), ...settings };
  const outcome = new TreeWait(source, clock, all).outcome();
  let ended: unknown;
  outcome.then(
    (value) => (ended = value),
    (error: unknown) => (ended = error),
  );
  return { clock, source, seen, outcome, ended: () => ended as { kind?: string } | undefined };
}

describe("a wait for a session tree", () => {
  test("settles when it has been quiet for a moment, and OpenCode, asked again, says the same", async () => {
    const wait = begin();
    await wait.clock.advance(QUIET_MS - 1);
    expect(wait.ended()).toBeUndefined();
    await wait.clock.advance(1);
    expect(wait.ended()).toMatchObject({ kind: "settled", answered: true, state: { owed: [] } });
    expect(wait.source.questions).toEqual([true, false]);
    expect(wait.source.signal?.aborted).toBe(true);
    expect(wait.clock.pending()).toBe(0);
  });

  test("does not settle on the first idle of a pair, nor between a turn and the continuation that follows it", async () => {
    const wait = begin();
    await wait.clock.advance(QUIET_MS - 100);
    wait.source.status(ROOT, "busy");
    wait.source.status(ROOT, "idle");
    await wait.clock.advance(QUIET_MS - 1);
    expect(wait.ended()).toBeUndefined();
    await wait.clock.advance(1);
    expect(wait.ended()).toMatchObject({ kind: "settled" });
  });

  test("takes its time where OpenCode is slow to answer at first: a prompt may be on its way", async () => {
    const source = new ScriptedSource();
    const ask = source.ask.bind(source);
    const begun = begin({}, source);
    source.ask = (everything) =>
      new Promise((resolve) => begun.clock.after(everything ? 1_000 : 0, () => resolve(ask(everything))));
    await begun.clock.advance(1_000 + SLOW_QUIET_MS - 1);
    expect(begun.ended()).toBeUndefined();
    source.status(ROOT, "busy");
    source.status(ROOT, "idle");
    await begun.clock.advance(QUIET_MS);
    expect(begun.ended()).toMatchObject({ kind: "settled" });
  });

  test("goes on when OpenCode, asked again, shows that something works of which no event has told", async () => {
    const wait = begin();
    await wait.clock.settle();
    wait.source.below = [{ ...INFO, id: CHILD, parentID: ROOT }];
    wait.source.statuses = known(new Map([[ROOT, "busy"]]));
    await wait.clock.advance(QUIET_MS);
    expect(wait.ended()).toBeUndefined();
    wait.source.statuses = known(new Map());
    await wait.clock.advance(20_000);
    expect(wait.ended()).toMatchObject({ kind: "settled" });
  });

  test("that joins late learns of sessions below the root, and of what works, before any event", async () => {
    const source = new ScriptedSource();
    source.below = [{ ...INFO, id: CHILD, parentID: ROOT, title: "child" }];
    source.statuses = known(new Map([[CHILD, "busy"]]));
    const wait = begin({}, source);
    await wait.clock.advance(5_000);
    expect(wait.ended()).toBeUndefined();
    expect(wait.seen.at(-1)).toMatchObject({ rootIsIdle: true, owed: [{ why: "session-busy", title: "child" }] });
    source.statuses = known(new Map());
    source.status(CHILD, "idle");
    await wait.clock.advance(QUIET_MS);
    expect(wait.ended()).toMatchObject({ kind: "settled" });
  });

  test("asks nothing before OpenCode has confirmed the subscription", async () => {
    const source = new ScriptedSource();
    const open = source.open.bind(source);
    let asked: number | undefined;
    source.open = async (onEvent, signal) => {
      asked = source.questions.length;
      return open(onEvent, signal);
    };
    const wait = begin({}, source);
    await wait.clock.advance(QUIET_MS);
    expect(asked).toBe(0);
  });

  test("shows nothing before it knows what there was when it began", async () => {
    const source = new ScriptedSource();
    source.below = [{ ...INFO, id: CHILD, parentID: ROOT }];
    const ask = source.ask.bind(source);
    let answer: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    source.ask = (everything) => answered.then(() => ask(everything));
    const wait = begin({}, source);
    await wait.clock.settle();
    source.status(CHILD, "busy");
    expect(wait.seen).toEqual([]);
    answer();
    await wait.clock.settle();
    expect(wait.seen.map(({ sessions }) => sessions.length)).toEqual([2]);
  });

  test("an abort of the signal is an outcome, and leaves no timer and no stream behind", async () => {
    const caller = new AbortController();
    const wait = begin({ signal: caller.signal });
    await wait.clock.settle();
    caller.abort();
    expect(await wait.outcome).toMatchObject({ kind: "aborted", state: { rootID: ROOT } });
    expect([wait.clock.pending(), wait.source.signal?.aborted]).toEqual([0, true]);
  });

  test("a signal that is aborted already asks nobody anything", async () => {
    const wait = begin({ signal: AbortSignal.abort() });
    expect(await wait.outcome).toMatchObject({ kind: "aborted" });
    expect(wait.source.opened).toBe(0);
  });

  test("the time is up also while OpenCode has not answered at all", async () => {
    const source = new ScriptedSource();
    source.root = () => new Promise(() => undefined);
    const wait = begin({ timeoutMs: 3_000 }, source);
    await wait.clock.advance(3_000);
    expect(wait.ended()).toMatchObject({ kind: "timed-out", timeoutMs: 3_000 });
  });

  test("the time is up with what was owed then", async () => {
    const wait = begin({ timeoutMs: 3_000 });
    await wait.clock.settle();
    wait.source.status(ROOT, "busy");
    wait.source.statuses = known(new Map([[ROOT, "busy"]]));
    await wait.clock.advance(3_000);
    expect(wait.ended()).toMatchObject({ kind: "timed-out", state: { rootIsIdle: false } });
  });

  test("a root that OpenCode does not know is not found; one that goes away is deleted", async () => {
    const source = new ScriptedSource();
    source.session = GONE;
    expect(await begin({}, source).outcome).toMatchObject({ kind: "not-found" });
    const wait = begin();
    await wait.clock.settle();
    wait.source.publish({ type: "session.deleted", properties: { info: { id: ROOT } } });
    expect(await wait.outcome).toMatchObject({ kind: "deleted" });
  });

  test("a stream that ends together with OpenCode ends the wait at once, and says so", async () => {
    const wait = begin();
    await wait.clock.settle();
    wait.source.session = UNKNOWN;
    wait.source.close("the event stream broke: terminated");
    await wait.clock.settle();
    expect(wait.ended()).toMatchObject({ kind: "stream-closed", reason: "the event stream broke: terminated" });
  });

  test("a stream that is cut while OpenCode lives is opened again, and everything is asked anew", async () => {
    const wait = begin();
    await wait.clock.settle();
    wait.source.status(ROOT, "busy");
    wait.source.close("cut");
    await wait.clock.settle();
    expect([wait.source.opened, wait.source.questions]).toEqual([2, [true, true]]);
    await wait.clock.advance(QUIET_MS);
    expect(wait.ended()).toMatchObject({ kind: "settled" });
  });

  test("a stream that is cut again and again ends the wait", async () => {
    const wait = begin();
    await wait.clock.settle();
    wait.source.statuses = known(new Map([[ROOT, "busy"]]));
    for (let cut = 0; cut < 4; cut++) {
      wait.source.close("cut");
      await wait.clock.settle();
    }
    expect(wait.ended()).toMatchObject({ kind: "stream-closed", reason: "cut" });
  });

  test("a stream that cannot be opened ends the wait", async () => {
    const source = new ScriptedSource();
    source.refuses = new Error("connection refused");
    expect(await begin({}, source).outcome).toMatchObject({ kind: "stream-closed", reason: "connection refused" });
  });

  test("an OpenCode that answers nothing any more ends the wait, though its stream stays open", async () => {
    const wait = begin();
    await wait.clock.settle();
    wait.source.status(ROOT, "busy");
    wait.source.statuses = UNKNOWN;
    await wait.clock.advance(60_000);
    expect(wait.ended()).toMatchObject({ kind: "stream-closed", reason: "OpenCode does not answer: no answer" });
  });

  test("shows each change once, the first time when it has joined", async () => {
    const wait = begin();
    await wait.clock.settle();
    for (const type of ["busy", "busy", "idle", "idle"] as const) wait.source.status(ROOT, type);
    await wait.clock.advance(QUIET_MS);
    expect(wait.seen.map(({ rootIsIdle }) => rootIsIdle)).toEqual([true, false, true]);
  });

  test("a listener that throws ends the wait with its error, and with it stream and timers", async () => {
    const wait = begin({
      onChange() {
        throw new RangeError("mine");
      },
    });
    await wait.clock.settle();
    expect(wait.ended()).toBeInstanceOf(RangeError);
    expect([wait.clock.pending(), wait.source.signal?.aborted]).toEqual([0, true]);
  });

  test("nothing settles before the one who began it has prompted", async () => {
    let prompted: () => void = () => undefined;
    const wait = begin({ onJoined: () => new Promise((resolve) => (prompted = resolve)) });
    await wait.clock.advance(60_000);
    expect(wait.ended()).toBeUndefined();
    prompted();
    await wait.clock.advance(QUIET_MS);
    expect(wait.ended()).toMatchObject({ kind: "settled" });
  });
});
