/** The arguments are not what they should be. Nothing was started. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** OpenCode could not be started or reached, or cannot do what was asked for. No prompt was sent. */
export class NotStartedError extends Error {
  override readonly name = "NotStartedError";
}
