import {
  EMPTY,
  hasMessage,
  type Message,
  type Outbox,
  type OutboxEffect,
  type OutboxEvent,
  outboxDeadline,
  transitionOutbox,
} from "../delivery/outbox.ts";
import type { IsBefore } from "../tasks/message-order.ts";
import type { ReservedMessage } from "./stored-root.ts";

export interface SenderContext {
  readonly now: () => number;
  readonly ids: { message(after: string): string; part(): string };
  /** What should be said at this moment, if anything. */
  readonly wanted: () => Message | undefined;
  /** The newest user-role message: ours must stand behind it. */
  readonly lastMessageID: () => string;
  /** The order of the session's messages. */
  readonly isBefore: IsBefore;
  /** An id that is made behind this one stands behind all that was heard of the session. */
  readonly floor: () => string;
  /** The message id whose reservation is stored. */
  readonly storedID: () => string | undefined;
  readonly onChange: (before: Outbox, after: Outbox) => void;
  readonly onEffect: (effect: OutboxEffect) => void;
}

/**
 * The outbox of one session: written before acted. A message goes out once its reservation is stored, and only if it is
 * still wanted by then. A message that carries no outcomes takes ids that were stored ahead.
 */
export class SessionSender {
  private outbox: Outbox = EMPTY;
  private spare: Pick<Message, "id" | "partID"> | undefined;
  /** Of a message that the host has without its text: the next one takes them, whatever it carries. */
  private torn: Pick<Message, "id" | "partID"> | undefined;
  /** Of the message that is on its way, once the host has stored it. */
  private heardID: string | undefined;

  constructor(private readonly context: SenderContext) {}

  /** The message that is on its way; undefined if there is none. */
  get message(): Message | undefined {
    return messageOf(this.outbox);
  }

  get deadline(): number {
    return outboxDeadline(this.outbox);
  }

  /** The host may not have stored it yet. */
  get isUnderWay(): boolean {
    return hasMessage(this.outbox) && this.outbox.state !== "sent";
  }

  /** Ids are stored ahead for the next message. */
  get hasSpare(): boolean {
    return this.spare !== undefined && this.context.storedID() === this.spare.id && this.isLast(this.spare.id);
  }

  /** A reservation waits to be stored. */
  get isWaitingForStore(): boolean {
    return this.outbox.state === "reserved" && this.context.storedID() !== this.outbox.message.id;
  }

  /** The host has stored this user-role message. */
  heard(messageID: string): void {
    if (messageID === this.message?.id) this.heardID = messageID;
  }

  /** An assistant message answers this user-role message. */
  answerBegan(userMessageID: string): void {
    const { message } = this;
    if (message === undefined) return;
    // Taken by the host, ours may be held back by another plugin's hook: then it is not among what the answer has read.
    const isLater = this.heardID === message.id && this.context.isBefore(message.id, userMessageID);
    this.event({ type: "answer-began", userMessageID, isLater });
  }

  event(event: OutboxEvent): void {
    const before = this.outbox;
    const { outbox, effects } = transitionOutbox(before, event, this.context.now());
    if (outbox === before) return;
    this.outbox = outbox;
    this.takeIds(before, event);
    this.context.onChange(before, outbox);
    for (const effect of effects) this.context.onEffect(effect);
  }

  /** Sends what is reserved and stored, and begins with what is wanted if nothing is on its way. */
  work(mayBegin: boolean): void {
    this.release();
    if (this.outbox.state !== "empty" || !mayBegin) return;
    const message = this.context.wanted();
    if (message === undefined) return;
    this.event({ type: "put", message: this.withTorn(this.withSpare(message)) });
    this.release();
  }

  /** Somebody else keeps the books of this root now: what is under way here is theirs to find. */
  abandon(): void {
    this.event({ type: "abandon" });
  }

  /**
   * What is to be stored: the message under way, or with nothing under way the ids of the next one, which no transcript
   * holds yet, if one may come that cannot wait for a write.
   *
   * @param goalID the goal that the next one would be for
   */
  reservation(mayCome: boolean, goalID?: string): ReservedMessage | undefined {
    const { message } = this;
    if (message !== undefined) {
      const { text: _text, ...reserved } = message;
      return reserved;
    }
    if (!mayCome) return undefined;
    const { ids, floor } = this.context;
    if (this.spare === undefined || !this.isLast(this.spare.id))
      this.spare = { id: ids.message(floor()), partID: ids.part() };
    const next = { ...this.spare, kind: "continuation", outcomes: [], overdueTaskIDs: [] } as const;
    return goalID === undefined ? next : { ...next, goalID };
  }

  private release(): void {
    const { outbox } = this;
    if (outbox.state !== "reserved" || this.isWaitingForStore) return;
    this.event({ type: this.isStillWanted(outbox.message) ? "stored" : "withdraw" });
  }

  private isStillWanted(message: Message): boolean {
    const wanted = this.context.wanted();
    // One more outcome since then: both ride in one message, and the session is woken once.
    if (wanted?.kind !== message.kind || wanted.goalID !== message.goalID) return false;
    if (wanted.outcomes.length !== message.outcomes.length) return false;
    // It must stand behind what was stored since: an answer to that would be taken for an answer to ours.
    if (!this.isLast(message.id)) return false;
    const carries = (outcome: Message["outcomes"][number]) =>
      wanted.outcomes.some((other) => other.taskID === outcome.taskID && other.run === outcome.run);
    return message.outcomes.every(carries);
  }

  /** Ids are used once: the event that would show that the host has the message may get lost. */
  private takeIds(before: Outbox, event: OutboxEvent): void {
    const message = messageOf(before);
    if (message === undefined) return;
    const { id, partID } = message;
    const isTorn = event.type === "verified" && event.found.kind === "torn";
    // Sent again, it keeps them.
    if (isTorn && this.outbox.state === "empty") this.spare = this.torn = { id, partID };
    if (event.type !== "stored") return;
    this.torn = undefined;
    if (this.spare?.id === id) this.spare = undefined;
  }

  /** Under the same id it takes the place of the empty one. Behind a later message it would not be read in its place. */
  private withTorn(message: Message): Message {
    const { torn } = this;
    if (torn === undefined || !this.isLast(torn.id)) return message;
    return { ...message, ...torn, text: message.text.replace(message.id, torn.id) };
  }

  private isLast(messageID: string): boolean {
    return this.context.isBefore(this.context.lastMessageID(), messageID);
  }

  private withSpare(message: Message): Message {
    const { spare } = this;
    // What it carries would have to be stored with it.
    if (spare === undefined || message.outcomes.length > 0 || !this.hasSpare) return message;
    // Used once: the event that would show that the host has it may get lost.
    this.spare = undefined;
    return { ...message, ...spare, text: message.text.replace(message.id, spare.id) };
  }
}

export function messageOf(outbox: Outbox): Message | undefined {
  return hasMessage(outbox) ? outbox.message : undefined;
}
