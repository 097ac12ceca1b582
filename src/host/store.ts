import type { Saved } from "../keeper/messages.ts";
import { type StoredRoot, stubs } from "../keeper/stored-root.ts";
import type { HostPort, SessionInfo } from "./port.ts";
import { parseStoredRoot } from "./stored-schema.ts";

/** Our key in a session's metadata. */
export const METADATA_KEY = "goalkeeper";
/** Where state that we cannot read is set aside: never thrown, never emptied. */
export const SET_ASIDE_KEY = "goalkeeper_unreadable";

type Metadata = Readonly<Record<string, unknown>>;

export type Loaded =
  | { readonly kind: "none" }
  /** A fork copies metadata: it names another session. */
  | { readonly kind: "copy"; readonly of: string }
  | { readonly kind: "unreadable"; readonly problem: string }
  | { readonly kind: "stored"; readonly stored: StoredRoot };

/** What a session's metadata says in our name. */
export function load(session: Pick<SessionInfo, "id" | "metadata">): Loaded {
  const value = session.metadata[METADATA_KEY];
  if (value === undefined) return { kind: "none" };
  const parsed = parseStoredRoot(value);
  if ("problem" in parsed) return { kind: "unreadable", problem: parsed.problem };
  return parsed.stored.self === session.id
    ? { kind: "stored", stored: parsed.stored }
    : { kind: "copy", of: parsed.stored.self };
}

export interface StoreDependencies {
  readonly host: Pick<HostPort, "session" | "writeMetadata" | "log">;
  /** Whether a task's runner is another instance that still works. */
  readonly runsElsewhere: (runner: string) => boolean;
  /** Our own key was changed or removed by somebody else. */
  readonly onDamage: (rootID: string) => void;
}

/** A write of ours, until the event about it has come. */
interface Write {
  readonly stored: StoredRoot;
  /** The foreign keys as they were read, and as they are written. */
  readonly read: Metadata;
  readonly wrote: Metadata;
  /** The foreign keys in the last event before the one about this write: what it has replaced. */
  seen: Metadata;
}

/** Foreign keys that a write of ours has replaced, although they had changed since they were read. */
type Lost = Pick<Write, "read" | "wrote" | "seen">;

/**
 * Session metadata in OpenCode's own database. The host replaces the object whole and offers no compare-and-swap:
 * foreign keys are read and kept, and those that change between our read and our write are written back. Only the
 * order of the host's events tells: they may come long after the answers of the calls that they are about.
 */
export class Store {
  private readonly written = new Map<string, StoredRoot>();
  private readonly writing = new Map<string, Write>();
  private readonly lost = new Map<string, readonly Lost[]>();

  constructor(private readonly deps: StoreDependencies) {}

  async save(wanted: StoredRoot): Promise<Saved> {
    const rootID = wanted.self;
    const read = await this.deps.host.session(rootID);
    if (read.kind === "gone") return { kind: "failed", reason: "the session does not exist any more" };
    if (read.kind === "unknown") return { kind: "failed", reason: read.reason };
    const { metadata } = read.value;
    const loaded = load(read.value);
    const current = loaded.kind === "stored" ? loaded.stored : undefined;
    const ownedElsewhere = current !== undefined && current.claim > wanted.claim;
    const stored = merge(current, wanted, ownedElsewhere, this.deps.runsElsewhere);
    if (loaded.kind === "unreadable")
      this.deps.host.log("warn", `goalkeeper: stored state of ${rootID} is set aside: ${loaded.problem}`);
    const lost = this.lost.get(rootID) ?? [];
    const foreign = foreignKeys(metadata);
    const wrote = {
      ...lost.reduce(writeBack, foreign),
      ...(loaded.kind === "unreadable" ? { [SET_ASIDE_KEY]: metadata[METADATA_KEY] } : {}),
    };
    const saved = await this.write(rootID, { stored, read: foreign, wrote, seen: foreign });
    if (saved.kind === "ok") this.found(rootID, lost);
    return saved.kind === "ok" && ownedElsewhere ? { kind: "owned-elsewhere" } : saved;
  }

