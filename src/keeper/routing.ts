import type { HostEvent } from "../host/port.ts";
import type { Effect, Input } from "./messages.ts";

/** What the books know of where a session belongs. */
export interface Books {
  readonly rootOfTask: (taskID: string) => string | undefined;
  readonly rootOfSession: (sessionID: string) => string | undefined;
}

/** The root that an input is about; undefined: it is about none, or about all. */
export function rootOfInput(input: Input, books: Books): string | undefined {
  switch (input.type) {
    case "host":
      return books.rootOfSession(sessionOf(input.event));
    case "looked":
    case "started":
      return books.rootOfTask(input.taskID);
    case "told-before":
      return books.rootOfTask(input.told.taskID);
    case "restored":
    case "reread":
      return input.stored.self;
    case "clock":
    case "statuses":
      return undefined;
    case "goal":
    case "user-speaks":
    case "agent-judged":
    case "wake":
    case "storage-repaired":
    case "moved":
    case "saved":
    case "sent":
    case "verified":
    case "read-back":
    case "launched":
    case "resume":
    case "cancel":
    case "launches-stopped":
    case "read":
    case "attached":
    case "handed-over":
      return input.rootID;
  }
}

/** The root that an effect is for; undefined: it is for none in particular. */
export function rootOfEffect(effect: Effect, books: Books): string | undefined {
  if (effect.type === "ask-statuses" || effect.type === "ask-session") return undefined;
  return "taskID" in effect ? books.rootOfTask(effect.taskID) : effect.rootID;
}

export function sessionOf(event: HostEvent): string {
  return event.type === "session-seen" ? event.session.id : event.sessionID;
}
