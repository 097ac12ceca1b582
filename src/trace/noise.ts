import type { HostEvent } from "../host/port.ts";
import type { TraceEntry } from "./schema.ts";

/** Beyond this many what was written is forgotten: a few longer lines, not a leak. */
const MOST_LEVELS = 200;

interface Written {
  readonly seq: number;
  readonly entry: string;
}

/** Of one file: OpenCode publishes levels and whole records again and again, and each needs to be written out once. */
export class Repeats {
  private readonly written = new Map<string, Written>();

  /** The line that says the same about the same thing and is the last to say anything about it; undefined if none is. */
  of(event: HostEvent, entry: TraceEntry): number | undefined {
    const known = this.written.get(subjectOf(event) ?? "");
    return known?.entry === withoutTime(entry) ? known.seq : undefined;
  }

  wrote(event: HostEvent, entry: TraceEntry, seq: number): void {
    const subject = subjectOf(event);
    if (subject === undefined) return;
    if (this.written.size >= MOST_LEVELS) this.written.clear();
    this.written.set(subject, { seq, entry: withoutTime(entry) });
  }
}

function withoutTime({ at: _at, ...entry }: TraceEntry): string {
  return JSON.stringify(entry);
}

/** What an event is about; undefined for events that never repeat. */
function subjectOf(event: HostEvent): string | undefined {
  switch (event.type) {
    case "session-seen":
      return `${event.session.id} session`;
    case "session-busy":
    case "session-idle":
    case "session-retrying":
      return `${event.sessionID} status`;
    case "user-message":
      return `${event.sessionID} user`;
    case "tool":
      return `${event.sessionID} tool ${event.callID}`;
    case "assistant-message":
      return `${event.sessionID} assistant ${event.messageID}`;
    case "session-deleted":
    case "session-error":
    case "session-compacted":
    case "message-removed":
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
