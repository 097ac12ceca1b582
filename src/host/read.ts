/** OpenCode's sessions, messages and errors, read into our own words. */
import { byCreation } from "../tasks/outcome.ts";
import type {
  AgentInfo,
  PermissionRule,
  SessionInfo,
  TranscriptMessage,
  TranscriptPart,
  TurnError,
  Usage,
  Voice,
} from "./port.ts";
import { list, moment, type Raw, record, text } from "./raw.ts";
import { readTold } from "./told.ts";

export function readSession(value: unknown): SessionInfo | undefined {
  const info = record(value);
  const id = text(info.id);
  if (id === undefined) return undefined;
  const time = record(info.time);
  const parentID = text(info.parentID);
  const directory = text(info.directory);
  const updatedAt = moment(time.updated);
  const { id: modelID, providerID, variant } = record(info.model);
  const voice = readVoice({ agent: info.agent, model: { modelID, providerID, variant } });
  return {
    id,
    ...(parentID === undefined ? {} : { parentID }),
    ...(directory === undefined ? {} : { directory }),
    ...(voice === undefined ? {} : { voice }),
    title: text(info.title) ?? "",
    createdAt: moment(time.created) ?? 0,
    ...(updatedAt === undefined ? {} : { updatedAt }),
    archived: moment(time.archived) !== undefined,
    ...(text(record(info.revert).messageID) === undefined ? {} : { undone: true as const }),
    ...(Array.isArray(info.permission) ? { rules: readRules(info.permission) } : {}),
    metadata: record(info.metadata),
  };
}

export function readRules(value: unknown): readonly PermissionRule[] {
  return list(value).flatMap((item) => {
    const { permission, pattern, action } = record(item);
    const isAction = action === "allow" || action === "ask" || action === "deny";
    return typeof permission === "string" && typeof pattern === "string" && isAction
      ? [{ permission, pattern, action }]
      : [];
  });
}

export function readAgent(value: unknown): AgentInfo | undefined {
  const agent = record(value);
  const name = text(agent.name);
  if (name === undefined) return undefined;
  const { mode } = agent;
  const model = readModel(agent.model);
  const variant = text(agent.variant);
  const { steps } = agent;
  return {
    name,
    mode: mode === "primary" || mode === "subagent" ? mode : "all",
    hidden: agent.hidden === true,
    rules: readRules(agent.permission),
    ...(typeof steps === "number" ? { steps } : {}),
    ...(model === undefined ? {} : { model }),
    ...(variant === undefined ? {} : { variant }),
  };
}

function readModel(value: unknown): Voice["model"] | undefined {
  const { providerID, modelID } = record(value);
  return typeof providerID === "string" && typeof modelID === "string" ? { providerID, modelID } : undefined;
}

/** "provider/model" of all models in the answer that names the providers. */
export function readModelNames(value: unknown): ReadonlySet<string> {
  const names = list(record(value).providers).flatMap((item) => {
    const { id, models } = record(item);
    return typeof id === "string" ? Object.keys(record(models)).map((modelID) => `${id}/${modelID}`) : [];
  });
  return new Set(names);
}

/** Cached input is part of what was read; reasoning is part of what was written. */
export function readUsage(value: unknown): Usage | undefined {
  const { tokens, cost } = record(value);
  const { input, output, reasoning, cache } = record(tokens);
  const { read, write } = record(cache);
  const counts = [input, output, reasoning, read, write].map((count) => (typeof count === "number" ? count : 0));
  const sum = counts.reduce((total, count) => total + count, 0);
  const spent = typeof cost === "number" ? cost : 0;
  return sum === 0 && spent === 0 ? undefined : { tokens: sum, cost: spent };
}

/** Providers quote whole requests. What is kept of an error is stored with its task. */
const LONGEST_ERROR = 2_000;

/** The host puts a message into `error.data.message`, not into `error.message`. */
export function readError(value: unknown): TurnError | undefined {
  const error = record(value);
  const name = text(error.name);
  if (name === undefined) return undefined;
  const data = record(error.data);
  const statusCode = data.statusCode;
  return {
    name,
    message: (text(data.message) ?? text(error.message) ?? name).slice(0, LONGEST_ERROR),
    ...(typeof statusCode === "number" ? { statusCode } : {}),
  };
}

export function readVoice(message: Raw): Voice | undefined {
  const agent = text(message.agent);
  const model = readModel(message.model);
  if (agent === undefined || model === undefined) return undefined;
  const variant = text(record(message.model).variant) ?? text(message.variant);
  return {
    agent,
    model,
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
    usage: role === "assistant" ? readUsage(info) : undefined,
    told: role === "user" ? readTold(joined(texts.filter((part) => part.synthetic === true))) : undefined,
    torn: role === "user" && parts.length === 0 ? (true as const) : undefined,
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
      parts: parts.flatMap(readPart),
      ...defined(optional),
    },
  ];
}

function readPart(part: Raw): readonly TranscriptPart[] {
  const { type } = part;
  if ((type === "text" || type === "reasoning") && part.synthetic !== true && part.ignored !== true) {
    const said = text(part.text) ?? "";
    return said.trim() === "" ? [] : [{ type, text: said }];
  }
  if (type !== "tool") return [];
  const state = record(part.state);
  const { status } = state;
  return [
    {
      type,
      callID: text(part.callID) ?? "",
      tool: text(part.tool) ?? "",
      state: status === "completed" || status === "error" || status === "running" ? status : "pending",
      title: text(state.title) ?? "",
      input: JSON.stringify(state.input ?? {}),
      output: text(state.output) ?? text(state.error) ?? "",
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
