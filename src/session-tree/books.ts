import { load, METADATA_KEY } from "../host/store.ts";
import type { StoredRoot } from "../keeper/stored-root.ts";

/** What one task manager keeps in the metadata of a root, read only. */
export interface Books {
  /** The key in the metadata: goalkeeper's plugin, or the name of a plugin that uses the library. */
  readonly key: string;
  readonly stored: StoredRoot;
}

/** The books of every task manager. What cannot be read, or was copied by a fork, is nobody's here. */
export function readBooks(id: string, metadata: Readonly<Record<string, unknown>>): readonly Books[] {
  return Object.keys(metadata).flatMap((key) => {
    const loaded = load({ id, metadata }, key);
    return loaded.kind === "stored" ? [{ key, stored: loaded.stored }] : [];
  });
}

export function isGoalkeepers({ key }: Books): boolean {
  return key === METADATA_KEY;
}
