/** A plugin that is ours, with a client that fails in the ways a test asks for, session by session. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PluginModule } from "@opencode-ai/plugin";
import { beFirst, firstCopy } from "../../src/host/registry.ts";

/** To be listed before our own plugin, which then is a copy of it and does nothing. */
export const UNRELIABLE_HOST = import.meta.path;

/** How a call fails. */
export type Failure =
  /** Answers with an error. */
  | "refuses"
  /** Never answers, and does nothing. */
  | "hangs"
  /** Does what it is asked for, and never answers. */
  | "answers never"
  /** Says that it has taken it, and does nothing. */
  | "drops"
  /** Stores the message, and starts no turn. */
  | "starts no turn"
  /** Another plugin adds a key to the session's metadata, just before a write or just after a read of ours. */
  | "is overtaken";

export interface Fault {
  /** `create`: of children of the session. */
  readonly call: "promptAsync" | "update" | "get" | "create";
  readonly how: Failure;
  /** The first so many calls. */
  readonly times: number;
  /** Not counting so many before them, which succeed. @default 0 */
  readonly from?: number;
  /** Calls about each child that the plugin makes for the session, not about the session itself. */
  readonly inChildren?: boolean;
}

/** A call that the plugin has made. */
export interface Call {
  readonly call: Fault["call"];
  readonly messageID: string | undefined;
}

/** In the place of a session's id: every session that has no fault of its own, and is not known yet. */
export const ANY_SESSION = "any";

/** Before the session is used: calls of the plugin about it will fail. */
export function breakCalls(directory: string, sessionID: string, fault: Fault): void {
  mkdirSync(join(directory, "faults"), { recursive: true });
  writeFileSync(faultFile(directory, sessionID), JSON.stringify(fault));
}

/** The calls about a session that could have failed, oldest first. */
export function calls(directory: string, sessionID: string): Call[] {
  const file = callFile(directory, sessionID);
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Call);
}

interface Request {
  readonly path?: { readonly id: string };
  readonly body?: { readonly parentID?: string; readonly messageID?: string; readonly metadata?: unknown };
}
type Method = (request: Request) => Promise<unknown>;
type Methods = Record<Fault["call"] | "prompt", Method>;

export default {
  id: "unreliable-host",
  server: async (input, options) => {
    const ours: { default: PluginModule } = await import(new URL("../../dist/server.js", import.meta.url).href);
    const session = input.client.session as unknown as Methods;
    const unreliable = (call: Fault["call"]): Method => {
      return async (request) => {
        const id = sessionOf(request);
        const fault = faultOf(input.directory, id);
        if (fault?.call !== call || fault.inChildren === true) return session[call](request);
        const before = calls(input.directory, id).length;
        const made: Call = { call, messageID: request.body?.messageID };
        appendFileSync(callFile(input.directory, id), `${JSON.stringify(made)}\n`);
        const nth = before - (fault.from ?? 0);
        return nth >= 0 && nth < fault.times ? fail(fault.how, call, request, session, before) : session[call](request);
      };
    };
    const create = async (request: Request): Promise<unknown> => {
      const answer = await unreliable("create")(request);
      const fault = faultOf(input.directory, sessionOf(request));
      const childID = (answer as { data?: { id?: string } }).data?.id;
      if (fault?.inChildren === true && childID !== undefined)
        breakCalls(input.directory, childID, { ...fault, inChildren: false });
      return answer;
    };
    const replaced = Object.assign(Object.create(input.client.session), {
      promptAsync: unreliable("promptAsync"),
      update: unreliable("update"),
      get: unreliable("get"),
      create,
    });
    const client = Object.assign(Object.create(input.client), { session: replaced });
    const hooks = await ours.default.server({ ...input, client }, options);
    const copy = firstCopy(client);
    // The client that the copy behind it is given is another one.
    if (copy !== undefined) beFirst(input.client, copy);
    return hooks;
  },
} satisfies PluginModule & { id: string };

async function fail(
  how: Failure,
  call: Fault["call"],
  request: Request,
  session: Methods,
  nth: number,
): Promise<unknown> {
  switch (how) {
    case "refuses":
      return { error: { name: "UnknownError", data: { message: "out of order" } }, response: { status: 500 } };
    case "hangs":
      return new Promise<never>(() => {});
    case "answers never":
      await session[call](request);
      return new Promise<never>(() => {});
    case "drops":
      return { data: undefined };
    case "starts no turn":
      return session.prompt({ ...request, body: { ...request.body, noReply: true } } as Request);
    case "is overtaken": {
      const read = call === "get" ? await session.get(request) : undefined;
      await neighbourWrites(sessionOf(request), `neighbour_${nth + 1}`, session);
      return read ?? session[call](request);
    }
  }
}

/** The neighbour does one thing after the other. */
let neighbour = Promise.resolve();

/** Adds a key of its own, as carefully as anybody can. */
function neighbourWrites(id: string, key: string, session: Methods): Promise<void> {
  neighbour = neighbour.then(async () => {
    const { data } = (await session.get({ path: { id } })) as { data: { metadata?: object } };
    await session.update({ path: { id }, body: { metadata: { ...data.metadata, [key]: true } } });
  });
  return neighbour;
}

function sessionOf({ path, body }: Request): string {
  return path?.id ?? body?.parentID ?? "";
}

function faultOf(directory: string, sessionID: string): Fault | undefined {
  const file = [sessionID, ANY_SESSION].map((id) => faultFile(directory, id)).find(existsSync);
  return file === undefined ? undefined : (JSON.parse(readFileSync(file, "utf8")) as Fault);
}

function faultFile(directory: string, sessionID: string): string {
  return join(directory, "faults", `${sessionID}.json`);
}

function callFile(directory: string, sessionID: string): string {
  return join(directory, "faults", `${sessionID}.calls`);
}
