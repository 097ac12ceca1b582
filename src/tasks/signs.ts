import type { Usage } from "../host/port.ts";
import type { MessageOrder } from "./message-order.ts";
import { keep, NO_USAGE } from "./outcome.ts";

interface Cell {
  at: number;
  text: string | undefined;
  usage: Usage;
  /** The last message whose usage was counted: the host publishes messages more than once. */
  countedID: string;
  /** Tool calls that run. */
  readonly calls: Set<string>;
}

/**
 * Signs of life, apart from the task records: a token delta writes one number here and nothing else, so that
 * activity never recomputes a deadline. Deadlines that depend on activity read it when they are due.
 */
export class Signs {
  private readonly cells = new Map<string, Cell>();

  constructor(private readonly order: Pick<MessageOrder, "isBefore">) {}

  follow(sessionID: string, now: number): void {
    if (this.cells.has(sessionID)) return;
    this.cells.set(sessionID, { at: now, text: undefined, usage: NO_USAGE, countedID: "", calls: new Set() });
  }

  unfollow(sessionID: string): void {
    this.cells.delete(sessionID);
  }

  /** Marks activity of a followed session; one look-up for any other. `now` may lie ahead: a provider asked again then. */
  mark(sessionID: string, now: number): void {
    const cell = this.cells.get(sessionID);
    if (cell !== undefined && cell.at < now) cell.at = now;
  }

  /** Keeps the last completed text of a followed session: after a deletion it is all there is. */
  keepText(sessionID: string, text: string): void {
    const cell = this.cells.get(sessionID);
    if (cell !== undefined) cell.text = keep(text);
  }

  /** Counts what one complete assistant message has cost. */
  count(sessionID: string, messageID: string, usage: Usage): void {
    const cell = this.cells.get(sessionID);
    if (cell === undefined || !this.order.isBefore(sessionID, cell.countedID, messageID)) return;
    cell.countedID = messageID;
    cell.usage = { tokens: cell.usage.tokens + usage.tokens, cost: cell.usage.cost + usage.cost };
  }

  tool(sessionID: string, callID: string, isRunning: boolean): void {
    const calls = this.cells.get(sessionID)?.calls;
    if (isRunning) calls?.add(callID);
    else calls?.delete(callID);
  }

  /** Its turn is over, and every tool call with it, whether or not its end was heard. */
  rest(sessionID: string): void {
    this.cells.get(sessionID)?.calls.clear();
  }

  /** Another run begins: what the earlier one said is not its output. */
  dropText(sessionID: string): void {
    const cell = this.cells.get(sessionID);
    if (cell !== undefined) cell.text = undefined;
  }

  lastAt(sessionID: string): number {
    return this.cells.get(sessionID)?.at ?? 0;
  }

  text(sessionID: string): string | undefined {
    return this.cells.get(sessionID)?.text;
  }

  usage(sessionID: string): Usage {
    return this.cells.get(sessionID)?.usage ?? NO_USAGE;
  }

  toolRuns(sessionID: string): boolean {
    return (this.cells.get(sessionID)?.calls.size ?? 0) > 0;
  }

  get size(): number {
    return this.cells.size;
  }
}
