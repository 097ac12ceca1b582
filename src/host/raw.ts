import { parseIso } from "../time/parse.ts";

/** Reading values of unknown shape. The host's types promise more than a later version, or another plugin, keeps. */
export type Raw = Readonly<Record<string, unknown>>;

const NOTHING: Raw = {};

export function record(value: unknown): Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Raw) : NOTHING;
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Epoch milliseconds from a number, `{created}` or an ISO string: hosts and SDKs have given all three. */
export function moment(value: unknown): number | undefined {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "string") return /^\d+$/.test(value) ? Number(value) : parseIso(value);
  return typeof value === "object" && value !== null && "created" in value ? moment(value.created) : undefined;
}
