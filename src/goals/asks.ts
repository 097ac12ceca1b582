import type { HostEvent } from "../host/port.ts";

/** Something that only the user ends. */
export interface Ask {
  readonly askID: string;
  readonly sessionID: string;
  /** `undo`: messages of the session are undone. To write there makes that final, to take the undo back ends it. */
  readonly kind: "permission" | "question" | "undo";
  readonly about: string;
}

/** A permission or a question that is open. */
export type HostAsk = Ask & { readonly kind: "permission" | "question" };

/** A root, or a whole tree of sessions. */
interface AskHolder {
  readonly asks: readonly Ask[];
}

/**
 * An ask in one of the sessions. One of the host's closes with its reply, and with the end of its session's turn; an undo
 * shows in the session itself.
 */
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
      return withAsks(holder, (ask) => ask.sessionID !== event.sessionID || ask.kind === "undo");
    case "session-deleted":
      return closeAsks(holder, event.sessionID);
    case "session-seen":
      return event.session.undone ? openUndo(holder, event.session.id) : closeUndo(holder, event.session.id);
    case "session-busy":
    case "session-retrying":
    case "session-error":
    case "session-compacted":
    case "message-removed":
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

/** The host publishes a session again and again. */
function openUndo<Holder extends AskHolder>(holder: Holder, sessionID: string): Holder {
  const isOpen = holder.asks.some((ask) => ask.kind === "undo" && ask.sessionID === sessionID);
  const undo = { askID: `undo ${sessionID}`, sessionID, kind: "undo", about: "" } as const;
  return isOpen ? holder : { ...holder, asks: [...holder.asks, undo] };
}

/** Nothing is undone in a session any more: the user has written there, or has taken the undo back. */
export function closeUndo<Holder extends AskHolder>(holder: Holder, sessionID: string): Holder {
  return withAsks(holder, (ask) => ask.kind !== "undo" || ask.sessionID !== sessionID);
}

/** Where nothing of ours may be stored. */
export function undoneIn({ asks }: AskHolder): readonly string[] {
  return asks.flatMap(({ kind, sessionID }) => (kind === "undo" ? [sessionID] : []));
}

/** A session has ended, whether or not its last events were heard: nobody can answer its asks any more. */
export function closeAsks<Holder extends AskHolder>(holder: Holder, sessionID: string): Holder {
  return withAsks(holder, (ask) => ask.sessionID !== sessionID);
}

function withAsks<Holder extends AskHolder>(holder: Holder, keep: (ask: Ask) => boolean): Holder {
  return holder.asks.every(keep) ? holder : { ...holder, asks: holder.asks.filter(keep) };
}
