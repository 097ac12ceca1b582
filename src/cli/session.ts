import type { Client } from "../host/client.ts";
import { call } from "../host/opencode.ts";
import { list, moment, record, text } from "../host/raw.ts";
import type { RunSettings } from "./arguments.ts";
import { NotStartedError } from "./errors.ts";

/** An instance that has just been made answers when its plugins are loaded. */
const STARTS_WITHIN_MS = 60_000;
/** As `opencode run` has it: nobody is there to answer a question, or to be asked for another mode. */
const NOBODY_TO_ASK = ["question", "plan_enter", "plan_exit"].map((permission) => ({
  permission,
  pattern: "*",
  action: "deny",
}));

/**
 * The session that the run is about: a new one, or one that is there.
 *
 * @throws NotStartedError
 */
export async function pickSession(client: Client, { mode, session, title }: RunSettings): Promise<string> {
  switch (session.kind) {
    case "new": {
      // The generated type does not know of the rules.
      const body: { title?: string } = { ...(title === undefined ? {} : { title }), ...{ permission: NOBODY_TO_ASK } };
      const answer = await call("session.create", () => client.session.create({ body }), STARTS_WITHIN_MS);
      const id = answer.kind === "known" ? text(record(answer.value).id) : undefined;
      if (id === undefined) throw new NotStartedError(`OpenCode has not made a session${because(answer)}.`);
      return id;
    }
    case "id": {
      const { id } = session;
      const answer = await call("session.get", () => client.session.get({ path: { id } }), STARTS_WITHIN_MS);
      const parentID = answer.kind === "known" ? text(record(answer.value).parentID) : undefined;
      if (parentID !== undefined && mode !== "prompt")
        throw new NotStartedError(`${id} is the session of a task; goals belong to the main one. No prompt was sent.`);
      if (answer.kind === "known") return id;
      throw new NotStartedError(`OpenCode has no session ${id}${because(answer)}. No prompt was sent.`);
    }
    case "last": {
      // The server takes it; the generated type does not know it.
      const query = { roots: true } as { directory?: string };
      const answer = await call("session.list", () => client.session.list({ query }), STARTS_WITHIN_MS);
      const sessions = answer.kind === "known" ? list(answer.value).map(record) : [];
      const roots = sessions.filter(({ parentID }) => parentID === undefined);
      const last = roots.reduce<(typeof roots)[number] | undefined>(
        (newest, one) => (newest === undefined || updatedAt(one) > updatedAt(newest) ? one : newest),
        undefined,
      );
      const id = text(last?.id);
      if (id !== undefined) return id;
      throw new NotStartedError(`There is no session to continue${because(answer)}. No prompt was sent.`);
    }
  }
}

/**
 * Makes sure that the server has goalkeeper's command.
 *
 * @throws NotStartedError
 */
export async function requireGoalCommand(client: Client): Promise<void> {
  const answer = await call("command.list", () => client.command.list(), STARTS_WITHIN_MS);
  if (answer.kind !== "known") throw new NotStartedError(`OpenCode did not list its commands${because(answer)}.`);
  if (list(answer.value).some((command) => record(command).name === "goal")) return;
  throw new NotStartedError(
    'This OpenCode has no command /goal, which --goal needs. Add "opencode-goalkeeper" to `plugin` in opencode.json (its log says why a plugin was not loaded). No prompt was sent.',
  );
}

function updatedAt({ time }: Readonly<Record<string, unknown>>): number {
  return moment(record(time).updated) ?? 0;
}

function because(answer: { readonly kind: string; readonly reason?: string }): string {
  return answer.kind === "unknown" ? ` (${answer.reason})` : "";
}
