import { createOpencodeClient } from "@opencode-ai/sdk/client";
import type { Client } from "./client.ts";

/** What a client of a server that listens is made of. */
export interface Connection {
  readonly url: string;
  /** Undefined: the directory in which the server itself was started. */
  readonly directory: string | undefined;
  /** As OpenCode wants it when OPENCODE_SERVER_PASSWORD is set. */
  readonly authorization: string | undefined;
}

/** The password of a server, as `opencode` itself takes it from its environment. */
export function authorizationOf(env: NodeJS.ProcessEnv): string | undefined {
  const password = env.OPENCODE_SERVER_PASSWORD;
  if (password === undefined || password === "") return undefined;
  const name = env.OPENCODE_SERVER_USERNAME || "opencode";
  return `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;
}

export function connect({ url, directory, authorization }: Connection): Client {
  return createOpencodeClient({
    baseUrl: url,
    ...(directory === undefined ? {} : { directory }),
    ...(authorization === undefined ? {} : { headers: { Authorization: authorization } }),
  });
}
