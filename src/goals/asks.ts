import type { HostEvent } from "../host/port.ts";

/** A permission or a question that is open. */
export interface Ask {
  readonly askID: string;
  readonly sessionID: string;
  readonly kind: "permission" | "question";
  readonly about: string;
}

/** A root, or a whole tree of sessions. */
interface AskHolder {
  readonly asks: readonly Ask[];
}

/** An ask in one of the sessions. It closes with its reply, and with the end of its session's turn. */
export function receiveAsk<Holder extends AskHolder>(holder: Holder, event: HostEvent): Holder {
  switch (event.type) {
    case "ask-opened": {
      const { askID, sessionID, kind, about } = event;
      return {
        ...holder,
        asks: [...holder.asks.filter((ask) => ask.askID !== askID), { askID, sessionID, kind, about }],
      };
    }
    case "ask-closed":
      return withAsks(holder, (ask) => ask.askID !== event.askID);
    case "session-idle":
    case "session-deleted":
      return withAsks(holder, (ask) => ask.sessionID !== event.sessionID);
    case "session-seen":
    case "session-busy":
    case "session-retrying":
    case "session-error":
    case "session-compacted":
    case "user-message":
    case "user-text":
    case "assistant-text":
    case "assistant-message":
    case "tool":
    case "turn-held":
    case "turn-goes-on":
    case "step-ended":
      return holder;
  }
}

/** A session has ended, whether or not its last events were heard: nobody can answer its asks any more. */
export function closeAsks<Holder extends AskHolder>(holder: Holder, sessionID: string): Holder {
  return withAsks(holder, (ask) => ask.sessionID !== sessionID);
}

function withAsks<Holder extends AskHolder>(holder: Holder, keep: (ask: Ask) => boolean): Holder {
  return holder.asks.every(keep) ? holder : { ...holder, asks: holder.asks.filter(keep) };
}
