/**
 * Real OpenCodes with the plugin, for tests. A start costs seconds of both cores, so files do not start one each: take
 * {@link openStages}, in `beforeAll`, with a project for each set of options that the file needs. `npm test` runs many
 * such files one after the other in one process, and they share its OpenCode: each has projects, sessions and a model of
 * its own there, and hears nothing of the others. A file may kill or restart that OpenCode: only its own projects are
 * open, and whoever comes after it gets one that works. What needs an environment or a git repository of its own, or a
 * second process beside the first, takes {@link openStage}; `opencode run` has run-stage.ts.
 *
 * Nothing here takes a limit: every wait has the one of this machine (limits.ts).
 */
import { existsSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { pathToFileURL } from "node:url";
import { createOpencodeClient } from "@opencode-ai/sdk/client";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { collectEvents } from "../../src/testing/event-collector.ts";
import {
  createIsolatedOpencode,
  type EnvironmentOptions,
  type IsolatedOpencode,
  type ModelRequest,
  type OpencodeServer,
  type Script,
  type ScriptedModel,
  type ScriptedModelOptions,
  type StoredMessage,
  startScriptedModel,
} from "../../src/testing/index.ts";
import { type ReplySpec, ScriptReader } from "../../src/testing/script.ts";
import { sessionHelpers } from "../../src/testing/session-helpers.ts";
import { newsOf, patientModel, patientServer, SERVE, until, WAIT_MS } from "./limits.ts";
import { sharedOpencode } from "./shared-opencode.ts";

/** The built plugin, as a user's OpenCode loads it from a folder. */
export const PLUGIN = new URL("../../", import.meta.url).href.replace(/\/$/, "");

export interface StageOptions extends Omit<EnvironmentOptions, "model" | "plugins"> {
  /** Whether our own plugin is there. @default true */
  readonly goalkeeper?: boolean;
  readonly options?: Readonly<Record<string, unknown>>;
  /** More plugins, before and after ours. */
  readonly before?: EnvironmentOptions["plugins"];
  readonly after?: EnvironmentOptions["plugins"];
  readonly models?: ScriptedModelOptions["models"];
}

/** One project in a real OpenCode with the plugin, shared by the tests of a file: each session has a script of its own. */
export interface Stage {
  readonly opencode: IsolatedOpencode;
  readonly model: ScriptedModel;
  readonly server: OpencodeServer;
  /** `sessionID`: a session that exists already and has no script yet, a fork for instance. */
  play(script: Script, sessionID?: string): Promise<Play>;
  /** Ends the server (by SIGKILL with `kill`) and starts another one on the same data. */
  restart(options?: { readonly kill?: boolean }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One root session with its script. */
export interface Play {
  readonly id: string;
  /** Says `/goal …`, as the TUI does. Resolves when the host has answered, which is at the end of the first turn. */
  goal(args: string, agent?: string): Promise<void>;
  /** A message of the user's. */
  say(text: string, agent?: string): Promise<void>;
  abort(): Promise<void>;
  stored(): Promise<StoredRoot | undefined>;
  messages(): Promise<StoredMessage[]>;
  /** The text of every user-role message, oldest first. */
  prompts(): Promise<string[]>;
  /** Frames of ours in the transcript, e.g. all continuations. */
  framed(kind: string): Promise<string[]>;
  /** Model requests of this root, children left out. */
  requests(): readonly ModelRequest[];
  until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void>;
  untilGoal(status: string): Promise<StoredRoot>;
  /** OpenCode shows the session as idle, and still does a moment later. */
  untilIdle(): Promise<void>;
}

/** What each of several projects in one OpenCode has of its own. */
export type ProjectOptions = Pick<StageOptions, "goalkeeper" | "options" | "before" | "after" | "config">;

/** One project in an OpenCode of its own. */
export async function openStage({ models, ...options }: StageOptions = {}): Promise<Stage> {
  const { goalkeeper, options: ours, before, after, ...environment } = options;
  const played = await playModel(models);
  const opencode = createIsolatedOpencode({ model: played.model, plugins: pluginsOf(options), ...environment });
  let server = patientServer(await opencode.serve(SERVE));
  return createStage(played, opencode, {
    current: () => server,
    async restart(options) {
      server = await server.restart(options);
    },
    async close() {
      await opencode.dispose();
      await played.model.close();
    },
  });
}

/**
 * Projects in the OpenCode that this test process shares, each with plugins and configuration of its own: OpenCode loads
 * the plugins for each of them anew. The restart of one, and its end, is that of all.
 */
export async function openStages<const All extends readonly ProjectOptions[]>(
  projects: All,
  models?: ScriptedModelOptions["models"],
): Promise<{ -readonly [Index in keyof All]: Stage }> {
  const played = await playModel(models);
  const shared = await sharedOpencode();
  const opencode = shared.since();
  const { provider, ...defaults } = played.model.providerConfig();
  const directories = projects.map((project) => {
    const directory = shared.newDirectory();
    const plugin = pluginsOf(project).map((spec) =>
      typeof spec === "string" ? urlOf(spec) : [urlOf(spec[0]), spec[1]],
    );
    writeFileSync(
      join(directory, "opencode.json"),
      JSON.stringify({ ...defaults, provider, ...project.config, plugin }),
    );
    return directory;
  });
  const open = () => Promise.all(directories.map((directory) => serverIn(directory, shared.server)));
  let servers = await open();
  const restart = async (options: { readonly kill?: boolean }) => {
    await shared.restart(options);
    servers = await open();
  };
  let closing: Promise<void> | undefined;
  const close = async () => {
    await Promise.all(servers.map((server) => server.leave()));
    await played.model.close();
    await shared.release();
  };
  const stages = directories.map((directory, index) =>
    createStage(
      played,
      { ...opencode, directory },
      {
        current: () => servers[index] ?? shared.server,
        restart,
        close: () => {
          closing ??= close();
          return closing;
        },
      },
    ),
  );
  return stages as { -readonly [Index in keyof All]: Stage };
}

/** The same process, asked about another directory. `leave` ends all that works there. */
async function serverIn(directory: string, server: OpencodeServer) {
  const client = createOpencodeClient({ baseUrl: server.url, directory });
  const events = await collectEvents(server.url, directory, WAIT_MS);
  let runs = true;
  void server.exited.then(() => {
    runs = false;
    events.close();
  });
  const leave = async () => {
    events.close();
    if (runs) await client.instance.dispose();
  };
  const here: OpencodeServer = Object.assign(Object.create(server), {
    ...sessionHelpers(client, events),
    client,
    events,
  });
  return Object.assign(patientServer(here), { leave });
}

/** As a configuration has it: an absolute path is none. */
function urlOf(spec: string): string {
  return isAbsolute(spec) ? pathToFileURL(spec).href : spec;
}

function pluginsOf({ goalkeeper = true, options = {}, before = [], after = [] }: ProjectOptions) {
  const ours = goalkeeper ? [[PLUGIN, options] as const] : [];
  return [...before, ...ours, ...after];
}

/** A model that answers each root, and all below it, from a script of its own. */
export async function playModel(models: ScriptedModelOptions["models"]) {
  if (!existsSync(join(new URL("../../dist/", import.meta.url).pathname, "server.js"))) {
    throw new Error("dist/server.js is missing: run `npm run build` first");
  }
  const readers = new Map<string, ScriptReader>();
  const parents = new Map<string, string>();
  const rootOf = (sessionID: string): string => {
    const parent = parents.get(sessionID);
    return parent === undefined ? sessionID : rootOf(parent);
  };
  const model = await startScriptedModel(
    (request): Promise<ReplySpec> => {
      if (request.parentSessionID !== undefined) parents.set(request.sessionID, request.parentSessionID);
      const reader = readers.get(rootOf(request.sessionID));
      if (reader === undefined) throw new Error(`no script for ${request.sessionID}`);
      return reader.next(request);
    },
    models === undefined ? {} : { models },
  );
  return { model: patientModel(model), readers };
}

function createStage(
  { model, readers }: Awaited<ReturnType<typeof playModel>>,
  opencode: IsolatedOpencode,
  server: {
    current(): OpencodeServer;
    restart(options: { readonly kill?: boolean }): Promise<void>;
    close(): Promise<void>;
  },
): Stage {
  const stage: Stage = {
    opencode,
    model,
    get server() {
      return server.current();
    },
    async play(script, sessionID) {
      const id = sessionID ?? (await stage.server.createSession()).id;
      readers.set(id, new ScriptReader(script));
      return createPlay(id, stage);
    },
    restart: ({ kill = false } = {}) => server.restart({ kill }),
    [Symbol.asyncDispose]: () => server.close(),
  };
  return stage;
}

function createPlay(id: string, stage: Stage): Play {
  const play: Play = {
    id,
    async goal(args, agent) {
      const body = { command: "goal", arguments: args, ...(agent === undefined ? {} : { agent }) };
      await stage.server.client.session.command({ path: { id }, body });
    },
    say: (text, agent) => stage.server.prompt(id, text, agent === undefined ? {} : { agent }),
    abort: () => stage.server.abort(id),
    stored: async () => (await stage.server.metadata(id)).goalkeeper as StoredRoot | undefined,
    messages: () => stage.server.messages(id),
    async prompts() {
      const messages = await play.messages();
      return messages.filter(({ info }) => info.role === "user").map(textOf);
    },
    framed: async (kind) =>
      (await play.prompts()).filter((text) => text.includes(`<goalkeeper kind="${kind}" id="msg_`)),
    requests: () => stage.model.requests.filter((request) => request.kind === "turn" && request.sessionID === id),
    until: (what, isTrue) =>
      until(
        what,
        isTrue,
        () => report(play, stage),
        newsOf(id, () => stage.server),
      ),
    async untilIdle() {
      const isQuiet = async () => (await stage.server.client.session.status()).data?.[id] === undefined;
      await play.until("the session is idle", async () => {
        for (let looks = 0; looks < 4; looks++) {
          if (!(await isQuiet())) return false;
          await Bun.sleep(25);
        }
        return true;
      });
    },
    async untilGoal(status) {
      let stored: StoredRoot | undefined;
      const reached = async () => {
        stored = await play.stored();
        return stored?.goal?.status === status;
      };
      await play.until(`the goal is ${status}`, reached);
      if (stored === undefined) throw new Error("unreachable: the goal was seen");
      return stored;
    },
  };
  return play;
}

export function textOf({ parts }: StoredMessage): string {
  return parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}

/** What a failed wait shows: the transcript, the stored state and our own log lines. */
async function report(play: Play, stage: Stage): Promise<string> {
  const lines = (await play.messages()).map((message) => {
    const tools = message.parts.flatMap((part) =>
      part.type === "tool" ? [`[${part.tool} ${part.state.status}]`] : [],
    );
    return `${message.info.role}: ${tools.join(" ")} ${textOf(message).slice(0, 200)}`;
  });
  const log = (await Promise.resolve(stage.opencode.readLog()))
    .split("\n")
    .filter((line) => line.includes("goalkeeper:"));
  return [
    ...lines,
    JSON.stringify(await play.stored()),
    ...log,
    ...stage.model.failures.map(({ error }) => String(error)),
  ].join("\n");
}

/** The call of OpenCode's own Task tool that sends a sub-agent off. `name` must stand in the child's script. */
export function task(name: string, background = true) {
  const args = { description: name, prompt: `${name}: do your part`, subagent_type: "general" };
  return { name: "task", args: background ? { ...args, background } : args };
}

export const COMPLETE = {
  toolCalls: [{ name: "update_goal", args: { status: "complete", evidence: [{ claim: "it was checked" }] } }],
};
