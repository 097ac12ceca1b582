import type { Voice } from "../host/port.ts";
import { toRegExp } from "./pattern.ts";

/**
 * Whether a task with this model is marked unstable: verify before relying on it.
 *
 * @param model the resolved one, with which the task really runs; nothing is said of an unknown one
 * @param patterns `unstable_models`: `*` is any run of characters, `?` any one, everything else itself, in either
 * case. Each is tried on "provider/model" as a whole and on the model alone.
 * @example isUnstable({ providerID: "google", modelID: "gemini-3-pro" }, ["*gemini*"]) // true
 */
export function isUnstable(model: Voice["model"] | undefined, patterns: readonly string[]): boolean {
  if (model === undefined) return false;
  const names = [`${model.providerID}/${model.modelID}`, model.modelID];
  return patterns.map(toRegExp).some((pattern) => names.some((name) => pattern.test(name)));
}
