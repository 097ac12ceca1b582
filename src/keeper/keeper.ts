import { undoneIn } from "../goals/asks.ts";
import type { Decision } from "../goals/gate.ts";
import type { Goal } from "../goals/goal.ts";
import type { Root } from "../goals/root.ts";
import type { Decided } from "../goals/words.ts";
import type { HostEvent } from "../host/port.ts";
import { BackgroundTaskManager, type TaskChange } from "../tasks/background-task-manager.ts";
import { isEnded, isLive, isUntold, SILENCE_MS, type Task } from "../tasks/task.ts";
import { Alarm } from "../time/alarm.ts";
import type { Clock } from "../time/clock.ts";
import { announcement } from "./announcement.ts";
import { handOver } from "./compose.ts";
import type { KeeperConfig } from "./config.ts";
import type { Effect, Input, KeeperFacts, Observation } from "./messages.ts";
import { Recovery } from "./recovery.ts";
import { RootKeeper } from "./root-keeper.ts";
import { mayRead } from "./root-messages.ts";
import { UNHURRIED_MS } from "./root-storage.ts";
import { type Books, rootOfEffect, rootOfInput, sessionOf } from "./routing.ts";
import { durableOf, type Owner } from "./stored-root.ts";
import { TaskDesk, type TaskDeskContext } from "./task-desk.ts";
import { WriteWaiters } from "./write-waiters.ts";

export interface KeeperDependencies {
  readonly clock: Clock;
  readonly config: KeeperConfig;
  readonly owner: Owner;
  /** The owner as one string, as it stands in the tasks that it runs. */
  readonly runner: string;
  readonly ids: { message(after: string): string; part(): string };
  /** Whether children that others made are tasks too. */
  readonly adopts: boolean;
  /** Nothing is kept of a root any more. */
  readonly onForgotten?: (rootID: string) => void;
  /** Waits for something, too, and has no alarm of its own. */
  readonly storage?: { readonly deadline: number; clock(): void };
  /** What has slots and is not in these books: a replay knows it from a trace. */
  readonly seatsBeside?: TaskDeskContext["seatsBeside"];
  readonly perform: (effect: Effect) => void;
  readonly observe: (observation: Observation) => void;
}

/**
 * The conductor: every input goes through {@link dispatch}, one at a time, to completion. It routes inputs to the
 * task manager and to the books of each root, which are pure or nearly so, and hands out their effects. It owns the
 * one alarm. It does not talk to the host: `perform` does, and answers with further inputs.
 */
export class Keeper {
  readonly manager: BackgroundTaskManager;
  private readonly desk: TaskDesk;
  private readonly recovery: Recovery;
  private readonly roots = new Map<string, RootKeeper>();
  private readonly mailbox: Input[] = [];
  private readonly touched = new Set<string>();
  private readonly alarm: Alarm;
  private readonly writes = new WriteWaiters();
  private readonly facts: KeeperFacts;
  /** All of an input happens at one moment, or its trace could not be replayed; undefined between two inputs. */
  private standsAt: number | undefined;
  private readonly now = (): number => this.standsAt ?? this.deps.clock.now();
  private readonly books: Books = {
    rootOfTask: (taskID) => this.manager.get(taskID)?.rootID,
    rootOfSession: (sessionID) => {
      // The tree forgets an idle session that nobody watches, while its root may still have something to write.
      const known = this.manager.get(sessionID)?.rootID ?? this.manager.tree.rootOf(sessionID);
      return known ?? (this.roots.has(sessionID) ? sessionID : undefined);
    },
  };
  private revision = 0;
  private statusesAsked = false;
  private draining = false;
  private disposed = false;

  constructor(private readonly deps: KeeperDependencies) {
    this.alarm = new Alarm(deps.clock, () => this.dispatch({ type: "clock" }));
    this.manager = new BackgroundTaskManager({
      now: this.now,
      timing: deps.config.timing,
      runner: deps.runner,
      adopts: deps.adopts,
      onChange: (change) => this.taskChanged(change),
      onEffect: (effect) => (effect.type === "ask-statuses" ? this.askStatuses() : this.perform(effect)),
    });
    const { manager } = this;
    this.desk = new TaskDesk({
      now: this.now,
      manager,
      concurrency: deps.config.concurrency,
      runner: deps.runner,
      asleep: () => this.asleep(),
      undone: () => new Set([...this.roots.values()].flatMap(({ state }) => undoneIn(state))),
      isWritten: (task) => this.roots.get(task.rootID)?.hasWritten(task) === true,
      ...(deps.seatsBeside === undefined ? {} : { seatsBeside: deps.seatsBeside }),
    });
    this.recovery = new Recovery({
      manager,
      runner: deps.runner,
      open: (rootID) => this.open(rootID),
      perform: (effect) => this.perform(effect),
    });
    const { config, adopts, runner } = deps;
    const knows = (rootID: string) => this.roots.has(rootID) || manager.of(rootID).length > 0;
    this.facts = { now: this.now, config, adopts, runner, manager, knows };
    manager.tree.onForget = (sessionID) => this.forgotten(sessionID);
  }

