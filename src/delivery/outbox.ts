import { ACCEPTS_WITHIN_MS, RESEND_AFTER_MS, STARTS_WITHIN_MS } from "../tasks/task.ts";
import type { FrameKind } from "./frame.ts";

/** A prompt of ours, complete before anything is done with it. */
export interface Message {
  /** The id it will have in the host: chosen by us, stored first, sent any number of times, visible once. */
  readonly id: string;
  readonly partID: string;
  /** `waiting`: keeps the turn of an `opencode run` going for tasks that still work. */
  readonly kind: Extract<FrameKind, "continuation" | "wrapup" | "task-outcome" | "waiting">;
  readonly text: string;
  /** The outcomes that it carries: delivered when the host has taken it. */
  readonly outcomes: readonly { readonly taskID: string; readonly run: number }[];
  /** Live tasks that it names as still running. */
  readonly overdueTaskIDs: readonly string[];
  /** The goal that it is for; undefined: for none. */
  readonly goalID?: string;
}

/** The only sender of a session: one message in flight, or none. */
export type Outbox =
  /** `withdrawn`: how often in a row before a message has gone out, and when last; epoch ms. */
  | { readonly state: "empty"; readonly withdrawn?: Withdrawn }
  /** Withdrawn again and again: nothing is begun before `until`, or it would be reserved and written for ever. */
  | { readonly state: "withdrawn"; readonly withdrawn: Withdrawn; readonly until: number }
  /** Found reserved after a restart, or sent in vain: the transcript must say what became of it before it is sent again. */
  | {
      readonly state: "unverified";
      readonly message: Message;
      readonly attempt: number;
      readonly looks: number;
      readonly until: number;
    }
  /** Waits to be stored. Nothing was sent, it can still be withdrawn. */
  | { readonly state: "reserved"; readonly message: Message; readonly withdrawn?: Withdrawn | undefined }
  | { readonly state: "sending"; readonly message: Message; readonly attempt: number; readonly until: number }
  /** Accepted by the host; its turn must start. */
  | { readonly state: "sent"; readonly message: Message; readonly attempt: number; readonly until: number }
  | { readonly state: "backing-off"; readonly message: Message; readonly attempt: number; readonly until: number };

export interface Withdrawn {
  readonly times: number;
  readonly at: number;
}

/**
 * What the transcript says about a message. OpenCode answers a message that is sent again once more when it is not
 * the newest any longer, so only one that is absent, or newest and unanswered may be sent again.
 */
export type Found =
  | { readonly kind: "answered" }
  /** `text` is the stored one: a resend must not change it. It has our tag, or nothing of ours was stored. */
  | { readonly kind: "unanswered"; readonly text: string }
  /** A later user-role message stands behind it: whoever answers that one has read ours. */
  | { readonly kind: "overtaken" }
  /** There without its text, the newest and unanswered: the host died before it had stored that. Nobody was told. */
  | { readonly kind: "torn" }
  | { readonly kind: "absent" };

export type OutboxEvent =
  | { readonly type: "put"; readonly message: Message }
  | { readonly type: "stored" }
  | { readonly type: "withdraw" }
  | { readonly type: "accepted"; readonly messageID: string }
  | { readonly type: "refused"; readonly messageID: string; readonly reason: string }
  /** The parent session does not exist any more. */
  | { readonly type: "reader-gone" }
  /** Another process keeps the books now, and finds the reservation in the store. */
  | { readonly type: "abandon" }
  /** An assistant message answers this user-role message. `isLater`: it stands behind ours, which is stored. */
  | { readonly type: "answer-began"; readonly userMessageID: string; readonly isLater: boolean }
  | { readonly type: "restored"; readonly message: Message }
  | { readonly type: "verified"; readonly found: Found; readonly maySend: boolean }
  | { readonly type: "clock"; readonly rootIdle: boolean };

export type OutboxEffect =
  | { readonly type: "send"; readonly message: Message }
  | { readonly type: "verify"; readonly message: Message }
  | { readonly type: "delivered"; readonly message: Message }
  | { readonly type: "started"; readonly message: Message }
  /** The host has not got it, whatever it has answered: nobody was told. */
  | { readonly type: "not-stored"; readonly message: Message }
  /** It is read in the turn of a later message: it counts, and the turn is not its own. */
  | { readonly type: "overtaken"; readonly message: Message }
  | { readonly type: "given-up"; readonly message: Message; readonly reason: string };

export const EMPTY: Outbox = { state: "empty" };

/** An unanswered look at a restored message is repeated after this. */
export const VERIFIES_WITHIN_MS = 5_000;
/** So many looks without an answer, and the message is given up. */
export const MOST_LOOKS = 6;

/** A message may be overtaken by news, and the next one, too, without a pause. */
const FREE_WITHDRAWALS = 2;
const LONGEST_PAUSE_MS = 60_000;
/** Withdrawals so far apart have nothing to do with each other. */
const IN_A_ROW_MS = 60_000;

