import type { EventTranslator } from "../host/events.ts";
import { isAlive } from "../host/process-identity.ts";
import { registry } from "../host/registry.ts";
import { Alarm } from "../time/alarm.ts";
import type { Clock } from "../time/clock.ts";
import { judge, QUIET_MS, type SessionTreeOutcome, SLOW_QUIET_MS } from "./outcome.ts";
import { owedDeadline } from "./owed.ts";
import { type Asked, type OpencodeEvent, type TreeSource, treeTranslator } from "./source.ts";
import { type SessionTreeState, stateOf } from "./state.ts";
import { asSeen, newTree, receive, receiveTranscript, type Tree, type TreeEvent } from "./tree.ts";

export interface TreeWaitSettings {
  readonly rootID: string;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onChange?: ((state: SessionTreeState) => void) | undefined;
  /** Every event of the directory, as OpenCode has published it. */
  readonly onEvent?: ((event: OpencodeEvent) => void) | undefined;
  /** Called once everything is heard; nothing settles before it has resolved. What it throws ends the wait. */
  readonly onJoined?: ((found: SessionTreeState) => Promise<void>) | undefined;
}

/** Statuses are a level: one that was missed shows here. */
const ASK_AGAIN_MS = 10_000;
const ASK_AGAIN_UNANSWERED_MS = 1_000;
/** OpenCode that takes longer to answer what was asked first has just started, or has much to do. */
const SLOW_MS = 500;
/** So many questions in a row without an answer, each with its own time-out: nobody is there. */
const MOST_UNANSWERED = 4;
/** Streams that end without a single event of a session: something between us cuts them. */
const MOST_EMPTY_STREAMS = 3;

/**
 * One wait. All that happens is put into the tree, and then it is looked at: nothing else decides. The clock's timers
 * hold no process open; the stream does.
 */
export class TreeWait {
  private tree: Tree;
  private state: SessionTreeState;
  private shown = "";
  private readonly alarm: Alarm;
  private readonly translator: EventTranslator;
  private readonly streams = new AbortController();
  private readonly startedAt: number;
  private phase: "joining" | "watching" | "over" = "joining";
  private asking = false;
  /** The stream was opened anew while a question was under way. */
  private askEverything = false;
  private askAgainAt = Number.POSITIVE_INFINITY;
  private unanswered = 0;
  private emptyStreams = 0;
  /** How long rest has to last. What is seen to work has been prompted. */
  private quietMs = QUIET_MS;
  /** Since when nothing is to come. */
  private quietSince: number | undefined;
  /** When the last question was asked that got all its answers. */
  private confirmedAt = 0;
  /** Sessions whose activity was heard of since the last question. */
  private heard = new Set<string>();
  private resolve: (outcome: SessionTreeOutcome) => void = () => undefined;
  private reject: (error: unknown) => void = () => undefined;

  constructor(
    private readonly source: TreeSource,
    private readonly clock: Clock,
    private readonly settings: TreeWaitSettings,
  ) {
    this.startedAt = clock.now();
    this.tree = newTree(settings.rootID, this.startedAt);
    this.state = stateOf(this.tree, this.startedAt);
    this.alarm = new Alarm(clock, () => this.look());
    this.translator = treeTranslator((event) => this.receive(event));
  }

