import type { Found, Message, Outbox, OutboxEffect, OutboxEvent } from "../delivery/outbox.ts";
import { READS_RESULT } from "../goals/agent-limits.ts";
import { undoneIn } from "../goals/asks.ts";
import { type Decision, reportReasons, rootReasons } from "../goals/gate.ts";
import type { Goal, GoalEvent } from "../goals/goal.ts";
import { goalSleeps, limitsOf, type Root, type TurnBy } from "../goals/root.ts";
import type { PromptVoice } from "../host/port.ts";
import type { BackgroundTaskManager } from "../tasks/background-task-manager.ts";
import type { MessageOrder } from "../tasks/message-order.ts";
import { isEnded, type Task } from "../tasks/task.ts";
import { ChildReports } from "./child-reports.ts";
import { compose, reminderDeadline, reportAt } from "./compose.ts";
import type { KeeperConfig } from "./config.ts";
import type { Effect, Observation } from "./messages.ts";
import type { RootSession } from "./root-session.ts";
import { messageOf, SessionSender } from "./session-sender.ts";
import type { ReservedMessage, StoredRoot } from "./stored-root.ts";

export interface RootMessagesContext {
  readonly rootID: string;
  readonly now: () => number;
  readonly config: KeeperConfig;
  readonly manager: BackgroundTaskManager;
  readonly ids: { message(after: string): string; part(): string };
  readonly order: Pick<MessageOrder, "isBefore" | "floor">;
  readonly session: RootSession;
  readonly goal: () => Goal | undefined;
  readonly decision: () => Decision;
  readonly tasks: () => readonly Task[];
  /** Tasks for which an `opencode run` is to be kept open. */
  readonly waitsFor: () => readonly Task[];
  /** The message id whose reservation is stored. */
  readonly storedID: () => string | undefined;
  /** Another message, or none, is on its way into the root. */
  readonly onOtherMessage: () => void;
  /** Anything has changed on which what is to be said next may depend. */
  readonly onChange: () => void;
  readonly onGoalEvent: (event: GoalEvent) => void;
  readonly perform: (effect: Effect) => void;
  readonly observe: (observation: Observation) => void;
}

/** All that we say in a root and in the tasks below it: continuations, wrap-ups and reports. */
export class RootMessages {
  private readonly sender: SessionSender;
  private readonly reports: ChildReports;
  private isElsewhere = false;

  constructor(private readonly context: RootMessagesContext) {
    const { rootID, now, ids, order, config, manager, session, tasks, storedID } = context;
    this.sender = new SessionSender({
      now,
      ids,
      wanted: () => this.wanted(),
      lastMessageID: () => session.state.lastMessageID,
      isBefore: (one, other) => order.isBefore(rootID, one, other),
      floor: () => order.floor(rootID),
      storedID,
      onChange: (before, after) => this.changed(before, after),
      onEffect: (effect) => this.rootEffect(effect),
    });
    this.reports = new ChildReports({
      now,
      ids,
      order,
      holdMs: config.reportHoldMs,
      hasReadTool: config.hasReadTool,
      tasks,
      readerOf: (task) => manager.readerOf(task),
      undone: () => undoneIn(session.state),
      onChange: context.onChange,
      onEffect: (sessionID, effect) => this.childEffect(sessionID, effect),
    });
  }

  /** Whether a message is on its way into the root. */
  get isSending(): boolean {
    return this.sender.message !== undefined;
  }

  /** Whether what is to be said here is ours to say. */
  get maySpeak(): boolean {
    return !this.isElsewhere;
  }

  /** The host may not have stored the message yet. */
  get isUnderWay(): boolean {
    return this.sender.isUnderWay;
  }

  /** The next message has an id that is stored. */
  get hasSpare(): boolean {
    return this.sender.hasSpare;
  }

  get isWaitingForStore(): boolean {
    return this.sender.isWaitingForStore;
  }

  /** The tasks that the root itself is told about: nobody nearer to them is left. */
  get addressed(): readonly Task[] {
    const { manager, rootID, tasks } = this.context;
    return tasks().filter((task) => manager.readerOf(task) === rootID);
  }

