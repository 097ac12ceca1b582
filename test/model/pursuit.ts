import { readFrame } from "../../src/delivery/frame.ts";
import type { Budget } from "../../src/goals/budget.ts";
import type { Evidence, GoalEvent } from "../../src/goals/goal.ts";
import type { HostEvent, Prompt, ProviderError } from "../../src/host/port.ts";
import type { Observation } from "../../src/keeper/messages.ts";
import type { SimulatedMessage } from "../../src/testing/simulated-host.ts";
import { mishapOf } from "./provider-errors.ts";
import type { World } from "./world.ts";

/** What must hold a goal back, by what was said, heard and sent. */
interface Bounds {
  /** Nothing towards the goal before the user says so. */
  readonly stop: { readonly why: string; readonly at: number } | undefined;
  /** Nothing towards the goal before this moment. */
  readonly notBefore: number;
  /** Turns in a row that failed. */
  readonly failures: number;
}

interface Pursued extends Bounds {
  allowedAt: number;
  budget: Partial<Budget>;
  /** Continuations whose turn has begun since anything was achieved, or the user had a say. */
  begun: Set<string>;
  /** Those of them that have come to a good end. */
  fruitless: Set<string>;
  spokenID: string;
  tokens: number;
  /** The last error, and what held before it: a user who writes at once makes the turn his own. */
  failed: { readonly answerID: string | undefined; readonly at: number; readonly before: Bounds } | undefined;
  /** Ids of the wrap-ups that were sent since the limit was reached. */
  wrapUps: Set<string> | undefined;
  /** When the user's own check has said no. */
  refusedAt: number | undefined;
}

const FAILED = "turns in a row have failed";
const FREE: Bounds = { stop: undefined, notBefore: 0, failures: 0 };
const ABORTED = "MessageAbortedError";
const QUIETING_MS = 250;
const SETTLING_MS = 500;
const FIRST_QUOTA_WAIT_MS = 60_000;
const FIRST_BACK_OFF_MS = 1_000;
const TOKENS_PER_ANSWER = 100;
/** Of its budget: what uses that up is ended, and does not only wrap up. */
const ENDS_AT = 1.25;
/** What was changed so shortly before a process died may not have been written down. */
const WRITTEN_WITHIN_MS = 1_000;

/**
 * The model's own bookkeeping about goals: what may be sent towards one. It shares no code with goal and gate. What is
 * owed by tasks is the business of the book.
 */
export class Pursuit {
  private readonly goals = new Map<string, Pursued>();
  private readonly counted = new Set<string>();
  private readonly sentAt = new Map<string, number>();
  /** The goals that continuations were sent for. */
  private readonly sentFor = new Map<string, string | undefined>();
  private readonly held = new Set<string>();
  /** Those whose transcript is read. */
  private readonly doubted = new Set<string>();
  /** Continuations that were sent and not answered yet, and their roots. */
  private readonly unread = new Map<string, string>();

  /** Roots of which messages are gone: nobody can count by what is left. */
  private readonly undone = new Set<string>();

  /** When another plugin has answered a call of one of our tools, by root. */
  private readonly takenAt = new Map<string, number>();

  /** An error was not heard: how a turn has ended is not known. */
  isMuddled = false;

  constructor(private readonly world: World) {}

  private get now(): number {
    return this.world.clock.now();
  }

  private breach(invariant: string, text: string): void {
    this.world.book.breaches.push(`${invariant} at ${this.now}: ${text}`);
  }

  private of(rootID: string): Pursued {
    const known = this.goals.get(rootID);
    if (known !== undefined) return known;
    const fresh = this.fresh({});
    this.goals.set(rootID, fresh);
    return fresh;
  }

  private fresh(budget: Partial<Budget>): Pursued {
    const used = {
      allowedAt: this.now,
      tokens: 0,
      begun: new Set<string>(),
      fruitless: new Set<string>(),
      spokenID: "",
    };
    return { ...FREE, ...used, budget, failed: undefined, wrapUps: undefined, refusedAt: undefined };
  }

  private change(rootID: string, change: Partial<Bounds>): void {
    this.goals.set(rootID, { ...this.of(rootID), ...change });
  }

  private stop(rootID: string, why: string): void {
    if (this.of(rootID).stop === undefined && this.status(rootID) !== undefined)
      this.change(rootID, { stop: { why, at: this.now } });
  }

