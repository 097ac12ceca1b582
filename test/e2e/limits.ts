/**
 * How long a test waits for a real OpenCode before it gives up: so many of its starts on this machine. `npm test`
 * measures one start before the first of these tests; a file that is run by `bun test` alone gets a generous guess.
 * A limit costs nothing while all is well, so there is one for waits, which nobody has to choose.
 */
import { setDefaultTimeout } from "bun:test";
import type { OpencodeEvent, OpencodeServer, ScriptedModel, ServeOptions } from "../../src/testing/index.ts";

const MEASURED_MS = Number(process.env.GOALKEEPER_TEST_START_MS ?? Number.NaN);
const START_MS = Math.max(2_000, Number.isFinite(MEASURED_MS) ? MEASURED_MS : 4_000);

/** Of a wait for one thing: OpenCode may start for it, beside others that start. */
export const WAIT_MS = 30 * START_MS;
/** Of an OpenCode that comes to its end by itself, however many turns it has. */
export const RUN_MS = 60 * START_MS;
/** Of a test or a hook. */
const TEST_MS = 90 * START_MS;

export const SERVE: ServeOptions = { readyTimeoutMs: WAIT_MS };

setDefaultTimeout(TEST_MS);

const LOOK_MS = 25;
/** What no event tells is seen by then. */
const LATEST_LOOK_MS = 200;

/** Waits for a condition; `report` says more about what there was instead. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  report: () => string | Promise<string> = () => "",
  news: () => Promise<unknown> = () => Bun.sleep(LOOK_MS),
): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${WAIT_MS} ms\n${await report()}`);
    await news();
  }
}

/**
 * Resolves when a session has had an event since the last call, or a moment later: to ask OpenCode all the time costs it
 * more than what the test is about.
 */
export function newsOf(sessionID: string, server: () => OpencodeServer): () => Promise<unknown> {
  let { events } = server();
  let seen = events.all.length;
  return async () => {
    if (server().events !== events) [events, seen] = [server().events, 0];
    const isOurs = ({ properties: { sessionID: id, info } }: OpencodeEvent) =>
      id === sessionID || info?.id === sessionID || info?.parentID === sessionID;
    const told = events.waitFor(isOurs, { from: seen, timeoutMs: LATEST_LOOK_MS }).catch(() => undefined);
    await Promise.all([told, Bun.sleep(LOOK_MS)]);
    seen = events.all.length;
  };
}

/** The model, with this machine's limit on every wait. */
export function patientModel(model: ScriptedModel): ScriptedModel {
  return {
    ...model,
    waitForRequest: (predicate, options) => model.waitForRequest(predicate, { timeoutMs: WAIT_MS, ...options }),
  };
}

/** The server, and every one that it is restarted as, with this machine's limit on every wait. */
export function patientServer(server: OpencodeServer): OpencodeServer {
  const { events } = server;
  return Object.assign(Object.create(server) as OpencodeServer, {
    events: {
      ...events,
      waitFor: (predicate, options) => events.waitFor(predicate, { timeoutMs: WAIT_MS, ...options }),
    } satisfies OpencodeServer["events"],
    waitForIdle: ((sessionID, options) =>
      server.waitForIdle(sessionID, { timeoutMs: WAIT_MS, ...options })) satisfies OpencodeServer["waitForIdle"],
    restart: (async (options) =>
      patientServer(await server.restart({ ...SERVE, ...options }))) satisfies OpencodeServer["restart"],
  });
}
