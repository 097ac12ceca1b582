import type { SessionInfo } from "../host/port.ts";

/** A child that the host's own Task tool made, as seen in the parent's tool part. */
export interface NativeCall {
  readonly callID: string;
  readonly background: boolean;
  /** The call itself has not returned. */
  readonly isRunning: boolean;
  /** What the parent called it; the session's own title adds the name of the agent. */
  readonly title: string;
}

interface Seen {
  readonly id: string;
  readonly parentID: string | undefined;
  readonly title: string;
  readonly createdAt: number;
  busy: boolean;
  native: NativeCall | undefined;
}

/** Longer chains are taken for a cycle in the host's data. */
export const DEEPEST_CHAIN = 64;

/**
 * Who is whose child. Status events carry no parent, so it is learned from `session.created` and `session.updated`.
 * Nothing here is a task: a tree nobody watches costs its busy sessions and no more.
 */
export class SessionTree {
  private readonly sessions = new Map<string, Seen>();
  /** Called before a session is forgotten. */
  onForget: ((sessionID: string) => void) | undefined;

  see(session: SessionInfo): void {
    const before = this.sessions.get(session.id);
    this.sessions.set(session.id, {
      id: session.id,
      parentID: session.parentID,
      title: session.title,
      createdAt: session.createdAt,
      busy: before?.busy ?? false,
      native: before?.native,
    });
  }

  get(sessionID: string): Readonly<Seen> | undefined {
    return this.sessions.get(sessionID);
  }

  setBusy(sessionID: string, busy: boolean): void {
    const seen = this.sessions.get(sessionID);
    if (seen !== undefined) seen.busy = busy;
  }

  setNative(sessionID: string, native: NativeCall): void {
    const seen = this.sessions.get(sessionID);
    if (seen !== undefined) seen.native = native;
  }

  forget(sessionID: string): void {
    if (this.sessions.has(sessionID)) this.onForget?.(sessionID);
    this.sessions.delete(sessionID);
  }

  hasChildren(sessionID: string): boolean {
    for (const seen of this.sessions.values()) if (seen.parentID === sessionID) return true;
    return false;
  }

  /** The session without a parent above `sessionID`; undefined while a link is not known yet, or for a cycle. */
  rootOf(sessionID: string): string | undefined {
    let current = this.sessions.get(sessionID);
    for (let depth = 0; current !== undefined && depth < DEEPEST_CHAIN; depth++) {
      if (current.parentID === undefined) return current.id;
      current = this.sessions.get(current.parentID);
    }
    return undefined;
  }

  /** The first session above `sessionID` that is named and not known; undefined while there is none. */
  missingAbove(sessionID: string): string | undefined {
    let current = this.sessions.get(sessionID);
    for (let depth = 0; current?.parentID !== undefined && depth < DEEPEST_CHAIN; depth++) {
      const above = this.sessions.get(current.parentID);
      if (above === undefined) return current.parentID;
      current = above;
    }
    return undefined;
  }

  /** Sessions below `rootID` that work or are about to, for a root that begins to be watched in the middle of it. */
  workingBelow(rootID: string): readonly Readonly<Seen>[] {
    return [...this.sessions.values()].filter(
      (seen) => (seen.busy || seen.native?.isRunning === true) && seen.id !== rootID && this.rootOf(seen.id) === rootID,
    );
  }

  /** Sessions below another one, at any depth. */
  below(sessionID: string): readonly Readonly<Seen>[] {
    return [...this.sessions.values()].filter((seen) => this.isBelow(seen, sessionID));
  }

  private isBelow(seen: Seen, sessionID: string): boolean {
    let current: Seen | undefined = seen;
    for (let depth = 0; current?.parentID !== undefined && depth < DEEPEST_CHAIN; depth++) {
      if (current.parentID === sessionID) return true;
      current = this.sessions.get(current.parentID);
    }
    return false;
  }

  get size(): number {
    return this.sessions.size;
  }
}
