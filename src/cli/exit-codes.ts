/** How `goalkeeper` ends, for scripts. The only place with these numbers; the README has the same table. */
export const EXIT = {
  /** The goal is complete, or the prompt was answered. */
  done: 0,
  /** A turn failed, the goal was paused, there was no answer, or OpenCode went away. */
  failed: 1,
  /** Nothing was begun: bad arguments, no OpenCode, nobody at that address, no such session, command, agent or model. */
  notStarted: 2,
  /** The agent has marked the goal as blocked. */
  blocked: 3,
  /** The goal has used up its turns. */
  limited: 4,
  /** `--timeout` is over. As the `timeout` command has it. */
  timedOut: 124,
  /** Ctrl-C, SIGTERM, or somebody else has interrupted the session. As shells have it. */
  interrupted: 130,
  /** Nobody reads the output any more. As shells have it for SIGPIPE. */
  unread: 141,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Each code with what it means, for `--help`. */
export const EXIT_MEANINGS: readonly (readonly [ExitCode, string])[] = [
  [EXIT.done, "the goal is complete, or the prompt was answered"],
  [EXIT.failed, "a turn failed, the goal was paused, there was no answer, or OpenCode went away"],
  [
    EXIT.notStarted,
    "not started: bad arguments, no OpenCode, no such session, command, agent or model; no goal to resume",
  ],
  [EXIT.blocked, "the agent has marked the goal as blocked"],
  [EXIT.limited, "the goal has used up its turns"],
  [EXIT.timedOut, "--timeout is over"],
  [EXIT.interrupted, "interrupted"],
  [EXIT.unread, "nobody reads the output any more, as with | head; the work was interrupted"],
];
