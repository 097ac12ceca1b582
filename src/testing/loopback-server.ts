import { createServer, type Socket } from "node:net";

/** One HTTP request and the means to answer it. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  /** By lower-case name; of a repeated header the last one. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Aborted when the client goes away before the answer is complete, or the server is closed. */
  readonly signal: AbortSignal;
  readonly headersSent: boolean;
  writeHead(status: number, headers: Readonly<Record<string, string>>): void;
  write(text: string): void;
  end(text?: string): void;
  /** Drops the connection without an end. */
  destroy(): void;
}

export interface LoopbackServer {
  readonly port: number;
  /** Drops all connections. */
  close(): Promise<void>;
}

const HEAD_END = "\r\n\r\n";

/**
 * HTTP for one purpose: a model on loopback whose clients may leave at any time. It does without `node:http` because Bun
 * (1.3.14) does not tell an `http` server that a client has gone once the request's body has been read. Each connection
 * carries one request, so that the end of an answer is the end of the connection. Not for chunked requests.
 */
export async function startLoopbackServer(handle: (exchange: Exchange) => void): Promise<LoopbackServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy()); // A reset by the client: "close" follows and says all there is to say.
    receive(socket, handle);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The loopback server has no port");
  return {
    port: address.port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function receive(socket: Socket, handle: (exchange: Exchange) => void): void {
  let received = Buffer.alloc(0);
  let head: RequestHead | undefined;
  const onData = (chunk: Buffer): void => {
    received = Buffer.concat([received, chunk]);
    if (head === undefined) {
      const end = received.indexOf(HEAD_END);
      if (end < 0) return;
      head = parseHead(received.subarray(0, end).toString("latin1"));
      received = received.subarray(end + HEAD_END.length);
      if (head.headers.expect === "100-continue") socket.write(`HTTP/1.1 100 Continue${HEAD_END}`);
    }
    if (head.headers["transfer-encoding"] !== undefined) {
      socket.off("data", onData);
      answer(socket, head, "").writeHead(411, {});
      socket.end();
      return;
    }
    const length = Number(head.headers["content-length"] ?? 0);
    if (received.length < length) return;
    socket.off("data", onData);
    socket.resume(); // Without a reader the end of the connection would go unnoticed.
    handle(answer(socket, head, received.subarray(0, length).toString("utf8")));
  };
  socket.on("data", onData);
}

interface RequestHead {
  method: string;
  path: string;
  headers: Record<string, string>;
}

function parseHead(text: string): RequestHead {
  const [requestLine = "", ...lines] = text.split("\r\n");
  const [method = "", target = "/"] = requestLine.split(" ");
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon > 0) headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { method, path: target.split("?")[0] ?? "/", headers };
}

function answer(socket: Socket, head: RequestHead, body: string): Exchange {
  const abort = new AbortController();
  let headersSent = false;
  let ended = false;
  socket.once("close", () => {
    if (!ended) abort.abort();
  });
  return {
    ...head,
    body,
    signal: abort.signal,
    get headersSent() {
      return headersSent;
    },
    writeHead(status, headers) {
      headersSent = true;
      const lines = Object.entries({ ...headers, connection: "close" }).map(([name, value]) => `${name}: ${value}`);
      socket.write([`HTTP/1.1 ${status} scripted`, ...lines].join("\r\n") + HEAD_END);
    },
    write(text) {
      socket.write(text);
    },
    end(text = "") {
      ended = true;
      socket.end(text);
    },
    destroy() {
      socket.destroy();
    },
  };
}
