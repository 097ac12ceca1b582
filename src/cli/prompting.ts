import type { Client } from "../host/client.ts";
import { call } from "../host/opencode.ts";
import { record, text } from "../host/raw.ts";
import type { OpencodeEvent } from "../session-tree/source.ts";
import type { Clock } from "../time/clock.ts";
import type { RunSettings } from "./arguments.ts";
import { NotStartedError } from "./errors.ts";

/** On a loaded machine, or a fresh instance, a turn begins that late; after it, rest is believed. */
const BEGINS_WITHIN_MS = 15_000;
const TAKES_WITHIN_MS = 60_000;
/** A goal that was resumed goes on at once, unless tasks hold it back: then there is no turn to be seen. */
const RESUMES_WITHIN_MS = 3_000;
/** OpenCode's answer to a command that a plugin has answered, and that starts no turn: what it throws is no refusal. */
const SERVER_ERROR = 500;

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
    const refused = this.ask(prompt, settings);
    const cancel = this.clock.after(BEGINS_WITHIN_MS, this.begin);
    try {
      const refusal = await Promise.race([refused, this.begun.then(() => undefined)]);
      if (refusal !== undefined) throw new NotStartedError(`OpenCode has refused the prompt: ${refusal}`);
      await this.begun;
    } finally {
      cancel();
    }
  }

  private ask(prompt: string, settings: RunSettings): Promise<string | undefined> {
    switch (settings.mode) {
      case "prompt":
        return this.prompt(prompt, settings);
      case "goal":
        return this.command(prompt, settings);
      case "resume":
        return this.resume();
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

  /** It starts no turn itself: the plugin answers the command, and then goes on with the goal. */
  private async resume(): Promise<string | undefined> {
    const body = { command: "goal", arguments: "resume" };
    try {
      const { error, response } = await this.client.session.command({ path: { id: this.sessionID }, body });
      if (error !== undefined && (response?.status ?? SERVER_ERROR) < SERVER_ERROR) return said(error);
    } catch {
      // The connection was lost: the stream of events tells whether OpenCode was, too.
    }
    this.clock.after(RESUMES_WITHIN_MS, this.begin);
    return undefined;
  }
}

function said(error: unknown): string {
  const { name, data, message } = record(error);
  return text(record(data).message) ?? text(message) ?? text(name) ?? JSON.stringify(error);
}
