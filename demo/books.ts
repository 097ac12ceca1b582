import type { StoredMessage } from "../src/testing/index.ts";

/**
 * Checks the run against what OpenCode has stored: the main session, and each task's own. Of the plugin it knows nothing
 * but what that promises: its tag, its wording of an outcome and its key in the session's metadata.
 */

/** A child session of the main one. */
export interface TaskSession {
  readonly id: string;
  readonly title: string;
  /** Oldest first. */
  readonly messages: readonly StoredMessage[];
}

/** The agent was told of the end of a task. `place`: of the message in the transcript. */
interface Telling {
  readonly id: string;
  readonly ended: string;
  readonly by: "OpenCode" | "goalkeeper";
  readonly place: number;
  /** All that the agent could read there. */
  readonly text: string;
  /** It has asked by itself. */
  readonly isReading: boolean;
}

export interface TaskAccount {
  readonly id: string;
  readonly title: string;
  /** How the task's own session ends, as OpenCode has stored it. */
  readonly shows: "finished" | "an error" | "broken off" | "nothing";
  readonly told: readonly Telling[];
}

export interface Check {
  readonly what: string;
  readonly holds: boolean;
}

export interface Books {
  readonly tasks: readonly TaskAccount[];
  readonly continuations: number;
  readonly checks: readonly Check[];
}

interface Goal {
  readonly status?: string;
  readonly turns?: number;
  readonly evidence?: readonly unknown[];
}

/**
 * @param messages the main session's whole transcript, oldest first
 * @param sessions all its child sessions
 */
export function audit(
  messages: readonly StoredMessage[],
  sessions: readonly TaskSession[],
  metadata: Readonly<Record<string, unknown>>,
): Books {
  const goal: Goal = (metadata.goalkeeper as { goal?: Goal } | undefined)?.goal ?? {};
  const told = firstReadings(messages.flatMap(tellings));
  const tasks = backgroundTasks(messages, sessions).map((task) => ({
    ...task,
    told: told.filter(({ id }) => id === task.id),
  }));
  const continuations = messages.flatMap((message, place) =>
    texts(message).some((text) => text.startsWith('<goalkeeper kind="continuation"')) ? [place] : [],
  );
  const ends = (ended: string) => tasks.filter((task) => task.told[0]?.ended === ended);
  const named = ends("lost").every((task) => task.told.some(({ place }) => continuations.includes(place)));
  const talkedOver = tasks.some((task) => {
    const settledAt = task.told[0]?.place ?? Number.POSITIVE_INFINITY;
    return continuations.some((place) => task.place < place && place < settledAt);
  });
  const once = tasks.filter((task) => task.told.length === 1).length;
  const agreed = tasks.filter(agrees).length;
  const kinds = ends("completed").length > 0 && ends("failed").length > 0 && ends("lost").length > 0;
  return {
    tasks,
    continuations: continuations.length,
    checks: [
      {
        what: `every background task was settled exactly once (${once} of ${tasks.length})`,
        holds: tasks.length >= 3 && once === tasks.length,
      },
      {
        what: `what was told is what the task's own session shows, with its result or error (${agreed} of ${tasks.length})`,
        holds: tasks.length > 0 && agreed === tasks.length,
      },
      { what: "one completed, one failed, one was lost with its process", holds: kinds },
      { what: "the lost one was named to the agent in a continuation", holds: named && ends("lost").length > 0 },
      { what: "no continuation went out while a task was live", holds: continuations.length > 0 && !talkedOver },
      {
        what: `the continuations in the transcript (${continuations.length}) are the turns of the goal (${goal.turns ?? "none"})`,
        holds: goal.turns === continuations.length,
      },
      {
        what: `the goal is ${goal.status ?? "unknown"}, with evidence (${goal.evidence?.length ?? 0})`,
        holds: goal.status === "complete" && (goal.evidence?.length ?? 0) > 0,
      },
    ],
  };
}

