/** A plugin of another author: a test calls its task managers over HTTP. Its options say which ones it has, by key. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { PluginModule } from "@opencode-ai/plugin";
import { createTaskManager, type TaskManager, type TaskOptions } from "opencode-goalkeeper";

/** A file in the project: the URL at which the managers of the present process are called. */
export const AUTHOR_URL = "author-url";

/** What `subscribe` has told about one change. */
export interface SeenChange {
  readonly taskID: string | undefined;
  readonly run: number | undefined;
  readonly event: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

export interface AuthorCall {
  readonly key: string;
  /** A method of the manager, or `changes`: everything that its subscriber was told. */
  readonly method: string;
  readonly args: readonly unknown[];
}

export default {
  id: "library-author",
  server: async ({ client, directory }, options = {}) => {
    const managers = new Map<string, TaskManager>();
    const changes = new Map<string, SeenChange[]>();
    for (const [key, value] of Object.entries(options)) {
      const manager = createTaskManager({ client, directory, key, options: value as Partial<TaskOptions> });
      const seen: SeenChange[] = [];
      manager.subscribe(({ before, after, event }) => {
        const record = after ?? before;
        seen.push({ taskID: record?.id, run: record?.run.number, event, from: before?.status, to: after?.status });
      });
      managers.set(key, manager);
      changes.set(key, seen);
    }

    const answer = async ({ key, method, args }: AuthorCall): Promise<unknown> => {
      if (method === "changes") return { value: changes.get(key) };
      const manager = managers.get(key);
      try {
        const call = Reflect.get(manager ?? {}, method) as (...args: readonly unknown[]) => unknown;
        return { value: await call.apply(manager, [...args]) };
      } catch (error) {
        const { name, message } = error as Error;
        return { error: { name, message } };
      }
    };
    const http = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      response.end(JSON.stringify(await answer(JSON.parse(body))));
    });
    http.listen(0, "127.0.0.1", () => {
      writeFileSync(join(directory, AUTHOR_URL), `http://127.0.0.1:${(http.address() as AddressInfo).port}`);
    });

    return {
      event: async ({ event }) => {
        for (const manager of managers.values()) manager.event(event);
      },
      dispose: async () => {
        http.close();
        for (const manager of managers.values()) manager.dispose();
      },
    };
  },
} satisfies PluginModule & { id: string };