  /** The one way in. Inputs that are raised while one is processed wait their turn. */
  dispatch(input: Input): void {
    if (this.disposed) return;
    this.mailbox.push(input);
    if (this.draining) return;
    this.draining = true;
    try {
      for (let next = this.mailbox.shift(); next !== undefined; next = this.mailbox.shift()) {
        this.standsAt = this.deps.clock.now();
        this.handle(next);
        this.desk.admitWaiting();
        this.evaluateTouched();
      }
    } finally {
      this.draining = false;
      this.standsAt = undefined;
      this.alarm.arm(this.deadline());
    }
    this.tellWritten();
  }

  /** Resolves once nothing of a root is left to be written; never while it cannot be written. */
  stored(rootID: string): Promise<void> {
    const isStored = this.writes.over(rootID);
    this.tellWritten();
    return isStored;
  }

  goal(rootID: string): Goal | undefined {
    return this.roots.get(rootID)?.goal;
  }

  root(rootID: string): Root | undefined {
    return this.roots.get(rootID)?.state;
  }

  /** The claim under which this instance keeps the books of a root; 0 while it has none of what is stored. */
  claim(rootID: string): number {
    return this.roots.get(rootID)?.claimed ?? 0;
  }

  decision(rootID: string): Decision {
    return this.roots.get(rootID)?.decision ?? { kind: "stop", reason: { why: "no-goal" } };
  }

  /** What the gate has decided about a goal, the newest last. */
  decisions(rootID: string): readonly Decided[] {
    return this.roots.get(rootID)?.decisions ?? [];
  }

  tasks(rootID: string): readonly Task[] {
    return this.manager.of(rootID);
  }

  /** The root above a session, as far as the books know; the session itself otherwise. */
  rootOf(sessionID: string): string {
    return this.manager.get(sessionID)?.rootID ?? this.manager.tree.rootOf(sessionID) ?? sessionID;
  }

  /** The places of the tasks that wait for a slot, by id: 1 for the next one of its model. */
  queuePositions(): ReadonlyMap<string, number> {
    return this.desk.queuePositions();
  }

  /** The last one of these messages of a session; "" if there are none. */
  lastOf(sessionID: string, messageIDs: readonly string[]): string {
    return this.manager.order.lastOf(sessionID, messageIDs);
  }

  /** Whether a message of ours is on its way into a root. */
  isSending(rootID: string): boolean {
    return this.roots.get(rootID)?.isSending === true;
  }

