import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** As Node has it, without its types: those need not be installed where ours are read. */
export type Signal = `SIG${string}`;

/** How a process ended. */
export interface ProcessExit {
  exitCode: number | null;
  signal: Signal | null;
}

/** One started process and all it has said. */
export interface OwnedProcess {
  readonly pid: number;
  /** Everything it has written so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Fulfilled when the process is gone and its output is complete. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly running: boolean;
  /** Called on each piece of output, until `exited`. */
  onOutput(listener: () => void): void;
  /** Sends one signal and does not wait. */
  signal(name: Signal): void;
  /** SIGTERM, then SIGKILL after `graceMs`; resolves when it is gone. @default graceMs 3000 */
  stop(graceMs?: number): Promise<ProcessExit>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<ProcessExit>;
}

export interface CommandLine {
  file: string;
  args: string[];
  env: Record<string, string>;
  cwd: string;
}

/**
 * The processes of one isolated OpenCode and the directory they live in. Whatever is still there when this process
 * exits, by itself or by SIGINT, SIGTERM or SIGHUP, is killed and removed. Only a SIGKILL of this process escapes.
 */
export class ProcessOwner {
  readonly #processes = new Set<ChildProcess>();
  readonly #root: string;
  readonly #keep: boolean;

  constructor(root: string, keep: boolean) {
    this.#root = root;
    this.#keep = keep;
    own(this);
  }

  async start(command: CommandLine, stdin?: string): Promise<OwnedProcess> {
    const child = spawn(command.file, command.args, {
      cwd: command.cwd,
      env: command.env,
      stdio: [stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      windowsHide: true,
    });
    const owned = observe(child);
    this.#processes.add(child);
    child.once("close", () => this.#processes.delete(child));
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (error) => {
        this.#processes.delete(child);
        reject(error);
      });
    });
    if (stdin !== undefined && child.stdin !== null) {
      child.stdin.on("error", ignore); // It may exit without reading its input.
      child.stdin.end(stdin);
    }
    return owned;
  }

  /** Kills everything that was started here, and what that has started; removes the directory unless it is kept. */
  async dispose(): Promise<void> {
    const gone = [...this.#processes].map((child) => new Promise((resolve) => child.once("close", resolve)));
    this.killAll();
    await Promise.all(gone);
    // What was being started while the first look went on; and a killed process takes a moment to go.
    for (let look = 0; look < 40 && killByEnvironment(this.#root) > 0; look += 1) await pause(25);
    this.removeRoot();
    disown(this);
  }

  killAll(): void {
    for (const child of this.#processes) child.kill("SIGKILL");
    killByEnvironment(this.#root);
  }

  removeRoot(): void {
    if (!this.#keep) rmSync(this.#root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }
}

function ignore(): void {
  // Nothing depends on it.
}

function observe(child: ChildProcess): OwnedProcess {
  let stdout = "";
  let stderr = "";
  let running = true;
  const listeners = new Set<() => void>();
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    for (const listener of listeners) listener();
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    for (const listener of listeners) listener();
  });
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (exitCode, signal) => {
      running = false;
      // A grandchild that inherited the pipes can keep them open for ever: the output ends shortly after the process.
      const giveUp = setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, 500);
      child.once("close", () => {
        clearTimeout(giveUp);
        listeners.clear();
        resolve({ exitCode, signal });
      });
    });
  });
  return {
    pid: child.pid ?? -1,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    get running() {
      return running;
    },
    exited,
    onOutput(listener) {
      listeners.add(listener);
    },
    signal(name) {
      child.kill(name as NodeJS.Signals);
    },
    async stop(graceMs = 3_000) {
      if (running) child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
    kill() {
      if (running) child.kill("SIGKILL");
      return exited;
    },
  };
}

/**
 * OpenCode runs shell commands, MCP and language servers in process groups of their own, which outlive its SIGKILL. They
 * inherit its environment, whose directories are ours alone. Linux shows it; other systems keep such grandchildren.
 */
function killByEnvironment(root: string): number {
  if (process.platform !== "linux") return 0;
  let found = 0;
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      if (!environment.includes(`${ROOT_VARIABLE}=${root}`)) continue;
      process.kill(pid, "SIGKILL");
      found += 1;
    } catch {
      // Another user's process, or one that has just ended.
    }
  }
  return found;
}

/** Marks every process of one isolated OpenCode, and what it starts. */
export const ROOT_VARIABLE = "OPENCODE_ISOLATED_ROOT";

const owners = new Set<ProcessOwner>();
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function own(owner: ProcessOwner): void {
  if (owners.size === 0) {
    process.on("exit", cleanUp);
    for (const name of signals) process.on(name, onSignal);
  }
  owners.add(owner);
}

function disown(owner: ProcessOwner): void {
  owners.delete(owner);
  if (owners.size === 0) stopListening();
}

function stopListening(): void {
  process.off("exit", cleanUp);
  for (const name of signals) process.off(name, onSignal);
}

function cleanUp(): void {
  for (const owner of owners) {
    try {
      owner.killAll();
      owner.removeRoot();
    } catch {
      // The process is ending: the other owners matter more than telling about this one.
    }
  }
  owners.clear();
}

function onSignal(name: NodeJS.Signals): void {
  cleanUp();
  stopListening();
  // Having listened took away the default, which is to end. Somebody else's listener decides for itself.
  if (process.listenerCount(name) === 0) process.kill(process.pid, name);
}
