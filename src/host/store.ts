import type { Saved } from "../keeper/messages.ts";
import { type StoredRoot, stubs, type TaskStub } from "../keeper/stored-root.ts";
import { type EndedTask, isEnded } from "../tasks/task.ts";
import type { HostPort, SessionInfo } from "./port.ts";
import { isThisProcess, ownerKey } from "./process-identity.ts";
import { exclusively, type Holdings } from "./registry.ts";
import { parseStoredRoot } from "./stored-schema.ts";

/** The plugin's key in a session's metadata. A manager of another plugin has a key of its own. */
export const METADATA_KEY = "goalkeeper";

/** Where state that we cannot read is set aside: never thrown, never emptied. */
export function setAsideKey(key: string): string {
  return `${key}_unreadable`;
}

type Metadata = Readonly<Record<string, unknown>>;

export type Loaded =
  | { readonly kind: "none" }
  /** A fork copies metadata: it names another session. */
  | { readonly kind: "copy"; readonly of: string }
  | { readonly kind: "unreadable"; readonly problem: string }
  | { readonly kind: "stored"; readonly stored: StoredRoot };

/** What a session's metadata says in our name. */
export function load(session: Pick<SessionInfo, "id" | "metadata">, key: string): Loaded {
  const value = session.metadata[key];
  if (value === undefined) return { kind: "none" };
  const parsed = parseStoredRoot(value);
  if ("problem" in parsed) return { kind: "unreadable", problem: parsed.problem };
  return parsed.stored.self === session.id
    ? { kind: "stored", stored: parsed.stored }
    : { kind: "copy", of: parsed.stored.self };
}

export interface StoreDependencies {
  /** The key in the metadata under which this instance keeps its books. */
  readonly key: string;
  readonly host: Pick<HostPort, "session" | "writeMetadata" | "log">;
  /** Whether a task's runner is another instance that still works. */
  readonly runsElsewhere: (runner: string) => boolean;
  /** Who works on which root among the instances of this process. */
  readonly holdings: Pick<Holdings, "isOurs" | "isElsewhere">;
  /** Our own key was changed or removed by somebody else. */
  readonly onDamage: (rootID: string) => void;
  /** Another living process has taken the root over. */
  readonly onMoved: (rootID: string, claim: number) => void;
  /** No write of ours into a root is waited for any more, and nothing is known of it. */
  readonly onForgotten: (rootID: string) => void;
  readonly now: () => number;
}

/** A write of ours, until the event about it has come. */
interface Write {
  readonly stored: StoredRoot;
  /** The foreign keys as they were read, and as they are written. */
  readonly read: Metadata;
  readonly wrote: Metadata;
}

/** A write of ours that has replaced foreign keys which had changed since they were read. */
interface Lost extends Write {
  /** The foreign keys just before it. */
  readonly replaced: Metadata;
}

/** What a write has replaced is put back at once so often in a row: of one who writes without a pause each may replace more. */
const MOST_PUT_BACK = 10;
/** Writes whose events are waited for: they come in order, so more than this means that they do not come. */
const MOST_WRITES = 50;
/** The event about the last write into a root has come by then, or it never comes: what it was waited for is given up. */
const EVENTS_WITHIN_MS = 60_000;

/**
 * Session metadata in OpenCode's own database. The host replaces the object whole and offers no compare-and-swap:
 * foreign keys are read and kept, and those that change between our read and our write are written back. Only the
 * order of the host's events tells: they may come long after the answers of the calls that they are about.
 */
export class Store {
  private readonly written = new Map<string, StoredRoot>();
  private readonly writing = new Map<string, readonly Write[]>();
  /** Roots that were ever saved from here: what others write into any other session is of no interest. */
  private readonly kept = new Set<string>();
  /** The foreign keys in the last event about a root, and when they were so; epoch ms. */
  private readonly shown = new Map<string, { readonly foreign: Metadata; readonly at: number }>();
  private readonly lost = new Map<string, readonly Lost[]>();
  /** How many writes in a row have replaced something, by root. */
  private readonly replacing = new Map<string, number>();
  /** Roots of which nothing is kept once the events about the last writes have come, and until when; the earliest first. */
  private readonly leaving = new Map<string, number>();

  constructor(private readonly deps: StoreDependencies) {}

  save(wanted: StoredRoot): Promise<Saved> {
    this.kept.add(wanted.self);
    this.leaving.delete(wanted.self);
    return exclusively(wanted.self, () => this.replace(wanted));
  }

