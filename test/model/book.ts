import { readFrame } from "../../src/delivery/frame.ts";
import type { GoalEvent } from "../../src/goals/goal.ts";
import type { HostEvent, Prompt, Stored } from "../../src/host/port.ts";
import type { Input, Observation } from "../../src/keeper/messages.ts";
import { isEnded, isLive, isWaiting } from "../../src/tasks/task.ts";
import type { World } from "./world.ts";

interface Child {
  readonly native: boolean;
  readonly background: boolean;
  /** When the keeper could first know that the present run works. */
  readonly knownAt: number;
  /** When its end was published, and how; undefined while it works. */
  ended?: { readonly at: number; readonly aborted: boolean; readonly overdue: boolean };
  told: boolean;
  /** Launched, and its prompt was not sent yet: it holds the gate although nothing of it works. */
  readonly queued?: boolean;
}

interface Report {
  readonly taskID: string;
  readonly messageID: string;
  readonly at: number;
  answered: boolean;
}

interface RootBook {
  goalSetAt: number;
  idleSince: number;
  quiet: boolean;
  asleep: boolean;
  /** Of `opencode run`: a prompt has woken the session and not the goal. */
  goalAsleep: boolean;
  abortedAt: number | undefined;
  unanswered: { readonly messageID: string; readonly at: number } | undefined;
  reports: Report[];
  /** When a continuation was last answered while the task worked. */
  releases: Map<string, number>;
  /** Tasks that the user let go of, until the next continuation. */
  readonly letGo: Set<string>;
  /** The same of goals that were replaced or cleared, by the moment of their start. */
  readonly letGoBefore: Map<number, readonly string[]>;
  /** The message of ours that may not have reached its turn yet. */
  out:
    | {
        readonly messageID: string;
        acceptedAt: number | undefined;
        calls: number;
        started: boolean;
        overdue: readonly string[];
        /** Those of them that it names: what was reserved earlier names none. */
        named: readonly string[];
      }
    | undefined;
  continuations: number;
}

const HOST_TELLS_MS = 2_000;
const UNANSWERED_MS = 5_000;
const TOLD_WITHIN_MS = 2_500;
const USER_FIRST_MS = 30_000;
const STARTS_MS = 10_000;

/**
 * The model's own bookkeeping: what is owed, by what the host published and what people did. It shares no code with
 * the gate. Every breach of an invariant is collected as a sentence.
 */
export class Book {
  readonly breaches: string[] = [];
  /** Off while the host is made to lie or to withhold the beginnings of things: then nobody could know what is owed. */
  judgesOwed = true;
  private readonly children = new Map<string, Child>();
  private readonly roots = new Map<string, RootBook>();
  private readonly ends = new Map<string, number>();
  /** The latest call of the host's own tool, by its child. */
  private readonly calls = new Map<string, string>();
  /** When a message was stored in a child that began no turn yet: its run begins with it, if it had one before. */
  private readonly typedAt = new Map<string, number>();
  /** Children that worked by what is stored: after a restart the run that goes on is the same. */
  private readonly worked = new Map<string, number>();
  private readonly seen = new Set<string>();
  private readonly settled = new Set<string>();
  private readonly runs = new Map<string, number>();
  private readonly asks = new Map<string, Set<string>>();
  /** Roots of which it was heard that messages are undone. */
  private readonly undone = new Set<string>();
  private readonly rootsHeardBusy = new Set<string>();
  /** Who holds which record, in this life. */
  private readonly attachments = new Map<string, number>();
  /** Tasks that may be told twice, because nobody could know that they had been told. */
  readonly excused = new Set<string>();

  constructor(private readonly world: World) {}

  root(rootID: string): RootBook {
    const known = this.roots.get(rootID);
    if (known !== undefined) return known;
    const fresh: RootBook = {
      goalSetAt: 0,
      idleSince: this.now,
      quiet: false,
      asleep: false,
      goalAsleep: false,
      abortedAt: undefined,
      unanswered: undefined,
      reports: [],
      releases: new Map(),
      letGo: new Set(),
      letGoBefore: new Map(),
      out: undefined,
      continuations: 0,
    };
    this.roots.set(rootID, fresh);
    return fresh;
  }

  private get now(): number {
    return this.world.clock.now();
  }

