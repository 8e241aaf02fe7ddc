import { describe, expect, it } from "vitest";
import {
  authChainOf,
  authDifferenceOf,
  conflictedSubgraphOf,
  indexAuthChain,
} from "../../../actors/room/auth-chains.ts";
import type { EventRecord } from "../../../actors/room/store/events.ts";
import type { RoomTransaction } from "../../../actors/room/store/index.ts";
import { trusted } from "../../../shared/ids.ts";
import { eventWithId } from "../../../shared/matrix/event.ts";
import { rulesOf } from "../../support/room-builder.ts";
import { randomOf } from "../../unit/matrix/state-res/history.ts";
import { cpuMsOf } from "../../unit/matrix/timing.ts";
import { createWorld, type TestRoom } from "./world.ts";

/** A graph of auth events by number, event n + 1 at index n; each only names lower ones. */
type AuthGraph = readonly (readonly number[])[];

function emptyRoom(): TestRoom {
  const world = createWorld();
  const room = world.room(trusted.roomId("!graph:example.org"));
  room.context.store.transaction((tx) => tx.room.insert("11"));
  return room;
}

/** Stores events that have nothing but auth events, and puts them into the index. */
function store(room: TestRoom, graph: AuthGraph): EventRecord[] {
  return room.context.store.transaction((tx) => {
    const records: EventRecord[] = [];
    for (const [index, auth] of graph.entries()) {
      const named = auth.map((nid) => tx.events.byNid(nid));
      records.push(insert(tx, index + 1, named));
    }
    return records;
  });
}

function insert(tx: RoomTransaction, eventNid: number, named: readonly EventRecord[]): EventRecord {
  const eventId = trusted.eventId(`$${eventNid}`);
  const record = {
    eventNid,
    eventId,
    streamPosition: null,
    status: "outlier" as const,
    depth: 1,
    originServerTs: 1,
    sender: trusted.userId("@a:example.org"),
    type: "m.room.member",
    stateKey: `@${eventNid}:example.org`,
    stateRootBefore: null,
    stateRootAfter: null,
    currentRoot: null,
    authPosition: indexAuthChain(tx, eventNid, named),
    redactedBy: null,
    deviceId: null,
    txnId: null,
    jsonLength: 2,
    event: eventWithId(eventId, {}, rulesOf("11")),
  };
  tx.events.insert({ ...record, json: "{}" });
  return record;
}

function randomGraph(random: (below: number) => number, size: number): AuthGraph {
  return Array.from({ length: size }, (_, index) => {
    const named = new Set<number>();
    // Mostly of late, sometimes from long ago; sometimes nothing.
    for (let count = random(5); count > 0 && index > 0; count -= 1) {
      named.add(random(4) === 0 ? 1 + random(index) : Math.max(1, index - random(6)));
    }
    return [...named];
  });
}

function chainOf(graph: AuthGraph, start: Iterable<number>): Set<number> {
  const chain = new Set<number>(start);
  for (const nid of chain) for (const auth of graph[nid - 1] ?? []) chain.add(auth);
  return chain;
}

function plainDifference(graph: AuthGraph, states: readonly (readonly number[])[]): number[] {
  const chains = states.map((state) => chainOf(graph, state));
  const all = new Set(chains.flatMap((chain) => [...chain]));
  return [...all].filter((nid) => !chains.every((chain) => chain.has(nid))).sort((a, b) => a - b);
}

function plainSubgraph(graph: AuthGraph, conflicted: ReadonlySet<number>): number[] {
  const leads = (nid: number): boolean =>
    [...chainOf(graph, graph[nid - 1] ?? [])].some((below) => conflicted.has(below)) || conflicted.has(nid);
  return [...chainOf(graph, conflicted)].filter(leads).sort((a, b) => a - b);
}

const sorted = (nids: Iterable<number> | null): number[] | null =>
  nids === null ? null : [...nids].sort((a, b) => a - b);

