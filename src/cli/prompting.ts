import { type Client, call } from "../host/opencode.ts";
import { record, text } from "../host/raw.ts";
import type { OpencodeEvent } from "../session-tree/source.ts";
import type { Clock } from "../time/clock.ts";
import type { RunSettings } from "./arguments.ts";
import { NotStartedError } from "./errors.ts";

/** On a loaded machine, or a fresh instance, a turn begins that late; after it, rest is believed. */
const BEGINS_WITHIN_MS = 15_000;
const TAKES_WITHIN_MS = 60_000;

/** Sends the prompt, and knows when its turn has begun: until then an idle session says nothing. */
export class Prompting {
  private begin: () => void = () => undefined;
  private readonly begun = new Promise<void>((resolve) => {
    this.begin = resolve;
  });

  constructor(
    private readonly client: Client,
    private readonly sessionID: string,
    private readonly clock: Clock,
  ) {}

  event({ type, properties }: OpencodeEvent): void {
    const { sessionID, status } = record(properties);
    if (sessionID !== this.sessionID) return;
    if (type === "session.error" || (type === "session.status" && record(status).type === "busy")) this.begin();
  }

  /**
   * Resolves when the turn has begun.
   *
   * @throws NotStartedError when OpenCode refuses it
   */
  async send(prompt: string, settings: RunSettings): Promise<void> {
    const refused = settings.goal ? this.command(prompt, settings) : this.prompt(prompt, settings);
    const cancel = this.clock.after(BEGINS_WITHIN_MS, this.begin);
    try {
      const refusal = await Promise.race([refused, this.begun.then(() => undefined)]);
      if (refusal !== undefined) throw new NotStartedError(`OpenCode has refused the prompt: ${refusal}`);
      await this.begun;
    } finally {
      cancel();
    }
  }

  private async prompt(prompt: string, { agent, model }: RunSettings): Promise<string | undefined> {
    const voice = { ...(agent === undefined ? {} : { agent }), ...(model === undefined ? {} : { model }) };
    const body = { ...voice, parts: [{ type: "text" as const, text: prompt }] };
    const request = () => this.client.session.promptAsync({ path: { id: this.sessionID }, body });
    const answer = await call("session.promptAsync", request, TAKES_WITHIN_MS);
    if (answer.kind === "known") return undefined;
    return answer.kind === "gone" ? "the session is gone" : answer.reason;
  }

  /** Answered at the end of the first turn, which may take longer than any connection lasts: the events tell. */
  private async command(prompt: string, { agent, model }: RunSettings): Promise<string | undefined> {
    const voice = {
      ...(agent === undefined ? {} : { agent }),
      ...(model === undefined ? {} : { model: `${model.providerID}/${model.modelID}` }),
    };
    const body = { ...voice, command: "goal", arguments: prompt };
    try {
      const { error } = await this.client.session.command({ path: { id: this.sessionID }, body });
      if (error === undefined) this.begin();
      return error === undefined ? undefined : said(error);
    } catch {
      return undefined;
    }
  }
}

function said(error: unknown): string {
  const { name, data, message } = record(error);
  return text(record(data).message) ?? text(message) ?? text(name) ?? JSON.stringify(error);
}