  private breach(invariant: string, text: string): void {
    this.breaches.push(`${invariant} at ${this.now}: ${text}`);
  }

  // What people do

  private goalEvent(rootID: string, event: GoalEvent): void {
    const root = this.root(rootID);
    if (event.type === "clear" || event.type === "set") {
      root.letGoBefore.set(root.goalSetAt, [...root.letGo]);
      root.letGo.clear();
    }
    if (event.type === "set") {
      root.goalSetAt = this.now;
      // The command is the user's latest word.
      root.unanswered = undefined;
    }
    // `/goal resume` on an active goal lets go, once, of what holds it now.
    const letsGo = event.type === "resume" && this.world.keeper.goal(rootID)?.status === "active";
    if (letsGo) for (const id of event.liveTaskIDs) root.letGo.add(id);
  }

  private woken(rootID: string): void {
    const root = this.root(rootID);
    root.quiet = false;
    root.asleep = false;
    root.goalAsleep = false;
  }

  /** Nothing is kept of a root, not even that it was asleep or quiet. */
  forgotten(rootID: string): void {
    this.woken(rootID);
    if (this.world.keeper.goal(rootID) !== undefined || this.world.keeper.tasks(rootID).length > 0)
      this.breach("I5", `${rootID} is forgotten and holds something`);
  }

  aborted(rootID: string): void {
    this.root(rootID).abortedAt = this.now;
  }

  restarted(awake: boolean): void {
    for (const task of this.world.storedRoots().flatMap((stored) => stored.tasks)) {
      if (isLive(task)) this.worked.set(task.id, task.run.startedAt);
    }
    this.children.clear();
    this.typedAt.clear();
    this.seen.clear();
    this.attachments.clear();
    for (const { self, tasks } of this.world.storedRoots())
      for (const id of [self, ...tasks.map((task) => task.id)]) this.seen.add(id);
    for (const { id } of this.world.storedRoots().flatMap((stored) => stored.tasks.filter(isWaiting))) {
      if (this.world.ledger.isQueued(id)) this.queued(id);
    }
    this.asks.clear();
    this.undone.clear();
    this.rootsHeardBusy.clear();
    for (const [rootID, root] of this.roots) {
      root.quiet = false;
      // One whose books hold nothing is forgotten at once.
      const stored = this.world.host.exists(rootID) ? this.world.stored(rootID) : undefined;
      // A goal that was set at the last moment was not written down, and the one before is back.
      root.goalSetAt = stored?.goal?.startedAt ?? root.goalSetAt;
      for (const id of root.letGoBefore.get(root.goalSetAt) ?? []) root.letGo.add(id);
      root.asleep = !awake && stored !== undefined && (stored.goal !== undefined || stored.tasks.length > 0);
      root.goalAsleep = root.asleep && this.world.config.run !== undefined;
      root.abortedAt = undefined;
      root.unanswered = undefined;
      root.reports = [];
      root.out = undefined;
      root.idleSince = this.now;
    }
  }

  excuseAll(): void {
    for (const id of [...this.children.keys(), ...this.runs.keys()]) this.excused.add(id);
  }

  // What the host publishes (what reaches the keeper)

