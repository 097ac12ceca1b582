import type { Client } from "./client.ts";
import { call } from "./opencode.ts";
import type { Answer } from "./port.ts";

/** Routes for which this SDK has no method, asked for over its own transport. */
interface Transport {
  get(options: Route): Promise<unknown>;
  post(options: Route): Promise<unknown>;
}

interface Route {
  readonly url: string;
  readonly query?: object;
  readonly body?: object;
  readonly headers?: object;
}

function transportOf(client: Client): Transport | undefined {
  return (client as unknown as { readonly _client?: Transport })._client;
}

/** Open permission requests or questions of a directory, as their events have them. */
export function openAsks(client: Client, kind: "permission" | "question", query: object): Promise<Answer<unknown>> {
  const transport = transportOf(client);
  return call(kind, () => transport?.get({ url: `/${kind}`, query }) ?? Promise.resolve({ data: [] }));
}

export interface AskReply {
  readonly kind: "permission" | "question";
  readonly askID: string;
  /** A question has nobody's answer: it can only be rejected. */
  readonly approve: boolean;
}

export function reply(client: Client, { kind, askID, approve }: AskReply): Promise<Answer<unknown>> {
  const headers = { "Content-Type": "application/json" };
  const route =
    kind === "question"
      ? { url: `/question/${askID}/reject`, headers, body: {} }
      : { url: `/permission/${askID}/reply`, headers, body: { reply: approve ? "once" : "reject" } };
  return call(`${kind}.reply`, () => transportOf(client)?.post(route) ?? Promise.resolve({ error: "no transport" }));
}
