import { expect, it } from "vitest";
import { type EventId, trusted } from "../../../../shared/ids.ts";
import { type JsonObject, stringField } from "../../../../shared/json.ts";
import type { MatrixEvent } from "../../../../shared/matrix/event.ts";
import { authorize } from "../../../../shared/matrix/event-auth/state-dependent.ts";
import { StateMap } from "../../../../shared/matrix/state-map.ts";
import { authDifference } from "../../../../shared/matrix/state-res/auth-difference.ts";
import { conflictedSubgraph } from "../../../../shared/matrix/state-res/conflicted-subgraph.ts";
import type { ResolutionContext } from "../../../../shared/matrix/state-res/context.ts";
import { resolveConflicts, resolveState } from "../../../../shared/matrix/state-res/resolve.ts";
import { splitConflicted } from "../../../../shared/matrix/state-res/split-conflicted.ts";
import { rulesOf } from "../../../support/room-builder.ts";
import { describeVectors, readVectors } from "../vectors.ts";
import { contextOf, linesOf, stateOf, syntheticEvent } from "./synthetic.ts";

function resolved(context: ResolutionContext, stateMaps: StateMap<EventId>[]): StateMap<EventId> {
  const resolution = resolveState({ ...context, stateMaps });
  if (!resolution.ok) throw new Error(resolution.reason);
  return resolution.state;
}

/** The state after all events, resolving before each what its previous events come to. */
function resolveByGraph(events: readonly MatrixEvent[], context: ResolutionContext): StateMap<EventId> {
  const after = new Map<EventId, StateMap<EventId>>();
  const heads = new Set<EventId>();
  const statesOf = (ids: Iterable<EventId>): StateMap<EventId>[] =>
    [...ids].map((id) => after.get(id)).filter((state) => state !== undefined);
  for (const event of events) {
    const before =
      event.prevEvents.length === 0 ? new StateMap<EventId>() : resolved(context, statesOf(event.prevEvents));
    const state = new StateMap<EventId>(before.entries());
    if (event.stateKey !== null) state.set(event.type, event.stateKey, event.eventId);
    after.set(event.eventId, state);
    for (const prev of event.prevEvents) heads.delete(prev);
    heads.add(event.eventId);
  }
  return resolved(context, statesOf(heads));
}

interface RumaTest {
  name: string;
  room_version: string;
  mode: "batches" | "state_maps";
  pdus: string[];
  state_maps?: string[];
  expected: string;
}

describeVectors<{ tests: RumaTest[] }>("state-res/ruma/manifest.json", ({ tests }) => {
  const read = <T>(file: string): T => readVectors<T>(`state-res/ruma/${file}`);
  const fixture = (file: string): MatrixEvent[] => read<JsonObject[]>(`fixtures/${file}`).map(syntheticEvent);
  const expectedOf = (test: RumaTest): string[] =>
    read<{ type: string; state_key: string; event_id: string }[]>(test.expected)
      .map((one) => `${one.type}|${one.state_key} = ${one.event_id}`)
      .sort();

  for (const test of tests) {
    const rules = rulesOf(test.room_version);
    const events = test.pdus.flatMap(fixture);
    const context = contextOf(events, rules);
    if (test.mode === "state_maps") {
      it(test.name, () => {
        const stateMaps = (test.state_maps ?? []).map((file) => {
          const ids = read<string[]>(`fixtures/${file}`);
          return stateOf(events.filter((event) => ids.includes(event.eventId)));
        });
        expect(linesOf(resolved(context, stateMaps).entries())).toEqual(expectedOf(test));
        expect(linesOf(resolved(context, stateMaps.reverse()).entries())).toEqual(expectedOf(test));
      });
      continue;
    }
    it(`${test.name}, event by event`, () => {
      expect(linesOf(resolveByGraph(events, context).entries())).toEqual(expectedOf(test));
    });
    it(`${test.name}, file by file`, () => {
      let state = new StateMap<EventId>();
      for (const file of test.pdus) {
        const known = state;
        const forks = fixture(file).map((event) => {
          const fork = new StateMap(known.entries());
          if (event.stateKey !== null) fork.set(event.type, event.stateKey, event.eventId);
          return fork;
        });
        state = resolved(context, [known, ...forks]);
      }
      expect(linesOf(state.entries())).toEqual(expectedOf(test));
    });
    it(`${test.name}, all at once`, () => {
      expect(
        linesOf(
          resolved(
            context,
            events.map((event) => stateOf([event])),
          ).entries(),
        ),
      ).toEqual(expectedOf(test));
    });
  }
});

