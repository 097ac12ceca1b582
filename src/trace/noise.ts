import type { HostEvent } from "../host/port.ts";

/** Beyond this many sessions what was seen is forgotten: a few repeated lines, not a leak. */
const MOST_SESSIONS = 1_000;

/** Knows which host events only repeat what is known: OpenCode publishes levels and whole records again and again. */
export class Repeats {
  private readonly seen = new Map<string, Map<string, string>>();

  /** Whether the event says nothing new about its session. Remembers it. */
  has(event: HostEvent): boolean {
    if (event.type === "session-deleted") {
      this.seen.delete(event.sessionID);
      return false;
    }
    const level = levelOf(event);
    if (level === undefined) return false;
    const [sessionID, about, value] = level;
    const known = this.seen.get(sessionID) ?? this.open(sessionID);
    if (known.get(about) === value) return true;
    known.set(about, value);
    return false;
  }

  private open(sessionID: string): Map<string, string> {
    if (this.seen.size >= MOST_SESSIONS) this.seen.clear();
    const levels = new Map<string, string>();
    this.seen.set(sessionID, levels);
    return levels;
  }
}

/** Session, what the event is about, and what it says about that; undefined for events that never repeat. */
function levelOf(event: HostEvent): readonly [string, string, string] | undefined {
  switch (event.type) {
    case "session-seen": {
      const { id, title, archived } = event.session;
      return [id, "session", `${archived} ${title}`];
    }
    case "session-busy":
    case "session-idle":
      return [event.sessionID, "status", event.type];
    case "session-retrying":
      return [event.sessionID, "status", `${event.type} ${event.until}`];
    case "user-message":
      return [event.sessionID, "user", event.messageID];
    case "tool":
      return [event.sessionID, "tool", `${event.callID} ${event.state} ${event.child?.background}`];
    case "assistant-message":
      return [event.sessionID, "assistant", `${event.messageID} ${event.completedAt} ${event.error?.name}`];
    case "session-deleted":
    case "session-error":
    case "session-compacted":
    case "user-text":
    case "assistant-text":
    case "ask-opened":
    case "ask-closed":
    case "turn-held":
    case "turn-goes-on":
    case "step-ended":
      return undefined;
  }
}
