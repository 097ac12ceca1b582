import { openAsks } from "../host/asks.ts";
import type { Client } from "../host/client.ts";
import { EventTranslator } from "../host/events.ts";
import { call, OpencodeHost } from "../host/opencode.ts";
import type { Answer, SessionInfo } from "../host/port.ts";
import { list, record, text } from "../host/raw.ts";
import { readSession } from "../host/read.ts";
import { withTimeout } from "../time/timeout.ts";
import { isTreeEvent, type TreeEvent } from "./tree.ts";

/** What OpenCode answers about a root and the sessions below it, asked all at once. */
export interface Asked {
  readonly root: Answer<SessionInfo>;
  readonly statuses: Answer<ReadonlyMap<string, "busy" | "retrying">>;
  /** Descendants; only when they were asked for. */
  readonly below: readonly SessionInfo[];
  /** The newest messages of the root, and the open asks, as the events that they would have been. */
  readonly told: readonly TreeEvent[];
}

export interface OpencodeEvent {
  readonly type: string;
  readonly properties?: unknown;
}

export interface Stream {
  /** Resolves with the reason when the stream is over, whoever has ended it. Never rejects. */
  readonly closed: Promise<string>;
}

/** OpenCode as a wait sees it. The unit tests have another one. */
export interface TreeSource {
  root(): Promise<Answer<SessionInfo>>;
  /** Resolves once OpenCode has confirmed the subscription: what happens from then on is heard. */
  open(onEvent: (event: OpencodeEvent) => void, signal: AbortSignal): Promise<Stream>;
  ask(everything: boolean): Promise<Asked>;
}

const CONNECTS_WITHIN_MS = 10_000;
/** An instance that has just been made answers when its plugins are loaded. */
const STARTS_WITHIN_MS = 60_000;
const MESSAGES_WITHIN_MS = 10_000;
/** A background task whose report is further back was reported, or never will be. */
const NEWEST_MESSAGES = 100;

/** {@link TreeSource} for stock OpenCode, over the client of its SDK. */
export class OpencodeSource implements TreeSource {
  /** The directory that the root belongs to: its statuses and events are not shown to any other. */
  private host: OpencodeHost;
  private query: { readonly directory?: string } = {};

  constructor(
    private readonly client: Client,
    private readonly rootID: string,
  ) {
    this.host = new OpencodeHost(client, "");
  }

  async root(): Promise<Answer<SessionInfo>> {
    const options = { path: { id: this.rootID }, query: this.query };
    const answer = await call("session.get", () => this.client.session.get(options));
    if (answer.kind !== "known") return answer;
    const session = readSession(answer.value);
    if (session === undefined) return { kind: "unknown", reason: "session.get answered with something else" };
    if (session.directory !== undefined && session.directory !== this.query.directory) {
      this.query = { directory: session.directory };
      this.host = new OpencodeHost(this.client, session.directory);
    }
    return { kind: "known", value: session };
  }

  async open(onEvent: (event: OpencodeEvent) => void, signal: AbortSignal): Promise<Stream> {
    let failure: unknown;
    const { stream } = await this.client.event.subscribe({
      query: this.query,
      signal,
      // Without it the SDK tries again for ever, in silence, and nobody hears that OpenCode is gone.
      sseMaxRetryAttempts: 1,
      onSseError: (error) => {
        failure = error;
      },
    });
    const events = stream[Symbol.asyncIterator]();
    // The SDK connects when the first event is asked for.
    const first = await withTimeout("event.subscribe", events.next(), CONNECTS_WITHIN_MS);
    if (first.done) throw new Error(`event.subscribe: ${reasonOf(failure)}`);
    const listen = async (): Promise<string> => {
      try {
        for (;;) {
          const { done, value } = await events.next();
          if (done) return reasonOf(failure);
          onEvent(value as OpencodeEvent);
        }
      } catch (error) {
        return reasonOf(error);
      }
    };
    return { closed: listen() };
  }

  async ask(everything: boolean): Promise<Asked> {
    if (everything) await this.started();
    const [root, statuses, below, messages, asks] = await Promise.all([
      this.root(),
      this.host.statuses(),
      everything ? this.below(this.rootID, new Set([this.rootID])) : [],
      this.messages(),
      everything ? this.asks() : [],
    ]);
    return { root, statuses, below, told: translated([...messages, ...asks]) };
  }

  /** What a prompt needs first, too: before that is there, one that was sent already has left no trace. */
  private async started(): Promise<void> {
    const { query } = this;
    await Promise.all([
      call("app.agents", () => this.client.app.agents({ query }), STARTS_WITHIN_MS),
      call("config.providers", () => this.client.config.providers({ query }), STARTS_WITHIN_MS),
    ]);
  }

  private async below(parentID: string, known: Set<string>): Promise<readonly SessionInfo[]> {
    const answer = await this.host.children(parentID);
    const children = answer.kind === "known" ? answer.value.filter(({ id }) => !known.has(id)) : [];
    for (const { id } of children) known.add(id);
    const grandchildren = await Promise.all(children.map(({ id }) => this.below(id, known)));
    return [...children, ...grandchildren.flat()];
  }

  private async messages(): Promise<readonly OpencodeEvent[]> {
    const options = { path: { id: this.rootID }, query: { ...this.query, limit: NEWEST_MESSAGES } };
    const answer = await call("session.messages", () => this.client.session.messages(options), MESSAGES_WITHIN_MS);
    if (answer.kind !== "known") return [];
    return list(answer.value).flatMap((message) => {
      const { info, parts } = record(message);
      const updated = { type: "message.updated", properties: { info } };
      return [updated, ...list(parts).map((part) => ({ type: "message.part.updated", properties: { part } }))];
    });
  }

  private async asks(): Promise<readonly OpencodeEvent[]> {
    const kinds = ["permission", "question"] as const;
    const answers = await Promise.all(kinds.map((kind) => openAsks(this.client, kind, this.query)));
    return kinds.flatMap((kind, at) => {
      const answer = answers[at];
      if (answer?.kind !== "known") return [];
      return list(answer.value).map((properties) => ({ type: `${kind}.asked`, properties }));
    });
  }
}

/** Turns what OpenCode says into what a tree is told. */
export function treeTranslator(onEvent: (event: TreeEvent) => void): EventTranslator {
  return new EventTranslator({
    // A tree is no instance of OpenCode's: it takes what it is told.
    loadedAt: 0,
    event(event) {
      if (isTreeEvent(event)) onEvent(event);
    },
    sign: () => undefined,
  });
}

function translated(events: readonly OpencodeEvent[]): readonly TreeEvent[] {
  const translation: TreeEvent[] = [];
  const translator = treeTranslator((event) => translation.push(event));
  for (const event of events) translator.receive(event);
  return translation;
}

function reasonOf(error: unknown): string {
  if (error === undefined) return "OpenCode has closed the event stream";
  const cause = error instanceof Error ? record(error.cause) : {};
  const code = text(cause.code);
  return `the event stream broke: ${error instanceof Error ? error.message : String(error)}${code === undefined ? "" : ` (${code})`}`;
}
