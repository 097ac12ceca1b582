/** A pattern as people write it: `*` is any run of characters, `?` any one, everything else itself, in either case. */
export function toRegExp(pattern: string): RegExp {
  const source = pattern
    .replace(/[\\^$.+()[\]{}|/]/g, "\\$&")
    // A run of stars is one: each of its own would multiply the ways in which a name fails to match.
    .replace(/\*+/g, ".*")
    .replace(/\?/g, ".");
  return new RegExp(`^${source}$`, "isu");
}
