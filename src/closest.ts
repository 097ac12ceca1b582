/**
 * The names that somebody may have meant, the closest first: at most `slips` letters were added, left out, replaced, or
 * swapped with the next one.
 *
 * @example closest("max_concurent_tasks", ["max_concurrent_tasks"], 2) // ["max_concurrent_tasks"]
 */
export function closest(word: string, names: readonly string[], slips: number): readonly string[] {
  // Every other letter is a slip: what is pasted may be long, and is not compared.
  const alike = names.filter((name) => Math.abs(name.length - word.length) <= slips);
  return alike
    .map((name) => ({ name, distance: distance(word.toLowerCase(), name.toLowerCase()) }))
    .filter((found) => found.distance <= slips)
    .sort((one, other) => one.distance - other.distance)
    .map(({ name }) => name);
}

/** Damerau and Levenshtein's, row by row. */
function distance(one: string, other: string): number {
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      const isSwapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      next.push(
        Math.min(
          at(row, j) + 1,
          at(next, j - 1) + 1,
          at(row, j - 1) + (isSame ? 0 : 1),
          isSwapped ? at(before, j - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    [before, row] = [row, next];
  }
  return at(row, other.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
