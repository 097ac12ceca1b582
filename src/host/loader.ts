import type { Keeper } from "../keeper/keeper.ts";
import { isUnsent, type StoredRoot } from "../keeper/stored-root.ts";
import { isEnded, isLive } from "../tasks/task.ts";
import type { HostPort, SessionInfo } from "./port.ts";
import { isThisProcess, ownerKey, parseOwnerKey } from "./process-identity.ts";
import type { Holdings } from "./registry.ts";
import { load } from "./store.ts";

export interface LoaderDependencies {
  /** The key in the metadata under which this instance keeps its books. */
  readonly key: string;
  readonly host: Pick<HostPort, "roots" | "session" | "log">;
  readonly keeper: Keeper;
  readonly resumeOnStart: boolean;
  /** Why no goal can be pursued on this version of OpenCode. */
  readonly hostProblem: () => Promise<string | undefined>;
  /**
   * In `opencode run`: it is about one session. The others are nobody's business, and a write into one of them would make
   * it the one that was used last, which `opencode run -c` goes on with.
   */
  readonly onlyUsed?: boolean;
  /** The owner key of this instance: what it wrote itself is in the books already. */
  readonly runner: string;
  /** Whether the process behind an owner key still works, and is not this instance. */
  readonly runsElsewhere: (runner: string) => boolean;
  /** Who works on which root among the instances of this process. */
  readonly holdings: Holdings;
  /** Whether an owner key names another host. */
  readonly isOtherHost: (runner: string) => boolean;
}

/** A root session with what is stored in it. */
interface Found {
  readonly session: SessionInfo;
  readonly stored: StoredRoot;
}

/**
 * Brings stored roots back into the keeper: at the start those with unfinished business, others when somebody comes
 * back to them. A root that another living process owns is left to it until the user writes here.
 */
export class Loader {
  private readonly known = new Set<string>();
  private readonly reported = new Set<string>();
  /** Roots of another living process. */
  private readonly foreign = new Set<string>();
  /** Where the user wrote last, in this process. */
  private speakingIn: string | undefined;

  constructor(private readonly deps: LoaderDependencies) {}

  /** Looks for stored roots, once the host has started: asking it anything earlier deadlocks. Never awaited by it. */
  begin(): void {
    this.start().catch((error: unknown) =>
      this.deps.host.log("error", "goalkeeper: stored goals could not be loaded", { error: String(error) }),
    );
  }

  /** One call for all roots of the directory. */
  async start(): Promise<void> {
    if (this.deps.onlyUsed === true) return;
    const [roots, problem] = await Promise.all([this.deps.host.roots(), this.deps.hostProblem()]);
    if (roots.kind !== "known") {
      return this.deps.host.log(
        "warn",
        "goalkeeper: stored goals could not be listed; each is found when its session is used",
      );
    }
    for (const session of roots.value) {
      const stored = this.read(session);
      if (stored !== undefined && !session.archived && isUnfinished(stored))
        this.restore({ session, stored }, this.deps.resumeOnStart && problem === undefined);
    }
  }

  /** A session was created, changed or prompted: it may carry state that nobody has loaded. */
  see(session: SessionInfo): void {
    if (
      session.parentID !== undefined ||
      this.known.has(session.id) ||
      this.deps.keeper.goal(session.id) !== undefined ||
      Object.keys(session.metadata).length === 0
    )
      return;
    const stored = this.read(session);
    // In an archived session nothing goes on by itself.
    const awake = this.deps.resumeOnStart && !session.archived;
    if (stored !== undefined && !isEmpty(stored) && !this.isOurs(stored)) this.restore({ session, stored }, awake);
  }

  /** Nothing is kept of a root here, and all that was written is there: it is as if it had never been looked at. */
  forget(rootID: string): void {
    this.known.delete(rootID);
    this.deps.holdings.release(rootID);
    // What was said here is answered: it takes nothing away from a process that has gone on with it since.
    if (this.speakingIn === rootID) this.speakingIn = undefined;
  }

  deleted(sessionID: string): void {
    for (const books of [this.known, this.foreign, this.reported]) books.delete(sessionID);
    this.deps.holdings.release(sessionID);
  }

  /**
   * Before a command or a tool acts on a root: its stored state must be in the books. It moves here, where the user is,
   * or where its turn runs.
   */
  async ensure(rootID: string): Promise<void> {
    const found = await this.unread(rootID);
    if (found !== undefined) this.bring(found, this.works(rootID));
    this.take(rootID);
  }

  /** The user's message is in a session: what is stored about it is read later, and finds him here. */
  heard(sessionID: string): void {
    this.speakingIn = sessionID;
  }

  /** What a living process that owns a root has written down; undefined where the books are kept here, or by nobody. */
  async foreignRoot(rootID: string): Promise<StoredRoot | undefined> {
    const session = await this.deps.host.session(rootID);
    const stored = session.kind === "known" ? this.read(session.value) : undefined;
    return stored !== undefined && this.isForeign(stored) ? stored : undefined;
  }

  /** The user writes here: a root that another process owns moves here, with the tasks of a process that is gone. */
  async spoken(rootID: string): Promise<void> {
    this.speakingIn = rootID;
    await this.readAgain(rootID);
    this.take(rootID);
  }