  // What people and models do

  /** The user makes an undo final. */
  undoing(rootID: string): void {
    this.undone.add(rootID);
  }

  refuses(rootID: string): void {
    this.of(rootID).refusedAt = this.now;
  }

  private said(rootID: string, event: GoalEvent): void {
    switch (event.type) {
      case "set":
        return this.begins(rootID, event.budget ?? {});
      case "resume":
        return this.resumed(rootID);
      case "edit":
        return this.edited(rootID);
      case "pause":
        return this.stop(rootID, "it is paused");
      case "clear":
        return this.stop(rootID, "it is cleared");
      case "complete":
        return this.stop(rootID, "it is complete");
      case "blocked":
        if (this.status(rootID) === "active") this.stop(rootID, "it is blocked");
        return;
      case "spent":
      case "limit-reached":
      case "overrun":
      case "continued":
      case "wrapped-up":
      case "prompt-failed":
      case "turn-ended":
        return;
    }
  }

  private resumed(rootID: string): void {
    const status = this.status(rootID);
    if (status === undefined || status === "complete") return;
    if (status === "active") return this.change(rootID, FREE);
    this.begins(rootID, this.of(rootID).budget);
  }

  private status(rootID: string) {
    return this.world.keeper.goal(rootID)?.status;
  }

  // What happens to the process

  /** What was not written down in time is not so any more. */
  dying(): void {
    for (const rootID of this.goals.keys()) {
      const { host } = this.world;
      const stored = host.exists(rootID) ? this.world.stored(rootID)?.goal : undefined;
      const goal = this.of(rootID);
      const isWriting = (host.faults.writeMetadata ?? "right") === "right" && this.world.writing === 0;
      for (const [id, at] of this.sentAt) if (at > this.now - WRITTEN_WITHIN_MS) this.held.add(id);
      const isYoung = goal.stop !== undefined && this.now - goal.stop.at < WRITTEN_WITHIN_MS;
      if (stored?.status === "active" && (isYoung || !isWriting)) this.change(rootID, { stop: undefined });
      if (stored?.quotaUntil === 0 && stored.retryAt === 0) this.change(rootID, { notBefore: 0 });
      this.change(rootID, { failures: stored?.failures ?? 0 });
      const now = this.of(rootID);
      now.budget = stored?.budget ?? {};
      now.allowedAt = stored?.allowedAt ?? this.now;
      now.tokens = (stored?.tokens.own ?? 0) + (stored?.tokens.tasks ?? 0);
      now.fruitless.clear();
      now.begun = new Set(Array.from({ length: stored?.idleTurns ?? 0 }, (_, at) => `before the restart ${at}`));
      now.failed = undefined;
      now.wrapUps = stored?.status === "limited" ? (now.wrapUps ?? new Set()) : undefined;
    }
  }

  // What the host publishes

  heard(event: HostEvent): void {
    if (event.type === "assistant-message") this.spent(event);
    const sessionID = event.type === "session-seen" ? event.session.id : event.sessionID;
    const rootID = sessionID;
    if (!this.world.host.isRoot(rootID) || this.world.keeper.root(rootID) === undefined) return;
    switch (event.type) {
      case "session-error":
        return event.error.name === ABORTED ? this.interrupted(rootID) : this.failed(rootID, event.error);
      case "assistant-message":
        if (event.summary) return;
        if (event.error === undefined) this.answered(rootID, event);
        return;
      case "tool":
        if (event.byOther) return this.taken(rootID);
        if (event.state === "completed" && !event.tool.endsWith("_goal")) this.fruitful(rootID);
        return;
      case "user-text":
        if (!event.synthetic && !event.ignored) this.spoke(rootID, event.messageID);
        return;
      case "ask-closed":
        if (event.rejected) this.stop(rootID, "the user has rejected what it asked");
        return;
      case "session-seen":
        if (event.session.archived) this.stop(rootID, "its session is archived");
        return;
      default:
        return;
    }
  }

  /** U14: what its agent reports is heard by nobody. */
  private taken(rootID: string): void {
    this.takenAt.set(rootID, this.now);
    this.stop(rootID, "another plugin answers its tools");
  }

  private interrupted(rootID: string): void {
    const { asleep, goalAsleep } = this.world.book.root(rootID);
    if (!asleep && !goalAsleep) this.stop(rootID, "the user has interrupted");
  }

