import type { PluginModule } from "@opencode-ai/plugin";
import { performer } from "../keeper/effects.ts";
import { Keeper } from "../keeper/keeper.ts";
import { keeperConfig, parseOptions } from "../options.ts";
import { systemClock } from "../time/clock.ts";
import { openTrace } from "../trace/open.ts";
import { EventTranslator } from "./events.ts";
import { createHooks } from "./hooks.ts";
import { Loader } from "./loader.ts";
import { HostIds } from "./message-id.ts";
import { OpencodeHost } from "./opencode.ts";
import { isAlive, newOwner, ownerKey, parseOwnerKey } from "./process-identity.ts";
import { claim, registry } from "./registry.ts";
import { Store } from "./store.ts";

/**
 * The plugin for one directory: builds the parts and connects them. OpenCode calls it once per directory instance and
 * awaits it; asking the host anything in here would deadlock its start, so nothing is awaited.
 */
export const server: PluginModule["server"] = async (input, rawOptions) => {
  const clock = systemClock;
  const host = new OpencodeHost(input.client, input.directory);
  const owner = newOwner();
  const runner = ownerKey(owner);
  const release = claim(input.directory, owner.instance);
  if (release === undefined) {
    host.log(
      "warn",
      "goalkeeper: another copy is active in this directory (is the plugin listed twice?); this one does nothing",
    );
    return {};
  }
  const { options, problems } = parseOptions(rawOptions);
  const ids = new HostIds(clock);
  const trace = openTrace(options, clock, host);
  const runsElsewhere = (key: string) => {
    const other = parseOwnerKey(key);
    return key !== runner && other !== undefined && isAlive(other, registry().instances);
  };

  const keeper: Keeper = new Keeper({
    clock,
    config: keeperConfig(options),
    owner,
    runner,
    ids,
    observe: (observation) => trace.observe(observation),
    perform: (effect) => perform(effect),
  });
  const loader = new Loader({ host, keeper, runner, runsElsewhere, resumeOnStart: options.resume_on_start });
  const store = new Store({
    host,
    runsElsewhere,
    onDamage: (rootID) => keeper.dispatch({ type: "storage-repaired", rootID }),
    onMoved: (rootID, claim) => keeper.dispatch({ type: "moved", rootID, claim }),
  });
  const perform = performer({
    host,
    store,
    task: (taskID) => keeper.manager.get(taskID),
    reread: (rootID) => loader.reread(rootID),
    dispatch: (answer) => keeper.dispatch(answer),
    isDisposed: () => keeper.isDisposed,
  });
  const translator = new EventTranslator({
    sign: (sessionID) => keeper.manager.signs.mark(sessionID, clock.now()),
    event: (event) => {
      keeper.dispatch({ type: "host", event });
      if (event.type === "session-deleted") store.forget(event.sessionID);
      if (event.type !== "session-seen") return;
      loader.see(event.session);
      store.observe(event.session);
    },
  });
  return createHooks({
    options,
    problems,
    host,
    keeper,
    loader,
    translator,
    ids,
    now: () => clock.now(),
    command: options.command,
    maxTurns: options.max_auto_turns,
    onDispose: () => {
      host.dispose();
      keeper.dispose();
      release();
      trace.close();
    },
  });
};
