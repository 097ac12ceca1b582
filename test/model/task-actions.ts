import type { World } from "./world.ts";

/** What models do with tasks of ours. `model`: which one is wished for, if any. */
export type TaskAction =
  | { readonly do: "launch" | "again"; readonly pick: number; readonly model: number }
  | { readonly do: "cancel" | "cancel-all" | "read" | "tool"; readonly pick: number }
  | { readonly do: "wait"; readonly pick: number; readonly ms: number };

/** Models that may be wished for; two of them are of one provider. */
const MODELS = [undefined, { providerID: "acme", modelID: "small" }, { providerID: "acme", modelID: "big" }] as const;

/** A model calls a tool of ours, in a turn; in chaos also the author of a plugin, at any time. */
export function actOnTasks(world: World, action: TaskAction, root: string | undefined): void {
  const { host, keeper, tools } = world;
  if (root === undefined) return;
  const choose = (candidates: readonly string[]) => candidates[action.pick % Math.max(1, candidates.length)];
  const below = host.below(root);
  const callers = [root, root, root, ...below].filter((id) => host.hasTurn(id) || !world.book.judgesOwed);
  const caller = choose(callers);
  if (action.do === "tool") return toggleTool(world, choose(below.filter((id) => host.hasTurn(id))));
  if (caller === undefined) return;
  if (action.do === "launch") return tools.launch(caller, MODELS[action.model]);
  if (action.do === "cancel-all") return tools.cancelAll(caller);
  // Of tasks that it has made itself, or of any below it.
  const own = host.below(caller).filter((id) => keeper.manager.get(id)?.origin === "launched");
  const taskID = choose(own.toReversed());
  if (action.do === "again") {
    const isAtRest = (id: string) => !host.isActive(id) && host.messages(id).at(-1)?.role !== "user";
    const ended = below.filter((id) => isAtRest(id) && !host.ancestors(caller).includes(id) && id !== caller);
    const resumed = choose(ended);
    if (resumed !== undefined) tools.resume(resumed, caller, MODELS[action.model]);
    return;
  }
  if (taskID === undefined) return;
  if (action.do === "cancel") return tools.cancel(taskID, caller);
  if (action.do === "wait") return tools.wait(taskID, caller, action.ms);
  return tools.read(taskID, caller);
}

/** A tool of the child's own begins, or ends. */
function toggleTool(world: World, id: string | undefined): void {
  if (id === undefined) return;
  const answer = world.host.messages(id).findLast(({ role }) => role === "assistant");
  const running = [...(answer?.calls ?? [])].find(([, { tool, state }]) => tool === "bash" && state === "running");
  if (running === undefined) world.host.beginTool(id);
  else world.host.endTool(id, running[0]);
}
