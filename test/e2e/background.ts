/** What a scripted agent does with background tasks, and what a test reads of it. */
import type { StoredRoot, TaskStub } from "../../src/keeper/stored-root.ts";
import type {
  ModelRequest,
  OpencodeEvent,
  OpencodeServer,
  Reply,
  ReplyFunction,
  ScriptedToolCall,
} from "../../src/testing/index.ts";
import type { Play, Stage } from "./stage.ts";

/** The call that launches a task. `name` must stand in the child's script, and nowhere else. */
export function launch(name: string, args: Readonly<Record<string, unknown>> = {}): ScriptedToolCall {
  return { name: "background_task", args: { description: name, prompt: `${name}: do your part`, ...args } };
}

/** A reply that launches tasks one after the other, so that their order is known: one reply for each. */
export function launches(names: readonly string[], args: Readonly<Record<string, unknown>> = {}): Reply[] {
  return names.map((name) => ({ toolCalls: [launch(name, args)] }));
}

/** A reply that calls a tool about a task whose id the agent has read. */
export function about(tool: string, name: string, args: Readonly<Record<string, unknown>> = {}): ReplyFunction {
  return (request) => ({ toolCalls: [{ name: tool, args: { task_id: idIn(request, name), ...args } }] });
}

export function read(name: string, args: Readonly<Record<string, unknown>> = {}): ReplyFunction {
  return about("background_output", name, args);
}

export function cancel(name: string): ReplyFunction {
  return about("background_cancel", name);
}

export function resume(name: string, prompt: string): ReplyFunction {
  return about("background_task", name, { description: name, prompt });
}

export const LIST: Reply = { toolCalls: [{ name: "background_output", args: {} }] };

/** A reply that is held back until something has happened. */
export function once(happened: () => PromiseLike<unknown>, reply: Reply | ReplyFunction): ReplyFunction {
  return async (request) => {
    await happened();
    return typeof reply === "function" ? reply(request) : reply;
  };
}

/** The first turn of a process takes much longer than any later one. */
export async function warmUp(stage: Stage): Promise<void> {
  const play = await stage.play("Warm.");
  await play.say("warm up");
  await untilTurn(play, 1);
  await play.untilIdle();
}

/**
 * OpenCode answers again. As a hook it parts one group of concurrent tests from the next: all at once they would only
 * wait for each other, until some of them come too late.
 */
export async function calm({ server }: Stage): Promise<void> {
  await server.client.session.status();
}

/** The id of a task as its agent knows it: from a tool's answer or from what it was told. */
export function idIn({ messages }: Pick<ModelRequest, "messages">, name: string): string {
  const said = messages.map((message) => JSON.stringify(message)).join("\n");
  const id = said.replaceAll('\\"', '"').match(new RegExp(`"${name}" \\((ses_\\w+)\\)`))?.[1];
  if (id === undefined) throw new Error(`no task "${name}" in what the agent has read:\n${said.slice(-2_000)}`);
  return id;
}

/** What a tool has answered in a session, oldest first. */
export async function results({ server }: Stage, sessionID: string, tool: string): Promise<string[]> {
  return (await server.messages(sessionID)).flatMap(({ parts }) =>
    parts.flatMap((part) => {
      if (part.type !== "tool" || part.tool !== tool) return [];
      const { state } = part;
      return [state.status === "completed" ? state.output : `[${state.status}]`];
    }),
  );
}

/** The model request number `step`, from 0, of the task with this name. */
export function asked({ model }: Stage, name: string, step = 0): Promise<ModelRequest> {
  return model.waitForRequest((request) => isOf(request, name) && request.step === step);
}

export function requestsOf({ model }: Stage, name: string): readonly ModelRequest[] {
  return model.requests.filter((request) => isOf(request, name));
}

/** What is stored of a root, as OpenCode's events tell it: asking for it all the time would slow everything down. */
const booksOf = new WeakMap<OpencodeServer, Map<string, StoredRoot>>();

function books({ server }: Stage): ReadonlyMap<string, StoredRoot> {
  const known = booksOf.get(server);
  if (known !== undefined) return known;
  const stored = new Map<string, StoredRoot>();
  const note = ({ type, properties }: OpencodeEvent) => {
    const { id, metadata } = (properties.info ?? {}) as { id?: string; metadata?: { goalkeeper?: StoredRoot } };
    if (type === "session.updated" && id !== undefined && metadata?.goalkeeper?.self === id)
      stored.set(id, metadata.goalkeeper);
  };
  server.events.all.forEach(note);
  server.events.subscribe(note);
  booksOf.set(server, stored);
  return stored;
}

/** The tasks of a root are stored like this. */
export async function untilTasks(
  stage: Stage,
  play: Play,
  what: string,
  isTrue: (tasks: readonly TaskStub[]) => boolean,
): Promise<readonly TaskStub[]> {
  const stored = books(stage);
  const tasks = () => stored.get(play.id)?.tasks;
  await play.until(what, () => isTrue(tasks() ?? []));
  return tasks() ?? [];
}

/** Ended ones are stored at once; a live one is stored as queued. */
export async function untilStatus(
  stage: Stage,
  play: Play,
  name: string,
  status: TaskStub["status"],
): Promise<TaskStub> {
  const named = (tasks: readonly TaskStub[]) => tasks.find((stub) => stub.title === name && stub.status === status);
  const stub = named(await untilTasks(stage, play, `"${name}" is ${status}`, (tasks) => named(tasks) !== undefined));
  if (stub === undefined) throw new Error("unreachable: the task was seen");
  return stub;
}

/** So many tasks have ended, and whoever had to be told has answered. */
export function untilAnswered(stage: Stage, play: Play, count: number): Promise<readonly TaskStub[]> {
  const isAnswered = (stub: TaskStub) => "delivery" in stub && stub.delivery.state === "reconciled";
  return untilTasks(
    stage,
    play,
    `${count} outcomes are answered`,
    (tasks) => tasks.length === count && tasks.every(isAnswered),
  );
}

/** The agent has been asked so many times. */
export async function untilTurn(play: Play, requests: number): Promise<void> {
  await play.until(`${requests} model requests`, () => play.requests().length >= requests);
}

/** Nothing more is said or asked in a session for a while. */
export async function expectSilence(play: Play, ms = 800): Promise<void> {
  const before = play.requests().length;
  await Bun.sleep(ms);
  const after = play.requests().length;
  if (after !== before)
    throw new Error(`${after - before} more model requests: ${play.requests().at(-1)?.lastUserText}`);
}

function isOf({ kind, firstUserText, parentSessionID }: ModelRequest, name: string): boolean {
  return kind === "turn" && parentSessionID !== undefined && firstUserText.startsWith(`${name}:`);
}
