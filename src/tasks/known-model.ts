import { closest } from "../closest.ts";
import type { Voice } from "../host/port.ts";

/** So many names are offered in the place of one that there is not. */
const MOST_OFFERED = 5;

/**
 * Why a wished model cannot be had, with what there is instead, the closest names first; undefined if it can. OpenCode
 * itself would say so when the child has been made and prompted, and name models that the user does not have.
 *
 * @param known "provider/model" of every model; empty or undefined: the host did not say, and nothing is checked
 */
export function noSuchModel(wished: Voice["model"], known: ReadonlySet<string> | undefined): string | undefined {
  const name = `${wished.providerID}/${wished.modelID}`;
  if (known === undefined || known.size === 0 || known.has(name)) return undefined;
  const names = [...known];
  const ofProvider = names.filter((other) => providerOf(other) === wished.providerID);
  if (ofProvider.length > 0)
    return `There is no model "${name}". Models of ${wished.providerID}: ${offered(name, ofProvider)}.`;
  const elsewhere = names.filter((other) => other.endsWith(`/${wished.modelID}`));
  if (elsewhere.length > 0) return `There is no model "${name}". Available: ${offered(name, elsewhere)}.`;
  const providers = [...new Set(names.map(providerOf))];
  return `There is no model "${name}", and no provider "${wished.providerID}". Providers: ${offered(wished.providerID, providers)}.`;
}

function providerOf(name: string): string {
  return name.slice(0, name.indexOf("/"));
}

function offered(wished: string, names: readonly string[]): string {
  const shown = closest(wished, names, Number.POSITIVE_INFINITY).slice(0, MOST_OFFERED);
  const left = names.length - shown.length;
  return `${shown.join(", ")}${left === 0 ? "" : ` and ${left} more`}`;
}