  private begins(rootID: string, budget: Partial<Budget>): void {
    this.edited(rootID);
    const { begun, spokenID } = this.of(rootID);
    this.goals.set(rootID, { ...this.fresh(budget), begun, spokenID });
  }

  /** The turn that works began before, and may yet come to nothing. */
  private edited(rootID: string): void {
    const last = [...this.of(rootID).begun].at(-1);
    this.fruitful(rootID);
    if (last !== undefined && this.world.host.isWorking(rootID)) this.of(rootID).begun.add(last);
  }

  private fruitful(rootID: string): void {
    const { begun, fruitless } = this.of(rootID);
    begun.clear();
    fruitless.clear();
  }

  private spoke(rootID: string, messageID: string): void {
    const goal = this.of(rootID);
    goal.spokenID = messageID;
    const last = [...goal.begun].at(-1);
    this.fruitful(rootID);
    // Its end may be heard after what was said behind it.
    if (last !== undefined) goal.begun.add(last);
    if (goal.failed !== undefined && this.now <= goal.failed.at + SETTLING_MS) this.change(rootID, goal.failed.before);
  }

  private answered(rootID: string, event: Extract<HostEvent, { type: "assistant-message" }>): void {
    const { messageID, parentID, completedAt } = event;
    const finish = this.world.host.messages(rootID).find(({ id }) => id === messageID)?.finish;
    const goal = this.of(rootID);
    if (completedAt === undefined) this.turnsBegin(rootID, parentID);
    // What the user has said since makes the turn his own.
    const isSpoken = this.world.host.isFrom(rootID, goal.spokenID, parentID);
    const isOurs = goal.begun.has(parentID) && !goal.wrapUps?.has(parentID) && !isSpoken;
    if (isOurs && finish === "stop") goal.fruitless.add(parentID);
    if (completedAt !== undefined) this.change(rootID, { notBefore: 0, failures: 0 });
  }

  /** An answer reads everything that was said before. */
  private turnsBegin(rootID: string, parentID: string): void {
    for (const id of this.unread.keys()) {
      if (this.unread.get(id) !== rootID || !this.world.host.isFrom(rootID, parentID, id)) continue;
      this.unread.delete(id);
      this.of(rootID).begun.add(id);
    }
  }

  /** Errors of turns of other goals, or of none, hold nothing back. */
  private failed(rootID: string, error: ProviderError): void {
    const goal = this.of(rootID);
    const answerID = this.world.host.messages(rootID).findLast(({ role }) => role === "assistant")?.id;
    if (this.isMuddled || this.status(rootID) !== "active" || goal.failed?.answerID === answerID) return;
    const { stop, notBefore, failures } = goal;
    goal.failed = { answerID, at: this.now, before: { stop, notBefore, failures } };
    const { costs, forMs = 0 } = mishapOf(error);
    switch (costs) {
      case "user":
        return this.stop(rootID, `the user has to mend ${error.name} ${error.message}`);
      case "limit":
        return this.change(rootID, { notBefore: this.now + (forMs === 0 ? FIRST_QUOTA_WAIT_MS : forMs) });
      case "retries": {
        this.change(rootID, { notBefore: this.now + Math.max(FIRST_BACK_OFF_MS, forMs), failures: failures + 1 });
        const most = this.world.config.limits.maxPromptFailures;
        if (failures + 1 >= most) this.stop(rootID, `${most} ${FAILED}`);
        return;
      }
      case "nothing":
        return this.change(rootID, { failures: 0 });
    }
  }

  private spent({ sessionID, messageID, usage }: Extract<HostEvent, { type: "assistant-message" }>): void {
    const { host } = this.world;
    if (usage === undefined || this.counted.has(messageID) || !host.exists(sessionID)) return;
    this.counted.add(messageID);
    // A message of a turn that began before the goal is not the goal's.
    const message = host.messages(sessionID).find(({ id }) => id === messageID);
    const goal = this.goals.get(host.rootOf(sessionID));
    if (goal !== undefined && message !== undefined && message.storedAt > goal.allowedAt)
      goal.tokens += TOKENS_PER_ANSWER;
  }

  // What the keeper does

