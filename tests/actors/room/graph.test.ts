import { describe, expect, it } from "vitest";
import type { EventId } from "../../../shared/ids.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import { knownRoomVersions } from "../../../shared/matrix/room-version.ts";
import { randomHistory, randomOf } from "../../unit/matrix/state-res/history.ts";
import { linesOf } from "../../unit/matrix/state-res/synthetic.ts";
import { currentLines, endsOf, foreignRoom, give, linesAt, statusOf } from "./foreign.ts";
import { GraphModel } from "./graph-model.ts";

/** Another order in which every event still comes after those that it names. */
function shuffled(events: readonly MatrixEvent[], random: (below: number) => number): MatrixEvent[] {
  const rest = [...events];
  const done = new Set<EventId>();
  const ordered: MatrixEvent[] = [];
  while (rest.length > 0) {
    const free = rest.filter((event) => [...event.prevEvents, ...event.authEvents].every((id) => done.has(id)));
    const next = free[random(Math.min(free.length, 6))];
    if (next === undefined) throw new Error("the events form a circle");
    ordered.push(next);
    done.add(next.eventId);
    rest.splice(rest.indexOf(next), 1);
  }
  return ordered;
}

const runs = Number(process.env.GRAPH_RUNS ?? 6);

describe("receivePdus over random graphs", () => {
  it.each(knownRoomVersions)(
    "judges every event and resolves every state as the specification does, in version %s",
    async (version) => {
      for (let seed = 1; seed <= runs; seed += 1) {
        const { room: built } = randomHistory(version, seed, 40);
        const model = new GraphModel(built.rules, built.create);
        const room = foreignRoom(built);
        for (const event of shuffled(built.events, randomOf(seed * 7))) {
          const expected = model.receive(event);
          const [outcome] = await give(room, [event]);
          if (outcome?.kind === "dropped") throw new Error(JSON.stringify(outcome));
          expect([seed, statusOf(room, event.eventId), outcome?.kind]).toEqual([
            seed,
            expected,
            expected === "soft_failed" ? "softFailed" : expected,
          ]);
          const record = room.context.store.events.byId(event.eventId);
          expect(linesAt(room, record?.stateRootAfter ?? null)).toEqual(
            linesOf(model.stateAfter(event.eventId).entries()),
          );
          expect(currentLines(room)).toEqual(linesOf(model.current.entries()));
          expect(endsOf(room)).toEqual(model.ends);
        }
      }
    },
    120_000,
  );
});
