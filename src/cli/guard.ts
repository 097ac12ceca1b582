import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { systemClock } from "../time/clock.ts";

/** The hidden first argument that makes a process of this program a guard. */
export const GUARD = "__guard";
/** The guard's exit code when there is no such program; as shells have it. */
export const NOT_ON_PATH = 127;

const ENDS_WITHIN_MS = 2_000;

/**
 * Runs `opencode` and dies with whoever has started the guard, however that one ends: its standard input is the
 * lifeline, which the system closes for a process that crashes or is killed, too. The guard leads a process group of its
 * own. So a Ctrl-C in the terminal does not reach OpenCode, and whatever that has started ends together with it.
 */
export function runGuard(args: readonly string[]): void {
  const child = spawn("opencode", args, {
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  let ending = false;
  const end = () => {
    if (ending) return;
    ending = true;
    endGroup(child, "SIGTERM");
    systemClock.after(ENDS_WITHIN_MS, () => endGroup(child, "SIGKILL"));
  };
  child.on("error", (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit("code" in error && error.code === "ENOENT" ? NOT_ON_PATH : 1);
  });
  child.on("exit", (code) => {
    // Whatever it leaves behind in the group has no reason to go on.
    if (ending) endGroup(child, "SIGKILL");
    process.exit(code ?? 1);
  });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end);
  process.stdin.on("end", end).on("close", end).on("error", end).resume();
}

/** The group is the guard's own: SIGKILL ends the guard, too. */
function endGroup(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): void {
  if (process.platform === "win32") {
    spawnSync("taskkill", ["/pid", String(child.pid), "/T", "/F"], { windowsHide: true });
    return;
  }
  process.kill(-process.pid, signal);
}
