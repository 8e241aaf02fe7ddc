import { describe, expect, it } from "vitest";
import { type EventId, trusted } from "../../../../shared/ids.ts";
import type { MatrixEvent } from "../../../../shared/matrix/event.ts";
import { knownRoomVersions } from "../../../../shared/matrix/room-version.ts";
import { StateMap } from "../../../../shared/matrix/state-map.ts";
import { authDifference } from "../../../../shared/matrix/state-res/auth-difference.ts";
import { conflictedSubgraph } from "../../../../shared/matrix/state-res/conflicted-subgraph.ts";
import { Heap } from "../../../../shared/matrix/state-res/heap.ts";
import { resolveConflicts, resolveState } from "../../../../shared/matrix/state-res/resolve.ts";
import { RoomBuilder, user } from "../../../support/room-builder.ts";
import { cpuMsOf } from "../timing.ts";
import { contextOfRoom, randomHistory, randomOf } from "./history.ts";
import { type NaiveState, naiveResolve } from "./naive.ts";
import { linesOf, stateOf } from "./synthetic.ts";

const [alice, bob, charlie, eve, zara] = [
  user("@alice:example.org"),
  user("@bob:example.org"),
  user("@charlie:example.org"),
  user("@eve:example.org"),
  user("@zara:example.org"),
];

/** Resolves states given as lists of events, in a room. */
function resolve(room: RoomBuilder, states: readonly Iterable<MatrixEvent>[]): StateMap<EventId> {
  const resolution = resolveState({ ...contextOfRoom(room), stateMaps: states.map(stateOf) });
  if (!resolution.ok) throw new Error(resolution.reason);
  return resolution.state;
}

function naiveStateOf(branch: RoomBuilder): NaiveState {
  return new Map([...branch.state.values()].map((event) => [`${event.type}|${event.stateKey}`, event]));
}

describe.each(knownRoomVersions)("resolveState, room version %s", (version) => {
  it("agrees with the naive implementation on random histories, whatever the order of the states", () => {
    for (let seed = 0; seed < 12; seed++) {
      const { room, branches } = randomHistory(version, seed, 60);
      const states = branches.map((branch) => [...branch.state.values()]);
      const expected = [...naiveResolve(branches.map(naiveStateOf), contextOfRoom(room))]
        .map(([key, event]) => `${key} = ${event.eventId}`)
        .sort();
      expect(linesOf(resolve(room, states).entries()), `seed ${seed}`).toEqual(expected);
      expect(linesOf(resolve(room, states.reverse()).entries()), `seed ${seed}, reversed`).toEqual(expected);
    }
  });

  it("keeps what is not contested, and a single state as it is", () => {
    const { room, branches } = randomHistory(version, 7, 80);
    const states = branches.map((branch) => [...branch.state.values()]);
    const resolved = resolve(room, states);
    for (const [[type, stateKey]] of resolved.entries()) {
      const events = new Set(branches.map((branch) => branch.lookup(type, stateKey)?.eventId));
      if (events.size === 1) expect(events).toContain(resolved.get(type, stateKey));
    }
    for (const state of states)
      expect(linesOf(resolve(room, [state, state]).entries())).toEqual(linesOf(stateOf(state).entries()));
    expect(resolve(room, []).size).toBe(0);
  });

  it("keeps what is not contested where its predecessor is, which only one state's events rest on", () => {
    const room = RoomBuilder.open({ version, joinRule: "public" });
    const bobJoins = room.join(bob);
    const closed = room.setJoinRule(alice, "invite");
    const before = [...room.state.values()].filter((event) => event !== bobJoins);
    const resolved = resolve(room, [room.state.values(), before]);
    expect(resolved.get("m.room.join_rules", "")).toBe(closed.eventId);
  });

  it("lets a ban win over what the banned user did meanwhile", () => {
    const room = RoomBuilder.open({
      version,
      powerLevels: { users: version === "12" ? { [bob]: 50 } : { [alice]: 100, [bob]: 50 } },
    });
    room.join(bob);
    const [banning, acting] = [room.fork(), room.fork()];
    const ban = banning.member(alice, "ban", bob);
    acting.sendState(bob, "m.room.topic", { topic: "mine" });
    const resolved = resolve(room, [banning.state.values(), acting.state.values()]);
    expect(resolved.get("m.room.member", bob)).toBe(ban.eventId);
    // The first algorithm knows no such precedence: that is why it was replaced.
    if (version !== "1") expect(resolved.get("m.room.topic", "")).toBeNull();
  });
});

