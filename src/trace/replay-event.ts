import { frame } from "../delivery/frame.ts";
import type { HostEvent, SessionInfo, Voice } from "../host/port.ts";
import type { TracedHostEvent } from "./event-schema.ts";
import { toProviderError } from "./provider-record.ts";
import { filler } from "./stored-record.ts";

/** The host event that a trace has recorded. What is read out of a text is made again from the facts beside it. */
export function toHostEvent(traced: TracedHostEvent): HostEvent {
  switch (traced.type) {
    case "session-seen":
      return { type: traced.type, session: toSession(traced), created: traced.created };
    case "session-deleted": {
      const { type, sessionID, parentID } = traced;
      return { type, sessionID, ...(parentID === undefined ? {} : { parentID }) };
    }
    case "session-busy":
    case "session-idle":
    case "session-compacted":
    case "message-removed":
    case "turn-held":
    case "turn-goes-on":
    case "step-ended":
    case "ask-closed":
      return traced;
    case "session-retrying":
      return { ...traced, message: filler(traced.message) };
    case "session-error":
      return { type: traced.type, sessionID: traced.sessionID, error: toProviderError(traced.error) };
    case "user-message": {
      const { type, sessionID, messageID } = traced;
      return { type, sessionID, messageID, voice: toVoice(traced) };
    }
    case "user-text":
      return toUserText(traced);
    case "assistant-text":
      return { ...traced, text: filler(traced.text) };
    case "assistant-message": {
      const { error, fromBefore, ...message } = traced;
      const failed = error === undefined ? undefined : toProviderError(error);
      const { completedAt, usage } = message;
      return { ...message, completedAt, usage, error: failed, ...(fromBefore === undefined ? {} : { fromBefore }) };
    }
    case "tool": {
      const { output, child, fromBefore, byOther, ...call } = traced;
      const marks = {
        ...(fromBefore === undefined ? {} : { fromBefore }),
        ...(byOther === undefined ? {} : { byOther }),
      };
      return { ...call, output: filler(output), ...marks, ...(child === undefined ? {} : { child }) };
    }
    case "ask-opened":
      return { ...traced, about: filler(traced.about) };
  }
}

/** Agent and model of a message; a variant, where there is one. */
export function toVoice(traced: {
  readonly agent?: string | undefined;
  readonly model?: string | undefined;
  readonly variant?: string | undefined;
}): Voice | undefined {
  const { agent, variant } = traced;
  const model = toModel(traced.model);
  if (agent === undefined || model === undefined) return undefined;
  return { agent, model, ...(variant === undefined ? {} : { variant }) };
}

/** From `provider/model`: the id of a model may have a slash of its own. */
export function toModel(name: string | undefined): Voice["model"] | undefined {
  if (name === undefined) return undefined;
  const at = name.indexOf("/");
  return { providerID: name.slice(0, at), modelID: name.slice(at + 1) };
}

function toSession(traced: Extract<TracedHostEvent, { type: "session-seen" }>): SessionInfo {
  const { sessionID: id, parentID, title, madeAt: createdAt = 0, archived, undone } = traced;
  const isUndone = undone === undefined ? {} : { undone };
  const info = { id, title: filler(title), createdAt, archived, ...isUndone, metadata: {} };
  return parentID === undefined ? info : { ...info, parentID };
}

/** Nothing is read out of it but its tag and the sessions that it names. */
function toUserText(traced: Extract<TracedHostEvent, { type: "user-text" }>): HostEvent {
  const { type, sessionID, messageID, synthetic, ignored, frame: tag, told, lost, names = [] } = traced;
  const named = names.join(" ");
  // A kind that is not known any more is told from a text without a tag all the same.
  const text = tag === undefined ? named : frame(tag.kind as Parameters<typeof frame>[0], tag.id, named);
  return {
    type,
    sessionID,
    messageID,
    text,
    synthetic,
    ignored,
    ...(told === undefined ? {} : { told: { ...told, text: filler(told.text) } }),
    ...(lost === undefined ? {} : { lost }),
  };
}
