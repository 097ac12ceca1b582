/**
 * The client of OpenCode's SDK, as far as it is used: what it hands to its plugins, and what `createOpencodeClient` makes.
 * Written out, because the types of this package are read where neither the SDK nor the plugin package need be installed.
 */
export interface Client {
  readonly app: {
    agents(options?: InDirectory): Promise<unknown>;
    log(options?: InDirectory & { readonly body?: LogLine }): Promise<unknown>;
  };
  readonly command: { list(options?: InDirectory): Promise<unknown> };
  readonly config: { providers(options?: InDirectory): Promise<unknown> };
  readonly event: { subscribe(options?: InDirectory & Subscription): Promise<{ readonly stream: Events }> };
  readonly session: {
    abort(options: OfSession): Promise<unknown>;
    children(options: OfSession): Promise<unknown>;
    command(options: OfSession & { readonly body?: SessionCommand }): Promise<Reply>;
    create(options?: InDirectory & { readonly body?: NewSession }): Promise<unknown>;
    get(options: OfSession): Promise<unknown>;
    list(options?: InDirectory): Promise<unknown>;
    messages(options: OfSession): Promise<unknown>;
    prompt(options: OfSession & { readonly body?: SessionPrompt }): Promise<unknown>;
    promptAsync(options: OfSession & { readonly body?: SessionPrompt }): Promise<unknown>;
    status(options?: InDirectory): Promise<unknown>;
    update(options: OfSession & { readonly body?: { title?: string } }): Promise<unknown>;
  };
  readonly tui: { showToast(options?: InDirectory & { readonly body?: Toast }): Promise<unknown> };
}

/** What every call resolves to: failures are values, except for transport errors. */
export interface Reply {
  readonly data?: unknown;
  readonly error?: unknown;
  readonly response?: { readonly status: number };
}

interface InDirectory {
  readonly query?: { directory?: string; limit?: number };
}

interface OfSession extends InDirectory {
  readonly path: { id: string };
}

interface Subscription {
  readonly signal?: AbortSignal;
  readonly sseMaxRetryAttempts?: number;
  readonly onSseError?: (error: unknown) => void;
}

interface Events {
  [Symbol.asyncIterator](): AsyncIterator<unknown>;
}

interface NewSession {
  parentID?: string;
  title?: string;
}

interface SessionCommand {
  agent?: string;
  model?: string;
  command: string;
  arguments: string;
}

interface SessionPrompt {
  messageID?: string;
  agent?: string;
  model?: { providerID: string; modelID: string };
  noReply?: boolean;
  parts: { id?: string; type: "text"; text: string; synthetic?: boolean; ignored?: boolean }[];
}

interface LogLine {
  service: string;
  level: "debug" | "info" | "warn" | "error";
  message: string;
  extra?: Record<string, unknown>;
}

interface Toast {
  title?: string;
  message: string;
  variant: "info" | "success" | "warning" | "error";
}
