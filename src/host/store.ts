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

/**
 * Session metadata in OpenCode's own database. The host replaces the object whole and offers no compare-and-swap:
 * foreign keys are read and kept, and those that change between our read and our write are written back once.
 */
export class Store {
  private readonly written = new Map<string, StoredRoot>();
  /** Writes under way: the foreign keys they were based on, and other ones that an event has shown since. */
  private readonly writing = new Map<string, { readonly base: string; seen: Metadata | undefined }>();

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
    const foreign = {
      ...foreignKeys(metadata),
      ...(loaded.kind === "unreadable" ? { [SET_ASIDE_KEY]: metadata[METADATA_KEY] } : {}),
    };
    const saved = await this.write(rootID, foreign, stored);
    return saved.kind === "ok" && ownedElsewhere ? { kind: "owned-elsewhere" } : saved;
  }

  /** Every `session.updated` carries the whole metadata: the only way to see what others write. */
  observe(session: Pick<SessionInfo, "id" | "metadata">): void {
    const written = this.written.get(session.id);
    const write = this.writing.get(session.id);
    if (write !== undefined) {
      const foreign = foreignKeys(session.metadata);
      if (JSON.stringify(foreign) !== write.base) write.seen = foreign;
      return;
    }
    if (written === undefined) return;
    const loaded = load(session);
    const intact =
      loaded.kind === "stored" && loaded.stored.claim >= written.claim && loaded.stored.revision >= written.revision;
    if (!intact) this.deps.onDamage(session.id);
  }

  forget(rootID: string): void {
    this.written.delete(rootID);
  }

  private async write(rootID: string, foreign: Metadata, stored: StoredRoot): Promise<Saved> {
    const write: { readonly base: string; seen: Metadata | undefined } = {
      base: JSON.stringify(foreign),
      seen: undefined,
    };
    this.writing.set(rootID, write);
    const answer = await this.deps.host.writeMetadata(rootID, { ...foreign, [METADATA_KEY]: stored });
    this.writing.delete(rootID);
    if (answer.kind !== "known")
      return { kind: "failed", reason: answer.kind === "gone" ? "the session does not exist any more" : answer.reason };
    this.written.set(rootID, stored);
    if (write.seen !== undefined) await this.deps.host.writeMetadata(rootID, { ...write.seen, [METADATA_KEY]: stored });
    return { kind: "ok" };
  }
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