  private async replace(wanted: StoredRoot): Promise<Saved> {
    const rootID = wanted.self;
    const read = await this.deps.host.session(rootID);
    if (read.kind === "gone") return { kind: "gone" };
    if (read.kind === "unknown") return { kind: "failed", reason: read.reason };
    const { metadata } = read.value;
    const loaded = load(read.value, this.deps.key);
    const current = loaded.kind === "stored" ? loaded.stored : undefined;
    const ownedElsewhere = current !== undefined && this.isTaken(current, wanted.claim);
    const stored = merge(current, wanted, ownedElsewhere, this.deps.runsElsewhere);
    if (loaded.kind === "unreadable")
      this.deps.host.log("warn", `goalkeeper: stored state of ${rootID} is set aside: ${loaded.problem}`);
    const lost = this.lost.get(rootID) ?? [];
    const foreign = this.newest(read.value);
    const wrote = {
      ...lost.reduce(writeBack, foreign),
      ...(loaded.kind === "unreadable" ? { [setAsideKey(this.deps.key)]: metadata[this.deps.key] } : {}),
    };
    const saved = await this.write(rootID, { stored, read: foreign, wrote });
    if (saved.kind === "ok") this.found(rootID, lost);
    return saved.kind === "ok" && ownedElsewhere
      ? { kind: "owned-elsewhere", claim: Math.max(stored.claim, wanted.claim) }
      : saved;
  }

  /** The claim of another living process that has taken a root over; undefined while it is ours, or nobody answers. */
  async taken(rootID: string): Promise<number | undefined> {
    const ours = this.writing.get(rootID)?.at(-1)?.stored ?? this.written.get(rootID);
    if (ours === undefined) return undefined;
    const read = await this.deps.host.session(rootID);
    const loaded = read.kind === "known" ? load(read.value, this.deps.key) : undefined;
    if (loaded?.kind !== "stored" || loaded.stored.owner.instance === ours.owner.instance) return undefined;
    return this.isTaken(loaded.stored, ours.claim) ? Math.max(loaded.stored.claim, ours.claim) : undefined;
  }

  /** Every `session.updated` carries the whole metadata: the only way to see what others write. */
  observe(session: Pick<SessionInfo, "id" | "metadata" | "updatedAt">): void {
    const { id } = session;
    if (!this.kept.has(id)) return;
    this.compare(session);
    if (this.leaving.has(id)) this.release(id);
  }

  /** Nothing is kept of a root any more. What a write of ours has replaced is still put back. */
  release(rootID: string): void {
    if (!this.writing.has(rootID) && !this.lost.has(rootID)) return this.forget(rootID);
    if (this.leaving.has(rootID)) return;
    this.leaving.set(rootID, this.deps.now() + EVENTS_WITHIN_MS);
    this.putBack(rootID);
  }

  /** The earliest moment at which {@link clock} has something to do. */
  get deadline(): number {
    const [first] = this.leaving.values();
    return first ?? Number.POSITIVE_INFINITY;
  }

  clock(): void {
    const now = this.deps.now();
    for (const [rootID, until] of this.leaving) {
      if (until > now) return;
      this.forget(rootID);
    }
  }

  /** Right behind the write that has replaced it, unless the next write of the books has done it by then. */
  private putBack(rootID: string): void {
    if (!this.lost.has(rootID)) return;
    const again = async () => {
      const newest = this.writing.get(rootID)?.at(-1)?.stored ?? this.written.get(rootID);
      const stored = this.lost.has(rootID) ? newest : undefined;
      const saved = stored === undefined ? undefined : await this.replace(stored);
      if (saved?.kind === "ok" && this.leaving.has(rootID)) this.release(rootID);
    };
    exclusively(rootID, again).catch((error: unknown) =>
      this.deps.host.log("error", `goalkeeper: what others wrote into ${rootID} could not be put back`, {
        error: String(error),
      }),
    );
  }

  /** An answer takes its way, on which events overtake it: what they show is newer, and less is replaced. */
  private newest({ id, metadata, updatedAt = 0 }: SessionInfo): Metadata {
    const shown = this.shown.get(id);
    return shown !== undefined && shown.at > updatedAt ? shown.foreign : foreignKeys(metadata, this.deps.key);
  }

  private compare(session: Pick<SessionInfo, "id" | "metadata" | "updatedAt">): void {
    const { id } = session;
    const loaded = load(session, this.deps.key);
    const writes = this.writing.get(id);
    const foreign = foreignKeys(session.metadata, this.deps.key);
    // Whoever writes after us carries our key along: what we put back has the same one, and other keys.
    const isOurs = ({ stored, wrote }: Write) =>
      loaded.kind === "stored" && isSame(stored, loaded.stored) && isEqual(wrote, foreign);
    const at = writes?.findIndex(isOurs) ?? -1;
    const landed = writes?.[at];
    if (landed !== undefined) this.landed(id, landed);
    if (writes !== undefined) this.wait(id, writes.slice(at + 1));
    this.shown.set(id, { foreign, at: session.updatedAt ?? 0 });
    // What comes before a write of ours is overwritten by it.
    if (this.writing.has(id)) return;
    const written = this.written.get(id);
    if (written === undefined) return;
    const isOther = loaded.kind === "stored" && loaded.stored.owner.instance !== written.owner.instance;
    if (isOther && this.isTaken(loaded.stored, written.claim)) {
      this.written.set(id, loaded.stored);
      return this.deps.onMoved(id, Math.max(loaded.stored.claim, written.claim));
    }
    const intact =
      loaded.kind === "stored" && loaded.stored.claim >= written.claim && loaded.stored.revision >= written.revision;
    if (!intact) this.deps.onDamage(id);
  }

