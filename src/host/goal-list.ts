import { goalSleeps } from "../goals/root.ts";
import type { ListedGoal } from "../goals/words.ts";
import { listText } from "../goals/words.ts";
import type { Keeper } from "../keeper/keeper.ts";
import type { HostPort } from "./port.ts";
import { ownerKey } from "./process-identity.ts";
import { load } from "./store.ts";

export interface GoalListDependencies {
  readonly key: string;
  readonly host: Pick<HostPort, "roots">;
  readonly keeper: Pick<Keeper, "goal" | "root">;
  readonly runsElsewhere: (runner: string) => boolean;
}

/** The goals of all sessions of a directory: those in the books here, and those that only are stored. */
export async function listGoals(
  sessionID: string,
  { key, host, keeper, runsElsewhere }: GoalListDependencies,
): Promise<string> {
  const roots = await host.roots();
  if (roots.kind !== "known") return "OpenCode did not list its sessions. Try again.";
  const goals = roots.value.flatMap((session): readonly ListedGoal[] => {
    const { id, title } = session;
    const here = keeper.goal(id);
    if (here !== undefined) {
      const root = keeper.root(id);
      const kept = root !== undefined && goalSleeps(root.presence) ? "asleep" : "here";
      return [{ sessionID: id, title, goal: here, kept }];
    }
    const loaded = load(session, key);
    if (loaded.kind !== "stored" || loaded.stored.goal === undefined) return [];
    const kept = runsElsewhere(ownerKey(loaded.stored.owner)) ? "elsewhere" : "asleep";
    return [{ sessionID: id, title, goal: loaded.stored.goal, kept }];
  });
  return listText(goals, sessionID);
}
