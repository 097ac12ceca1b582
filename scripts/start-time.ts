// Prints how many milliseconds one start of OpenCode takes on this machine, until it has its first session.
import { createIsolatedOpencode } from "../src/testing/index.ts";

await using opencode = createIsolatedOpencode();
const startedAt = Date.now();
const server = await opencode.serve({ readyTimeoutMs: 300_000 });
await server.createSession();
console.log(Date.now() - startedAt);