/** Pure, like every transition here. An event that means nothing in the present state changes nothing. */
export function transitionOutbox(outbox: Outbox, event: OutboxEvent, now: number): Step {
  switch (event.type) {
    case "put":
      return outbox.state === "empty"
        ? to({ state: "reserved", message: event.message, withdrawn: outbox.withdrawn })
        : to(outbox);
    case "stored":
      return outbox.state === "reserved" ? send(outbox.message, 1, now) : to(outbox);
    case "withdraw":
      return outbox.state === "reserved" ? withdraw(outbox.withdrawn, now) : to(outbox);
    case "accepted": {
      if (outbox.state !== "sending" || outbox.message.id !== event.messageID) return to(outbox);
      const { message, attempt } = outbox;
      return to({ state: "sent", message, attempt, until: now + STARTS_WITHIN_MS }, { type: "delivered", message });
    }
    case "refused":
      return outbox.state === "sending" && outbox.message.id === event.messageID
        ? again(outbox, event.reason, now)
        : to(outbox);
    case "reader-gone":
      return hasMessage(outbox) ? giveUp(outbox.message, "the session does not exist any more") : to(outbox);
    case "abandon":
      return to(hasMessage(outbox) ? EMPTY : outbox);
    case "answer-began": {
      // Also while the send call is still out: the host may start the turn before it answers us.
      // An answer to a later message has read ours only if the host is known to have it.
      if (!isOut(outbox)) return to(outbox);
      const isRead = event.userMessageID === outbox.message.id || (outbox.state === "sent" && event.isLater);
      if (!isRead) return to(outbox);
      const { message } = outbox;
      const unseen: OutboxEffect[] = outbox.state === "sent" ? [] : [{ type: "delivered", message }];
      return to(EMPTY, ...unseen, { type: "started", message });
    }
    case "restored":
      return hasMessage(outbox) ? to(outbox) : verify(event.message, 0, now);
    case "verified":
      return outbox.state === "unverified" ? verified(outbox, event, now) : to(outbox);
    case "clock":
      return clock(outbox, event.rootIdle, now);
  }
}

type Step = { outbox: Outbox; effects: readonly OutboxEffect[] };

export function hasMessage(outbox: Outbox): outbox is Extract<Outbox, { message: Message }> {
  return outbox.state !== "empty" && outbox.state !== "withdrawn";
}

/** Whether the host may have it. */
function isOut(outbox: Outbox): outbox is Extract<Outbox, { attempt: number }> {
  return hasMessage(outbox) && outbox.state !== "reserved";
}

/** Nothing was sent, and what is to be said is put together anew: at once, unless that goes on and on. */
function withdraw(before: Withdrawn | undefined, now: number): Step {
  const isRow = before !== undefined && now < before.at + IN_A_ROW_MS;
  const withdrawn = { times: (isRow ? before.times : 0) + 1, at: now };
  const excess = withdrawn.times - FREE_WITHDRAWALS;
  if (excess <= 0) return to({ state: "empty", withdrawn });
  return to({ state: "withdrawn", withdrawn, until: now + Math.min(500 * 2 ** excess, LONGEST_PAUSE_MS) });
}

function verify(message: Message, attempt: number, now: number, looks = 1): Step {
  const until = now + VERIFIES_WITHIN_MS;
  return to({ state: "unverified", message, attempt, looks, until }, { type: "verify", message });
}

function verified(
  { message, attempt }: Extract<Outbox, { state: "unverified" }>,
  { found, maySend }: Extract<OutboxEvent, { type: "verified" }>,
  now: number,
): Step {
  const delivered: OutboxEffect = { type: "delivered", message };
  switch (found.kind) {
    case "answered":
      return to(EMPTY, delivered, { type: "started", message });
    case "overtaken":
      return to(EMPTY, delivered, { type: "overtaken", message });
    case "unanswered": {
      // It stays where it is, and is read with whatever comes next.
      if (!maySend) return to(EMPTY, delivered, { type: "overtaken", message });
      const sent = send({ ...message, text: found.text }, attempt + 1, now);
      return { outbox: sent.outbox, effects: [delivered, ...sent.effects] };
    }
    // Restored, or the user has stopped us since: its outcomes are still pending and go out in the next message.
    case "torn":
    case "absent":
      if (attempt > 0 && maySend) return send(message, attempt + 1, now);
      return to(EMPTY, { type: "not-stored", message });
  }
}

/** The earliest moment at which `clock` would do something; `Infinity` if never. */
export function outboxDeadline(outbox: Outbox): number {
  return outbox.state === "empty" || outbox.state === "reserved" ? Number.POSITIVE_INFINITY : outbox.until;
}

function clock(outbox: Outbox, rootIdle: boolean, now: number): Step {
  if (outboxDeadline(outbox) > now) return to(outbox);
  switch (outbox.state) {
    case "empty":
    case "reserved":
      return to(outbox);
    case "withdrawn":
      return to({ state: "empty", withdrawn: { ...outbox.withdrawn, at: now } });
    case "unverified":
      if (outbox.looks >= MOST_LOOKS) return giveUp(outbox.message, "the transcript could not be read");
      return verify(outbox.message, outbox.attempt, now, outbox.looks + 1);
    case "backing-off":
      return verify(outbox.message, outbox.attempt, now);
    case "sending":
      return again(outbox, "the host did not answer", now);
    case "sent":
      // A busy session may still take it: the host answers queued messages in one turn.
      if (!rootIdle) return to({ ...outbox, until: now + STARTS_WITHIN_MS });
      return again(outbox, "the host took it and did not start a turn", now);
  }
}

function again(outbox: Extract<Outbox, { attempt: number }>, reason: string, now: number): Step {
  const pause = RESEND_AFTER_MS[outbox.attempt - 1];
  if (pause === undefined) return giveUp(outbox.message, reason);
  return to({ state: "backing-off", message: outbox.message, attempt: outbox.attempt, until: now + pause });
}

function giveUp(message: Message, reason: string): Step {
  return to(EMPTY, { type: "given-up", message, reason });
}

function send(message: Message, attempt: number, now: number): Step {
  return to({ state: "sending", message, attempt, until: now + ACCEPTS_WITHIN_MS }, { type: "send", message });
}

function to(outbox: Outbox, ...effects: OutboxEffect[]): Step {
  return { outbox, effects };
}
