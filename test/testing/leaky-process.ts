// Started by a test: starts something in the place of OpenCode, tells its pid, and ends without disposing of it.
import { createIsolatedOpencode } from "../../src/testing/index.ts";

const opencode = createIsolatedOpencode({ binary: "/bin/sleep" });
const started = await opencode.start(["300"]);
process.stdout.write(JSON.stringify({ pid: started.pid, root: opencode.root }));

const how = process.argv[2];
if (how === "throw") throw new Error("the test failed");
process.kill(process.pid, how);
setInterval(() => {}, 1_000);
