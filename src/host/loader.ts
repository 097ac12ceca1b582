import type { Keeper } from "../keeper/keeper.ts";
import type { StoredRoot } from "../keeper/stored-root.ts";
import { isEnded } from "../tasks/task.ts";
import type { HostPort, SessionInfo } from "./port.ts";
import { ownerKey } from "./process-identity.ts";
import { load } from "./store.ts";

export interface LoaderDependencies {
  readonly host: Pick<HostPort, "roots" | "session" | "log">;
  readonly keeper: Keeper;
  readonly resumeOnStart: boolean;
  /** The owner key of this instance: what it wrote itself is in the books already. */
  readonly runner: string;
  /** Whether the process behind an owner key still works, and is not this instance. */
  readonly runsElsewhere: (runner: string) => boolean;
}

/**
 * Brings stored roots back into the keeper: at the start those with unfinished business, others when somebody comes
 * back to them. A root that another living process owns is left to it until the user writes here (M9).
 */
export class Loader {
  private readonly known = new Set<string>();
  private readonly reported = new Set<string>();
  /** Roots of another living process. */
  private readonly foreign = new Set<string>();
  /** Where the user wrote last, in this process. */
  private speakingIn: string | undefined;

  constructor(private readonly deps: LoaderDependencies) {}

  /** One call for all roots of the directory, never awaited by the host. */
  async start(): Promise<void> {
    const roots = await this.deps.host.roots();
    if (roots.kind !== "known") {
      return this.deps.host.log(
        "warn",
        "goalkeeper: stored goals could not be listed; each is found when its session is used",
      );
    }
    for (const session of roots.value) {
      const stored = this.read(session);
      if (stored !== undefined && !session.archived && isUnfinished(stored))
        this.restore(stored, this.deps.resumeOnStart);
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
    if (stored !== undefined && !this.isOurs(stored)) this.restore(stored, this.deps.resumeOnStart);
  }

  /** Before a command or a tool acts on a root: its stored state must be in the books. The user is here: it moves here. */
  async ensure(rootID: string): Promise<void> {
    if (this.known.has(rootID)) return;
    const session = await this.deps.host.session(rootID);
    if (session.kind !== "known" || this.known.has(rootID)) return;
    const stored = this.read(session.value);
    if (stored === undefined || this.isOurs(stored)) this.known.add(rootID);
    else this.bring(stored, false);
  }

  /** The user writes here: a root that another process owns moves here, and a sleeping one is in the books. */
  async spoken(rootID: string): Promise<void> {
    this.speakingIn = rootID;
    if (this.foreign.has(rootID)) await this.ensure(rootID);
  }

  /** Reads the stubs of tasks again that another process runs. */
  async reread(rootID: string): Promise<void> {
    const session = await this.deps.host.session(rootID);
    const stored = session.kind === "known" ? this.read(session.value) : undefined;
    if (stored !== undefined) this.deps.keeper.dispatch({ type: "reread", stored, elsewhere: this.elsewhere(stored) });
  }

  private restore(stored: StoredRoot, awake: boolean): void {
    if (this.known.has(stored.self)) return;
    if (!this.deps.runsElsewhere(ownerKey(stored.owner))) return this.bring(stored, awake);
    this.foreign.add(stored.self);
    if (this.speakingIn === stored.self) this.bring(stored, true);
  }

  private bring(stored: StoredRoot, awake: boolean): void {
    this.known.add(stored.self);
    this.foreign.delete(stored.self);
    this.deps.keeper.dispatch({ type: "restored", stored, awake, elsewhere: this.elsewhere(stored) });
  }

  private isOurs({ owner }: StoredRoot): boolean {
    return ownerKey(owner) === this.deps.runner;
  }

  private elsewhere(stored: StoredRoot): readonly string[] {
    return stored.tasks.filter((task) => this.deps.runsElsewhere(task.runner)).map((task) => task.id);
  }

  private read(session: SessionInfo): StoredRoot | undefined {
    const loaded = load(session);
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

/** Worth loading before anybody asks: a goal that could go on, or a task whose end nobody has been told. */
function isUnfinished(stored: StoredRoot): boolean {
  const { goal } = stored;
  return (
    (goal !== undefined && goal.status !== "complete") ||
    stored.tasks.some((task) => !isEnded(task) || task.delivery.state === "pending")
  );
}
