import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Goal } from "../goals/goal.ts";
import { type AskReply, reply } from "../host/asks.ts";
import type { Client } from "../host/client.ts";
import { authorizationOf, connect } from "../host/connect.ts";
import type { SessionTreeState } from "../session-tree/state.ts";
import { watchSessionTree } from "../session-tree/wait.ts";
import type { Clock } from "../time/clock.ts";
import type { RunSettings } from "./arguments.ts";
import { changes } from "./changes.ts";
import { type Ended, ended, endingOf, isLeft } from "./ending.ts";
import { NotStartedError, UsageError } from "./errors.ts";
import type { RunEvent } from "./events.ts";
import type { ExitCode } from "./exit-codes.ts";
import { commandToGoOn } from "./going-on.ts";
import { Interrupter } from "./interrupter.ts";
import type { Interrupts } from "./interrupts.ts";
import { type Streams, writer } from "./output.ts";
import { Prompting } from "./prompting.ts";
import { attachTo, type Server, startServer } from "./server.ts";
import { pickSession, requireGoalCommand } from "./session.ts";
import { Texts } from "./texts.ts";
import { requireVoice } from "./voice.ts";
import { Waiting } from "./waiting.ts";

export interface RunContext extends Streams {
  readonly clock: Clock;
  readonly interrupts: Interrupts;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/** `goalkeeper run`: from the server to the exit code. Its last event is always `ended`. */
export async function run(prompt: string, settings: RunSettings, context: RunContext): Promise<ExitCode> {
  const write = writer(settings.format, context, context.clock);
  const { interrupts } = context;
  let server: Server | undefined;
  let sessionID: string | undefined;
  const report = (event: RunEvent) => {
    if (event.type === "started") sessionID = event.sessionID;
    write(event);
  };
  const end = (result: Ended) => {
    write({ type: "ended", ...result, ...(sessionID === undefined ? {} : { sessionID }) });
    return result.exitCode;
  };
  try {
    server = await serverFor(settings, context);
    interrupts.beforeTheEnd(server.kill.bind(server));
    return end(await work(server, prompt, settings, context, report));
  } catch (error) {
    if (interrupts.isWished) return end(ended("interrupted", "interrupted"));
    if (error instanceof NotStartedError) return end(ended("not-started", error.message));
    throw error;
  } finally {
    await server?.stop();
  }
}

/** Where the project is; with `--attach` the server knows, unless it is said. */
export function directoryOf({ attach, directory }: RunSettings, cwd: string): string | undefined {
  if (attach !== undefined) return directory;
  const path = resolve(cwd, directory ?? ".");
  if (!existsSync(path)) throw new UsageError(`--dir is ${JSON.stringify(path)}, which does not exist.`);
  return path;
}

function serverFor(settings: RunSettings, { cwd, env, interrupts }: RunContext): Promise<Server> {
  return settings.attach === undefined
    ? startServer(directoryOf(settings, cwd) ?? cwd, interrupts.first)
    : attachTo(settings.attach, authorizationOf(env));
}

async function work(
  server: Server,
  prompt: string,
  settings: RunSettings,
  { clock, cwd, env, interrupts }: RunContext,
  report: (event: RunEvent) => void,
): Promise<Ended> {
  const directory = directoryOf(settings, cwd);
  const client = connect({ url: server.url, directory, authorization: authorizationOf(env) });
  if (settings.mode !== "prompt") await requireGoalCommand(client);
  await requireVoice(client, settings);
  const rootID = await pickSession(client, settings);
  if (interrupts.isWished) return ended("interrupted", "interrupted");

  const giveUp = new AbortController();
  const interrupter = new Interrupter(client, rootID, clock, () => giveUp.abort());
  const prompting = new Prompting(client, rootID, clock);
  let hasSpoken = false;
  const texts = new Texts(client, rootID, (event) => {
    hasSpoken = true;
    report(event);
  });
  const waiting = new Waiting(clock, report);
  const asks = new Asks(client, settings.auto, report);
  let stopped: "signal" | "timeout" | undefined;
  let state: SessionTreeState | undefined;
  let goalBefore: Goal | undefined;

  const stop = (because: "signal" | "timeout") => {
    if (stopped !== undefined) return;
    stopped = because;
    waiting.end();
    report({ type: "interrupting", because });
    interrupter.begin();
  };
  const onInterrupt = () => stop("signal");
  interrupts.first.addEventListener("abort", onInterrupt, { once: true });
  let cancelTimeout: () => void = () => undefined;
  try {
    const outcome = await watchSessionTree(
      client,
      {
        rootID,
        signal: giveUp.signal,
        onEvent(event) {
          prompting.event(event);
          texts.event(event);
        },
        onChange(next) {
          for (const event of changes(state, next, settings.session.kind === "new")) report(event);
          state = next;
          waiting.changed(next);
          asks.answer(next);
          interrupter.changed(next);
        },
        async onJoined(found) {
          state = found;
          goalBefore = found.goal;
          if (settings.mode === "resume") requireGoal(goalBefore);
          if (settings.session.kind !== "new") await texts.skipOld();
          report({ type: "started", sessionID: rootID, server: server.url, goal: settings.mode !== "prompt" });
          if (settings.timeoutMs !== undefined) cancelTimeout = clock.after(settings.timeoutMs, () => stop("timeout"));
          await prompting.send(prompt, settings);
        },
      },
      clock,
    );
    const isThere = outcome.kind !== "stream-closed" && outcome.kind !== "deleted" && outcome.kind !== "not-found";
    const unfinished = isThere && (await texts.sayRest());
    const { mode } = settings;
    const facts = { mode, stopped, goalBefore, unfinished, hasSpoken, lastWords: server.lastWords() };
    const result = endingOf(outcome, facts);
    const goesOn = outcome.kind !== "deleted" && isLeft(result, outcome.state.goal, facts);
    return goesOn ? { ...result, toGoOn: commandToGoOn(rootID, settings) } : result;
  } finally {
    waiting.end();
    cancelTimeout();
    interrupts.first.removeEventListener("abort", onInterrupt);
  }
}

function requireGoal(goal: Goal | undefined): void {
  if (goal !== undefined && goal.status !== "complete") return;
  const why = goal === undefined ? "there is none in the session" : "it is complete";
  throw new NotStartedError(`The goal cannot be resumed: ${why}. No prompt was sent.`);
}

/** Answers what the agent asks: nobody else is there. */
class Asks {
  private readonly answered = new Set<string>();

  constructor(
    private readonly client: Client,
    private readonly auto: boolean,
    private readonly report: (event: RunEvent) => void,
  ) {}

  answer({ asks }: SessionTreeState): void {
    for (const { askID, kind, sessionID, about } of asks) {
      if (this.answered.has(askID)) continue;
      this.answered.add(askID);
      const approve = this.auto && kind === "permission";
      this.report({ type: "asked", kind, sessionID, about, answer: approve ? "approved" : "rejected" });
      this.send({ kind, askID, approve });
    }
  }

  /** One that could not be answered is answered when it is seen again. */
  private send(answer: AskReply): void {
    reply(this.client, answer).then(
      ({ kind }) => kind === "unknown" && this.answered.delete(answer.askID),
      () => this.answered.delete(answer.askID),
    );
  }
}
