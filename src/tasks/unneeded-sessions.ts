/** A turn, a launch and a Task call begin well within this time after the host has shown their session. */
export const KEPT_MS = 60_000;

/**
 * Whether a session of the tree is still of use. `held`: until it is let go, and then it is heard of. `needed`: it is
 * looked at again. `doubtful`: it is shown as working, and nobody else would miss its end.
 */
export type Use = "held" | "needed" | "doubtful" | "none";

export interface UnneededSessionsDependencies {
  readonly now: () => number;
  readonly useOf: (sessionID: string) => Use;
  readonly forget: (sessionID: string) => void;
  /** Asks the host which sessions work; {@link UnneededSessions.resting} takes the answer. */
  readonly askStatuses: () => void;
}

/**
 * When the sessions of the tree were heard of last. The host shows every session that is made, prompted, renamed or
 * written to, also once more when its turn is over, and of most of them nothing ever follows. One that nobody needs by
 * the time that it is looked at is forgotten: before its next turn the host shows it again.
 */
export class UnneededSessions {
  /** When a session is looked at; the earliest first, for each of them waits as long. */
  private readonly lookAt = new Map<string, number>();
  /** Doubtful ones of which nothing was heard since they were looked at. */
  private readonly doubtful = new Set<string>();

  constructor(private readonly deps: UnneededSessionsDependencies) {}

  heard(sessionID: string): void {
    this.doubtful.delete(sessionID);
    // To the end of the map: the order is that of the deadlines.
    this.lookAt.delete(sessionID);
    this.lookAt.set(sessionID, this.deps.now() + KEPT_MS);
  }

  forgotten(sessionID: string): void {
    this.doubtful.delete(sessionID);
    this.lookAt.delete(sessionID);
  }

  /** When {@link tick} has something to do; `Infinity` while it has nothing to look at. */
  deadline(): number {
    const [first] = this.lookAt.values();
    return first ?? Number.POSITIVE_INFINITY;
  }

  tick(): void {
    const now = this.deps.now();
    for (const [sessionID, at] of this.lookAt) {
      if (at > now) break;
      this.look(sessionID);
    }
    if (this.doubtful.size > 0) this.deps.askStatuses();
  }

  /** Those that have come to rest unheard. `working`: what the host shows as working. */
  resting(working: { has(sessionID: string): boolean }): readonly string[] {
    const resting = [...this.doubtful].filter((sessionID) => !working.has(sessionID));
    this.doubtful.clear();
    return resting;
  }

  private look(sessionID: string): void {
    const use = this.deps.useOf(sessionID);
    switch (use) {
      case "none":
        return this.deps.forget(sessionID);
      case "held":
        return this.forgotten(sessionID);
      case "needed":
      case "doubtful":
        this.heard(sessionID);
        if (use === "doubtful") this.doubtful.add(sessionID);
    }
  }
}
