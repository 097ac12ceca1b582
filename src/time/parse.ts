/** Epoch milliseconds of an ISO 8601 string; undefined if it is none. */
export function parseIso(value: string): number | undefined {
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : at;
}
