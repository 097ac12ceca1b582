/** The OpenCode that the files of one test process share: started when the first of them needs it. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  createIsolatedOpencode,
  type IsolatedOpencode,
  type OpencodeServer,
  type ScriptedProviderConfig,
} from "../../src/testing/index.ts";
import { patientServer, SERVE } from "./limits.ts";

export interface SharedOpencode {
  /** The process that runs now. */
  readonly server: OpencodeServer;
  restart(options: { readonly kill?: boolean }): Promise<void>;
  newDirectory(): string;
  /** The same OpenCode, with nothing in its log yet. */
  since(): IsolatedOpencode;
  /** Nobody uses it any more. It ends, unless other files follow. */
  release(): Promise<void>;
}

const NO_MODEL: ScriptedProviderConfig = { provider: {}, model: "scripted/model", small_model: "scripted/model" };

let current: (SharedOpencode & { readonly opencode: IsolatedOpencode; runs(): boolean }) | undefined;
let othersFollow = false;

/** Only who says this can say when the last file has ended: see keep-opencode.ts. */
export function keepOpencode(): void {
  othersFollow = true;
}

export async function endOpencode(): Promise<void> {
  await current?.opencode.dispose();
  current = undefined;
}

/** One that runs: if a file has killed it, or it has died, it is started again. */
export async function sharedOpencode(): Promise<SharedOpencode> {
  current ??= await start();
  if (!current.runs()) await current.restart({});
  return current;
}

async function start(): Promise<NonNullable<typeof current>> {
  // The models are in the projects' configuration: each file has its own.
  const opencode = createIsolatedOpencode({ model: { providerConfig: () => NO_MODEL } });
  let directories = 0;
  let server = patientServer(await opencode.serve(SERVE));
  let isRunning = true;
  const watch = ({ exited }: OpencodeServer) => {
    isRunning = true;
    void exited.then(() => {
      if (server.exited === exited) isRunning = false;
    });
  };
  watch(server);
  return {
    opencode,
    get server() {
      return server;
    },
    runs: () => isRunning,
    async restart(options) {
      server = await server.restart(options);
      watch(server);
    },
    newDirectory() {
      const directory = join(opencode.root, `project-${++directories}`);
      mkdirSync(directory);
      return directory;
    },
    since() {
      const before = logs(opencode);
      const readLog = () =>
        [...logs(opencode)].map(([file, text]) => text.slice(before.get(file)?.length ?? 0)).join("");
      return { ...opencode, readLog };
    },
    release: () => (othersFollow ? Promise.resolve() : endOpencode()),
  };
}

/** Each start has a file of its own, and OpenCode keeps a number of them. */
function logs({ env }: IsolatedOpencode): ReadonlyMap<string, string> {
  const directory = join(env.XDG_DATA_HOME ?? "", "opencode", "log");
  const files = readdirSync(directory).filter((name) => name.endsWith(".log"));
  return new Map(files.sort().map((file) => [file, readFileSync(join(directory, file), "utf8")]));
}