describe("the index of auth chains", () => {
  it("finds the same auth chains of many events as a plain walk, those of them that authorize others included", () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const random = randomOf(seed);
      const graph = randomGraph(random, 10 + random(60));
      const room = emptyRoom();
      const some = store(room, graph).filter(() => random(3) === 0);
      const plain = chainOf(
        graph,
        some.flatMap(({ eventNid }) => graph[eventNid - 1] ?? []),
      );
      expect([seed, sorted(authChainOf(room.context.store, some))]).toEqual([seed, sorted(plain)]);
    }
  });

  it("finds the same auth difference and conflicted subgraph as a plain walk", () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const random = randomOf(seed);
      const graph = randomGraph(random, 10 + random(60));
      const room = emptyRoom();
      const records = store(room, graph);
      const pick = (): EventRecord[] => records.filter(() => random(8) === 0);
      const held = new Set(pick());
      const states = Array.from({ length: 2 + random(3) }, () => pick().filter((record) => !held.has(record)));
      const whole = states.map((state) => [...state, ...held].map((record) => record.eventNid));
      const heldNids = new Set([...held].map((record) => record.eventNid));
      const { store: reader } = room.context;
      expect([seed, sorted(authDifferenceOf(reader, states, (nid) => heldNids.has(nid)))]).toEqual([
        seed,
        plainDifference(graph, whole),
      ]);
      const conflicted = [...new Set(states.flat())];
      const subgraph = conflictedSubgraphOf(reader, conflicted);
      const all = new Set([...(subgraph ?? []), ...conflicted.map((record) => record.eventNid)]);
      expect([seed, sorted(all)]).toEqual([seed, plainSubgraph(graph, new Set(conflicted.map((r) => r.eventNid)))]);
    }
  });

  it("adds one entry and at most as many links as an event has auth events", () => {
    const random = randomOf(99);
    const graph = randomGraph(random, 400);
    const room = emptyRoom();
    for (const [index, auth] of graph.entries()) {
      const count = (): number =>
        room.sql.one<{ n: number }>(
          "SELECT (SELECT COUNT(*) FROM event_auth_chains) + (SELECT COUNT(*) FROM event_auth_chain_links) AS n",
        )?.n ?? 0;
      const before = count();
      room.context.store.transaction((tx) => {
        const named = auth.map((nid) => tx.events.byNid(nid));
        insert(tx, index + 1, named);
      });
      expect(count() - before).toBeLessThanOrEqual(1 + auth.length);
    }
  });

  it("adds one entry and one link for each of many members who join alike", () => {
    // 1 create, 2 creator, 3 power levels, 4 join rules, then members who name 1, 3 and 4.
    const graph: AuthGraph = [[], [1], [1, 2], [1, 2, 3], ...Array.from({ length: 500 }, () => [1, 3, 4])];
    const room = emptyRoom();
    store(room, graph);
    const links = room.sql.one<{ n: number }>("SELECT COUNT(*) AS n FROM event_auth_chain_links")?.n;
    // The first of them goes on in the chain of the join rules.
    expect(links).toBe(499);
  });

  it("writes few rows, in little time, for a wide and deep graph made to fill the disk", () => {
    const size = 10_000;
    // Every event names four that are far apart, and none that leads to another of them soon.
    const graph: AuthGraph = Array.from({ length: size }, (_, index) =>
      [1, 3_001, 5_003, 7_013].map((step) => index + 1 - step).filter((nid) => nid >= 1),
    );
    const room = emptyRoom();
    const before = room.sql.usage.rowsWritten;
    const startedAt = performance.now();
    store(room, graph);
    const eventRows = 2 * size;
    expect((room.sql.usage.rowsWritten - before - eventRows) / size).toBeLessThanOrEqual(4);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it("writes a few rows for each of 10,000 state events that the rules allow, made to share as little as they can", () => {
    // Levels, join rules and the member who lets others in change before every restricted join: each names five, of which
    // none but the create event is in the auth chain of another that it names.
    const graph: number[][] = [[], [1]];
    let [levels, joinRules, authorizer, joiner] = [0, 0, 2, 0];
    const add = (...named: number[]): number => graph.push([...new Set(named.filter((nid) => nid > 0))]);
    while (graph.length < 10_000) {
      joinRules = add(1, levels, 2, joinRules);
      authorizer = add(1, levels, joinRules, authorizer);
      levels = add(1, levels, 2);
      joiner = add(1, levels, joinRules, authorizer, joiner);
    }
    const room = emptyRoom();
    const before = room.sql.usage.rowsWritten;
    const spent = cpuMsOf(() => store(room, graph));
    expect((room.sql.usage.rowsWritten - before - 2 * graph.length) / graph.length).toBeLessThanOrEqual(4);
    expect(spent).toBeLessThan(10_000);
  });

  it("writes no more rows than an event has auth events, even for ten that have nothing to do with one another", () => {
    const size = 10_000;
    const steps = [1, 1_009, 2_003, 3_001, 4_001, 5_003, 6_007, 7_013, 8_009, 9_001];
    const graph: AuthGraph = Array.from({ length: size }, (_, index) =>
      steps.map((step) => index + 1 - step).filter((nid) => nid >= 1),
    );
    const room = emptyRoom();
    const before = room.sql.usage.rowsWritten;
    const spent = cpuMsOf(() => store(room, graph));
    const named = graph.reduce((sum, auth) => sum + auth.length, 0);
    expect(room.sql.usage.rowsWritten - before - 2 * size).toBeLessThanOrEqual(size + named);
    expect(spent).toBeLessThan(10_000);
  });

  it("gives up a walk that reads more than it may", () => {
    const graph: AuthGraph = Array.from({ length: 300 }, (_, index) => (index === 0 ? [] : [index]));
    const room = emptyRoom();
    const records = store(room, graph);
    const [last, first] = [records.slice(-1), records.slice(0, 1)];
    const { store: reader } = room.context;
    expect(authDifferenceOf(reader, [last, first], () => false, 100)).toBeNull();
    expect(authDifferenceOf(reader, [last, first], () => false, 2_000)?.size).toBe(299);
    expect(conflictedSubgraphOf(reader, [...last, ...first], 100)).toBeNull();
  });
});