  /** The earliest moment at which there may be something to say, or something to be said again. */
  get deadline(): number {
    const { config, session, tasks, now } = this.context;
    const report = reportAt(this.addressed, config.reportHoldMs);
    // A report waits for what the root does, also where there is no goal whose decision would say until when.
    const held = rootReasons(session.state, now()).flatMap((reason) => ("until" in reason ? [reason.until] : []));
    return Math.min(
      ...held,
      this.sender.deadline,
      this.reports.deadline,
      reminderDeadline(session.state, tasks(), now()),
      report > now() ? report : Number.POSITIVE_INFINITY,
    );
  }

  /** Says what is to be said now. */
  work(mayBegin: boolean): void {
    this.sender.work(mayBegin);
    this.reports.work();
  }

  clock(): void {
    this.sender.event({ type: "clock", rootIdle: this.context.session.state.activity.kind === "idle" });
    this.reports.clock();
  }

  /** Something about the message that is on its way into a session. */
  event(sessionID: string, event: OutboxEvent): void {
    if (sessionID === this.context.rootID) this.sender.event(event);
    else this.reports.event(sessionID, event);
  }

  /** A session has this user-role message. */
  heard(sessionID: string, messageID: string): void {
    if (sessionID === this.context.rootID) this.sender.heard(messageID);
    else this.reports.heard(sessionID, messageID);
  }

  /** An assistant message in a session answers this user-role message. */
  answerBegan(sessionID: string, userMessageID: string): void {
    if (sessionID === this.context.rootID) this.sender.answerBegan(userMessageID);
    else this.reports.answerBegan(sessionID, userMessageID);
  }

  /** What a transcript says about the message that is on its way into it: by now it may be unwanted. */
  verified(sessionID: string, found: Found): void {
    if (sessionID === this.context.rootID)
      this.sender.event({ type: "verified", found, maySend: this.maySend(this.sender.message) });
    else this.reports.event(sessionID, { type: "verified", found, maySend: this.reports.mayTell(sessionID) });
  }

  restore({ reserved }: StoredRoot): void {
    this.isElsewhere = false;
    if (reserved !== undefined) this.sender.event({ type: "restored", message: { ...reserved, text: "" } });
  }

  /** Somebody else keeps the books of this root now: what is under way here is theirs to find. */
  abandon(): void {
    this.isElsewhere = true;
    this.sender.event({ type: "abandon" });
  }

  withdraw(): void {
    this.sender.event({ type: "withdraw" });
  }

  /** A task has ended: nothing more is said in it. */
  taskEnded(sessionID: string): void {
    this.reports.ended(sessionID);
  }

  /** The root is deleted. */
  end(): void {
    this.sender.event({ type: "reader-gone" });
  }

  reservation(mayCome: boolean): ReservedMessage | undefined {
    return this.sender.reservation(mayCome, this.context.goal()?.id);
  }

  private wanted(): Message | undefined {
    if (this.isElsewhere) return undefined;
    const { context, addressed } = this;
    const { session, ids, config } = context;
    const after = context.order.floor(context.rootID);
    const [goal, decision, tasks, now] = [context.goal(), context.decision(), context.tasks(), context.now()];
    const { reportHoldMs: holdMs } = config;
    const hasReadTool = mayRead(session.state, config);
    const waitsFor = context.waitsFor();
    const root = session.state;
    return compose({ root, goal, decision, tasks, addressed, now, ids, after, holdMs, hasReadTool, waitsFor });
  }

  /** Whether the message that is on its way is this one, and still wanted. */
  maySendNow(messageID: string): boolean {
    const { message } = this.sender;
    return message?.id === messageID && this.maySend(message);
  }

  private maySend(message: Message | undefined): boolean {
    // A tool result may have told one of them meanwhile: what is left goes out in a message of its own.
    if (message?.outcomes.some((outcome) => !this.isStillUntold(outcome)) === true) return false;
    const decision = this.context.decision();
    // The turn that it was to keep going is over.
    if (message?.kind === "waiting") return false;
    if (message?.kind === "task-outcome")
      return reportReasons(this.context.session.state, this.context.now()).length === 0;
    return decision.kind === "continue" && decision.prompt === message?.kind && this.isOfGoal(message);
  }

  private isStillUntold({ taskID, run }: Message["outcomes"][number]): boolean {
    const task = this.context.manager.get(taskID);
    if (task === undefined || !isEnded(task) || task.run.number !== run) return false;
    const { delivery } = task;
    return delivery.state === "delivered" ? !delivery.byTurn : delivery.state !== "reconciled";
  }