  observed(observation: Observation): void {
    if (observation.type === "input" && observation.input.type === "goal")
      return this.said(observation.input.rootID, observation.input.event);
    if (observation.type === "outbox") return this.sends(observation);
    if (observation.type !== "goal") return;
    const { rootID, before, after, event } = observation;
    if (after?.status === "limited" && before?.status !== "limited" && event !== "restored")
      this.of(rootID).wrapUps = new Set();
    if (event === "complete" && after?.status === "complete") this.completed(rootID, after.evidence);
    if (after?.status !== "paused" || before?.status === "paused" || event === "restored") return;
    if (after.by === "no-progress") this.judgeFruitless(rootID);
    if (after.by === "error") this.judgeFailed(rootID);
  }

  /** Found in the transcript while it may not be sent, it is left to the host, and not counted: see found.test.ts. */
  private sends({ state, message }: Extract<Observation, { type: "outbox" }>): void {
    if (message === undefined) return;
    if (state === "unverified") this.doubted.add(message.id);
    else if (this.doubted.delete(message.id) && state === "empty") this.held.add(message.id);
  }

  /** G11: nothing is complete without evidence, without the user's own check, or beside tasks that work. */
  private completed(rootID: string, evidence: readonly Evidence[]): void {
    if (evidence.length === 0) this.breach("G11", "the goal is complete without evidence");
    const calls = this.world.host.messages(rootID).flatMap((message) => [...message.calls.values()]);
    for (const id of evidence.flatMap(({ tool_call_ids: ids = [] }) => ids)) {
      const call = calls.find(({ callID }) => callID === id);
      if (call?.state !== "completed") this.breach("G11", `the goal is complete by ${id}, which is ${call?.state}`);
    }
    if (this.of(rootID).refusedAt === this.now)
      this.breach("G11", "the goal is complete, and the user's check says no");
    const working = this.world.book.judgesOwed ? this.world.book.working(rootID) : [];
    for (const id of working) this.breach("G11", `the goal is complete and ${id} works`);
  }

  /** G9 */
  private judgeFruitless(rootID: string): void {
    const turns = this.of(rootID).begun.size;
    const most = this.world.config.limits.noProgressTurns;
    if (turns < most && !this.isMuddled)
      this.breach("G9", `the goal is paused for lack of progress after ${turns} turns`);
  }

  /** G7: a usage limit is no failure. */
  private judgeFailed(rootID: string): void {
    if (this.takenAt.get(rootID) === this.now) return;
    const { failed } = this.of(rootID);
    const answer = this.world.host.messages(rootID).find(({ id }) => id === failed?.answerID);
    const isLimit = answer?.error !== undefined && mishapOf(answer.error).costs === "limit";
    if (isLimit && failed !== undefined && this.now <= failed.at + 2 * SETTLING_MS)
      this.breach("G7", "the goal is paused by a usage limit");
  }

  /** Something is sent towards a goal. */
  prompting({ sessionID: rootID, messageID, text, voice }: Prompt): void {
    const kind = readFrame(text)?.kind;
    if ((kind !== "continuation" && kind !== "wrapup") || !this.world.host.exists(rootID)) return;
    const goal = this.of(rootID);
    if (!this.sentAt.has(messageID)) {
      this.sentAt.set(messageID, this.now);
      this.sentFor.set(messageID, this.world.keeper.goal(rootID)?.id);
    }
    if (this.world.host.chatMessageMs > 0) this.held.add(messageID);
    const { stop, notBefore, wrapUps } = goal;
    const { gate } = this.world.config;
    const isInterrupting = stop?.why === "the user has interrupted" && this.now < stop.at + QUIETING_MS;
    // Owed since before the last of them.
    const isOwed = kind === "wrapup" && wrapUps !== undefined && stop?.why.endsWith(FAILED) === true;
    if (stop !== undefined && !isInterrupting && !isOwed)
      this.breach("G5", `a ${kind} is sent although ${stop.why} since ${stop.at}`);
    if (notBefore > this.now) this.breach("G7", `a ${kind} is sent ${notBefore - this.now} ms too early`);
    if (!gate.autoContinue) this.breach("G1", `a ${kind} is sent although nothing is to go on by itself`);
    const { agent } = voice ?? { agent: "" };
    if (gate.restrictedAgents.includes(agent)) this.breach("G10", `a ${kind} is sent as ${agent}`);
    if (kind === "wrapup") return this.wrapsUp(rootID, messageID, wrapUps);
    this.unread.set(messageID, rootID);
    if (wrapUps !== undefined) this.breach("G8", "a continuation is sent although the goal is limited");
    const { noProgressTurns } = this.world.config.limits;
    if (noProgressTurns > 0 && !this.isMuddled && goal.fruitless.size >= noProgressTurns)
      this.breach("G9", `a continuation is sent after ${goal.fruitless.size} turns without progress`);
    for (const spent of this.spentUp(rootID, messageID, goal))
      this.breach("G8", `a continuation is sent after ${spent}`);
  }