/** Every child session, but those that the agent has awaited, and every one that a call has named. */
function backgroundTasks(messages: readonly StoredMessage[], sessions: readonly TaskSession[]) {
  const launched = new Map<string, { readonly title: string; readonly place: number }>();
  const awaited = new Set<unknown>();
  for (const [place, { parts }] of messages.entries()) {
    for (const part of parts) {
      if (part.type !== "tool" || part.state.status !== "completed") continue;
      const { input, output, metadata } = part.state;
      if (part.tool === "task") awaited.add(metadata.sessionId);
      const id = part.tool === "background_task" ? /^Launched: "[^\n]*?" \((ses_\w+)\)/.exec(output)?.[1] : undefined;
      if (id !== undefined) launched.set(id, { title: String(input.description ?? id), place });
    }
  }
  const ids = new Set([...launched.keys(), ...sessions.map(({ id }) => id).filter((id) => !awaited.has(id))]);
  return [...ids].map((id) => {
    const session = sessions.find((session) => session.id === id);
    const { title = session?.title ?? id, place = 0 } = launched.get(id) ?? {};
    return { id, title, place, ...lastOf(session?.messages ?? []) };
  });
}

/** How a session ends, and its last words: its result or its error. */
function lastOf(messages: readonly StoredMessage[]): { readonly shows: TaskAccount["shows"]; readonly words: string } {
  const last = messages.at(-1);
  if (last === undefined) return { shows: "nothing", words: "" };
  const { info } = last;
  if (info.role !== "assistant") return { shows: "broken off", words: "" };
  if (info.error !== undefined) return { shows: "an error", words: String(info.error.data.message ?? info.error.name) };
  const isOver = info.time.completed !== undefined && info.finish !== undefined && info.finish !== "tool-calls";
  return { shows: isOver ? "finished" : "broken off", words: texts(last).at(-1) ?? "" };
}

const SHOWN: Readonly<Record<string, readonly TaskAccount["shows"][]>> = {
  completed: ["finished"],
  failed: ["an error"],
  cancelled: ["an error", "broken off"],
  lost: ["broken off"],
};

function agrees({ shows, words, told }: TaskAccount & { readonly words: string }): boolean {
  const owed = shows === "broken off" ? "" : plain(words).slice(-200);
  return told.every(({ ended, text }) => SHOWN[ended]?.includes(shows) === true && plain(text).includes(owed));
}

/** A text as it is told: on one line, and without the escapes of a frame. */
function plain(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&amp;", "&").replace(/\s+/g, " ").trim();
}

/** The agent may read a task as often as it likes: that tells it only if nothing has before. */
function firstReadings(told: readonly Telling[]): readonly Telling[] {
  return told.filter(({ id, isReading }, index) => !isReading || !told.slice(0, index).some((one) => one.id === id));
}

/** A line of a message of goalkeeper's. It may say that the task's model is not to be relied on. */
const OUTCOME =
  /^- "[^\n]*?" \((ses_\w+)\)(?: \(unstable model: verify\))?: (completed|failed|cancelled|LOST)(?!, reported above)/gm;

function tellings(message: StoredMessage, place: number): readonly Telling[] {
  if (message.info.role !== "user") return readings(message, place);
  return texts(message).flatMap((text): readonly Telling[] => {
    const common = { place, text, isReading: false };
    if (/^<goalkeeper kind="(continuation|wrapup|task-outcome)"/.test(text)) {
      const lines = text.matchAll(OUTCOME);
      return [...lines].map(([, id = "", ended = ""]) => ({
        ...common,
        id,
        ended: ended.toLowerCase(),
        by: "goalkeeper",
      }));
    }
    const byHost = /^<task id="(ses_\w+)" state="(completed|error)">/.exec(text);
    if (byHost === null) return [];
    const ended = byHost[2] === "error" ? "failed" : "completed";
    return [{ ...common, id: byHost[1] ?? "", ended, by: "OpenCode" }];
  });
}

/** What the agent has read by itself, of tasks that had ended by then. */
function readings({ parts }: StoredMessage, place: number): readonly Telling[] {
  return parts.flatMap((part): readonly Telling[] => {
    if (part.type !== "tool" || part.tool !== "background_output" || part.state.status !== "completed") return [];
    const { output: text } = part.state;
    const [, id, ended] = /^"[^\n]*?" \((ses_\w+)\)[^\n]*?: (completed|failed|cancelled|lost)\b/.exec(text) ?? [];
    if (id === undefined || ended === undefined) return [];
    return [{ id, ended, by: "goalkeeper", place, text, isReading: true }];
  });
}

function texts(message: StoredMessage): readonly string[] {
  return message.parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
}