describe.each(["11", "12"])("the problems of MSC4297, room version %s", (version) => {
  const isFixed = version === "12";
  const usersOf = (levels: Record<string, number>) => ({ users: isFixed ? levels : { [alice]: 100, ...levels } });

  it(isFixed ? "A: keeps the join rules in force" : "A: loses the join rules that both states' events rest on", () => {
    const room = RoomBuilder.empty({ version });
    room.join(alice);
    const levels = room.setPowerLevels(alice, usersOf({}));
    const openRules = room.setJoinRule(alice, "public");
    const bobJoins = room.join(bob);
    const charlieJoins = room.join(charlie);
    const closedRules = room.setJoinRule(alice, "invite");
    const aliceLeaves = room.member(alice, "leave");
    const bobRenames = room.fork().member(bob, "join", bob, { displayname: "bob++" });
    const charlieRenames = room.fork().member(charlie, "join", charlie, { displayname: "charlie++" });
    const common = [room.create, levels, aliceLeaves];
    const resolved = resolve(room, [
      [...common, charlieJoins, closedRules, bobRenames],
      [...common, bobJoins, openRules, charlieRenames],
    ]);
    expect(resolved.get("m.room.join_rules", "")).toBe(isFixed ? closedRules.eventId : null);
    expect(resolved.get("m.room.member", bob)).toBe(bobRenames.eventId);
    expect(resolved.get("m.room.member", charlie)).toBe(charlieRenames.eventId);
  });

  it(isFixed ? "B: keeps the newest power levels" : "B: falls back to the oldest power levels", () => {
    const room = RoomBuilder.empty({ version });
    const aliceJoins = room.join(alice);
    const firstLevels = room.setPowerLevels(alice, usersOf({}));
    const joinRules = room.setJoinRule(alice, "public");
    const bobJoins = room.join(bob);
    const charlieJoins = room.join(charlie);
    room.setPowerLevels(alice, usersOf({ [bob]: 50 }));
    const lastLevels = room.sendState(bob, "m.room.power_levels", usersOf({ [bob]: 50, [charlie]: 50 }));
    const zaraJoins = room.fork().join(zara);
    const evesBranch = room.fork();
    evesBranch.join(eve);
    const eveRenames = evesBranch.member(eve, "join", eve, { displayname: "eve++" });
    const common = [room.create, aliceJoins, joinRules, bobJoins, charlieJoins];
    const resolved = resolve(room, [
      [...common, firstLevels, eveRenames],
      [...common, lastLevels, zaraJoins],
    ]);
    expect(resolved.get("m.room.power_levels", "")).toBe((isFixed ? lastLevels : firstLevels).eventId);
    expect(resolved.get("m.room.member", eve)).toBe(eveRenames.eventId);
    expect(resolved.get("m.room.member", zara)).toBe(zaraJoins.eventId);
  });
});

