/** Our plugin, on an OpenCode that says to be of a version in which no goal can be pursued. */
import type { PluginModule } from "@opencode-ai/plugin";

export const OLD_HOST = import.meta.path;

export default {
  id: "old-host",
  server: async (input, options) => {
    const ours: { default: PluginModule } = await import(new URL("../../dist/server.js", import.meta.url).href);
    const real = (input.client as unknown as { _client: object })._client;
    const get = async ({ url }: { readonly url: string }) => ({
      data: url === "/global/health" ? { version: "1.18.10" } : {},
    });
    const client = Object.assign(Object.create(input.client), { _client: Object.assign(Object.create(real), { get }) });
    return ours.default.server({ ...input, client }, options);
  },
} satisfies PluginModule & { id: string };
