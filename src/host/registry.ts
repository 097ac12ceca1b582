import type { TurnEvent } from "./port.ts";

/** Modules may be loaded twice, a plugin listed twice, and a directory opened twice: only `globalThis` is shared. */
const KEY = Symbol.for("opencode-goalkeeper.registry.1");

interface Registry {
  /** Which instance keeps the books of a directory. */
  readonly claims: Map<string, string>;
  /** The instances that live in this process. */
  readonly instances: Set<string>;
  /** The last write into the metadata of a session, until it has ended. */
  readonly writes: Map<string, Promise<unknown>>;
  /** Who is told when a turn is held, and when it goes on. */
  readonly turns: Set<(event: TurnEvent) => void>;
}

export function registry(): Registry {
  const shared = globalThis as { [KEY]?: Registry };
  shared[KEY] ??= { claims: new Map(), instances: new Set(), writes: new Map(), turns: new Set() };
  return shared[KEY];
}

/**
 * Does the work when no other instance in this process is at work on the metadata of that session. The host replaces
 * metadata whole: two that read and write at the same moment undo each other, repair it at the same moment, and so on.
 */
export async function exclusively<T>(sessionID: string, work: () => Promise<T>): Promise<T> {
  const { writes } = registry();
  const mine = (writes.get(sessionID) ?? Promise.resolve()).then(work, work);
  writes.set(sessionID, mine);
  try {
    return await mine;
  } finally {
    if (writes.get(sessionID) === mine) writes.delete(sessionID);
  }
}

/**
 * Hears of turns that another instance in this process holds: what the holder waits for can be told only then.
 * Returns its end.
 */
export function onTurn(listener: (event: TurnEvent) => void): () => void {
  const { turns } = registry();
  turns.add(listener);
  return () => turns.delete(listener);
}

/** Says that a turn is held here, or goes on. */
export function announceTurn(event: TurnEvent): void {
  for (const listener of [...registry().turns]) listener(event);
}

/** Says that an instance lives in this process: what it runs is not orphaned. Returns its end. */
export function enlist(instance: string): () => void {
  const { instances } = registry();
  instances.add(instance);
  return () => instances.delete(instance);
}

/**
 * Claims a directory for a plugin instance. The first claim wins until it is released; a second copy must stay inert.
 *
 * @returns the release, or undefined when another instance has the directory
 */
export function claim(directory: string, instance: string): (() => void) | undefined {
  const { claims } = registry();
  if (claims.has(directory)) return undefined;
  claims.set(directory, instance);
  return () => {
    if (claims.get(directory) === instance) claims.delete(directory);
  };
}
