import { describe, expect, it } from "vitest";
import type { EventId } from "../../../../shared/ids.ts";
import type { MatrixEvent } from "../../../../shared/matrix/event.ts";
import { authorize } from "../../../../shared/matrix/event-auth/state-dependent.ts";
import { StateMap } from "../../../../shared/matrix/state-map.ts";
import type { ResolutionContext } from "../../../../shared/matrix/state-res/context.ts";
import { resolveState } from "../../../../shared/matrix/state-res/resolve.ts";
import { fc } from "../../../support/property.ts";
import { keyOf } from "../../../support/room-builder.ts";
import { arrivalOrder, type Graph, graphOf, permuted, plan } from "./graphs.ts";
import { contextOfRoom, randomOf } from "./history.ts";
import { naiveResolve } from "./naive.ts";
import { linesOf } from "./synthetic.ts";

/** Graphs for each of the three algorithms. With those of `graph.test.ts`, which go through a room, there are 5,000. */
const runs = Number(process.env.STATE_GRAPH_RUNS ?? 1_500);

type Random = (below: number) => number;

/** Resolves states given as lists of events, of which each may stand anywhere. */
function resolve(context: ResolutionContext, states: readonly (readonly MatrixEvent[])[]): StateMap<EventId> {
  const stateMaps = states.map((events) => {
    const state = new StateMap<EventId>();
    for (const event of events) state.set(event.type, event.stateKey ?? "", event.eventId);
    return state;
  });
  const resolution = resolveState({ ...context, stateMaps });
  if (!resolution.ok) throw new Error(resolution.reason);
  return resolution.state;
}

function naively(context: ResolutionContext, states: readonly (readonly MatrixEvent[])[]): string[] {
  const maps = states.map((events) => new Map(events.map((event) => [`${event.type}|${event.stateKey}`, event])));
  return [...naiveResolve(maps, context)].map(([key, event]) => `${key} = ${event.eventId}`).sort();
}

const lines = (state: StateMap<EventId>): string[] => linesOf(state.entries());

/** Whether what an event names in its `auth_events` allows it. */
function isAllowedByItsOwn({ room }: Graph, event: MatrixEvent): boolean {
  const named = event.authEvents.map((id) => room.byId(id));
  return authorize(event, room.rules, (type, stateKey) => {
    const found = named.find((auth) => auth.type === type && auth.stateKey === stateKey);
    return found ?? (type === "m.room.create" ? room.create : null);
  }).allowed;
}

/** The state after each event, for events that arrive in some order. */
function statesByArrival(graph: Graph, random: Random): Map<EventId, string[]> {
  const context = contextOfRoom(graph.room);
  const after = new Map<EventId, StateMap<EventId>>();
  for (const event of arrivalOrder(graph.room.events, random)) {
    const before = permuted(event.prevEvents, random).map((id) => after.get(id) ?? new StateMap<EventId>());
    const resolution = resolveState({ ...context, stateMaps: before });
    if (!resolution.ok) throw new Error(resolution.reason);
    const state = new StateMap<EventId>(resolution.state.entries());
    if (event.stateKey !== null) state.set(event.type, event.stateKey, event.eventId);
    after.set(event.eventId, state);
  }
  return new Map([...after].map(([id, state]) => [id, lines(state)]));
}

function checkGraph(graph: Graph, random: Random): void {
  const context = contextOfRoom(graph.room);
  const states = graph.branches.map((branch) => [...branch.state.values()]);
  const resolved = resolve(context, states);
  const expected = lines(resolved);
  // A second implementation, of the specification's sentences, agrees.
  expect(expected).toEqual(naively(context, states));
  // The order of states, and within them, is nothing; nor is a state that is there twice.
  const others = permuted([...states, ...states.slice(0, 1)], random).map((state) => permuted(state, random));
  expect(lines(resolve(context, others))).toEqual(expected);
  // One state is itself.
  for (const state of states) {
    const itself = linesOf(state.map((event) => [[event.type, event.stateKey ?? ""], event.eventId] as const));
    expect(lines(resolve(context, [state]))).toEqual(itself);
    expect(lines(resolve(context, [state, permuted(state, random)]))).toEqual(itself);
  }
  // What is resolved was allowed.
  for (const [, id] of resolved.entries()) expect(isAllowedByItsOwn(graph, graph.room.byId(id))).toBe(true);
  // The order of arrival is nothing: every branch comes to what was built.
  const [first, second] = [statesByArrival(graph, random), statesByArrival(graph, random)];
  expect([...first].sort()).toEqual([...second].sort());
  // A branch that has just taken in others has several heads, and nothing after them yet.
  for (const branch of graph.branches) {
    const [head = graph.room.create.eventId, ...more] = branch.heads;
    const built = linesOf(
      [...branch.state.values()].map((event) => [[event.type, event.stateKey ?? ""], event.eventId] as const),
    );
    if (more.length === 0) expect(first.get(head)).toEqual(built);
  }
  checkRejected(graph, states, random);
}

/** An event that was rejected is not in the outcome, and what needs it is judged without it. */
function checkRejected(graph: Graph, states: readonly (readonly MatrixEvent[])[], random: Random): void {
  const contested = contestedIn(states, graph.room.rules.stateResolution !== "v1");
  const rejected = contested[random(Math.max(1, contested.length))];
  if (rejected === undefined) return;
  const context = { ...contextOfRoom(graph.room), isRejected: (id: EventId) => id === rejected };
  const resolved = lines(resolve(context, states));
  expect(resolved.join("\n")).not.toContain(rejected);
  expect(resolved).toEqual(naively(context, states));
}

/** The events of keys on which the states differ; in room version 1, a state without the key has no say. */
function contestedIn(states: readonly (readonly MatrixEvent[])[], countsAbsence: boolean): EventId[] {
  const byKey = new Map<string, EventId[]>();
  for (const event of states.flat()) {
    const key = keyOf(event.type, event.stateKey ?? "");
    byKey.set(key, [...(byKey.get(key) ?? []), event.eventId]);
  }
  return [...byKey.values()].flatMap((ids) => {
    const distinct = new Set(ids);
    return distinct.size > 1 || (countsAbsence && ids.length < states.length) ? [...distinct] : [];
  });
}

describe("resolveState over random graphs", () => {
  const algorithms = [
    ["version 1", ["1"]],
    ["version 2", ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]],
    ["version 2.1", ["12"]],
  ] as const;

  it.each(algorithms)(
    "is the specification's, in any order, by %s",
    (_name, versions) => {
      let [events, conflicts] = [0, 0];
      fc.assert(
        fc.property(plan, fc.constantFrom(...versions), fc.nat(), (drawn, version, seed) => {
          const graph = graphOf(drawn, version);
          events += graph.room.events.length;
          expect(graph.room.events.length).toBeGreaterThanOrEqual(3);
          expect(graph.room.events.length).toBeLessThanOrEqual(40);
          const heads = new Set(graph.branches.flatMap((branch) => branch.heads));
          if (heads.size > 1) conflicts += 1;
          checkGraph(graph, randomOf(seed));
        }),
        { numRuns: runs },
      );
      // Otherwise the graphs would show nothing.
      expect(events / runs).toBeGreaterThan(12);
      expect(conflicts / runs).toBeGreaterThan(0.5);
    },
    240_000,
  );
});
