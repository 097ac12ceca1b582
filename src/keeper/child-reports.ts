import type { Message, OutboxEffect, OutboxEvent } from "../delivery/outbox.ts";
import type { MessageOrder } from "../tasks/message-order.ts";
import { isEnded, type Task } from "../tasks/task.ts";
import { composeReport, reportAt, unansweredAt } from "./compose.ts";
import { SessionSender } from "./session-sender.ts";

export interface ChildReportsContext {
  readonly now: () => number;
  readonly ids: { message(after: string): string; part(): string };
  readonly order: Pick<MessageOrder, "isBefore" | "floor">;
  readonly holdMs: number;
  readonly hasReadTool: boolean;
  readonly tasks: () => readonly Task[];
  readonly readerOf: (task: Task) => string;
  /** Tasks in whose sessions messages are undone: nothing of ours may be stored there. */
  readonly undone: () => readonly string[];
  /** Anything has changed on which what is to be said next may depend. */
  readonly onChange: () => void;
  readonly onEffect: (sessionID: string, effect: OutboxEffect) => void;
}

/**
 * Outcomes for tasks that have tasks of their own. A task is told when its turn has finished and it was left waiting,
 * never in the middle of its work. Nothing of this is stored: after a restart its reader has ended, and somebody above
 * is told.
 */
export class ChildReports {
  private readonly senders = new Map<string, SessionSender>();

  constructor(private readonly context: ChildReportsContext) {}

  /** An event about the message that is on its way into a task. */
  event(sessionID: string, event: OutboxEvent): void {
    this.senders.get(sessionID)?.event(event);
  }

  /** A task has this user-role message. */
  heard(sessionID: string, messageID: string): void {
    this.senders.get(sessionID)?.heard(messageID);
  }

  /** An assistant message in a task answers this user-role message. */
  answerBegan(sessionID: string, userMessageID: string): void {
    this.senders.get(sessionID)?.answerBegan(userMessageID);
  }

  clock(): void {
    for (const sender of this.senders.values()) sender.event({ type: "clock", rootIdle: true });
  }

  /** Says what is to be said now. */
  work(): void {
    for (const { id } of this.listeners()) {
      if (!this.senders.has(id) && this.wanted(id) !== undefined) this.senders.set(id, this.newSender(id));
    }
    for (const [id, sender] of this.senders) {
      sender.work(true);
      if (sender.message === undefined) this.senders.delete(id);
    }
  }

  /** The session is gone, or has ended: nothing more is said in it. */
  ended(sessionID: string): void {
    this.senders.get(sessionID)?.abandon();
    this.senders.delete(sessionID);
  }

  /** Whether a task still waits for what it is told. */
  mayTell(sessionID: string): boolean {
    return this.listeners().some(({ id }) => id === sessionID);
  }

  get deadline(): number {
    const sends = [...this.senders.values()].map((sender) => sender.deadline);
    const reports = this.listeners().flatMap(({ id }) => {
      const addressed = this.addressed(id);
      const reminders = addressed.filter(isEnded).map((task) => unansweredAt(task, id));
      return [reportAt(addressed, this.context.holdMs), ...reminders];
    });
    const now = this.context.now();
    return Math.min(Number.POSITIVE_INFINITY, ...sends, ...reports.filter((at) => at > now));
  }

  /** Tasks that have finished a turn and wait for tasks of their own. */
  private listeners(): readonly Task[] {
    const waiting = this.context
      .tasks()
      .filter((task) => task.status === "running" && task.observed.kind === "awaits-own");
    const undone = waiting.length === 0 ? [] : this.context.undone();
    return waiting.filter(({ id }) => !undone.includes(id));
  }

  private addressed(sessionID: string): readonly Task[] {
    return this.context
      .tasks()
      .filter((task) => task.parentID !== task.rootID && this.context.readerOf(task) === sessionID);
  }

  private wanted(sessionID: string): Message | undefined {
    const { ids, order, holdMs, hasReadTool, now } = this.context;
    const after = order.floor(sessionID);
    return this.mayTell(sessionID)
      ? composeReport(sessionID, this.addressed(sessionID), { ids, after, holdMs, hasReadTool, now: now() })
      : undefined;
  }

  private newSender(sessionID: string): SessionSender {
    const sender: SessionSender = new SessionSender({
      now: this.context.now,
      ids: this.context.ids,
      wanted: () => this.wanted(sessionID),
      lastMessageID: () => "",
      isBefore: (one, other) => this.context.order.isBefore(sessionID, one, other),
      floor: () => this.context.order.floor(sessionID),
      // Not stored, so nothing has to be waited for.
      storedID: () => sender.message?.id,
      onChange: this.context.onChange,
      onEffect: (effect) => this.context.onEffect(sessionID, effect),
    });
    return sender;
  }
}
