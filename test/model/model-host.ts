import type { ProviderError, SessionInfo, Voice } from "../../src/host/port.ts";
import { AFTER } from "../../src/testing/simulated-engine.ts";
import { SimulatedHost } from "../../src/testing/simulated-host.ts";
import { type SimulatedSession, toInfo } from "../../src/testing/simulated-sessions.ts";

/** What else can happen in a session of the model: see {@link SimulatedHost} for everything usual. */
export class ModelHost extends SimulatedHost {
  /** Called before what was undone in a session is deleted, while its messages from there on are still to be seen. */
  onUndoFinal: (sessionID: string, undoneFrom: string) => void = () => undefined;

  /** An id that no other message has. */
  messageID(): string {
    return this.sessions.messageID();
  }

  private said = 0;

  /** A client that names no message has OpenCode do it; others have ids of any form. */
  override userSays(sessionID: string, text: string, messageID?: string): string {
    const nth = ++this.said;
    const now = this.options.clock.now();
    const anHourAhead = `msg_${stampAt(now + 3_600_000)}${String(nth).padStart(14, "0")}`;
    const high = `msg_ffffffffffff${String(nth).padStart(14, "0")}`;
    const uuid = `msg_6ba7b810-9dad-11d1-80b4-${String(nth).padStart(12, "0")}`;
    // By the moment, which is as good as chance.
    const form = [undefined, `msg_user${nth}`, high, undefined, uuid, anHourAhead][(now + nth) % 6];
    return super.userSays(sessionID, text, messageID ?? form);
  }

  /** Whether a message of a session is this one, or was stored behind it. */
  isFrom(sessionID: string, messageID: string, firstID: string): boolean {
    const ids = this.exists(sessionID) ? this.messages(sessionID).map(({ id }) => id) : [];
    const first = ids.indexOf(firstID);
    return messageID === firstID || (first >= 0 && ids.indexOf(messageID) > first);
  }

  /** The user has chosen another agent and writes. */
  saysAs(sessionID: string, text: string, voice: Voice): void {
    const session = this.sessions.must(sessionID);
    const part = { id: this.sessions.id("prt"), text, synthetic: false, ignored: false };
    this.store(session, { id: this.sessions.messageID(), parts: [part], voice });
    this.wakeLater(session, AFTER.busy);
  }

  /** The conversation has grown too large: the host says so, compacts, and goes on with the turn by itself. */
  overflow(sessionID: string, error: ProviderError): void {
    if (!this.hasTurn(sessionID)) return;
    this.emit({ type: "session-error", sessionID, error });
    this.compactDuringTurn(sessionID);
  }

  info(sessionID: string): SessionInfo {
    return toInfo(this.sessions.must(sessionID));
  }

  archive(sessionID: string): void {
    const session = this.sessions.must(sessionID);
    session.archived = true;
    this.emit({ type: "session-seen", session: toInfo(session), created: false });
  }

  protected override undoIsFinal(session: SimulatedSession): void {
    // What comes late may be stored in a session that is deleted meanwhile.
    const isThere = this.sessions.get(session.id) === session;
    if (isThere && session.undoneFrom !== undefined) this.onUndoFinal(session.id, session.undoneFrom);
    super.undoIsFinal(session);
  }

  /** Of `opencode run`: the last step of the turn is complete, and a message that is stored now keeps it going. */
  isEnding(_sessionID: string): boolean {
    return false;
  }
}

function stampAt(ms: number): string {
  return ((ms * 4096) % 2 ** 48).toString(16).padStart(12, "0");
}