  /** Whether a message that is on its way into a root, and may not have been sent yet, is still to be sent. */
  maySend(rootID: string, messageID: string): boolean {
    return this.roots.get(rootID)?.maySend(messageID) === true;
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  /** What the user's message would take along now; undefined if nothing is pending or a message is on its way. */
  pendingNotice(rootID: string): string | undefined {
    const root = this.roots.get(rootID);
    if (root === undefined || root.isSending) return undefined;
    return handOver(root.addressed, mayRead(root.state, this.deps.config));
  }

  /** The earliest moment at which a `clock` input has something to do; `Infinity` if nothing is waited for. */
  deadline(): number {
    const { storage } = this.deps;
    let earliest = Math.min(this.manager.deadline(), this.desk.deadline, storage?.deadline ?? Number.POSITIVE_INFINITY);
    for (const root of this.roots.values()) earliest = Math.min(earliest, root.deadline);
    return earliest;
  }

  /** All zero and not armed once everything has ended, the query windows are over, and nothing was heard for a minute. */
  get sizes(): { roots: number; tasks: number; signs: number; armed: boolean } {
    const { tasks, signs } = this.manager.sizes;
    return { roots: this.roots.size, tasks, signs, armed: this.alarm.armed };
  }

  /** Stops at once and writes nothing: what a reload interrupts is found again by the next instance. */
  dispose(): void {
    this.disposed = true;
    this.alarm.clear();
    this.mailbox.length = 0;
    this.roots.clear();
  }

  /** Resolves once nothing of any root is left to be written; never while one of them cannot be written. */
  async allStored(): Promise<void> {
    await Promise.all([...this.roots.keys()].map((rootID) => this.stored(rootID)));
  }

  private tellWritten(): void {
    this.writes.tell((rootID) => this.roots.get(rootID)?.isStored !== false);
  }

  private handle(input: Input): void {
    const rootID = rootOfInput(input, this.books);
    this.deps.observe({ type: "input", rootID, input, facts: this.facts });
    if (rootID !== undefined) this.touched.add(rootID);
    switch (input.type) {
      case "host":
        return this.hostInput(input.event, rootID);
      case "clock":
        return this.clock();
      case "goal":
        return this.open(input.rootID).goalEvent(input.event);
      case "user-speaks":
        return this.open(input.rootID).userSpeaks();
      case "agent-judged":
        return this.open(input.rootID).agentJudged(input.limits);
      case "wake":
        return this.roots.get(input.rootID)?.wake();
      case "restored":
        return this.recovery.restored(input);
      case "reread":
        return this.recovery.reread(input);
      case "storage-repaired":
        return this.roots.get(input.rootID)?.damaged();
      case "moved":
        return this.roots.get(input.rootID)?.moved(input.claim);
      case "looked":
        return this.looked(input);
      case "told-before":
        return this.recovery.toldBefore(input);
      case "read-back":
        return this.recovery.readBack(input);
      case "statuses":
        return this.statuses(input.answer);
      case "saved":
        if (input.result.kind === "gone") return this.sessionGone(input.rootID);
        return this.roots.get(input.rootID)?.saved(input.revision, input.result);
      case "sent":
        return this.sent(input);
      case "verified":
        return this.roots.get(input.rootID)?.verified(input.sessionID, input.found);
      case "launched":
        return this.desk.launched(input);
      case "resume":
        return this.desk.resumed(input);
      case "cancel":
        return this.desk.cancel(input.taskID, input.reason);
      case "launches-stopped":
        return this.desk.stopLaunches(input.parentID);
      case "started":
        return this.manager.dispatch(input.taskID, { type: "sent", run: input.run, answer: input.answer });
      case "read":
        return this.desk.read(input);
      case "attached":
        return this.manager.attach(input.taskID, input.by, input.attached);
      case "handed-over":
        return this.handedOver(input.rootID, input.messageID);
    }
  }

  private hostInput(event: HostEvent, rootID: string | undefined): void {
    // Of sessions that nobody knows nothing is kept, and no trace would tell of it.
    if (rootID !== undefined) this.manager.order.hear(event);
    this.hostEvent(event, rootID);
    // Only now it is known whose session it is.
    const foundID = rootID === undefined ? this.books.rootOfSession(sessionOf(event)) : undefined;
    if (foundID !== undefined) this.deps.observe({ type: "concerns", rootID: foundID });
  }

  private hostEvent(event: HostEvent, rootID: string | undefined): void {
    const sessionID = sessionOf(event);
    const inRoot = sessionID === rootID;
    if (rootID !== undefined) {
      const root = inRoot && opensRoot(event) ? this.open(rootID) : this.roots.get(rootID);
      root?.receive(event, inRoot);
    }
    this.manager.receive(event);
    if (event.type !== "session-deleted" || !inRoot) return;
    this.roots.get(sessionID)?.end();
    this.close(sessionID);
  }

  /** Nothing is kept of a root any more; with it goes the order of its messages, unless a task needs it. */
  private close(rootID: string): void {
    this.roots.delete(rootID);
    if (this.manager.tree.get(rootID) === undefined) this.manager.order.forget(rootID);
  }

  private clock(): void {
    const now = this.now();
    this.manager.tick();
    this.desk.clock();
    this.deps.storage?.clock();
    for (const [rootID, root] of this.roots) {
      if (root.deadline > now) continue;
      this.touch(rootID);
      root.clock();
    }
  }

  private looked({ taskID, run, look }: Extract<Input, { type: "looked" }>): void {
    this.manager.dispatch(taskID, { type: "looked", run, look, kept: this.manager.signs.text(taskID) });
  }

  private statuses(answer: Extract<Input, { type: "statuses" }>["answer"]): void {
    this.statusesAsked = false;
    if (answer.kind !== "known") return;
    for (const task of this.manager.silent()) {
      this.touch(task.rootID);
      this.manager.statusRead(task.id, answer.value.has(task.id));
    }
    for (const sessionID of this.manager.resting(answer.value)) this.restUnheard(sessionID);
    for (const [rootID, root] of this.roots) {
      const silent = this.manager.signs.lastAt(rootID) + SILENCE_MS <= this.now();
      const missedIdle = silent && isWorking(root.state) && !answer.value.has(rootID);
      if (missedIdle) this.restUnheard(rootID);
    }
  }

  /** Not through the mailbox: it is no input, and a replay would hear of it twice. */
  private restUnheard(sessionID: string): void {
    const rootID = this.rootOf(sessionID);
    this.touched.add(rootID);
    this.deps.observe({ type: "concerns", rootID, rested: sessionID });
    this.hostEvent({ type: "session-idle", sessionID }, rootID);
  }

  /** An input that names no root has something to do with this one. */
  private touch(rootID: string): void {
    this.touched.add(rootID);
    this.deps.observe({ type: "concerns", rootID });
  }

  private forgotten(sessionID: string): void {
    if (!this.roots.has(sessionID)) this.manager.order.forget(sessionID);
    const rootID = this.books.rootOfSession(sessionID);
    if (rootID !== undefined) this.deps.observe({ type: "concerns", rootID, forgotten: sessionID });
  }

  /** One status call serves every silent task and root. */
  private askStatuses(): void {
    if (this.statusesAsked) return;
    this.statusesAsked = true;
    this.perform({ type: "ask-statuses" });
  }

  private sent({ rootID, sessionID, messageID, answer }: Extract<Input, { type: "sent" }>): void {
    const root = this.roots.get(rootID);
    switch (answer.kind) {
      case "known":
        // The event that shows it may come behind that of a later one.
        if (this.books.rootOfSession(sessionID) !== undefined) this.manager.order.heard(sessionID, messageID);
        return root?.outboxEvent(sessionID, { type: "accepted", messageID });
      case "gone":
        return this.sessionGone(sessionID);
      case "unknown":
        return root?.outboxEvent(sessionID, { type: "refused", messageID, reason: answer.reason });
    }
  }

  /** Its deletion was not heard. An end, not a failure: nobody is left to be told anything. */
  private sessionGone(sessionID: string): void {
    const rootID = this.manager.get(sessionID)?.rootID ?? sessionID;
    this.hostEvent({ type: "session-deleted", sessionID }, rootID);
  }

  /** Roots in which nothing starts by itself. */
  private asleep(): ReadonlySet<string> {
    return new Set(
      [...this.roots.values()].filter(({ state }) => state.presence.kind === "asleep").map(({ id }) => id),
    );
  }

  private addressed(rootID: string): readonly Task[] {
    return this.roots.get(rootID)?.addressed ?? [];
  }

  private handedOver(rootID: string, messageID: string): void {
    for (const task of this.addressed(rootID).filter(isUntold)) {
      this.manager.dispatch(task.id, { type: "delivered", run: task.run.number, sessionID: rootID, messageID });
    }
  }

  private taskChanged(change: TaskChange): void {
    const record = change.after ?? change.before;
    if (record === undefined) return;
    const { rootID } = record;
    this.touched.add(rootID);
    this.deps.observe({ type: "task", rootID, change });
    // A record that goes opens no books: its root may be deleted.
    const root = change.after === undefined ? this.roots.get(rootID) : this.open(rootID);
    if (durableOf(change.before) !== durableOf(change.after))
      root?.markDirty(hasJustStarted(change) ? UNHURRIED_MS : 0);
    if (change.after !== undefined && isEnded(change.after)) this.roots.get(rootID)?.sessionEnded(record.id);
    const isNews = change.event !== "restored" && change.before?.status !== change.after?.status;
    if (!isNews || change.after === undefined) return;
    const toast = announcement(change.after, change.event, this.manager.of(rootID));
    if (toast !== undefined) this.perform({ type: "toast", rootID, ...toast });
  }

  /** After each input: ask the gate for every root that it touched. */
  private evaluateTouched(): void {
    try {
      for (const rootID of this.touched) {
        const root = this.roots.get(rootID);
        root?.evaluate();
        if (root?.isForgettable !== true) continue;
        this.close(rootID);
        this.manager.unwatch(rootID);
        this.deps.onForgotten?.(rootID);
      }
    } finally {
      this.touched.clear();
    }
  }

  private open(rootID: string): RootKeeper {
    const known = this.roots.get(rootID);
    if (known !== undefined) return known;
    const { config, owner, ids, observe } = this.deps;
    const root = new RootKeeper(rootID, {
      now: this.now,
      config,
      owner,
      ids,
      order: this.manager.order,
      observe,
      manager: this.manager,
      desk: this.desk,
      perform: (effect) => this.perform(effect),
      askStatuses: () => this.askStatuses(),
      nextRevision: () => ++this.revision,
    });
    this.roots.set(rootID, root);
    return root;
  }

  private perform(effect: Effect): void {
    this.deps.observe({ type: "effect", rootID: rootOfEffect(effect, this.books), effect });
    this.deps.perform(effect);
  }
}

function isWorking({ activity }: Root): boolean {
  return activity.kind === "busy" || activity.kind === "ending";
}

/** A root that works has a voice and an activity worth knowing, before anybody sets a goal in it. */
function opensRoot(event: HostEvent): boolean {
  return event.type === "user-message" || event.type === "session-busy";
}

/** Its prompt was sent: after a crash before this is written its transcript says so. */
function hasJustStarted({ before, after }: TaskChange): boolean {
  return before?.status === "queued" && after !== undefined && isLive(after);
}