interface SoftFailTest {
  room_version: string;
  fixture: string;
  event: string;
  state_at_event: string[];
  current_state: string[];
}

describeVectors<{ tests: SoftFailTest[] }>("state-res/tuwunel/manifest.json", ({ tests }) => {
  it.each(tests)("soft-fails in $fixture", (test) => {
    const rules = rulesOf(test.room_version);
    const context = contextOf(
      readVectors<JsonObject[]>(`state-res/tuwunel/${test.fixture}`).map(syntheticEvent),
      rules,
    );
    const event = context.eventById(trusted.eventId(test.event));
    if (event === null) throw new Error("the fixture lacks its event");
    const allowedIn = (ids: string[]): boolean => {
      const events = ids.map((id) => context.eventById(trusted.eventId(id))).filter((found) => found !== null);
      const state = stateOf(events);
      return authorize(event, rules, (type, stateKey) => {
        const id = state.get(type, stateKey);
        return id === null ? null : context.eventById(id);
      }).allowed;
    };
    expect(allowedIn(test.state_at_event)).toBe(true);
    expect(allowedIn(test.current_state)).toBe(false);
  });
});

interface V1Vector {
  room_version: string;
  conflicted: JsonObject[];
  auth_events: JsonObject[];
  expected_winner_event_id: string;
}

describeVectors<V1Vector>("state-res/gomatrixserverlib/v1-power-levels.json", (vector) => {
  it("picks the expected power levels", () => {
    const conflicted = vector.conflicted.map(syntheticEvent);
    const authEvents = vector.auth_events.map(syntheticEvent);
    const unconflicted = stateOf(authEvents);
    const resolution = resolveConflicts({
      ...contextOf([...conflicted, ...authEvents], rulesOf(vector.room_version)),
      unconflicted: (type, stateKey) => unconflicted.get(type, stateKey),
      conflicted: new Set(conflicted.map((event) => event.eventId)),
      authDifference: new Set(),
    });
    expect(resolution.ok && linesOf(resolution.state.entries())).toEqual([
      `m.room.power_levels| = ${vector.expected_winner_event_id}`,
    ]);
  });
});

interface SplitCase {
  name: string;
  algorithm: string;
  state_sets: JsonObject[][];
  unconflicted: string[];
  conflicted: string[];
}

describeVectors<{ cases: SplitCase[] }>("state-res/gomatrixserverlib/split-conflicted.json", ({ cases }) => {
  it.each(cases)("$algorithm: $name", (one) => {
    const stateMaps = one.state_sets.map((events) => {
      const state = new StateMap<EventId>();
      for (const event of events) {
        state.set(
          stringField(event, "type") ?? "",
          stringField(event, "state_key") ?? "",
          trusted.eventId(stringField(event, "event_id") ?? ""),
        );
      }
      return state;
    });
    const split = splitConflicted(stateMaps, one.algorithm !== "StateResV1");
    expect([...split.unconflicted.entries()].map(([, eventId]) => eventId).sort()).toEqual(one.unconflicted.sort());
    expect([...split.conflicted.entries()].flatMap(([, ids]) => [...ids]).sort()).toEqual(one.conflicted.sort());
  });
});

interface SubgraphVectors {
  auth_event_graph: Record<string, string[]>;
  auth_chain_only: { start: string[]; auth_chain: string[] }[];
  cases: { name: string; start: string[]; conflicted: string[]; auth_chain: string[]; conflicted_subgraph: string[] }[];
}

describeVectors<SubgraphVectors>(
  "state-res/gomatrixserverlib/auth-chain-subgraph.json",
  ({ auth_event_graph, cases, auth_chain_only }) => {
    const authEventsOf = (eventId: EventId): EventId[] => (auth_event_graph[eventId] ?? []).map(trusted.eventId);

    it.each(auth_chain_only)("the auth chain of $start", (one) => {
      const chain = authDifference([one.start.map(trusted.eventId), []], authEventsOf, 100);
      expect([...(chain ?? [])].sort()).toEqual([...new Set([...one.auth_chain, ...one.start])].sort());
    });

    it.each(cases)("$name", (one) => {
      const conflicted = new Set(one.conflicted.map(trusted.eventId));
      const subgraph = conflictedSubgraph(conflicted, authEventsOf, 100);
      expect([...(subgraph ?? [])].sort()).toEqual([...one.conflicted_subgraph].sort());
      // Against an empty state, the difference is the whole chain with its start.
      const chain = authDifference([one.start.map(trusted.eventId), []], authEventsOf, 100);
      expect([...(chain ?? [])].sort()).toEqual([...new Set([...one.auth_chain, ...one.start])].sort());
    });
  },
);
