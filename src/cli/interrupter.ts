import type { Client } from "../host/client.ts";
import { call } from "../host/opencode.ts";
import type { SessionTreeState } from "../session-tree/state.ts";
import type { Clock } from "../time/clock.ts";

/** By then an interrupted session has stopped; if not, it is left as it is. */
const STOPS_WITHIN_MS = 10_000;
/** A session that works again is interrupted again: the end of its task has woken it. */
const MOST_ABORTS = 5;
/** What was still to come is not waited for any more, once nothing has worked for so long. */
const QUIET_MS = 1_000;

/** Interrupts a session, and what works below it, until all of it is idle. */
export class Interrupter {
  private begun = false;
  private readonly aborts = new Map<string, number>();
  private state: SessionTreeState | undefined;
  private cancelQuiet: () => void = () => undefined;

  constructor(
    private readonly client: Client,
    private readonly rootID: string,
    private readonly clock: Clock,
    private readonly giveUp: () => void,
  ) {}

  begin(): void {
    if (this.begun) return;
    this.begun = true;
    this.clock.after(STOPS_WITHIN_MS, this.giveUp);
    // The root first: that is the user's interrupt, after which nothing is said in it. It cancels its tasks by itself.
    this.abort(this.rootID).then(
      () => this.abortBusy(),
      () => this.giveUp(),
    );
  }

  changed(state: SessionTreeState): void {
    this.state = state;
    if (this.begun) this.abortBusy();
  }

  private abortBusy(): void {
    const busy = (this.state?.sessions ?? []).filter(({ status }) => status !== "idle");
    this.cancelQuiet();
    if (busy.length === 0) this.cancelQuiet = this.clock.after(QUIET_MS, this.giveUp);
    for (const { id } of busy) this.abort(id).catch(() => this.giveUp());
  }

  private async abort(id: string): Promise<void> {
    const count = this.aborts.get(id) ?? 0;
    if (count >= MOST_ABORTS) return;
    this.aborts.set(id, count + 1);
    await call("session.abort", () => this.client.session.abort({ path: { id } }));
  }
}
