/**
 * How long a test waits for a real OpenCode before it gives up: so many of its starts on this machine. `npm test`
 * measures one start before the first of these tests; a file that is run by `bun test` alone gets a generous guess.
 * A limit costs nothing while all is well, so there is one for waits, which nobody has to choose.
 */
import { setDefaultTimeout } from "bun:test";
import type { OpencodeServer, ScriptedModel, ServeOptions } from "../../src/testing/index.ts";

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

/** Waits for a condition; `report` says more about what there was instead. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  report: () => string | Promise<string> = () => "",
): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${WAIT_MS} ms\n${await report()}`);
    await Bun.sleep(25);
  }
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