  private wrapsUp(rootID: string, messageID: string, wrapUps: Set<string> | undefined): void {
    // Resumed in the very moment in which it was sent.
    if (this.of(rootID).allowedAt === this.now) return;
    if (wrapUps === undefined) return this.breach("G8", "a wrap-up is sent and no limit is reached");
    const stored = new Set(this.world.host.messages(rootID).map(({ id }) => id));
    const earlier = [...wrapUps].filter((id) => id !== messageID && stored.has(id));
    if (earlier.length > 0) this.breach("G8", `a second wrap-up is sent, after ${earlier}`);
    wrapUps.add(messageID);
  }

  /** So far beyond its tokens or its time that its tasks may be ended. */
  isFarBeyond(rootID: string): boolean {
    const goal = this.goals.get(rootID);
    if (goal === undefined) return false;
    const { tokens, ms } = { ...this.world.config.limits.budget, ...goal.budget };
    const isFar = (used: number, most: number) => most > 0 && used >= most * ENDS_AT;
    return isFar(goal.tokens, tokens) || isFar(this.now - goal.allowedAt, ms);
  }

  private spentUp(rootID: string, messageID: string, { budget, allowedAt, tokens: used }: Pursued): readonly string[] {
    const { turns, tokens, ms } = { ...this.world.config.limits.budget, ...budget };
    const started = this.started(rootID, allowedAt).own.filter((id) => id !== messageID);
    const time = this.now - allowedAt;
    return [
      ...(turns > 0 && started.length >= turns ? [`${started.length} turns`] : []),
      ...(tokens > 0 && used >= tokens ? [`${used} tokens`] : []),
      ...(ms > 0 && time >= ms ? [`${time} ms`] : []),
    ];
  }

  /** Continuations that were answered since: in turns of their own, and those that a later message's turn has read along. */
  private started(rootID: string, since: number): { readonly own: readonly string[]; readonly all: readonly string[] } {
    const messages = this.world.host.messages(rootID);
    const all = messages.flatMap((message, at) => {
      const [part] = [...message.parts.values()];
      if (message.role !== "user" || readFrame(part?.text ?? "")?.kind !== "continuation") return [];
      // Stored late, behind a later one, it is taken for read with that.
      const reads = (answer: SimulatedMessage, place: number) =>
        answer.role === "assistant" &&
        !answer.summary &&
        (place > at || this.world.host.isFrom(rootID, answer.parentID ?? "", message.id));
      const isRecent = messages.some((other, place) => reads(other, place) && other.storedAt >= since);
      return isRecent ? [message.id] : [];
    });
    const answered = new Map(messages.map(({ parentID, storedAt }) => [parentID, storedAt]));
    // One that a hook held back may come when there is another goal.
    const goalID = this.world.keeper.goal(rootID)?.id;
    const isOwn = (id: string) =>
      (answered.get(id) ?? 0) >= since && (this.sentAt.get(id) ?? 0) >= since && this.sentFor.get(id) === goalID;
    return { all, own: all.filter((id) => isOwn(id) && !this.held.has(id)) };
  }

  /** G8: with a truthful host and nothing on its way, a goal has counted the continuations that have started. */
  judgeTurns(): void {
    for (const rootID of this.world.host.rootIDs()) {
      const goal = this.world.keeper.goal(rootID);
      if (goal === undefined || this.world.keeper.isSending(rootID) || this.undone.has(rootID)) continue;
      const { own, all } = this.started(rootID, goal.allowedAt);
      // Taken, and held back by another plugin's hook: the answer to a later message was taken for one to it.
      const most = new Set([...all, ...this.held]).size;
      if (goal.turns < own.length || goal.turns > most)
        this.breach("G8", `${goal.turns} turns are counted, of ${own.length} to ${most} that have begun`);
    }
  }
}
