/** OpenCode's sessions, messages and errors, read into our own words. */
import { byCreation } from "../tasks/outcome.ts";
import type { SessionInfo, TranscriptMessage, TurnError, Voice } from "./port.ts";
import { list, moment, type Raw, record, text } from "./raw.ts";
import { readTold } from "./told.ts";

export function readSession(value: unknown): SessionInfo | undefined {
  const info = record(value);
  const id = text(info.id);
  if (id === undefined) return undefined;
  const time = record(info.time);
  const parentID = text(info.parentID);
  const directory = text(info.directory);
  return {
    id,
    ...(parentID === undefined ? {} : { parentID }),
    ...(directory === undefined ? {} : { directory }),
    title: text(info.title) ?? "",
    createdAt: moment(time.created) ?? 0,
    archived: moment(time.archived) !== undefined,
    metadata: record(info.metadata),
  };
}

/** The host puts a message into `error.data.message`, not into `error.message`. */
export function readError(value: unknown): TurnError | undefined {
  const error = record(value);
  const name = text(error.name);
  if (name === undefined) return undefined;
  const data = record(error.data);
  const statusCode = data.statusCode;
  return {
    name,
    message: text(data.message) ?? text(error.message) ?? name,
    ...(typeof statusCode === "number" ? { statusCode } : {}),
  };
}

export function readVoice(message: Raw): Voice | undefined {
  const agent = text(message.agent);
  const model = record(message.model);
  const providerID = text(model.providerID);
  const modelID = text(model.modelID);
  if (agent === undefined || providerID === undefined || modelID === undefined) return undefined;
  const variant = text(model.variant) ?? text(message.variant);
  return {
    agent,
    model: { providerID, modelID },
    ...(variant === undefined || variant === "default" ? {} : { variant }),
  };
}

/** A whole transcript, oldest first, whatever the order and the time format in which it came. */
export function readTranscript(value: unknown): readonly TranscriptMessage[] {
  return list(value).flatMap(readMessage).sort(byCreation);
}

function readMessage(value: unknown): readonly TranscriptMessage[] {
  const info = record(record(value).info);
  const id = text(info.id);
  const role = info.role;
  if (id === undefined || (role !== "user" && role !== "assistant")) return [];
  const parts = list(record(value).parts).map(record);
  const time = record(info.time);
  const texts = parts.filter((part) => part.type === "text");
  const optional = {
    parentID: text(info.parentID),
    completedAt: moment(time.completed),
    finish: text(info.finish),
    error: readError(info.error),
    voice: role === "user" ? readVoice(info) : undefined,
    told: role === "user" ? readTold(joined(texts.filter((part) => part.synthetic === true))) : undefined,
  };
  return [
    {
      id,
      role,
      createdAt: moment(time.created) ?? moment(info.time) ?? 0,
      summary: info.summary === true,
      compaction: parts.some((part) => part.type === "compaction"),
      text: joined(texts.filter((part) => part.synthetic !== true && part.ignored !== true)),
      rawText: joined(texts),
      ...defined(optional),
    },
  ];
}

function joined(parts: readonly Raw[]): string {
  return parts
    .map((part) => text(part.text) ?? "")
    .join("\n")
    .trim();
}

/** Leaves out what is undefined, as exact optional properties want it. */
function defined<T extends Record<string, unknown>>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
