import type { Clock } from "../time/clock.ts";
import type { RunEvent } from "./events.ts";
import { WORTH_SAYING_AFTER_MS } from "./waiting.ts";

type SessionEvent = Extract<RunEvent, { type: "session" }>;

/** A session of which it was said that it works. */
interface Worker {
  readonly isRoot: boolean;
  readonly wasRetried: boolean;
  /** Its turn has ended, and nobody has said so yet: what it was may be told in a moment, or it goes on. */
  readonly unsaid: { readonly event: SessionEvent; readonly cancel: () => void } | undefined;
}

/** Passes on what is worth a line for people: each beginning and each end once, and nothing that is over at once. */
export class Progress {
  private readonly workers = new Map<string, Worker>();
  private waitedFor: ReadonlySet<string> = new Set();

  constructor(
    private readonly clock: Clock,
    private readonly say: (event: RunEvent) => void,
  ) {}

  event(event: RunEvent): void {
    switch (event.type) {
      case "session":
        return this.session(event);
      case "task":
        // How it has ended says that it has.
        this.drop(event.sessionID);
        return this.say(event);
      case "waiting":
        return this.waiting(event);
      case "ended":
        this.sayRest();
        return this.say(event);
      case "started":
      case "text":
      case "goal":
      case "asked":
      case "interrupting":
        return this.say(event);
    }
  }

  private session(event: SessionEvent): void {
    const { sessionID, status } = event;
    const worker = this.workers.get(sessionID);
    switch (status) {
      case "busy":
        if (worker === undefined) this.say(event);
        return this.works(event, worker?.wasRetried ?? false);
      case "retrying":
        if (worker?.wasRetried !== true) this.say(event);
        return this.works(event, true);
      case "idle": {
        if (worker === undefined || worker.unsaid !== undefined) return;
        const cancel = this.clock.after(WORTH_SAYING_AFTER_MS, () => this.rests(event));
        this.workers.set(sessionID, { ...worker, unsaid: { event, cancel } });
        return;
      }
      case "deleted":
        this.drop(sessionID);
        return this.say(event);
    }
  }

  private works({ sessionID, parentID }: SessionEvent, wasRetried: boolean): void {
    this.drop(sessionID);
    this.workers.set(sessionID, { isRoot: parentID === undefined, wasRetried, unsaid: undefined });
  }

  private rests(event: SessionEvent): void {
    this.drop(event.sessionID);
    this.say(event);
  }

  /** Of the agent itself the end of the run says enough. */
  private sayRest(): void {
    for (const [sessionID, { isRoot, unsaid }] of [...this.workers]) {
      this.drop(sessionID);
      if (!isRoot && unsaid !== undefined) this.say(unsaid.event);
    }
  }

  private drop(sessionID: string): void {
    this.workers.get(sessionID)?.unsaid?.cancel();
    this.workers.delete(sessionID);
  }

  /** That there is less to wait for was said with what has ended. */
  private waiting(event: Extract<RunEvent, { type: "waiting" }>): void {
    const now = new Set(event.for.map(({ why, sessionID }) => `${why} ${sessionID}`));
    const isNews = [...now].some((name) => !this.waitedFor.has(name));
    this.waitedFor = now;
    if (isNews) this.say(event);
  }
}
