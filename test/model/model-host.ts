import type { ProviderError, Voice } from "../../src/host/port.ts";
import { AFTER } from "../../src/testing/simulated-engine.ts";
import { SimulatedHost } from "../../src/testing/simulated-host.ts";

/** What else can happen in a session of the model: see {@link SimulatedHost} for everything usual. */
export class ModelHost extends SimulatedHost {
  /** An id that no other message has. */
  messageID(): string {
    return this.sessions.messageID();
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

  archive(sessionID: string): void {
    const session = this.sessions.must(sessionID);
    session.archived = true;
    const { id, title, createdAt, metadata } = session;
    this.emit({ type: "session-seen", session: { id, title, createdAt, archived: true, metadata }, created: false });
  }

  /** Of `opencode run`: the last step of the turn is complete, and a message that is stored now keeps it going. */
  isEnding(_sessionID: string): boolean {
    return false;
  }
}
