import { record, text } from "../host/raw.ts";

/** What a child's own session keeps of its present run: with it a queued task survives a restart. */
export interface StoredLaunch {
  readonly promptID: string;
  readonly prompt: string;
}

export function storedLaunch({ promptID, prompt }: StoredLaunch) {
  return { version: 1, promptID, prompt } as const;
}

/** Reads it back; undefined if it is of another version, damaged, or not there. */
export function readStoredLaunch(value: unknown): StoredLaunch | undefined {
  const { version, promptID, prompt } = record(value);
  const [id, body] = [text(promptID), text(prompt)];
  return version === 1 && id !== undefined && body !== undefined ? { promptID: id, prompt: body } : undefined;
}