  outcome(): Promise<SessionTreeOutcome> {
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      const { signal } = this.settings;
      if (signal?.aborted) return this.end({ kind: "aborted", state: this.state });
      signal?.addEventListener("abort", this.onAbort, { once: true });
      this.look();
      this.join().catch((error: unknown) => this.fail(error));
    });
  }

  private readonly onAbort = () => this.end({ kind: "aborted", state: this.state });

  /** Hears first and asks then: what happens in between is heard twice, which does no harm. */
  private async join(): Promise<void> {
    const root = await this.source.root();
    if (this.isOver) return;
    if (root.kind === "gone") return this.end({ kind: "not-found", state: this.state });
    if (root.kind === "unknown") return this.end({ kind: "stream-closed", reason: root.reason, state: this.state });
    this.receive({ type: "session-seen", session: root.value, created: false });
    if (!(await this.open())) return;
    this.state = stateOf(this.tree, this.clock.now());
    await this.settings.onJoined?.(this.state);
    await this.ask(true);
    if (this.isOver) return;
    this.phase = "watching";
    this.look();
  }

  /** @returns whether the events are heard now; if not, the wait is over */
  private async open(): Promise<boolean> {
    try {
      const { closed } = await this.source.open((event) => this.heardEvent(event), this.streams.signal);
      closed.then(
        (reason) => this.rejoin(reason),
        (error: unknown) => this.fail(error),
      );
      return !this.isOver;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.end({ kind: "stream-closed", reason, state: this.state });
      return false;
    }
  }

  /** A stream may end while OpenCode lives: it was reloaded, or something between has cut it. */
  private rejoin(reason: string): void {
    if (this.isOver) return;
    this.emptyStreams++;
    const again = async () => {
      const root = await this.source.root();
      if (this.isOver) return;
      if (root.kind === "gone") return this.end({ kind: "deleted", state: this.state });
      if (root.kind === "unknown" || this.emptyStreams > MOST_EMPTY_STREAMS)
        return this.end({ kind: "stream-closed", reason, state: this.state });
      if (await this.open()) await this.ask(true);
    };
    again().catch((error: unknown) => this.fail(error));
  }

  private async ask(everything: boolean): Promise<void> {
    if (this.isOver) return;
    if (this.asking) {
      this.askEverything ||= everything;
      return;
    }
    this.asking = true;
    this.heard = new Set();
    const askedAt = this.clock.now();
    const asked = await this.source.ask(everything);
    this.asking = false;
    if (this.isOver) return;
    if (asked.root.kind === "gone") return this.end({ kind: "deleted", state: this.state });
    const answers = [asked.root, asked.statuses];
    const silent = answers.find((answer) => answer.kind === "unknown");
    this.unanswered = silent === undefined ? 0 : this.unanswered + 1;
    if (silent !== undefined && this.unanswered >= MOST_UNANSWERED)
      return this.end({
        kind: "stream-closed",
        reason: `OpenCode does not answer: ${silent.reason}`,
        state: this.state,
      });
    this.take(asked);
    if (everything && this.clock.now() - askedAt > SLOW_MS) this.quietMs = SLOW_QUIET_MS;
    if (silent === undefined) this.confirmedAt = askedAt;
    this.askAgainAt = this.clock.now() + (silent === undefined ? ASK_AGAIN_MS : ASK_AGAIN_UNANSWERED_MS);
    this.look();
    if (!this.askEverything) return;
    this.askEverything = false;
    await this.ask(true);
  }

  private take({ root, statuses, below, told }: Asked): void {
    const now = this.clock.now();
    for (const session of [...(root.kind === "known" ? [root.value] : []), ...below])
      this.tree = receive(this.tree, { type: "session-seen", session, created: false }, now);
    this.tree = receiveTranscript(this.tree, told, now);
    if (statuses.kind === "known") this.tree = asSeen(this.tree, statuses.value, this.heard, now);
    const owners = this.tree.books.map(({ stored }) => stored.owner);
    const gone = owners.filter((owner) => !isAlive(owner, registry().instances));
    this.tree = { ...this.tree, gone: new Set(gone.map(({ instance }) => instance)) };
  }

  private heardEvent(event: OpencodeEvent): void {
    if (this.isOver) return;
    try {
      this.settings.onEvent?.(event);
      this.translator.receive(event);
      this.look();
    } catch (error) {
      this.fail(error);
    }
  }

  private receive(event: TreeEvent): void {
    if (event.type === "session-busy" || event.type === "session-idle" || event.type === "session-retrying") {
      this.heard.add(event.sessionID);
      if (event.sessionID === this.tree.rootID) this.quietMs = QUIET_MS;
      this.emptyStreams = 0;
    }
    this.tree = receive(this.tree, event, this.clock.now());
  }

  /** The only place that decides: shows what has changed, ends the wait, or says when to look again. */
  private look(): void {
    if (this.isOver) return;
    const now = this.clock.now();
    const { timeoutMs } = this.settings;
    const timeoutAt = timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.startedAt + timeoutMs;
    const verdict = judge(this.tree, now);
    this.state = verdict.kind === "rests" ? verdict.outcome.state : stateOf(this.tree, now);
    if (timeoutMs !== undefined && now >= timeoutAt)
      return this.end({ kind: "timed-out", timeoutMs, state: this.state });
    if (this.phase !== "watching") return this.alarm.arm(timeoutAt);
    this.show();
    if (this.isOver) return;
    if (verdict.kind === "works") this.quietSince = undefined;
    else if (verdict.outcome.kind === "deleted") return this.end(verdict.outcome);
    else {
      this.quietSince ??= now;
      const confirmAt = this.quietSince + this.quietMs;
      if (this.confirmedAt >= confirmAt) return this.end(verdict.outcome);
      this.askAgainAt = this.unanswered > 0 ? this.askAgainAt : Math.min(this.askAgainAt, confirmAt);
    }
    if (now >= this.askAgainAt) {
      this.askAgainAt = Number.POSITIVE_INFINITY;
      this.ask(false).catch((error: unknown) => this.fail(error));
    }
    this.alarm.arm(Math.min(timeoutAt, this.askAgainAt, owedDeadline(this.state.owed)));
  }

  private show(): void {
    const text = JSON.stringify(this.state);
    if (text === this.shown) return;
    this.shown = text;
    try {
      this.settings.onChange?.(this.state);
    } catch (error) {
      this.fail(error);
    }
  }

  private get isOver(): boolean {
    return this.phase === "over";
  }

  private end(outcome: SessionTreeOutcome): void {
    if (this.isOver) return;
    this.stop();
    this.resolve(outcome);
  }

  private fail(error: unknown): void {
    if (this.isOver) return;
    this.stop();
    this.reject(error);
  }

  private stop(): void {
    this.phase = "over";
    this.alarm.clear();
    this.settings.signal?.removeEventListener("abort", this.onAbort);
    this.streams.abort();
  }
}
