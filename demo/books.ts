import type { StoredMessage } from "../src/testing/index.ts";

/**
 * Checks the run against what OpenCode has stored, and knows nothing of the plugin but what it promises: its tag, its
 * wording of an outcome and its key in the session's metadata.
 */

/** The agent was told of the end of a task. `place`: of the message in the transcript. */
interface Telling {
  readonly id: string;
  readonly ended: string;
  readonly by: "OpenCode" | "goalkeeper";
  readonly place: number;
}

export interface TaskAccount {
  readonly id: string;
  readonly title: string;
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

/** @param messages the root's whole transcript, oldest first */
export function audit(messages: readonly StoredMessage[], metadata: Readonly<Record<string, unknown>>): Books {
  const goal: Goal = (metadata.goalkeeper as { goal?: Goal } | undefined)?.goal ?? {};
  const told = messages.flatMap(tellings);
  const started = messages.flatMap(backgroundTasks);
  const tasks = started.map((task) => ({ ...task, told: told.filter(({ id }) => id === task.id) }));
  const continuations = messages.flatMap((message, place) => {
    const isOurs = texts(message).some((text) => text.startsWith('<goalkeeper kind="continuation"'));
    return isOurs ? [{ place, text: texts(message).join("\n") }] : [];
  });
  const ends = (ended: string) => tasks.filter((task) => task.told[0]?.ended === ended);
  const named = ends("lost").every(({ id }) => continuations.some(({ text }) => text.includes(`(${id}): LOST`)));
  const talkedOver = tasks.some((task) => {
    const settledAt = task.told[0]?.place ?? Number.POSITIVE_INFINITY;
    return continuations.some(({ place }) => task.place < place && place < settledAt);
  });
  const once = tasks.filter((task) => task.told.length === 1).length;
  const kinds = ends("completed").length > 0 && ends("failed").length > 0 && ends("lost").length > 0;
  return {
    tasks,
    continuations: continuations.length,
    checks: [
      {
        what: `every background task was settled exactly once (${once} of ${tasks.length})`,
        holds: tasks.length >= 3 && once === tasks.length,
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

function backgroundTasks(message: StoredMessage, place: number) {
  return message.parts.flatMap((part) => {
    if (part.type !== "tool" || part.tool !== "task" || part.state.status !== "completed") return [];
    const { metadata, input } = part.state;
    const id = metadata.sessionId;
    if (typeof id !== "string" || metadata.background !== true) return [];
    return [{ id, title: String(input.description ?? id), place }];
  });
}

function tellings(message: StoredMessage, place: number): readonly Telling[] {
  if (message.info.role !== "user") return [];
  return texts(message).flatMap((text): readonly Telling[] => {
    if (/^<goalkeeper kind="(continuation|wrapup|task-outcome)"/.test(text)) {
      const lines = text.matchAll(/^- "[^"]*" \((ses_\w+)\): (completed|failed|cancelled|LOST)(?!, reported above)/gm);
      return [...lines].map(([, id = "", ended = ""]) => ({
        id,
        ended: ended.toLowerCase(),
        by: "goalkeeper",
        place,
      }));
    }
    const byHost = /^<task id="(ses_\w+)" state="(completed|error)">/.exec(text);
    if (byHost === null) return [];
    const ended = byHost[2] === "error" ? "failed" : "completed";
    return [{ id: byHost[1] ?? "", ended, by: "OpenCode", place }];
  });
}

function texts(message: StoredMessage): readonly string[] {
  return message.parts.flatMap((part) => (part.type === "text" ? [part.text] : []));
}
