/** An argument of `waitForSessionTree` is not what it should be. */
export class SessionTreeArgumentError extends TypeError {
  override readonly name = "SessionTreeArgumentError";

  constructor(
    readonly argument: "client" | "rootID" | "timeoutMs" | "signal" | "onChange" | "options",
    expected: string,
    got: unknown,
  ) {
    super(`waitForSessionTree: ${argument} is ${shown(got)}; ${expected} was expected. Nothing was waited for.`);
  }
}

function shown(value: unknown): string {
  if (value instanceof UnknownOptions) return `with ${value.names.map((name) => JSON.stringify(name)).join(", ")}`;
  return typeof value === "string" ? JSON.stringify(value) : typeof value === "object" ? "an object" : String(value);
}

/** Options that there are not: what they were meant to do would be left out in silence. */
export class UnknownOptions {
  constructor(readonly names: readonly string[]) {}
}
