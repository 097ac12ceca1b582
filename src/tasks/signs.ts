import { keep } from "./outcome.ts";

/**
 * Signs of life, apart from the task records: a token delta writes one number here and nothing else, so that
 * activity never recomputes a deadline. Deadlines that depend on activity read it when they are due.
 */
export class Signs {
  private readonly cells = new Map<string, { at: number; text: string | undefined }>();

  follow(sessionID: string, now: number): void {
    if (!this.cells.has(sessionID)) this.cells.set(sessionID, { at: now, text: undefined });
  }

  unfollow(sessionID: string): void {
    this.cells.delete(sessionID);
  }

  /** Marks activity of a followed session; one look-up for any other. */
  mark(sessionID: string, now: number): void {
    const cell = this.cells.get(sessionID);
    if (cell !== undefined) cell.at = now;
  }

  /** Keeps the last completed text of a followed session: after a deletion it is all there is. */
  keepText(sessionID: string, text: string): void {
    const cell = this.cells.get(sessionID);
    if (cell !== undefined) cell.text = keep(text);
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

  get size(): number {
    return this.cells.size;
  }
}
