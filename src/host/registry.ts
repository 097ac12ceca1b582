/** Modules may be loaded twice, a plugin listed twice, and a directory opened twice: only `globalThis` is shared. */
const KEY = Symbol.for("opencode-goalkeeper.registry.1");

interface Registry {
  /** Which instance keeps the books of a directory. */
  readonly claims: Map<string, string>;
  /** The instances that live in this process. */
  readonly instances: Set<string>;
}

export function registry(): Registry {
  const shared = globalThis as { [KEY]?: Registry };
  shared[KEY] ??= { claims: new Map(), instances: new Set() };
  return shared[KEY];
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
