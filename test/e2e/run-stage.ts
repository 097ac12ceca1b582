/** `opencode run` with the plugin, from its start to its exit. */
import { Database } from "bun:sqlite";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import {
  createIsolatedOpencode,
  type EnvironmentOptions,
  type IsolatedOpencode,
  type ModelRequest,
  type RunResult,
  type Script,
  type ScriptedModel,
  type ScriptedModelOptions,
  startScriptedModel,
} from "../../src/testing/index.ts";
import { readTrace } from "../../src/trace/read.ts";
import type { TraceRecord } from "../../src/trace/schema.ts";
import { patientModel, RUN_MS } from "./limits.ts";
import { PLUGIN } from "./stage.ts";

export interface RunStageOptions extends Omit<EnvironmentOptions, "model" | "plugins"> {
  readonly options?: Readonly<Record<string, unknown>>;
  /** Whether our own plugin is there. @default true */
  readonly goalkeeper?: boolean;
  readonly before?: EnvironmentOptions["plugins"];
  readonly after?: EnvironmentOptions["plugins"];
  readonly model?: ScriptedModelOptions;
}

/** One OpenCode on which several runs follow each other. */
export interface RunStage {
  readonly opencode: IsolatedOpencode;
  readonly model: ScriptedModel;
  /** `opencode run <args>`. */
  run(...args: string[]): Promise<RunResult>;
  /** Model requests of the main sessions, in their order. */
  requests(): readonly ModelRequest[];
  /** What the last request of the main session has read last. */
  lastRead(): string;
  trace(): readonly TraceRecord[];
  [Symbol.asyncDispose](): Promise<void>;
}

export async function openRun(script: Script, stage: RunStageOptions = {}): Promise<RunStage> {
  const { options = {}, goalkeeper = true, before = [], after = [], model: modelOptions = {}, ...environment } = stage;
  const model = patientModel(await startScriptedModel(script, modelOptions));
  const ours = goalkeeper ? [[PLUGIN, { debug_log: true, ...options }] as const] : [];
  const opencode = createIsolatedOpencode({ model, plugins: [...before, ...ours, ...after], ...environment });
  const requests = () => model.requests.filter(({ kind, parentSessionID }) => kind === "turn" && !parentSessionID);
  return {
    opencode,
    model,
    requests,
    run: (...args) => opencode.run(["run", ...args], { timeoutMs: RUN_MS }),
    lastRead: () => JSON.stringify(requests().at(-1)?.messages.at(-1) ?? ""),
    trace() {
      const directory = join(opencode.root, "state", "opencode-goalkeeper", "traces");
      if (!existsSync(directory)) return [];
      return readdirSync(directory).flatMap((file) => readTrace(readFileSync(join(directory, file), "utf8")).records);
    },
    async [Symbol.asyncDispose]() {
      await opencode.dispose();
      await model.close();
    },
  };
}

/** What the plugin has said on the terminal: one line per change. */
export function said({ stderr }: RunResult): string[] {
  return stderr.split("\n").flatMap((line) => /goalkeeper: .*$/.exec(line)?.[0] ?? []);
}

/** The lines of `--format json`; throws when one of them is no JSON. */
export function events({ stdout }: RunResult): Record<string, unknown>[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** The last session of a person, as OpenCode's database has it: no OpenCode runs between two runs. */
export function storedRoot({ opencode }: RunStage): StoredRoot | undefined {
  const [metadata] = rootMetadata({ opencode });
  return (metadata as { goalkeeper?: StoredRoot } | undefined)?.goalkeeper;
}

/** The metadata of the main sessions, the newest first; `undefined` where there is none. */
export function rootMetadata(stage: Pick<RunStage, "opencode">): unknown[] {
  return storedMetadata(stage, "time_created");
}

/** The same, but the one first that was used last, with which `-c` goes on. */
export function usedLast(stage: Pick<RunStage, "opencode">): unknown[] {
  return storedMetadata(stage, "time_updated");
}

function storedMetadata({ opencode }: Pick<RunStage, "opencode">, order: "time_created" | "time_updated"): unknown[] {
  using database = new Database(join(opencode.env.XDG_DATA_HOME ?? "", "opencode", "opencode.db"), { readonly: true });
  const rows = database.query(`select metadata from session where parent_id is null order by ${order} desc`).all();
  return (rows as { metadata: string | null }[]).map(({ metadata }) =>
    metadata === null ? undefined : JSON.parse(metadata),
  );
}