  heard(event: HostEvent): void {
    if (event.type === "session-seen") {
      const { id, undone } = event.session;
      this.seen.add(id);
      // Nobody listens to a root without goal, task or turn.
      if (undone && this.world.keeper.root(id) !== undefined) this.undone.add(id);
      else if (!undone) this.undone.delete(id);
      return;
    }
    const { sessionID } = event;
    const isRoot = this.world.host.isRoot(sessionID);
    switch (event.type) {
      case "ask-opened": {
        // Nobody listens to a root without goal, task or turn.
        if (this.world.keeper.root(this.world.host.rootOf(sessionID)) === undefined) return;
        // Whose child it is was not known then, and an ask is not published again.
        if (!this.isReachable(sessionID)) return;
        const open = this.asks.get(sessionID) ?? new Set();
        this.asks.set(sessionID, open.add(event.askID));
        return;
      }
      case "session-busy":
        if (isRoot) this.rootsHeardBusy.add(sessionID);
        return isRoot ? undefined : this.began(sessionID, { native: false, background: false });
      case "session-idle":
        // The second idle of a pair renews nothing.
        if (isRoot && this.rootsHeardBusy.delete(sessionID)) this.rootIdle(sessionID);
        if (!isRoot) this.childEnded(sessionID, false);
        // A tree that nobody watches forgets who is idle.
        if (!isRoot && this.world.keeper.goal(this.world.host.rootOf(sessionID)) === undefined)
          this.seen.delete(sessionID);
        return;
      case "session-error":
        if (event.error.name === "MessageAbortedError" && !isRoot) this.childEnded(sessionID, true);
        // Of a root without books nothing is remembered.
        if (event.error.name === "MessageAbortedError" && isRoot && this.world.keeper.root(sessionID) !== undefined)
          // A prompt of `opencode run` that leaves its goal asleep ends with its process.
          this.root(sessionID).quiet = !this.root(sessionID).goalAsleep;
        return;
      case "session-deleted":
        this.children.delete(sessionID);
        return;
      case "user-text": {
        if (event.told !== undefined) {
          const child = this.children.get(event.told.taskID);
          if (child !== undefined) child.told = true;
          if (isRoot && child !== undefined) this.reported(sessionID, event.told.taskID, event.messageID);
        }
        if (!isRoot && !event.ignored) this.began(sessionID, { native: false, background: false });
        if (isRoot && !event.synthetic && !event.ignored) {
          const root = this.root(sessionID);
          const { goalAsleep } = root;
          this.woken(sessionID);
          root.goalAsleep = goalAsleep;
          root.unanswered = { messageID: event.messageID, at: this.now };
        }
        return;
      }
      case "message-removed":
        return isRoot ? this.removed(sessionID, event.messageID) : undefined;
      case "step-ended":
        return this.reportsAnswered(sessionID, event.readID);
      case "assistant-message":
        return isRoot ? this.answered(sessionID, event) : undefined;
      case "tool": {
        const { child, state } = event;
        if (child === undefined) return;
        if (state === "running") this.called(child.sessionID, event.callID, child.background);
        return;
      }
      default:
        return;
    }
  }

  /** What the user has undone for good is answered by nobody, and starts nothing. */
  private removed(rootID: string, messageID: string): void {
    const root = this.root(rootID);
    if (root.unanswered?.messageID === messageID) root.unanswered = undefined;
    if (root.out?.messageID === messageID) root.out = undefined;
  }

  /** The part of a call is published more than once: only the first time it begins a run. */
  private called(id: string, callID: string, background: boolean): void {
    const isOld = this.calls.get(id) === callID && this.children.get(id)?.ended !== undefined;
    this.calls.set(id, callID);
    if (!isOld) this.began(id, { native: true, background });
  }

  /** A task was launched or resumed, and waits for a slot. */
  queued(id: string): void {
    const knownAt = this.worked.get(id) ?? this.now;
    const fresh = { native: false, background: false, told: false, queued: true };
    this.children.set(id, { ...fresh, knownAt });
    this.settled.delete(id);
  }

  /** Its prompt is sent for the first time in this life: if it waited for that, its clocks start now. */
  started(id: string): void {
    const child = this.children.get(id);
    if (child?.queued !== true) return;
    this.worked.delete(id);
    this.children.set(id, { ...child, queued: false, knownAt: this.now });
  }

  /** It was cancelled, or given up: whatever the host still shows of its turn, or asks in it, holds nothing. */
  endedByUs(id: string): void {
    this.asks.delete(id);
    const child = this.children.get(id);
    if (child === undefined) return;
    this.children.set(id, { ...child, queued: false, ended: { at: this.now, aborted: true, overdue: true } });
  }

  /** How often anything of it has ended. */
  endsOf(id: string): number {
    return this.runs.get(id) ?? 0;
  }

  /** Records that somebody still holds in this life. */
  attachmentsLeft(): number {
    return [...this.attachments.values()].filter((count) => count !== 0).length;
  }

