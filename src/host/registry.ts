import type { TurnEvent } from "./port.ts";

/** Modules may be loaded twice, a plugin listed twice, and a directory opened twice: only `globalThis` is shared. */
const KEY = Symbol.for("opencode-goalkeeper.registry.2");

/** The copy of the plugin that was loaded first in an instance of OpenCode, as copies behind it see it. */
export interface FirstCopy {
  /** Its tools of these families, whatever its own options say: what goes into the hook `tool`. */
  readonly tools: (families: readonly string[]) => Readonly<Record<string, object>>;
  /** Its command `/goal`, or `/tasks`. */
  readonly run: (
    command: "goal" | "tasks",
    sessionID: string,
    args: string,
    /** Something came with it. */
    hasFiles: boolean,
  ) => Promise<string>;
}

interface Holder {
  /** Another instance works on it from now on. */
  readonly onTaken: () => void;
}

interface Registry {
  /** By the client that OpenCode hands to all plugins of one instance. */
  readonly copies: WeakMap<object, FirstCopy>;
  /** By session and key of the books: who works on it in this process. */
  readonly holders: Map<string, Holder>;
  /** The latest calls of our tools that have reached us: by session, message and name. */
  readonly calls: Set<string>;
  /** The instances that live in this process. */
  readonly instances: Set<string>;
  /** The last write into the metadata of a session, until it has ended. */
  readonly writes: Map<string, Promise<unknown>>;
  /** Who is told when a turn is held, and when it goes on. */
  readonly turns: Set<(event: TurnEvent) => void>;
}

export function registry(): Registry {
  const shared = globalThis as { [KEY]?: Registry };
  shared[KEY] ??= {
    copies: new WeakMap(),
    holders: new Map(),
    calls: new Set(),
    instances: new Set(),
    writes: new Map(),
    turns: new Set(),
  };
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

/** The first copy of the plugin that was loaded with this client; undefined: there is none yet, or it has ended. */
export function firstCopy(client: object): FirstCopy | undefined {
  return registry().copies.get(client);
}

/** Says that this copy of the plugin was the first one to be loaded with this client. Returns its end. */
export function beFirst(client: object, copy: FirstCopy): () => void {
  const { copies } = registry();
  copies.set(client, copy);
  return () => {
    if (copies.get(client) === copy) copies.delete(client);
  };
}

/** A call of a tool, as far as a plugin is told which one it is. */
export interface CallOfTool {
  readonly sessionID: string;
  readonly messageID: string;
  readonly tool: string;
}

/** A call has ended long before so many others were made. */
const MOST_CALLS = 1_000;

/** A copy of ours in this process was called. */
export function wasCalled(call: CallOfTool): void {
  const { calls } = registry();
  calls.add(callKey(call));
  if (calls.size <= MOST_CALLS) return;
  const [oldest] = calls;
  if (oldest !== undefined) calls.delete(oldest);
}

/** Whether the call has reached a copy of ours in this process, and not another plugin with a tool of that name. */
export function hasReachedUs(call: CallOfTool): boolean {
  return registry().calls.has(callKey(call));
}

function callKey({ sessionID, messageID, tool }: CallOfTool): string {
  return `${sessionID} ${messageID} ${tool}`;
}

/**
 * Who works on which root, among the instances of this process: whoever heard its last message, command or tool call, or
 * has woken it. Some hosts make two instances of one directory, and the one that restores a root need not be the one
 * that gets its session. Between processes the claim in the stored state decides.
 */
export interface Holdings {
  /** This instance works on it from now on. Whether another one did before. */
  take(rootID: string): boolean;
  isOurs(rootID: string): boolean;
  isElsewhere(rootID: string): boolean;
  release(rootID: string): void;
  /** Nothing is held by this instance any more. */
  end(): void;
}

/** @param onTaken another instance works on a root of this one's from now on */
export function holdings(key: string, onTaken: (rootID: string) => void): Holdings {
  const { holders } = registry();
  const ours = new Set<string>();
  const holderOf = (rootID: string) => holders.get(`${key} ${rootID}`);
  const release = (rootID: string): void => {
    if (ours.delete(rootID)) holders.delete(`${key} ${rootID}`);
  };
  return {
    take(rootID) {
      if (ours.has(rootID)) return false;
      const before = holderOf(rootID);
      ours.add(rootID);
      holders.set(`${key} ${rootID}`, {
        onTaken: () => {
          ours.delete(rootID);
          onTaken(rootID);
        },
      });
      before?.onTaken();
      return before !== undefined;
    },
    isOurs: (rootID) => ours.has(rootID),
    isElsewhere: (rootID) => !ours.has(rootID) && holderOf(rootID) !== undefined,
    release,
    end: () => {
      for (const rootID of [...ours]) release(rootID);
    },
  };
}