  private changed(before: Outbox, after: Outbox): void {
    const [was, is] = [messageOf(before), messageOf(after)];
    this.context.onChange();
    if (was?.id !== is?.id) this.context.onOtherMessage();
    const { rootID, observe } = this.context;
    observe({ type: "outbox", rootID, state: after.state, message: is ?? was });
  }

  private rootEffect(effect: OutboxEffect): void {
    const { message } = effect;
    const { rootID, session, perform, onGoalEvent } = this.context;
    switch (effect.type) {
      case "send":
        return this.send(rootID, message, session.state.voice);
      case "verify":
        return perform({ type: "verify", rootID, sessionID: rootID, message });
      case "delivered":
        return this.delivered(rootID, message);
      case "not-stored":
        return this.notStored(message);
      case "started":
        session.beginTurn(message.id, TURN_BY[message.kind]);
        return this.count(message);
      case "overtaken":
        // Sent before a restart, and read with whatever the user says next: a goal that sleeps does not go on by that.
        if (message.kind === "continuation" && goalSleeps(session.state.presence)) return;
        return this.count(message);
      case "given-up":
        this.undelivered(message, effect.reason);
        if (message.kind === "waiting" || !this.isOfGoal(message)) return;
        return onGoalEvent(
          message.kind === "wrapup" ? { type: "wrapped-up" } : { type: "prompt-failed", reason: effect.reason },
        );
    }
  }

  /** A report to a task: it starts no turn of the goal. */
  private childEffect(sessionID: string, effect: OutboxEffect): void {
    const { message } = effect;
    const { rootID, manager, perform } = this.context;
    switch (effect.type) {
      case "send":
        return this.send(sessionID, message, manager.get(sessionID)?.launch?.voice);
      case "verify":
        return perform({ type: "verify", rootID, sessionID, message });
      case "delivered":
        return this.delivered(sessionID, message);
      case "not-stored":
        return this.notStored(message);
      case "started":
      case "overtaken":
        return;
      case "given-up":
        return this.undelivered(message, effect.reason);
    }
  }

  private send(sessionID: string, message: Message, voice: PromptVoice | undefined): void {
    const { id: messageID, partID, text } = message;
    const { rootID, session, perform } = this.context;
    const prompt = { sessionID, messageID, partID, text, voice, synthetic: true };
    const { kind } = session.state.activity;
    const deposit = sessionID === rootID && (kind === "held" || kind === "ending");
    perform({ type: "send", rootID, prompt, deposit });
  }

  private delivered(sessionID: string, { id: messageID, outcomes, overdueTaskIDs }: Message): void {
    // One that was put together before the ceiling does not say what is left behind at it.
    if (sessionID === this.context.rootID && overdueTaskIDs.length > 0) this.context.session.told();
    for (const { taskID, run } of outcomes)
      this.context.manager.dispatch(taskID, { type: "delivered", run, sessionID, messageID });
  }

  private notStored({ id: messageID, outcomes }: Message): void {
    for (const { taskID } of outcomes) this.context.manager.dispatch(taskID, { type: "not-stored", messageID });
  }

  private undelivered({ outcomes }: Message, why: string): void {
    const reason = `the message could not be delivered: ${why}`;
    for (const { taskID, run } of outcomes) this.context.manager.dispatch(taskID, { type: "undelivered", run, reason });
  }

  /** Not of one that another has replaced since. What reports is of none. */
  private isOfGoal({ goalID }: Message): boolean {
    return goalID === undefined || goalID === this.context.goal()?.id;
  }

  private count(message: Message): void {
    const { kind, overdueTaskIDs } = message;
    const { onGoalEvent } = this.context;
    if (!this.isOfGoal(message)) return;
    if (kind === "continuation") onGoalEvent({ type: "continued", releasedTaskIDs: overdueTaskIDs });
    if (kind === "wrapup") onGoalEvent({ type: "wrapped-up" });
  }
}

/** Whether the agent has the tool that reads the whole of a result: a text names no other. */
export function mayRead(root: Root, { hasReadTool }: Pick<KeeperConfig, "hasReadTool">): boolean {
  return hasReadTool && limitsOf(root)?.denied.includes(READS_RESULT) !== true;
}

/** Whose turn a message of ours starts. */
const TURN_BY: Readonly<Record<Message["kind"], TurnBy>> = {
  continuation: "continuation",
  wrapup: "wrapup",
  "task-outcome": "report",
  waiting: "report",
};
