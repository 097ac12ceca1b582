import { ABORT_ERROR, OUR_ABORT_ERROR } from "../tasks/outcome.ts";
import type { HostEvent, ProviderError } from "./port.ts";

/**
 * An abort of ours looks like the user's: OpenCode publishes the same error for both. Here the error of a session that we
 * have aborted gets a name of its own, until something else is said there: the next one that is aborted is not ours.
 */
export class OwnAborts {
  /** By session, the newest user-role message of the turn. */
  private readonly turns = new Map<string, string>();

  /** Before the abort goes out: what comes of it may be published before it is answered. */
  begin(sessionID: string, messageID: string): void {
    this.turns.set(sessionID, messageID);
  }

  /** The event as it is to be heard. */
  named(event: HostEvent): HostEvent {
    if (this.turns.size === 0 || event.type === "session-seen") return event;
    const messageID = this.turns.get(event.sessionID);
    if (messageID === undefined) return event;
    // OpenCode publishes that message again when the turn is over.
    const isOver = event.type === "user-message" && event.messageID !== messageID;
    if (isOver || event.type === "session-deleted") this.turns.delete(event.sessionID);
    if (event.type === "session-error") return { ...event, error: renamed(event.error) };
    if (event.type !== "assistant-message" || event.error === undefined) return event;
    return { ...event, error: renamed(event.error) };
  }
}

function renamed(error: ProviderError): ProviderError {
  return error.name === ABORT_ERROR ? { ...error, name: OUR_ABORT_ERROR } : error;
}
