import type { OpencodeClient } from "@opencode-ai/sdk";
import { collectEvents, type EventCollector } from "./event-collector.ts";
import type { IsolatedEnvironment } from "./isolated-environment.ts";
import type { OwnedProcess, ProcessExit } from "./owned-processes.ts";
import { type SessionHelpers, sessionHelpers } from "./session-helpers.ts";

/** `opencode serve` ended before it listened, or did not listen in time. */
export class OpencodeStartError extends Error {
  override readonly name = "OpencodeStartError";
  /** Absent when it was still running. */
  readonly exit: ProcessExit | undefined;
  readonly stdout: string;
  readonly stderr: string;

  constructor(reason: string, exit: ProcessExit | undefined, stdout: string, stderr: string, log: string) {
    const section = (title: string, text: string): string =>
      text.trim() === "" ? "" : `\n--- ${title}\n${text.trim().slice(-2_000)}`;
    super(`opencode serve ${reason}${section("stderr", stderr)}${section("stdout", stdout)}${section("log", log)}`);
    this.exit = exit;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

export interface ServeOptions {
  /** How long the start may take, in milliseconds, and then the first answer. @default 30000 */
  readyTimeoutMs?: number;
  /** More arguments of `opencode serve`. */
  args?: readonly string[];
}

/** A running `opencode serve`, its events, and a client for its project directory. */
export interface OpencodeServer extends SessionHelpers {
  readonly url: string;
  readonly pid: number;
  readonly client: OpencodeClient;
  readonly events: EventCollector;
  /** What the process has written so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Fulfilled when the process is gone, however it ended. */
  readonly exited: Promise<ProcessExit>;
  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when the process is gone. @default graceMs 3000 */
  stop(graceMs?: number): Promise<ProcessExit>;
  /** SIGKILL. Resolves when the process is gone. */
  kill(): Promise<ProcessExit>;
  /** Stops this server (by SIGKILL with `kill: true`) and starts a new one on the same data; this one stays dead. */
  restart(options?: ServeOptions & { kill?: boolean }): Promise<OpencodeServer>;
}

/** Starts the server process and returns when it listens and its events are subscribed to. */
export async function startServer(
  spawn: (args: readonly string[]) => Promise<OwnedProcess>,
  environment: IsolatedEnvironment,
  options: ServeOptions = {},
): Promise<OpencodeServer> {
  const readyTimeoutMs = options.readyTimeoutMs ?? 30_000;
  const started = await spawn(["serve", "--hostname", "127.0.0.1", "--port", "0", ...(options.args ?? [])]);
  try {
    const url = await listening(started, readyTimeoutMs, environment);
    const [events, client] = await Promise.all([
      collectEvents(url, environment.directory, readyTimeoutMs),
      connect(url, environment.directory),
    ]);
    // void: `exited` never rejects.
    void started.exited.then(() => events.close());
    const stop = (graceMs?: number): Promise<ProcessExit> => started.stop(graceMs);
    const kill = (): Promise<ProcessExit> => started.kill();
    return {
      ...sessionHelpers(client, events),
      url,
      pid: started.pid,
      client,
      events,
      get stdout() {
        return started.stdout;
      },
      get stderr() {
        return started.stderr;
      },
      exited: started.exited,
      stop,
      kill,
      async restart({ kill: hard = false, ...serve } = {}) {
        await (hard ? kill() : stop());
        return startServer(spawn, environment, { ...options, ...serve });
      },
    };
  } catch (error) {
    await started.kill();
    throw error;
  }
}

async function connect(baseUrl: string, directory: string): Promise<OpencodeClient> {
  // Imported late, so that the scripted model alone needs no SDK.
  const { createOpencodeClient } = await import("@opencode-ai/sdk/client");
  return createOpencodeClient({ baseUrl, directory });
}

function listening(started: OwnedProcess, timeoutMs: number, environment: IsolatedEnvironment): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    const fail = (reason: string, exit?: ProcessExit): void => {
      clearTimeout(timer);
      reject(new OpencodeStartError(reason, exit, started.stdout, started.stderr, environment.readLog()));
    };
    const look = (): void => {
      const url = /listening on (http:\/\/\S+)\s/.exec(started.stdout)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    };
    const timer = setTimeout(() => fail(`did not listen within ${timeoutMs} ms`), timeoutMs);
    started.onOutput(look);
    look();
    void started.exited.then((exit) =>
      fail(`ended before it listened (${exit.signal ?? `exit code ${exit.exitCode}`})`, exit),
    );
  });
}
