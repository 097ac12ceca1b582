import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { withTimeout } from "../time/timeout.ts";
import { NotStartedError } from "./errors.ts";
import { GUARD, NOT_ON_PATH } from "./guard.ts";

/** An OpenCode server to talk to. */
export interface Server {
  readonly url: string;
  /** What it has written to stderr last, to be shown when it has gone away; "" for one that others have started. */
  lastWords(): string;
  /** Ends it, if it was started here, and resolves when it is gone. */
  stop(): Promise<void>;
  /** The same without waiting, as the last thing that this process does. */
  kill(): void;
}

const STARTS_WITHIN_MS = 60_000;
const STOPS_WITHIN_MS = 4_000;
const ANSWERS_WITHIN_MS = 10_000;
const LAST_WORDS_LENGTH = 2_000;

/**
 * Starts `opencode serve` on a free port of the loopback interface. The SDK's own `createOpencodeServer` is not used: its
 * server gets the terminal's Ctrl-C before we can interrupt the session, and stays behind when we crash.
 *
 * @throws NotStartedError
 */
export async function startServer(directory: string, signal: AbortSignal): Promise<Server> {
  const args = [process.argv[1] ?? "", GUARD, "serve", "--hostname", "127.0.0.1", "--port", "0"];
  const guard = spawn(process.execPath, args, {
    cwd: directory,
    // OpenCode takes the project's directory from PWD rather than from the working directory.
    env: { ...process.env, PWD: directory },
    detached: process.platform !== "win32",
    windowsHide: true,
  });
  const server = new StartedServer(guard);
  const kill = () => server.kill();
  // Only while it starts: later there is a session to be interrupted first.
  signal.addEventListener("abort", kill, { once: true });
  try {
    await withTimeout("opencode serve", server.listening, STARTS_WITHIN_MS);
    return server;
  } catch (error) {
    kill();
    throw error instanceof NotStartedError ? error : new NotStartedError(`OpenCode did not start: ${String(error)}.`);
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

class StartedServer implements Server {
  url = "";
  readonly listening: Promise<void>;
  private readonly exited: Promise<void>;
  private stdout = "";
  private stderr = "";
  private isGone = false;

  constructor(private readonly guard: ChildProcessWithoutNullStreams) {
    // It may be gone when we close its lifeline.
    guard.stdin.on("error", () => undefined);
    this.exited = new Promise((resolve) => {
      const gone = () => {
        this.isGone = true;
        resolve();
      };
      guard.on("exit", gone).on("error", gone);
    });
    this.listening = new Promise((resolve, reject) => {
      guard.stdout.setEncoding("utf8").on("data", (text: string) => {
        if (this.url !== "") return;
        this.stdout += text;
        const url = /listening on (https?:\/\/\S+)\s/.exec(this.stdout)?.[1];
        if (url === undefined) return;
        this.url = url;
        resolve();
      });
      guard.stderr.setEncoding("utf8").on("data", (text: string) => {
        this.stderr = (this.stderr + text).slice(-LAST_WORDS_LENGTH);
      });
      guard.on("error", (error) => reject(new NotStartedError(`OpenCode could not be started: ${error.message}.`)));
      guard.on("close", (code) => reject(this.refusal(code)));
    });
  }

  lastWords(): string {
    const said = this.stderr.trim();
    return said === "" ? "" : `\n${said}`;
  }

  async stop(): Promise<void> {
    if (this.isGone) return;
    this.guard.stdin.end();
    await withTimeout("the end of opencode serve", this.exited, STOPS_WITHIN_MS).catch(() => this.kill());
    await this.exited;
  }

  kill(): void {
    if (this.isGone || this.guard.pid === undefined) return;
    try {
      if (process.platform === "win32") this.guard.stdin.destroy();
      else process.kill(-this.guard.pid, "SIGKILL");
    } catch {
      // Nobody is left in the group.
    }
  }

  private refusal(code: number | null): NotStartedError {
    if (code === NOT_ON_PATH)
      return new NotStartedError(
        "There is no `opencode` on the PATH. `npm install opencode-ai` puts one there for npm scripts, and --attach needs none. Nothing was started.",
      );
    return new NotStartedError(`OpenCode ended before it listened (exit code ${code ?? "none"}).${this.lastWords()}`);
  }
}

/**
 * Makes sure that an OpenCode server answers at an address.
 *
 * @throws NotStartedError
 */
export async function attachTo(url: string, authorization: string | undefined): Promise<Server> {
  const headers = authorization === undefined ? {} : { Authorization: authorization };
  const health = new URL("global/health", url.endsWith("/") ? url : `${url}/`);
  const refuse = (why: string) => new NotStartedError(`${url} ${why}. No prompt was sent.`);
  let response: Response;
  try {
    response = await fetch(health, { headers, signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw refuse(`does not answer (${cause instanceof Error ? cause.message : String(cause)})`);
  }
  const said: unknown = await response.json().catch(() => undefined);
  if (response.status === 401) throw refuse("asks for a password; set OPENCODE_SERVER_PASSWORD");
  if (!response.ok || typeof said !== "object" || said === null || !("healthy" in said))
    throw refuse(`answers (${response.status}), but not as an OpenCode server does`);
  return { url, lastWords: () => "", stop: () => Promise.resolve(), kill: () => undefined };
}
