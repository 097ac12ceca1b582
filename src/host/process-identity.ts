import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Owner } from "../keeper/stored-root.ts";

/** This process, and one plugin instance in it: a reload makes another instance in the same process. */
export function newOwner(): Owner {
  return {
    host: hostname(),
    pid: process.pid,
    processStartedAt: startTicks(process.pid),
    instance: globalThis.crypto.randomUUID(),
  };
}

/** One string per owner, for the records that an instance runs. */
export function ownerKey(owner: Owner): string {
  return [owner.host, owner.pid, owner.processStartedAt, owner.instance].join("/");
}

export function parseOwnerKey(key: string): Owner | undefined {
  const match = /^(.*)\/(\d+)\/(\d+)\/([^/]+)$/.exec(key);
  const [, host, pid, startedAt, instance] = match ?? [];
  if (host === undefined || instance === undefined) return undefined;
  return { host, pid: Number(pid), processStartedAt: Number(startedAt), instance };
}

/**
 * Whether an owner may still be at work. Another host cannot be looked at from here and counts as alive.
 *
 * @param instances the plugin instances that live in this process
 */
export function isAlive(owner: Owner, instances: ReadonlySet<string>): boolean {
  if (owner.host !== hostname()) return true;
  if (isThisProcess(owner)) return instances.has(owner.instance);
  if (!processExists(owner.pid)) return false;
  const ticks = startTicks(owner.pid);
  return ticks === 0 || owner.processStartedAt === 0 || ticks === owner.processStartedAt;
}

/** Whether an owner is, or was, an instance in this process. */
export function isThisProcess({ host, pid, processStartedAt }: Owner): boolean {
  return host === hostname() && pid === process.pid && processStartedAt === startTicks(process.pid);
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it exists and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** When a process started, in the kernel's ticks: pids are used again. 0 where the system does not tell. */
function startTicks(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The command name may hold spaces and brackets; the fields after its last bracket are numbers.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? 0);
  } catch {
    // No /proc on this system: the pid alone has to do.
    return 0;
  }
}
