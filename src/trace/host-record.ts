import { readFrame } from "../delivery/frame.ts";
import type { HostEvent, PromptVoice } from "../host/port.ts";
import type { TracedHostEvent } from "./event-schema.ts";
import { tracedProviderError } from "./provider-record.ts";
import type { Texts } from "./texts.ts";

/** A host event without its texts. Field by field: what is not named here cannot leak into a trace. */
export function tracedHostEvent(event: HostEvent, at: number, text: Texts): TracedHostEvent {
  switch (event.type) {
    case "session-seen": {
      const { id, parentID, title, createdAt: madeAt, archived, undone } = event.session;
      // A root's title is made from the user's prompt; a child's is the short name that the task was given.
      return {
        type: event.type,
        sessionID: id,
        parentID,
        title: parentID === undefined ? text(title) : title,
        madeAt,
        created: event.created,
        archived,
        undone,
      };
    }
    case "session-deleted":
      return { type: event.type, sessionID: event.sessionID, parentID: event.parentID };
    case "session-busy":
    case "session-idle":
    case "session-compacted":
    case "turn-goes-on":
      return { type: event.type, sessionID: event.sessionID };
    case "message-removed":
      return { type: event.type, sessionID: event.sessionID, messageID: event.messageID };
    case "turn-held":
    case "step-ended":
      return { type: event.type, sessionID: event.sessionID, messageID: event.messageID, readID: event.readID };
    case "session-retrying":
      return { type: event.type, sessionID: event.sessionID, until: event.until, message: text(event.message) };
    case "session-error":
      return { type: event.type, sessionID: event.sessionID, error: tracedProviderError(event.error, at, text) };
    case "user-message": {
      const { type, sessionID, messageID, voice } = event;
      return { type, sessionID, messageID, agent: voice?.agent, model: modelOf(voice), variant: voice?.variant };
    }
    case "user-text": {
      const { type, sessionID, messageID, synthetic, ignored, told, lost } = event;
      return {
        type,
        sessionID,
        messageID,
        text: text(event.text),
        synthetic,
        ignored,
        frame: readFrame(event.text),
        told: told === undefined ? undefined : { taskID: told.taskID, ended: told.ended, text: text(told.text) },
        lost: lost === undefined ? undefined : [...lost],
        names: namesIn(event.text),
      };
    }
    case "assistant-text":
      return { type: event.type, sessionID: event.sessionID, text: text(event.text) };
    case "assistant-message": {
      const { type, sessionID, messageID, parentID, summary, completedAt, error, fromBefore, usage } = event;
      return {
        type,
        sessionID,
        messageID,
        parentID,
        summary,
        completedAt,
        error: error === undefined ? undefined : tracedProviderError(error, at, text),
        fromBefore,
        usage: usage === undefined ? undefined : { tokens: usage.tokens, cost: usage.cost },
      };
    }
    case "tool": {
      const { type, sessionID, messageID, callID, tool, state, output, fromBefore, byOther, child } = event;
      return {
        type,
        sessionID,
        messageID,
        callID,
        tool,
        state,
        output: text(output),
        fromBefore,
        byOther,
        child:
          child === undefined
            ? undefined
            : { sessionID: child.sessionID, background: child.background, title: child.title },
      };
    }
    case "ask-opened": {
      const { type, sessionID, askID, kind, about } = event;
      return { type, sessionID, askID, kind, about: text(about) };
    }
    case "ask-closed": {
      const { type, sessionID, askID, kind, rejected } = event;
      return { type, sessionID, askID, kind, rejected };
    }
  }
}

/** Whoever made a task names it in his report. */
function namesIn(text: string): string[] | undefined {
  const names = text.match(/ses_[0-9A-Za-z]{1,64}/g);
  return names === null ? undefined : [...new Set(names)];
}

export function modelOf(voice: PromptVoice | undefined): string | undefined {
  return voice?.model === undefined ? undefined : `${voice.model.providerID}/${voice.model.modelID}`;
}
