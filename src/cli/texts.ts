import type { Client } from "../host/client.ts";
import { call } from "../host/opencode.ts";
import { list, moment, record, text } from "../host/raw.ts";
import type { OpencodeEvent } from "../session-tree/source.ts";
import type { RunEvent } from "./events.ts";

type TextEvent = Extract<RunEvent, { type: "text" }>;

const NEWEST_MESSAGES = 100;
const READS_WITHIN_MS = 10_000;
/** Finish reasons after which a turn goes on, unless something has ended it in the middle. */
const UNFINISHED = new Set(["tool-calls", "unknown"]);

/** What the agent says in one session, each text once, when it is complete. */
export class Texts {
  /** Parts that were there before, or were said already. */
  private readonly said = new Set<string>();
  private readonly userMessages = new Set<string>();

  constructor(
    private readonly client: Client,
    private readonly sessionID: string,
    private readonly say: (event: TextEvent) => void,
  ) {}

  event({ type, properties }: OpencodeEvent): void {
    if (type === "message.updated") return this.message(record(record(properties).info));
    if (type === "message.part.updated") this.part(record(record(properties).part), this.say);
  }

  /** What the session holds already is not this run's. */
  async skipOld(): Promise<void> {
    await this.read(() => undefined);
  }

  /**
   * Says what no event has told: on an instance that has just started they come late.
   *
   * @returns whether the last message of the agent ends in the middle
   */
  async sayRest(): Promise<boolean> {
    return this.read(this.say);
  }

  private async read(say: (event: TextEvent) => void): Promise<boolean> {
    const options = { path: { id: this.sessionID }, query: { limit: NEWEST_MESSAGES } };
    const answer = await call("session.messages", () => this.client.session.messages(options), READS_WITHIN_MS);
    if (answer.kind !== "known") return false;
    let finish: string | undefined;
    for (const message of list(answer.value)) {
      const info = record(record(message).info);
      this.message(info);
      if (info.role === "assistant" && info.summary !== true) finish = text(info.finish);
      for (const part of list(record(message).parts)) this.part(record(part), say);
    }
    return finish !== undefined && UNFINISHED.has(finish);
  }

  private message(info: Readonly<Record<string, unknown>>): void {
    if (info.role === "user" && typeof info.id === "string") this.userMessages.add(info.id);
  }

  private part(part: Readonly<Record<string, unknown>>, say: (event: TextEvent) => void): void {
    const { id, messageID, sessionID, type } = part;
    if (type !== "text" || sessionID !== this.sessionID || part.synthetic === true || part.ignored === true) return;
    if (typeof id !== "string" || typeof messageID !== "string" || this.userMessages.has(messageID)) return;
    if (moment(record(part.time).end) === undefined || this.said.has(id)) return;
    this.said.add(id);
    const said = text(part.text) ?? "";
    if (said.trim() !== "") say({ type: "text", sessionID: this.sessionID, messageID, text: said });
  }
}