  /** Every `session.updated` carries the whole metadata: the only way to see what others write. */
  observe(session: Pick<SessionInfo, "id" | "metadata">): void {
    const loaded = load(session);
    const write = this.writing.get(session.id);
    if (write !== undefined) {
      if (loaded.kind === "stored" && isSame(loaded.stored, write.stored)) this.landed(session.id, write);
      else write.seen = foreignKeys(session.metadata);
      return;
    }
    const written = this.written.get(session.id);
    if (written === undefined) return;
    const intact =
      loaded.kind === "stored" && loaded.stored.claim >= written.claim && loaded.stored.revision >= written.revision;
    if (!intact) this.deps.onDamage(session.id);
  }

  forget(rootID: string): void {
    this.written.delete(rootID);
    this.writing.delete(rootID);
    this.lost.delete(rootID);
  }

  private async write(rootID: string, write: Write): Promise<Saved> {
    this.writing.set(rootID, write);
    const answer = await this.deps.host.writeMetadata(rootID, { ...write.wrote, [METADATA_KEY]: write.stored });
    if (answer.kind === "known") return { kind: "ok" };
    this.writing.delete(rootID);
    return { kind: "failed", reason: answer.kind === "gone" ? "the session does not exist any more" : answer.reason };
  }

  /** The event about a write of ours: whatever was there just before it is gone. */
  private landed(rootID: string, { stored, read, wrote, seen }: Write): void {
    this.writing.delete(rootID);
    this.written.set(rootID, stored);
    if (isEqual(read, seen)) return;
    this.lost.set(rootID, [...(this.lost.get(rootID) ?? []), { read, wrote, seen }]);
    this.deps.onDamage(rootID);
  }

  private found(rootID: string, lost: readonly Lost[]): void {
    const rest = (this.lost.get(rootID) ?? []).filter((one) => !lost.includes(one));
    if (rest.length === 0) this.lost.delete(rootID);
    else this.lost.set(rootID, rest);
  }
}

/** Puts back the keys that were replaced, where nobody has written anything else since. */
function writeBack(current: Metadata, { read, wrote, seen }: Lost): Metadata {
  const merged: Record<string, unknown> = { ...current };
  for (const key of new Set([...Object.keys(read), ...Object.keys(seen)])) {
    if (isEqual(read[key], seen[key]) || !isEqual(wrote[key], current[key])) continue;
    if (key in seen) merged[key] = seen[key];
    else delete merged[key];
  }
  return merged;
}

function isEqual(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function isSame(one: StoredRoot, other: StoredRoot): boolean {
  return one.owner.instance === other.owner.instance && one.revision === other.revision;
}

/**
 * Tasks belong to whoever runs them: each process keeps its own, whoever owns the root. The rest belongs to the owner.
 */
export function merge(
  current: StoredRoot | undefined,
  wanted: StoredRoot,
  ownedElsewhere: boolean,
  runsElsewhere: (runner: string) => boolean,
): StoredRoot {
  if (current === undefined) return wanted;
  const theirs = current.tasks.filter((task) => runsElsewhere(task.runner));
  const theirIDs = new Set(theirs.map((task) => task.id));
  const ours = wanted.tasks.filter((task) => !theirIDs.has(task.id) && !runsElsewhere(task.runner));
  if (!ownedElsewhere) return { ...wanted, tasks: stubs([...theirs, ...ours]) };
  const ourIDs = new Set(ours.map((task) => task.id));
  return {
    ...current,
    revision: current.revision + 1,
    tasks: stubs([...current.tasks.filter((task) => !ourIDs.has(task.id)), ...ours]),
  };
}

function foreignKeys(metadata: Metadata): Metadata {
  const { [METADATA_KEY]: _ours, ...foreign } = metadata;
  return foreign;
}
