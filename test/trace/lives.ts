import { readFileSync } from "node:fs";
import { join } from "node:path";
import { HostIds } from "../../src/host/message-id.ts";
import type { HostEvent } from "../../src/host/port.ts";
import type { KeeperConfig } from "../../src/keeper/config.ts";
import { Keeper } from "../../src/keeper/keeper.ts";
import type { Effect, Input } from "../../src/keeper/messages.ts";
import { NO_USAGE } from "../../src/tasks/outcome.ts";
import { readTrace } from "../../src/trace/read.ts";
import { createRecorder, type Recorder } from "../../src/trace/recorder.ts";
import type { TraceRecord } from "../../src/trace/schema.ts";
import { VOICE } from "../support/builders.ts";
import { CONFIG } from "../support/keeper-config.ts";
import { ManualClock, ROOT } from "./fixtures.ts";

export interface LifeOptions {
  readonly directory: string;
  readonly clock?: ManualClock;
  readonly config?: Partial<KeeperConfig>;
}

/** A keeper with a recorder, on a host that takes everything and answers at once. */
export class RecordedLife {
  readonly clock: ManualClock;
  readonly keeper: Keeper;
  private readonly recorder: Recorder;
  private readonly directory: string;
  private messages = 0;

  constructor({ directory, clock = new ManualClock(), config = {} }: LifeOptions) {
    this.clock = clock;
    this.directory = directory;
    clock.at = Math.max(clock.at, 1_700_000_000_000);
    const log = (_level: string, said: string, extra?: object) => {
      throw new Error(`${said} ${JSON.stringify(extra)}`);
    };
    this.recorder = createRecorder({ directory, clock, withText: false, log });
    this.keeper = new Keeper({
      clock,
      config: { ...CONFIG, ...config },
      owner: { host: "somewhere", pid: 1, processStartedAt: 1, instance: "one" },
      runner: "somewhere/one",
      ids: new HostIds(clock),
      adopts: true,
      perform: (effect) => this.perform(effect),
      observe: (observation) => this.recorder.observe(observation),
    });
  }

  dispatch(...inputs: readonly Input[]): void {
    for (const input of inputs) this.keeper.dispatch(input);
  }

  host(...events: readonly HostEvent[]): void {
    for (const event of events) this.keeper.dispatch({ type: "host", event });
  }

  /** The alarm rings for everything that is due by then. */
  wait(ms: number): void {
    const end = this.clock.at + ms;
    for (let at = this.keeper.deadline(); at <= end; at = this.keeper.deadline()) {
      this.clock.at = Math.max(at, this.clock.at);
      this.keeper.dispatch({ type: "clock" });
    }
    this.clock.at = end;
  }

  seen(id: string, parentID?: string): void {
    const session = { id, title: id, createdAt: this.clock.at, archived: false, metadata: {} };
    this.host({
      type: "session-seen",
      session: parentID === undefined ? session : { ...session, parentID },
      created: false,
    });
  }

  goal(rootID: string = ROOT): void {
    this.dispatch({ type: "goal", rootID, event: { type: "set", id: this.messageID(), objective: "do it" } });
  }

  /** A turn of the user's, without a tool. */
  turn(rootID: string = ROOT): void {
    const messageID = this.messageID();
    this.host(
      { type: "user-message", sessionID: rootID, messageID, voice: VOICE },
      { type: "user-text", sessionID: rootID, messageID, text: "go on", synthetic: false, ignored: false },
      { type: "session-busy", sessionID: rootID },
    );
    this.answer(rootID, messageID);
    this.host({ type: "session-idle", sessionID: rootID });
  }

  answer(sessionID: string, parentID: string): void {
    const messageID = this.messageID();
    const said = { completedAt: this.clock.at, error: undefined, usage: { tokens: 100, cost: 0 } };
    this.host({ type: "assistant-message", sessionID, messageID, parentID, summary: false, ...said });
  }

  launch(id: string, rootID: string = ROOT): void {
    const { at } = this.clock;
    const task = { id, parentID: rootID, title: id, createdAt: at, launch: { voice: VOICE, unstable: false } };
    const prompt = { promptID: this.messageID(), prompt: "do your part" };
    this.dispatch({ type: "launched", rootID, task: { ...task, ...prompt }, requestedAt: at - 10 });
  }

  /** Later than any of the keeper's by now. */
  messageID(): string {
    this.clock.at += 10;
    return new HostIds(this.clock).message(`msg_${(++this.messages).toString(16).padStart(12, "0")}`);
  }

  trace(rootID: string = ROOT): readonly TraceRecord[] {
    return readTrace(readFileSync(join(this.directory, `${rootID}.jsonl`), "utf8")).records;
  }

  close(): void {
    this.recorder.close();
  }

  private perform(effect: Effect): void {
    switch (effect.type) {
      case "save": {
        const { rootID, revision } = effect;
        return this.dispatch({ type: "saved", rootID, revision, result: { kind: "ok" } });
      }
      case "send": {
        const { rootID, prompt } = effect;
        const { sessionID, messageID } = prompt;
        return this.dispatch({
          type: "sent",
          rootID,
          sessionID,
          messageID,
          answer: { kind: "known", value: undefined },
        });
      }
      case "start": {
        const { taskID, run } = effect;
        return this.dispatch({ type: "started", taskID, run, answer: { kind: "known", value: "sent" } });
      }
      case "look": {
        const { taskID, run } = effect;
        const reading = { kind: "known", value: { kind: "finished", text: "done", usage: NO_USAGE } } as const;
        const unasked = { kind: "unknown", reason: "not asked" } as const;
        return this.dispatch({ type: "looked", taskID, run, look: { reading, shown: unasked, listed: unasked } });
      }
      default:
        return;
    }
  }
}
