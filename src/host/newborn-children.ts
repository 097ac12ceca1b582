import { BEGINS_WITHIN_MS } from "../tasks/task.ts";
import { withTimeout } from "../time/timeout.ts";
import { record, text } from "./raw.ts";

export interface NewbornChildrenDependencies {
  readonly now: () => number;
  /** Whether a session is in the books: then it is waited for there. */
  readonly isTask: (sessionID: string) => boolean;
}

interface Newborn {
  readonly parentID: string;
  readonly until: number;
  readonly waiting: (() => void)[];
}

/**
 * Children that were made a moment ago and have not begun to work. Whoever makes a child prompts it next; only when it
 * works is it known to be a task.
 */
export class NewbornChildren {
  private readonly newborns = new Map<string, Newborn>();

  constructor(private readonly deps: NewbornChildrenDependencies) {}

  /** Any event of OpenCode. */
  receive({ type, properties }: { readonly type: string; readonly properties?: unknown }): void {
    switch (type) {
      case "session.created":
        return this.made(record(record(properties).info));
      case "session.status":
      case "session.error":
      case "session.deleted": {
        const { sessionID, info } = record(properties);
        return this.begins(text(sessionID) ?? text(record(info).id) ?? "");
      }
    }
  }

  /** Resolves when the children of a session have begun to work, or will hardly do so any more. */
  async begun(parentID: string): Promise<void> {
    const now = this.deps.now();
    const waits = [...this.newborns].map(async ([id, { until, waiting, ...child }]) => {
      if (until <= now) this.newborns.delete(id);
      if (until <= now || child.parentID !== parentID || this.deps.isTask(id)) return;
      const begun = new Promise<void>((resolve) => waiting.push(resolve));
      await withTimeout("the turn of a new child", begun, until - now).catch(() => undefined);
    });
    await Promise.all(waits);
  }

  private made({ id, parentID }: Readonly<Record<string, unknown>>): void {
    const [child, parent] = [text(id), text(parentID)];
    if (child === undefined || parent === undefined) return;
    this.newborns.set(child, { parentID: parent, until: this.deps.now() + BEGINS_WITHIN_MS, waiting: [] });
  }

  private begins(sessionID: string): void {
    const newborn = this.newborns.get(sessionID);
    this.newborns.delete(sessionID);
    for (const resolve of newborn?.waiting ?? []) resolve();
  }
}
