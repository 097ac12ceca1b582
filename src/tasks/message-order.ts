import type { HostEvent } from "../host/port.ts";

/** OpenCode's own form: 12 hex digits that count `milliseconds * 4096 + counter` in 48 bits, and 14 random characters. */
const OWN_FORM = /^msg_([0-9a-f]{12})[0-9A-Za-z]{14}$/;
/** 48 bits are over after two years, and begin again. */
const STAMPS = 2 ** 48;
/** Another machine's clock may be so far ahead. */
const AHEAD_MS = 60_000;
/** Of the ids of other forms in one session: OpenCode publishes only the last few messages again. */
const MOST_PLACED = 200;

/** The place of an id that does not tell it itself. */
interface Place {
  /** The stamp of what was the newest when it was heard. */
  readonly at: number;
  /** How many such ids were heard before it. */
  readonly nth: number;
}

/** What one session's order depends on, beside the ids themselves. A value. */
export interface SessionOrder {
  readonly newest: number;
  readonly nth: number;
  readonly placed: ReadonlyMap<string, Place>;
}

export const NOTHING_HEARD: SessionOrder = { newest: 0, nth: 0, placed: new Map() };

/** The stamp in an id of OpenCode's form that is not far ahead of our clock; undefined for every other id. */
export function stampOf(id: string, now: number): number | undefined {
  const hex = OWN_FORM.exec(id)?.[1];
  const stamp = hex === undefined ? undefined : Number.parseInt(hex, 16);
  return stamp === undefined || isAhead(stamp, now) ? undefined : stamp;
}

/** A clock that was set back, or 48 bits that were over, leave such a stamp behind. */
export function isAhead(stamp: number, now: number): boolean {
  return stamp > ((now + AHEAD_MS) * 4096) % STAMPS;
}

/**
 * Notes that an id was heard. One that does not tell its place comes right behind the newest that was heard before it.
 *
 * @param answer the id of an answer to it: an old one may be heard without what it answers, which is not newer
 */
export function heard(order: SessionOrder, id: string, now: number, answer?: string): SessionOrder {
  if (order.placed.has(id)) return order;
  const newest = isAhead(order.newest, now) ? 0 : order.newest;
  const stamp = stampOf(id, now);
  if (stamp !== undefined) return stamp > newest ? { ...order, newest: stamp } : order;
  const answeredAt = answer === undefined ? undefined : stampOf(answer, now);
  const at = Math.min(newest, answeredAt === undefined ? newest : answeredAt - 1);
  const placed = new Map(order.placed).set(id, { at, nth: order.nth + 1 });
  const [longest] = placed.keys();
  if (placed.size > MOST_PLACED && longest !== undefined) placed.delete(longest);
  return { newest, nth: order.nth + 1, placed };
}

/** Notes an id that stands in the books since a moment, and may not be heard again. */
export function known(order: SessionOrder, id: string, since: number, now: number): SessionOrder {
  const stamp = (since * 4096) % STAMPS;
  const isNews = stamp > order.newest && !isAhead(stamp, now);
  return heard(isNews ? { ...order, newest: stamp } : order, id, now);
}

/**
 * What tells the order of two messages of a session: ranks are compared as strings. The lowest one, "", is that of an
 * id which nobody has heard here and which does not tell its place, and of none.
 */
export function rankOf({ placed }: SessionOrder, id: string, now: number): string {
  const place = placed.get(id);
  // `~` comes behind all that is in an id: behind the one with the same stamp.
  if (place !== undefined) return isAhead(place.at, now) ? "" : `${hex(place.at)}~${hex(place.nth)}`;
  const stamp = stampOf(id, now);
  return stamp === undefined ? "" : id.slice(4);
}

function hex(number: number): string {
  return number.toString(16).padStart(12, "0");
}

/** Whether a message of a session comes before another one of it. "": before all of them. */
export type IsBefore = (one: string, other: string) => boolean;

/**
 * The order of the messages in each session. Whoever prompts over the SDK chooses their ids, in any form: only two of
 * OpenCode's own form that are not far ahead of our clock tell by their spelling which is later; of all others the
 * order is that in which they were first heard.
 */
export class MessageOrder {
  private readonly sessions = new Map<string, SessionOrder>();

  constructor(private readonly now: () => number) {}

  /** Notes the ids of an event. */
  hear(event: HostEvent): void {
    if (event.type === "user-message" || event.type === "user-text") this.heard(event.sessionID, event.messageID);
    if (event.type !== "assistant-message") return;
    this.heard(event.sessionID, event.parentID, event.messageID);
    this.heard(event.sessionID, event.messageID);
  }

  heard(sessionID: string, id: string, answer?: string): void {
    this.note(sessionID, heard(this.of(sessionID), id, this.now(), answer));
  }

  /**
   * Notes an id that stands in the books since a moment. It comes before all that is heard from now on, also when
   * another process has heard it, or when it was never sent.
   */
  known(sessionID: string, id: string, since: number): void {
    this.note(sessionID, known(this.of(sessionID), id, since, this.now()));
  }

  /** Whether a message of a session comes before another one of it. "": before all of them. */
  isBefore(sessionID: string, one: string, other: string): boolean {
    const order = this.of(sessionID);
    const now = this.now();
    return one !== other && rankOf(order, one, now) < rankOf(order, other, now);
  }

  /** The last one of these messages of a session; "" if there are none. */
  lastOf(sessionID: string, ids: readonly string[]): string {
    return ids.reduce((last, id) => (this.isBefore(sessionID, id, last) ? last : id), "");
  }

  /** An id of OpenCode's form that is made behind this one comes after all that was heard of the session. */
  floor(sessionID: string): string {
    const { newest } = this.of(sessionID);
    return newest === 0 ? "" : `msg_${hex(newest)}${"z".repeat(14)}`;
  }

  forget(sessionID: string): void {
    this.sessions.delete(sessionID);
  }

  get size(): number {
    return this.sessions.size;
  }

  private note(sessionID: string, order: SessionOrder): void {
    if (order !== this.of(sessionID)) this.sessions.set(sessionID, order);
  }

  private of(sessionID: string): SessionOrder {
    return this.sessions.get(sessionID) ?? NOTHING_HEARD;
  }
}
