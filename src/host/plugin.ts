import type { PluginModule } from "@opencode-ai/plugin";
import { parseOptions } from "../options.ts";
import { systemClock } from "../time/clock.ts";
import { openTrace } from "../trace/open.ts";
import { assemble } from "./assembly.ts";
import { createHooks } from "./hooks.ts";
import { OpencodeHost } from "./opencode.ts";
import { claim } from "./registry.ts";
import { METADATA_KEY } from "./store.ts";

/**
 * The plugin for one directory. OpenCode calls it once per directory instance and awaits it; asking the host anything in
 * here would deadlock its start, so nothing is awaited.
 */
export const server: PluginModule["server"] = async (input, rawOptions) => {
  const clock = systemClock;
  const host = new OpencodeHost(input.client, input.directory);
  const release = claim(input.directory, globalThis.crypto.randomUUID());
  if (release === undefined) {
    host.log(
      "warn",
      "goalkeeper: another copy is active in this directory (is the plugin listed twice?); this one does nothing",
    );
    return {};
  }
  const { options, problems, summary } = parseOptions(rawOptions);
  const trace = openTrace(options, clock, host);
  const parts = assemble({
    host,
    key: METADATA_KEY,
    options,
    adopts: true,
    observe: (observation) => trace.observe(observation),
    onDispose: () => {
      release();
      trace.close();
    },
  });
  return createHooks({
    ...parts,
    options,
    problems,
    summary,
    host,
    now: () => clock.now(),
    command: options.command,
    maxTurns: options.max_auto_turns,
    onDispose: () => parts.tasks.dispose(),
  });
};
