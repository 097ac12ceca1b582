import { get } from "node:http";
import { ObservableLog, type WaitOptions } from "./observable-log.ts";

/** One event of OpenCode's `/event` stream. */
export interface OpencodeEvent {
  readonly type: string;
  readonly properties: OpencodeEventProperties;
  /** When it arrived here, epoch milliseconds. */
  readonly receivedAt: number;
}

/** The fields that tests look at most; which of them an event has depends on its type. */
export interface OpencodeEventProperties {
  readonly sessionID?: string;
  readonly status?: { readonly type: string };
  readonly error?: { readonly name: string; readonly data?: { readonly message?: string } };
  readonly info?: Readonly<Record<string, unknown>>;
  readonly part?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** All events of one server, since before the first request could be made. */
export interface EventCollector {
  readonly all: readonly OpencodeEvent[];
  /**
   * The first event that matches, also one that came already.
   * @throws WaitTimeoutError, LogEndedError when the server goes away meanwhile
   */
  waitFor(predicate: (event: OpencodeEvent, index: number) => boolean, options?: WaitOptions): Promise<OpencodeEvent>;
  /** Calls back on each new event; returns the way to end that. */
  subscribe(listener: (event: OpencodeEvent) => void): () => void;
}

/** Subscribes to a server's events; resolves when the server has confirmed the subscription. */
export async function collectEvents(
  url: string,
  directory: string,
  timeoutMs: number,
): Promise<EventCollector & { close(): void }> {
  const log = new ObservableLog<OpencodeEvent>("event", ({ type, properties }) =>
    `${type} ${properties.sessionID ?? ""}`.trim(),
  );
  const listeners = new Set<(event: OpencodeEvent) => void>();
  const address = new URL("/event", url);
  address.searchParams.set("directory", directory);

  const request = get(address, { headers: { accept: "text/event-stream" }, agent: false }, (response) => {
    let rest = "";
    response.setEncoding("utf8");
    response.on("data", (text: string) => {
      const frames = (rest + text).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        const event = parseFrame(frame);
        if (event === undefined) continue;
        log.append(event);
        for (const listener of [...listeners]) listener(event);
      }
    });
    response.on("error", () => log.end("the event stream broke"));
    response.on("close", () => log.end("the event stream ended"));
  });
  request.on("error", (error) => log.end(`the event stream failed: ${error.message}`));
  await log.waitFor(({ type }) => type === "server.connected", { timeoutMs });

  return {
    all: log.items,
    waitFor: (predicate, options) => log.waitFor(predicate, options),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      log.end("the server was stopped");
      request.destroy();
    },
  };
}

function parseFrame(frame: string): OpencodeEvent | undefined {
  const data = frame
    .split("\n")
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).trim())
    .join("\n");
  if (data === "") return undefined;
  const { type, properties } = JSON.parse(data) as { type: string; properties?: OpencodeEventProperties };
  return { type, properties: properties ?? {}, receivedAt: Date.now() };
}