  private began(id: string, how: { native: boolean; background: boolean }): void {
    if (!how.native && this.world.ledger.isWindingDown(id)) return;
    const known = this.children.get(id);
    if (known !== undefined && known.ended === undefined) {
      // What looked adopted at first may turn out to be the Task tool's, or be promoted.
      this.children.set(id, {
        ...known,
        native: known.native || how.native,
        background: known.background || how.background,
      });
      return;
    }
    if (!this.world.host.isWorking(id) && !how.native) {
      if (!this.typedAt.has(id)) this.typedAt.set(id, this.now);
      return;
    }
    // Idle, and its end not settled yet: what it does next is the same run, and its ceiling the same.
    const goesOn = known?.ended !== undefined && !this.settled.has(id);
    this.settled.delete(id);
    const knownAt = this.worked.get(id) ?? (goesOn ? known.knownAt : (this.typedAt.get(id) ?? this.now));
    this.children.set(id, { ...how, knownAt, told: false });
    this.worked.delete(id);
    this.typedAt.delete(id);
  }

  /** Whose child it is, is asked: until the answer nobody can know what is below it. */
  askedFor(id: string): void {
    this.seen.delete(id);
  }

  shown(id: string): void {
    this.seen.add(id);
  }

  /** After a restart nothing is published again: whose child a new one is, the host has to be asked. */
  private isReachable(id: string): boolean {
    return [id, ...this.world.host.ancestors(id)].every(
      (ancestor) => this.world.host.isRoot(ancestor) || this.seen.has(ancestor),
    );
  }

  private childEnded(id: string, aborted: boolean): void {
    const child = this.children.get(id);
    // The second idle of an abort may come when the child works again.
    if (child === undefined || child.ended !== undefined || this.world.host.isActive(id)) return;
    const root = this.root(this.world.host.rootOf(id));
    const overdue = this.now >= this.heldSince(root, id, child) + this.world.config.gate.maxTaskBlockMs;
    this.children.set(id, { ...child, ended: { at: this.now, aborted, overdue } });
  }

  private rootIdle(rootID: string): void {
    const root = this.root(rootID);
    if (!this.world.host.isWorking(rootID)) root.idleSince = this.now;
  }

  private reported(rootID: string, taskID: string, messageID: string): void {
    this.root(rootID).reports.push({ taskID, messageID, at: this.now, answered: false });
  }

  private answered(rootID: string, event: Extract<HostEvent, { type: "assistant-message" }>): void {
    const root = this.root(rootID);
    if (event.summary) return;
    const { host } = this.world;
    const isFrom = (messageID: string) => host.isFrom(rootID, event.parentID, messageID);
    if (root.unanswered !== undefined && isFrom(root.unanswered.messageID)) root.unanswered = undefined;
    const { out } = root;
    const wasSent = out?.acceptedAt !== undefined && this.now < out.acceptedAt + STARTS_MS;
    const reads = out !== undefined && (wasSent ? isFrom(out.messageID) : event.parentID === out.messageID);
    if (out !== undefined && reads && !out.started) {
      out.started = true;
      for (const id of out.overdue) {
        if (out.named.includes(id)) root.releases.set(id, this.now);
        // Taken without an answer, and held back by another plugin's hook, it may be looked for in vain and not count.
        if (out.acceptedAt !== undefined) root.letGo.delete(id);
      }
    }
    if (event.completedAt === undefined) return;
    this.reportsAnswered(rootID, event.parentID);
  }

  private reportsAnswered(rootID: string, parentID: string): void {
    const { host } = this.world;
    for (const report of this.root(rootID).reports)
      if (host.isFrom(rootID, parentID, report.messageID)) report.answered = true;
  }

  // What the keeper does