  forget(rootID: string): void {
    const all = [this.kept, this.written, this.writing, this.shown, this.lost, this.replacing, this.leaving];
    for (const books of all) books.delete(rootID);
    this.deps.onForgotten(rootID);
  }

  /**
   * A higher claim owns the root; of two that claimed it at the same time, the one that wrote first. In one process the
   * one owns it that works on it.
   */
  private isTaken({ self, owner, claim: theirs }: StoredRoot, claim: number): boolean {
    const { holdings, runsElsewhere } = this.deps;
    if (holdings.isElsewhere(self)) return true;
    if (theirs !== claim) return theirs > claim;
    return runsElsewhere(ownerKey(owner)) && !(isThisProcess(owner) && holdings.isOurs(self));
  }

  private async write(rootID: string, write: Write): Promise<Saved> {
    this.wait(rootID, [...(this.writing.get(rootID) ?? []), write]);
    const answer = await this.deps.host.writeMetadata(rootID, { ...write.wrote, [this.deps.key]: write.stored });
    if (answer.kind === "known") return { kind: "ok" };
    // A host that is slow to answer may still write it: only the event tells what it has replaced then.
    if (answer.kind === "unknown") return { kind: "failed", reason: answer.reason };
    this.forget(rootID);
    return { kind: "failed", reason: "the session does not exist any more" };
  }

  private wait(rootID: string, writes: readonly Write[]): void {
    if (writes.length === 0) this.writing.delete(rootID);
    else this.writing.set(rootID, writes.slice(-MOST_WRITES));
  }

  /** The event about a write of ours: the event before it shows what it has replaced. */
  private landed(rootID: string, write: Write): void {
    this.written.set(rootID, write.stored);
    const replaced = this.shown.get(rootID)?.foreign;
    if (replaced === undefined || isEqual(write.read, replaced) || isEqual(write.wrote, replaced)) {
      this.replacing.delete(rootID);
      return;
    }
    this.lost.set(rootID, [...(this.lost.get(rootID) ?? []), { ...write, replaced }]);
    const times = (this.replacing.get(rootID) ?? 0) + 1;
    this.replacing.set(rootID, times);
    if (times <= MOST_PUT_BACK) this.putBack(rootID);
    else this.deps.onDamage(rootID);
  }

  private found(rootID: string, lost: readonly Lost[]): void {
    const rest = (this.lost.get(rootID) ?? []).filter((one) => !lost.includes(one));
    if (rest.length === 0) this.lost.delete(rootID);
    else this.lost.set(rootID, rest);
  }
}

/** Puts back the keys that were replaced, where nobody has written anything else since. */
function writeBack(current: Metadata, { read, wrote, replaced }: Lost): Metadata {
  const merged: Record<string, unknown> = { ...current };
  for (const key of new Set([...Object.keys(read), ...Object.keys(replaced)])) {
    if (isEqual(read[key], replaced[key]) || !isEqual(wrote[key], current[key])) continue;
    if (key in replaced) merged[key] = replaced[key];
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
  // A task that was taken over or resumed here is ours from then on, whoever ran it before.
  const runHere = new Map(
    wanted.tasks.filter(({ runner }) => !runsElsewhere(runner)).map((task) => [task.id, task.run.number]),
  );
  const theirs = current.tasks.filter(
    ({ id, runner, run }) => runsElsewhere(runner) && (runHere.get(id) ?? 0) < run.number,
  );
  const told = new Map(wanted.tasks.filter(isEnded).map((task) => [task.id, task]));
  const theirIDs = new Set(theirs.map((task) => task.id));
  const ours = wanted.tasks.filter((task) => !theirIDs.has(task.id) && !runsElsewhere(task.runner));
  // Who runs a task settles it; who owns the root tells it.
  if (!ownedElsewhere)
    return { ...wanted, tasks: stubs([...theirs.map((task) => toldHere(task, told.get(task.id))), ...ours]) };
  const ourIDs = new Set(ours.map((task) => task.id));
  return {
    ...current,
    revision: current.revision + 1,
    tasks: stubs([...current.tasks.filter((task) => !ourIDs.has(task.id)), ...ours]),
  };
}

function toldHere(theirs: TaskStub, ours: EndedTask | undefined): TaskStub {
  const isNewer = ours?.run.number === theirs.run.number && ours.delivery.state !== "pending";
  return isNewer && isEnded(theirs) && theirs.delivery.state === "pending"
    ? { ...theirs, delivery: ours.delivery }
    : theirs;
}

function foreignKeys(metadata: Metadata, key: string): Metadata {
  const { [key]: _ours, ...foreign } = metadata;
  return foreign;
}