describe("resolveConflicts", () => {
  it("asks only for what the contested events need", () => {
    const room = RoomBuilder.open({ version: "12" });
    for (let index = 0; index < 200; index++) room.join(user(`@user${index}:example.org`));
    const [left, right] = [room.fork(), room.fork()];
    const topics = [left, right].map((branch) => branch.sendState(alice, "m.room.topic", { topic: "x" }).eventId);
    const asked = new Set<string>();
    const resolution = resolveConflicts({
      ...contextOfRoom(room),
      unconflicted: (type, stateKey) => {
        asked.add(`${type}|${stateKey}`);
        return type === "m.room.topic" ? null : (room.lookup(type, stateKey)?.eventId ?? null);
      },
      conflicted: new Set(topics),
      authDifference: new Set(),
    });
    expect(resolution.ok && resolution.state.size).toBe(1);
    expect([...asked].filter((key) => key.startsWith("m.room.member")).length).toBeLessThanOrEqual(1);
  });

  it("keeps rejected events out", () => {
    const room = RoomBuilder.open({ version: "12" });
    const [left, right] = [room.fork(), room.fork()];
    const older = left.sendState(alice, "m.room.topic", { topic: "older" });
    const newer = right.sendState(alice, "m.room.topic", { topic: "newer" });
    const stateMaps = [left, right].map((branch) => stateOf(branch.state.values()));
    const outcome = (rejected: EventId | null) => {
      const isRejected = (id: EventId): boolean => id === rejected;
      const resolution = resolveState({ ...contextOfRoom(room), isRejected, stateMaps });
      return resolution.ok ? resolution.state.get("m.room.topic", "") : null;
    };
    expect(outcome(null)).toBe(newer.eventId);
    expect(outcome(newer.eventId)).toBe(older.eventId);
  });
});

describe("work bounds", () => {
  const ids = Array.from({ length: 50_000 }, (_, index) => trusted.eventId(`$${index}`));
  const id = (index: number): EventId => ids[index] ?? trusted.eventId("$none");
  /** Each event rests on ten before it: paths without number, nodes as many as there are. */
  const graph = new Map(ids.map((eventId, index) => [eventId, ids.slice(Math.max(0, index - 10), index)]));
  const dense = (eventId: EventId): readonly EventId[] => graph.get(eventId) ?? [];

  it("walks a hostile auth graph of 50,000 events once", () => {
    let sizes: (number | undefined)[] = [];
    const spent = cpuMsOf(() => {
      const subgraph = conflictedSubgraph(new Set([id(0), id(49_999)]), dense, 50_000);
      const difference = authDifference([[id(49_999)], [id(20_000)]], dense, 100_000);
      sizes = [subgraph?.size, difference?.size];
    });
    expect(sizes).toEqual([50_000, 29_999]);
    expect(spent).toBeLessThan(2_000);
  });

  it("gives up at its bound, as an answer", () => {
    expect(conflictedSubgraph(new Set([id(0), id(1_000)]), dense, 999)).toBeNull();
    expect(authDifference([[id(1_000)], []], dense, 999)).toBeNull();
    expect(conflictedSubgraph(new Set([id(0), id(998)]), dense, 999)?.size).toBe(999);
  });

  it("refuses more contested events than it may take up", () => {
    const room = RoomBuilder.open({ version: "11" });
    const conflicted = new Set(ids.slice(0, 20_001));
    const context = contextOfRoom(room);
    const resolution = resolveConflicts({
      ...context,
      eventById: (eventId) => context.eventById(eventId) ?? room.create,
      unconflicted: () => null,
      conflicted,
      authDifference: new Set(),
    });
    expect(resolution).toEqual({ ok: false, reason: "tooManyConflicts" });
  });
});

describe("Heap", () => {
  it("gives back what it was given, in order", () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = randomOf(seed);
      const numbers = Array.from({ length: random(40) }, () => random(20));
      const heap = new Heap<number>((left, right) => left - right);
      for (const number of numbers) heap.push(number);
      const popped: number[] = [];
      for (let least = heap.pop(); least !== null; least = heap.pop()) popped.push(least);
      expect(popped).toEqual(numbers.sort((left, right) => left - right));
    }
  });
});

describe("StateMap", () => {
  it("counts and finds its keys, whatever their names", () => {
    const map = new StateMap<number>([[["__proto__", "a"], 1]]);
    map.set("__proto__", "a", 2);
    map.set("t", "", 3);
    expect(map.size).toBe(2);
    expect(map.get("__proto__", "a")).toBe(2);
    expect(map.get("constructor", "")).toBeNull();
    map.delete("t", "");
    map.delete("t", "missing");
    expect([...map.entries()]).toEqual([[["__proto__", "a"], 2]]);
    expect(map.size).toBe(1);
  });
});
