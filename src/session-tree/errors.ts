/** An argument of `waitForSessionTree` is not what it should be. */
export class SessionTreeArgumentError extends TypeError {
  override readonly name = "SessionTreeArgumentError";

  constructor(
    readonly argument: "client" | "rootID" | "timeoutMs" | "signal" | "onChange",
    expected: string,
    got: unknown,
  ) {
    super(`waitForSessionTree: ${argument} is ${shown(got)}; ${expected} was expected. Nothing was waited for.`);
  }
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : typeof value === "object" ? "an object" : String(value);
}