  prompting(prompt: Prompt): void {
    const { sessionID: rootID, messageID, text } = prompt;
    const root = this.root(rootID);
    const kind = readFrame(text)?.kind;
    const { out } = root;
    // A call whose message is being answered already has nothing more to decide.
    if (out !== undefined && out.calls > 0 && !out.started)
      this.breach("I7", `two prompts of ours are in flight in ${rootID}`);
    const undecided = out?.acceptedAt !== undefined && !out.started && this.now < out.acceptedAt + STARTS_MS;
    if (undecided && out.messageID !== messageID)
      this.breach("I7", `${messageID} is sent while ${out.messageID} may still start`);
    if (this.undone.has(rootID)) this.breach("U1", `a ${kind} is sent to a root in which messages are undone`);
    if (root.quiet) this.breach("I7", `a ${kind} is sent to a quiet root`);
    if (root.asleep) this.breach("I7", `a ${kind} is sent to a sleeping root`);
    const again = out?.messageID === messageID;
    const overdue = this.world.host.below(rootID).filter((id) => {
      const child = this.children.get(id);
      const ceiling = this.world.config.gate.maxTaskBlockMs;
      return (
        kind === "continuation" &&
        child !== undefined &&
        child.ended === undefined &&
        this.now >= this.heldSince(root, id, child) + ceiling
      );
    });
    const named = overdue.filter((id) => text.includes(id));
    root.out = again
      ? { ...out, calls: out.calls + 1 }
      : { messageID, acceptedAt: undefined, calls: 1, started: false, overdue, named };
    // Deleted in the very moment of the call: that is answered with 404.
    if (!this.world.host.exists(rootID)) return;
    if (kind !== "continuation" && kind !== "wrapup") return;
    if (root.goalAsleep) this.breach("I7", `a ${kind} is sent while the goal sleeps`);
    if (!again) root.continuations++;
    const status = this.world.keeper.goal(rootID)?.status;
    if (status !== "active" && status !== "limited")
      this.breach("I1", `a ${kind} is sent although the goal is ${status ?? "gone"}`);
    if (this.judgesOwed) for (const owed of this.owed(rootID)) this.breach("I1", `a ${kind} is sent although ${owed}`);
  }

  prompted(prompt: Prompt, answer: Stored): void {
    const { out } = this.root(prompt.sessionID);
    if (out?.messageID !== prompt.messageID) return;
    out.calls--;
    if (answer.kind === "known") out.acceptedAt = this.now;
  }

  /** Its end is not told yet: what is typed into it now is taken for a part of the run that ends. */
  hasJustEnded(id: string): boolean {
    const ended = this.children.get(id)?.ended;
    return ended !== undefined && this.now < ended.at + TOLD_WITHIN_MS;
  }

  /** Children that are known to work since then, or to wait for a slot. */
  running(rootID: string, since: number): readonly string[] {
    return this.world.host.below(rootID).filter((id) => {
      const child = this.children.get(id);
      if (child === undefined || child.ended !== undefined || child.knownAt > since) return false;
      return this.isReachable(id) && (this.world.host.isActive(id) || child.queued === true);
    });
  }

  /** Tasks of OpenCode's or ours that still hold the goal back. */
  working(rootID: string): readonly string[] {
    const root = this.root(rootID);
    return this.world.host.below(rootID).filter((id) => {
      const child = this.children.get(id);
      if (child === undefined || child.ended !== undefined || !this.isReachable(id)) return false;
      const isOthers = this.world.keeper.manager.get(id)?.origin === "adopted";
      if (isOthers || (!child.native && !this.world.ledger.isLive(id))) return false;
      // Past its ceiling it has let go once.
      if (root.letGo.has(id) || root.releases.has(id)) return false;
      const ceiling = this.world.config.gate.maxTaskBlockMs;
      const isOver = ceiling > 0 && this.now >= this.heldSince(root, id, child) + ceiling;
      return !isOver && (this.world.host.isActive(id) || child.queued === true);
    });
  }

  /** What product.md calls owed, and what else must hold a goal back, now. */
  owed(rootID: string): readonly string[] {
    const { host, config } = this.world;
    const root = this.root(rootID);
    const owed: string[] = [];
    for (const id of host.below(rootID)) {
      if (!this.isReachable(id)) continue;
      const child = this.children.get(id);
      if (this.hasOpenAsk(id)) owed.push(`${id} has an open ask`);
      if (child === undefined) continue;
      if (child.ended === undefined) {
        if (!host.isActive(id) && child.queued !== true) continue;
        const since = this.heldSince(root, id, child);
        const ceiling = config.gate.maxTaskBlockMs;
        if (ceiling === 0 || this.now < since + ceiling) owed.push(`${id} works since ${child.knownAt}`);
      } else if (child.native && child.background && !child.told && !child.ended.aborted && !child.ended.overdue) {
        if (!root.letGo.has(id) && this.now < child.ended.at + HOST_TELLS_MS)
          owed.push(`the host has not told the outcome of ${id} yet`);
      }
    }
    if (this.hasOpenAsk(rootID)) owed.push("the root has an open ask");
    const isBusy = host.isWorking(rootID) && !host.isEnding(rootID);
    if (isBusy && this.rootsHeardBusy.has(rootID)) owed.push("the root is busy");
    for (const report of root.reports) {
      if (!report.answered && this.now < Math.max(report.at, root.idleSince) + UNANSWERED_MS)
        owed.push(`${report.messageID} is unanswered`);
    }
    const { unanswered } = root;
    if (unanswered !== undefined && this.now < Math.max(unanswered.at, root.idleSince) + USER_FIRST_MS)
      owed.push("the user's message is unanswered");
    return owed;
  }