  private async readAgain(rootID: string): Promise<void> {
    const { onlyUsed = false } = this.deps;
    if (!onlyUsed && !this.known.has(rootID) && !this.foreign.has(rootID)) return;
    const found = await this.unread(rootID);
    // Its message is about to be heard: it wakes the session, and not the goal.
    if (found !== undefined && onlyUsed) return this.bring(found, false);
    if (found !== undefined) {
      this.deps.keeper.dispatch({ type: "user-speaks", rootID });
      return this.bring(found, true);
    }
    const { keeper, runner } = this.deps;
    if (keeper.tasks(rootID).some((task) => isLive(task) && task.runner !== runner)) await this.reread(rootID);
  }

  /** Reads the stubs of tasks again that another process runs. */
  async reread(rootID: string): Promise<void> {
    const session = await this.deps.host.session(rootID);
    const stored = session.kind === "known" ? this.read(session.value) : undefined;
    if (stored !== undefined) this.deps.keeper.dispatch({ type: "reread", stored, elsewhere: this.elsewhere(stored) });
  }

  /** What somebody else has written down about a root and is not in the books here. */
  private async unread(rootID: string): Promise<Found | undefined> {
    const session = await this.deps.host.session(rootID);
    if (session.kind !== "known") return undefined;
    const stored = this.read(session.value);
    if (stored !== undefined && !this.isOurs(stored) && stored.claim >= this.deps.keeper.claim(rootID))
      return { session: session.value, stored };
    this.known.add(rootID);
    return undefined;
  }

  private restore(found: Found, awake: boolean): void {
    const rootID = found.session.id;
    if (this.known.has(rootID)) return;
    // The user may have written here before what is stored could be read.
    if (this.speakingIn === rootID || this.works(rootID)) return this.bring(found, true);
    if (this.isForeign(found.stored) || this.deps.holdings.isElsewhere(rootID)) this.foreign.add(rootID);
    else this.bring(found, awake);
  }

  private bring({ session, stored }: Found, awake: boolean): void {
    const rootID = stored.self;
    this.known.add(rootID);
    this.foreign.delete(rootID);
    const { keeper } = this.deps;
    keeper.dispatch({ type: "restored", stored, awake, elsewhere: this.elsewhere(stored, awake) });
    // It was undone before there were books that could have heard of it.
    if (session.undone) keeper.dispatch({ type: "host", event: { type: "session-seen", session, created: false } });
    // A living owner must find the higher claim before it prompts again.
    if (this.isForeign(stored)) keeper.dispatch({ type: "storage-repaired", rootID });
    if (awake) this.take(rootID);
    if (stored.goal?.status === "active") void this.pauseOnUnfitHost(rootID);
  }

  /** A goal that is active and never goes on would say nothing. */
  private async pauseOnUnfitHost(rootID: string): Promise<void> {
    const reason = await this.deps.hostProblem();
    if (reason !== undefined)
      this.deps.keeper.dispatch({ type: "goal", rootID, event: { type: "pause", by: "error", reason } });
  }

  /** From now on it is worked on here. The instance that did so before has to find that written down. */
  private take(rootID: string): void {
    if (this.deps.holdings.take(rootID)) this.deps.keeper.dispatch({ type: "storage-repaired", rootID });
  }

  private works(rootID: string): boolean {
    return (this.deps.keeper.root(rootID)?.activity.kind ?? "idle") !== "idle";
  }

  /** What another instance of this process has only restored belongs to whoever is used: nobody works on it there. */
  private isForeign({ self, owner }: StoredRoot): boolean {
    if (!this.deps.runsElsewhere(ownerKey(owner))) return false;
    return !isThisProcess(owner) || this.deps.holdings.isElsewhere(self);
  }

  private isOurs({ owner }: StoredRoot): boolean {
    return ownerKey(owner) === this.deps.runner;
  }

  /** A process on another host cannot be looked at: when the user is here, or wants to go on here, it counts as gone. */
  private elsewhere(stored: StoredRoot, isHere = false): readonly string[] {
    const { runsElsewhere, isOtherHost } = this.deps;
    return stored.tasks
      .filter(({ runner }) => runsElsewhere(runner) && !(isHere && isOtherHost(runner)))
      .filter((task) => !this.isLeftHere(task, stored.self))
      .map((task) => task.id);
  }

  /** A task that another instance of this process has restored and not begun, in a root that nobody works on there. */
  private isLeftHere(task: StoredRoot["tasks"][number], rootID: string): boolean {
    const runner = parseOwnerKey(task.runner);
    const isInstanceHere = runner !== undefined && isThisProcess(runner);
    return isInstanceHere && isUnsent(task) && !this.deps.holdings.isElsewhere(rootID);
  }

  private read(session: SessionInfo): StoredRoot | undefined {
    const loaded = load(session, this.deps.key);
    switch (loaded.kind) {
      case "stored":
        return loaded.stored;
      case "none":
      case "copy":
        return undefined;
      case "unreadable":
        if (!this.reported.has(session.id)) {
          this.reported.add(session.id);
          const fate = "it is left as it is, and set aside at the next write";
          this.deps.host.log(
            "warn",
            `goalkeeper: stored state of ${session.id} cannot be read (${loaded.problem}); ${fate}`,
          );
        }
        return undefined;
    }
  }
}

/** What is left where everything has ended: to load it would change nothing. */
function isEmpty({ goal, reserved, tasks }: StoredRoot): boolean {
  return goal === undefined && reserved === undefined && tasks.length === 0;
}

/** Worth loading before anybody asks: a goal that could go on, or a task whose end nobody has been told. */
function isUnfinished(stored: StoredRoot): boolean {
  const { goal } = stored;
  return (
    (goal !== undefined && goal.status !== "complete") ||
    stored.tasks.some((task) => !isEnded(task) || task.delivery.state === "pending")
  );
}
