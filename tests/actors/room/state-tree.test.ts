import { describe, expect, it } from "vitest";
import { differencesOf, entriesOf, getEntry, type StateRoot, setEntries } from "../../../actors/room/state-tree.ts";
import { RoomCaches } from "../../../actors/room/store/cache.ts";
import { StateNodesWriter } from "../../../actors/room/store/state-nodes.ts";
import { migrate } from "../../../schema/migrate.ts";
import { roomMigrations } from "../../../schema/room/index.ts";
import { openNodeSql } from "../../support/node-sql.ts";
import { fc } from "../../support/property.ts";
import { randomOf } from "../../unit/matrix/state-res/history.ts";

function openNodes(): StateNodesWriter {
  const sql = openNodeSql();
  migrate(sql, roomMigrations);
  return new StateNodesWriter(sql, new RoomCaches());
}

function read(nodes: StateNodesWriter, root: StateRoot): Map<number, number> {
  return new Map(entriesOf(nodes, root));
}

const sorted = (map: ReadonlyMap<number, number>): [number, number][] => [...map].sort(([a], [b]) => a - b);

/** Keys around the places where the tree grows a level. */
const key = fc.oneof(
  fc.nat(70),
  fc.nat(4_200),
  fc.nat(263_000),
  fc.constantFrom(63, 64, 4_095, 4_096, 262_143, 262_144),
);
const value = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const versions = fc.array(fc.array(fc.tuple(key, value), { maxLength: 12 }), { minLength: 1, maxLength: 8 });

describe("state tree", () => {
  it("holds what a plain map holds, in every version", () => {
    fc.assert(
      fc.property(versions, (history) => {
        const nodes = openNodes();
        const model = new Map<number, number>();
        let root: StateRoot = null;
        const seen: { root: StateRoot; entries: [number, number][] }[] = [];
        for (const changes of history) {
          for (const [changed, to] of changes) {
            if (to === 0) model.delete(changed);
            else model.set(changed, to);
          }
          root = setEntries(nodes, root, new Map(changes));
          seen.push({ root, entries: sorted(model) });
        }
        for (const version of seen) {
          expect([...entriesOf(nodes, version.root)]).toEqual(version.entries);
          for (const [stored, at] of version.entries) expect(getEntry(nodes, version.root, stored)).toBe(at);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("holds what a plain map holds through 100,000 operations, across evictions", () => {
    const sql = openNodeSql();
    migrate(sql, roomMigrations);
    const random = randomOf(1);
    const model = new Map<number, number>();
    let nodes = new StateNodesWriter(sql, new RoomCaches());
    let root: StateRoot = null;
    // Some keys are set again and again; others make the tree grow a level.
    const anyKey = (): number => random([70, 4_200, 263_000, 300][random(4)] ?? 70);
    const kept: { root: StateRoot; entries: [number, number][] }[] = [];
    let operations = 0;
    while (operations < 100_000) {
      const changes = new Map<number, number>();
      for (let count = 1 + random(6); count > 0; count -= 1)
        changes.set(anyKey(), random(5) === 0 ? 0 : random(2 ** 32));
      for (const [changed, to] of changes) {
        if (to === 0) model.delete(changed);
        else model.set(changed, to);
      }
      root = setEntries(nodes, root, changes);
      for (let count = random(12); count > 0; count -= 1) {
        const asked = anyKey();
        if (getEntry(nodes, root, asked) !== (model.get(asked) ?? 0)) throw new Error(`key ${asked} is another`);
        operations += 1;
      }
      operations += changes.size;
      if (random(1_500) === 0) kept.push({ root, entries: sorted(model) });
      if (random(3_000) === 0) nodes = new StateNodesWriter(sql, new RoomCaches());
    }
    kept.push({ root, entries: sorted(model) });
    expect(kept.length).toBeGreaterThan(3);
    expect(model.size).toBeGreaterThan(5_000);
    for (const version of kept) expect([...entriesOf(nodes, version.root)]).toEqual(version.entries);
  });

  it("finds exactly the keys in which any two versions differ", () => {
    fc.assert(
      fc.property(versions, versions, (left, right) => {
        const nodes = openNodes();
        const build = (base: StateRoot, history: [number, number][][]): StateRoot =>
          history.reduce<StateRoot>((root, changes) => setEntries(nodes, root, new Map(changes)), base);
        const shared = build(null, left.slice(0, 1));
        const [leftRoot, rightRoot] = [build(shared, left.slice(1)), build(shared, right)];
        const [leftMap, rightMap] = [read(nodes, leftRoot), read(nodes, rightRoot)];
        const expected = [...new Set([...leftMap.keys(), ...rightMap.keys()])]
          .sort((a, b) => a - b)
          .map((stateKeyNid) => ({
            stateKeyNid,
            left: leftMap.get(stateKeyNid) ?? 0,
            right: rightMap.get(stateKeyNid) ?? 0,
          }))
          .filter((entry) => entry.left !== entry.right);
        expect([...differencesOf(nodes, leftRoot, rightRoot)]).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  it("writes one node a level for one key, and none for a change that changes nothing", () => {
    const nodes = openNodes();
    const sql = openNodeSql();
    migrate(sql, roomMigrations);
    const counted = new StateNodesWriter(sql, new RoomCaches());
    const all = new Map(Array.from({ length: 5_000 }, (_, index) => [index + 1, index + 1]));
    const root = setEntries(counted, null, all);
    const before = sql.usage.rowsWritten;
    const next = setEntries(counted, root, new Map([[2_500, 7]]));
    expect(sql.usage.rowsWritten - before).toBe(3);
    expect(setEntries(counted, next, new Map([[2_500, 7]]))).toBe(next);
    expect(setEntries(nodes, null, new Map([[9, 0]]))).toBeNull();
  });

  it("reads what it wrote after the memory of it is lost", () => {
    const sql = openNodeSql();
    migrate(sql, roomMigrations);
    const root = setEntries(new StateNodesWriter(sql, new RoomCaches()), null, new Map([[100, 4_294_967_295]]));
    expect(getEntry(new StateNodesWriter(sql, new RoomCaches()), root, 100)).toBe(4_294_967_295);
  });
});
