import { describe, expect, it } from "vitest";
import type { EventId } from "../../../shared/ids.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import { knownRoomVersions } from "../../../shared/matrix/room-version.ts";
import { fc } from "../../support/property.ts";
import { arrivalOrder, type Graph, graphOf, plan } from "../../unit/matrix/state-res/graphs.ts";
import { randomOf } from "../../unit/matrix/state-res/history.ts";
import { linesOf } from "../../unit/matrix/state-res/synthetic.ts";
import { currentLines, endsOf, foreignRoom, give, linesAt, statusOf } from "./foreign.ts";
import { GraphModel } from "./graph-model.ts";
import type { TestRoom } from "./world.ts";

/** Graphs for each room version. With those of `graphs.test.ts`, which need no room, there are 5,000. */
const runs = Number(process.env.GRAPH_RUNS ?? 42);

/** Gives a room all events in some order, and compares after each with the model. */
async function receiveLikeModel({ room: built }: Graph, events: readonly MatrixEvent[]): Promise<TestRoom> {
  const model = new GraphModel(built.rules, built.create);
  const room = foreignRoom(built);
  for (const event of events) {
    const expected = model.receive(event);
    const [outcome] = await give(room, [event]);
    if (outcome?.kind === "dropped") throw new Error(JSON.stringify(outcome));
    expect(statusOf(room, event.eventId)).toBe(expected);
    expect(outcome?.kind).toBe(expected === "soft_failed" ? "softFailed" : expected);
    expect(stateAfter(room, event.eventId)).toEqual(linesOf(model.stateAfter(event.eventId).entries()));
    expect(currentLines(room)).toEqual(linesOf(model.current.entries()));
    expect(endsOf(room)).toEqual(model.ends);
  }
  return room;
}

function stateAfter(room: TestRoom, eventId: EventId): string[] {
  return linesAt(room, room.context.store.events.byId(eventId)?.stateRootAfter ?? null);
}

/** Which events were rejected, and the state after each: no matter of the order in which they came. */
function verdicts(room: TestRoom, events: readonly MatrixEvent[]): [boolean, string[]][] {
  return events.map(({ eventId }) => [statusOf(room, eventId) === "rejected", stateAfter(room, eventId)]);
}

describe("receivePdus over random graphs", () => {
  it.each(knownRoomVersions)(
    "judges every event and resolves every state as the specification does, in any order, in version %s",
    async (version) => {
      await fc.assert(
        fc.asyncProperty(plan, fc.nat(), async (drawn, seed) => {
          const graph = graphOf(drawn, version);
          const { events } = graph.room;
          const random = randomOf(seed);
          const first = await receiveLikeModel(graph, arrivalOrder(events, random));
          const second = foreignRoom(graph.room);
          await give(second, arrivalOrder(events, random));
          expect(verdicts(second, events)).toEqual(verdicts(first, events));
        }),
        { numRuns: runs },
      );
    },
    120_000,
  );
});
