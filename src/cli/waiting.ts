import type { SessionTreeOwed } from "../session-tree/owed.ts";
import type { SessionTreeState } from "../session-tree/state.ts";
import type { Clock } from "../time/clock.ts";
import type { RunEvent } from "./events.ts";

/** What is over sooner is no news: between two turns there is always something to come for a few milliseconds. */
export const WORTH_SAYING_AFTER_MS = 1_000;

/** Reports what an idle session waits for, once it has done so for a second. */
export class Waiting {
  private latest: readonly SessionTreeOwed[] = [];
  private reported = "";
  private cancel: () => void = () => undefined;
  private isOver = false;

  constructor(
    private readonly clock: Clock,
    private readonly report: (event: Extract<RunEvent, { type: "waiting" }>) => void,
  ) {}

  changed(state: SessionTreeState): void {
    if (this.isOver) return;
    const before = names(this.latest);
    this.latest = waitsOf(state);
    const now = names(this.latest);
    if (now === before) return;
    this.cancel();
    if (now === "") this.say();
    else this.cancel = this.clock.after(WORTH_SAYING_AFTER_MS, () => this.say());
  }

  /** The work is being interrupted, or has ended: nothing is waited for any more. */
  end(): void {
    this.isOver = true;
    this.cancel();
  }

  private say(): void {
    const now = names(this.latest);
    if (now === this.reported) return;
    this.reported = now;
    this.report({ type: "waiting", for: this.latest });
  }
}

/** While the root works itself, what else works is shown by its own events. */
function waitsOf({ rootIsIdle, owed }: SessionTreeState): readonly SessionTreeOwed[] {
  if (!rootIsIdle) return [];
  const booked = new Set(owed.filter(({ why }) => why === "task-live").map(({ sessionID }) => sessionID));
  return owed.filter((one) => isWaitedFor(one, booked));
}

/** `booked`: sessions that work by the books of a task manager; they are not named a second time. */
function isWaitedFor({ why, sessionID }: SessionTreeOwed, booked: ReadonlySet<string>): boolean {
  switch (why) {
    case "unanswered":
    case "not-started":
      return false;
    case "session-busy":
    case "session-retrying":
      return !booked.has(sessionID);
    case "report-untold":
    case "task-live":
    case "outcome-untold":
    case "outcome-unanswered":
    case "goal-active":
    case "wrapup-owed":
      return true;
  }
}

function names(owed: readonly SessionTreeOwed[]): string {
  return owed
    .map(({ why, sessionID }) => `${why} ${sessionID}`)
    .sort()
    .join("\n");
}