  private heldSince(root: RootBook, id: string, child: Child): number {
    if (root.letGo.has(id)) return Number.NEGATIVE_INFINITY;
    return Math.max(child.knownAt, root.goalSetAt, root.releases.get(id) ?? 0);
  }

  /** Open in the host, and heard of. */
  private hasOpenAsk(sessionID: string): boolean {
    const open = this.world.host.openAsks(sessionID);
    return [...(this.asks.get(sessionID) ?? [])].some((askID) => open.includes(askID));
  }

  /** What a transcript says about ended tasks: our notices and the host's own reports. */
  mentions(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    const count = (id: string | undefined) => id !== undefined && counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const rootID of this.world.host.rootIDs()) {
      for (const message of this.world.host.messages(rootID)) {
        for (const { text } of message.parts.values()) {
          for (const match of text.matchAll(
            /^- ".*" \((ses_\w+)\)(?: \(run \d+\))?: (?:completed(?!, reported)|failed:|cancelled(?!, reported)|LOST)/gm,
          ))
            count(match[1]);
          count(/^<task id="(ses_\w+)" state="(?:completed|error)">/.exec(text)?.[1]);
        }
      }
    }
    return counts;
  }

  /** I3: a run is told at most once. */
  judgeMentions(): void {
    for (const [id, told] of this.mentions()) {
      // A child that nobody watched has no record, and the host tells it all the same.
      const runs = Math.max(1, this.runs.get(id) ?? 0);
      if (told > runs && !this.excused.has(id))
        this.breach("I3", `${id} ended ${runs} times and was told ${told} times`);
    }
  }

  private told(input: Input): void {
    if (input.type === "goal") this.goalEvent(input.rootID, input.event);
    if (input.type === "wake" || input.type === "user-speaks") this.woken(input.rootID);
    if (input.type !== "attached") return;
    const key = `${input.taskID} ${input.by}`;
    this.attachments.set(key, (this.attachments.get(key) ?? 0) + (input.attached ? 1 : -1));
  }

  observed(observation: Observation): void {
    if (observation.type === "input") return this.told(observation.input);
    if (observation.type !== "task") return;
    const { before, after, event } = observation.change;
    // After the query window the same child may begin again, with a record of its own.
    if (before !== undefined && after === undefined) {
      this.ends.delete(`${this.world.life.instance} ${before.id} 1`);
      // With the record goes what was known of its place in the tree, and of its report.
      this.seen.delete(before.id);
      for (const root of this.roots.values())
        root.reports = root.reports.filter((report) => report.taskID !== before.id);
    }
    if (before === undefined || after === undefined || event === "restored") return;
    if (isEnded(before) && after.run.number === before.run.number && after.status !== before.status) {
      this.breach("I4", `${after.id} run ${after.run.number} went from ${before.status} to ${after.status}`);
    }
    if (after.run.number < before.run.number) this.breach("I4", `${after.id} went back to run ${after.run.number}`);
    // Given up, perhaps after it was stored: it may be named once more.
    if (isEnded(after) && after.delivery.state === "undelivered") this.excused.add(after.id);
    if (isLive(before) && isEnded(after)) {
      this.settled.add(after.id);
      this.typedAt.delete(after.id);
      this.runs.set(after.id, (this.runs.get(after.id) ?? 0) + 1);
      const key = `${this.world.life.instance} ${after.id} ${after.run.number}`;
      this.ends.set(key, (this.ends.get(key) ?? 0) + 1);
      if ((this.ends.get(key) ?? 0) > 1) this.breach("I3", `${after.id} run ${after.run.number} has ended twice`);
    }
  }
}
