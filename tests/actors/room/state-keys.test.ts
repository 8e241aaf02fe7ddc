import { afterEach, describe, expect, it } from "vitest";
import { RoomStore } from "../../../actors/room/store/index.ts";
import { migrate } from "../../../schema/migrate.ts";
import { roomMigrations } from "../../../schema/room/index.ts";
import { openNodeSql } from "../../support/node-sql.ts";

const sql = openNodeSql();
migrate(sql, roomMigrations);
const store = new RoomStore(sql);
const member = (count: number): [string, string][] =>
  Array.from({ length: count }, (_, index) => ["m.room.member", `@user-${index}:example.org`]);
afterEach(() => sql.run("DELETE FROM state_keys"));

describe("internAll", () => {
  it("gives the numbers that giving them one by one would, in the order of the keys", () => {
    const keys = member(1_203);
    const [known] = store.transaction((tx) => tx.stateKeys.internAll(keys.slice(700, 703)));
    const nids = store.transaction((tx) => tx.stateKeys.internAll(keys));
    expect(nids[700]).toBe(known);
    expect(new Set(nids).size).toBe(keys.length);
    expect(keys.map(([type, stateKey]) => store.stateKeys.find(type, stateKey))).toEqual(nids);
  });

  it("gives a key that comes twice one number", () => {
    const keys: [string, string][] = [...member(2), ...member(2)];
    const [first, second, third, fourth] = store.transaction((tx) => tx.stateKeys.internAll(keys));
    expect([third, fourth]).toEqual([first, second]);
  });

  it("keeps every key what it is, whatever is in it", () => {
    const texts = ["", '"', "\\", "\n", "12", "null", "é", "e\u0301", "😀", "\u0001", "a\0b", "a"];
    const keys = texts.flatMap((text): [string, string][] => [
      [text, ""],
      ["t", text],
    ]);
    const nids = store.transaction((tx) => tx.stateKeys.internAll(keys));
    expect(store.stateKeys.byNids(nids).map(({ type, stateKey }) => [type, stateKey])).toEqual(keys);
    expect(new Set(nids).size).toBe(keys.length);
  });

  it("is undone with its transaction", () => {
    const undone = (): number[] =>
      store.transaction((tx) => {
        tx.stateKeys.internAll(member(3));
        throw new Error("undone");
      });
    expect(undone).toThrow("undone");
    expect(member(3).map(([type, stateKey]) => store.stateKeys.find(type, stateKey))).toEqual([null, null, null]);
  });
});

describe("exceptType", () => {
  it("gives all other keys by their numbers, without a look at those of the type", () => {
    const others: [string, string][] = [
      ["m.room.topic", ""],
      ["a", "b"],
      ["m.room.create", ""],
      ["m.room.members", "x"],
    ];
    const nids = store.transaction((tx) => tx.stateKeys.internAll([...member(20), ...others, ...member(40)]));
    const queries: string[] = [];
    const watched = new RoomStore({
      ...sql,
      all: (query, ...bindings) => {
        queries.push(query);
        return sql.all(query, ...bindings);
      },
    });
    expect(watched.stateKeys.exceptType("m.room.member").map((key) => key.stateKeyNid)).toEqual(nids.slice(20, 24));
    const plan = sql.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${queries[0]}`, "", "");
    expect(plan.map(({ detail }) => detail).join("; ")).not.toContain("SCAN");
  });
});

describe("findOfEvent", () => {
  it("finds no key for an event that is not here", () => {
    expect(store.stateKeys.findOfEvent(1)).toBeNull();
  });
});
