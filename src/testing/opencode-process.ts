/// <reference lib="esnext.disposable" preserve="true" />
import { createEnvironment, type EnvironmentOptions, type IsolatedEnvironment } from "./isolated-environment.ts";
import { resolveOpencodeBinary } from "./opencode-binary.ts";
import { type OpencodeServer, type ServeOptions, startServer } from "./opencode-server.ts";
import { type CommandLine, type OwnedProcess, type ProcessExit, ProcessOwner } from "./owned-processes.ts";

export interface IsolatedOpencodeOptions extends EnvironmentOptions {
  /** @default what {@link resolveOpencodeBinary} finds */
  binary?: string;
  /** Leaves the directory behind for a look at it. @default false */
  keep?: boolean;
}

export interface RunOptions {
  /** @default 60000 */
  timeoutMs?: number;
  /** @default none: it reads an end of file at once */
  stdin?: string;
  /** Ends the process (SIGTERM, then SIGKILL); the result then says by which signal. */
  signal?: AbortSignal;
}

export interface RunResult extends ProcessExit {
  stdout: string;
  stderr: string;
  durationMs: number;
}

/** An OpenCode command did not end in time and was killed. */
export class RunTimeoutError extends Error {
  override readonly name = "RunTimeoutError";
  readonly timeoutMs: number;
  readonly stdout: string;
  readonly stderr: string;

  constructor(args: readonly string[], timeoutMs: number, stdout: string, stderr: string) {
    super(
      `opencode ${args.join(" ")} did not end within ${timeoutMs} ms\n--- stdout\n${stdout.slice(-2_000)}\n--- stderr\n${stderr.slice(-2_000)}`,
    );
    this.timeoutMs = timeoutMs;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/** The real OpenCode with directories of its own; see {@link createIsolatedOpencode}. */
export interface IsolatedOpencode extends IsolatedEnvironment {
  readonly binary: string;
  /** Starts `opencode serve`. @throws OpencodeStartError */
  serve(options?: ServeOptions): Promise<OpencodeServer>;
  /** Runs a command, for instance `["run", "say hi"]`, to its end. @throws RunTimeoutError */
  run(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Starts a command and leaves it to the caller, who may signal it in mid-flight. */
  start(args: readonly string[], stdin?: string): Promise<OwnedProcess>;
  /** What `start` would run, for starting the TUI in a terminal multiplexer with the same isolation. */
  commandLine(args?: readonly string[]): CommandLine;
  /**
   * Ends every process it has started and removes its directory. On Linux this includes whatever OpenCode itself has
   * started, and what runs from a {@link commandLine}. Can be called again.
   */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Prepares an OpenCode that shares nothing with the user's: own home, configuration, database, cache, temporary and
 * project directory, and an environment without the user's keys. Nothing runs until `serve`, `run` or `start`.
 * Everything is allowed without asking, unless `config.permission` says otherwise.
 *
 * @example
 * ```ts
 * const model = await startScriptedModel("Hello.")
 * const opencode = createIsolatedOpencode({ model, plugins: ["./dist/my-plugin.js"] })
 * const { stdout } = await opencode.run(["run", "say hello"])
 *
 * const server = await opencode.serve()
 * const session = await server.createSession()
 * await server.prompt(session.id, "say hello")
 * await server.waitForIdle(session.id)
 * console.log(await server.messages(session.id))
 *
 * await opencode.dispose()
 * await model.close()
 * ```
 *
 * @throws OpencodeNotFoundError
 */
export function createIsolatedOpencode(options: IsolatedOpencodeOptions = {}): IsolatedOpencode {
  const binary = options.binary ?? resolveOpencodeBinary();
  const environment = createEnvironment(options);
  const owner = new ProcessOwner(environment.root, options.keep ?? false);
  let disposing: Promise<void> | undefined;

  const commandLine = (args: readonly string[] = []): CommandLine => ({
    file: binary,
    args: [...args],
    env: { ...environment.env },
    cwd: environment.directory,
  });

  const start = async (args: readonly string[], stdin?: string): Promise<OwnedProcess> => {
    if (disposing !== undefined) throw new Error("This isolated OpenCode has been disposed");
    return owner.start(commandLine(args), stdin);
  };

  const run = async (
    args: readonly string[],
    { timeoutMs = 60_000, stdin, signal }: RunOptions = {},
  ): Promise<RunResult> => {
    signal?.throwIfAborted();
    const startedAt = Date.now();
    const started = await start(args, stdin);
    const stop = (): void => void started.stop();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      void started.kill();
    }, timeoutMs);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const exit = await started.exited;
      if (late) throw new RunTimeoutError(args, timeoutMs, started.stdout, started.stderr);
      return { ...exit, stdout: started.stdout, stderr: started.stderr, durationMs: Date.now() - startedAt };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  };

  const dispose = (): Promise<void> => {
    disposing ??= owner.dispose();
    return disposing;
  };

  return {
    ...environment,
    binary,
    serve: (serve) => startServer(start, environment, serve),
    run,
    start,
    commandLine,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
