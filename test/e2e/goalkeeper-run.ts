/** `goalkeeper run` as a script in CI would start it, on plain Node, with the real OpenCode on the PATH. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunEvent } from "../../src/cli/events.ts";
import {
  createIsolatedOpencode,
  type EnvironmentOptions,
  type IsolatedOpencode,
  type ModelRequest,
  type Script,
  type ScriptedModel,
  startScriptedModel,
} from "../../src/testing/index.ts";
import { type ReplySpec, ScriptReader } from "../../src/testing/script.ts";
import { patientModel, until } from "./limits.ts";
import { PLUGIN } from "./stage.ts";

const PROGRAM = fileURLToPath(`${PLUGIN}/dist/cli.js`);
/** Tells the processes of one run from those of all others. */
const MARK = "GOALKEEPER_TEST_RUN";
let runs = 0;

export interface CliStage {
  readonly opencode: IsolatedOpencode;
  readonly model: ScriptedModel;
  /** The directory of another project, which has no plugin of ours. */
  readonly bare: string;
  /** Plays `script` for the session whose first prompt contains `[name]`, and answers that prompt. */
  script(name: string, script: Script): string;
  /** Model requests of that session, its children left out. */
  requests(name: string): readonly ModelRequest[];
  start(args: readonly string[], options?: StartOptions): CliRun;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface StartOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface CliRun {
  readonly process: ChildProcess;
  readonly ended: Promise<CliResult>;
  stdout(): string;
  stderr(): string;
  /** The lines of `--format json`. Throws when one of them is none. */
  events(): readonly (RunEvent & { readonly at: number })[];
  until(what: string, isSo: () => boolean): Promise<void>;
  /** The run's own process, the guard, OpenCode and what that has started: those that still work, oldest first. */
  processes(): readonly number[];
}

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `options`: of our plugin; `config`: of OpenCode, in both projects. */
export async function openCliStage({
  options,
  config,
}: {
  readonly options: Readonly<Record<string, unknown>>;
  readonly config: NonNullable<EnvironmentOptions["config"]>;
}): Promise<CliStage> {
  const readers = new Map<string, ScriptReader>();
  const names = new Map<string, string>();
  const nameOf = (request: ModelRequest): string | undefined => {
    const said = /\[([\w-]+)\]/.exec(request.firstUserText)?.[1];
    const name =
      names.get(request.sessionID) ??
      (request.parentSessionID === undefined ? said : names.get(request.parentSessionID));
    if (name !== undefined) names.set(request.sessionID, name);
    return name;
  };
  const model = patientModel(
    await startScriptedModel((request): Promise<ReplySpec> => {
      const reader = readers.get(nameOf(request) ?? "");
      if (reader === undefined) throw new Error(`no script for ${request.firstUserText}`);
      return reader.next(request);
    }),
  );
  const files = { "opencode.json": JSON.stringify({ plugin: [[PLUGIN, options]] }) };
  const opencode = createIsolatedOpencode({ model, config, files });
  const bare = join(opencode.root, "bare");
  mkdirSync(bare);
  const bin = join(opencode.root, "bin");
  mkdirSync(bin);
  symlinkSync(opencode.binary, join(bin, "opencode"));
  return {
    opencode,
    model,
    bare,
    script(name, script) {
      readers.set(name, new ScriptReader(script));
      return `[${name}] do your part`;
    },
    requests: (name) =>
      model.requests.filter(
        ({ kind, sessionID, parentSessionID }) =>
          kind === "turn" && parentSessionID === undefined && names.get(sessionID) === name,
      ),
    start: (args, start) => startRun(opencode, bin, args, start),
    async [Symbol.asyncDispose]() {
      await opencode.dispose();
      await model.close();
    },
  };
}

function startRun(
  { directory, env }: IsolatedOpencode,
  bin: string,
  args: readonly string[],
  { stdin, env: more = {} }: StartOptions = {},
): CliRun {
  const mark = `${process.pid}-${++runs}`;
  const child = spawn("node", [PROGRAM, ...args], {
    cwd: directory,
    env: { ...env, PATH: `${bin}${delimiter}${env.PATH}`, [MARK]: mark, ...more },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  // Without one its standard input stays open for ever, as some CI systems have it.
  if (stdin !== undefined) child.stdin.end(stdin);
  const run: CliRun = {
    process: child,
    ended: new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }))),
    stdout: () => stdout,
    stderr: () => stderr,
    events: () =>
      stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line)),
    until: (what, isSo) => until(what, isSo, () => `${stdout}\n${stderr}`),
    processes: () => processesWith(`${MARK}=${mark}`),
  };
  return run;
}

function processesWith(variable: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
        const state = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.[0];
        return environment.includes(variable) && state !== "Z" ? [Number(pid)] : [];
      } catch {
        return []; // It has ended meanwhile.
      }
    })
    .sort((a, b) => a - b);
}
