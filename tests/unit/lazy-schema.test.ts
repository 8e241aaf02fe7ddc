import { describe, expect, it } from "vitest";
import { withSchema } from "../../schema/lazy.ts";
import { openNodeSql } from "../support/node-sql.ts";

const migrations = [{ version: 1, name: "things", sql: "CREATE TABLE things (name TEXT PRIMARY KEY)" }];
const read = "SELECT name FROM things";

function fresh() {
  const below = openNodeSql();
  const tables = () => below.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'");
  return { below, tables, sql: withSchema(below, migrations) };
}

describe("withSchema", () => {
  it("leaves nothing behind where only was read", () => {
    const { sql, tables } = fresh();
    expect(sql.all(read)).toEqual([]);
    expect(sql.one(read)).toBeNull();
    expect(tables()).toEqual([]);
  });

  it("leaves nothing behind of a transaction that was refused, and works on", () => {
    const { sql, tables } = fresh();
    const refused = () =>
      sql.transaction(() => {
        sql.run("INSERT INTO things (name) VALUES ('a')");
        throw new Error("refused");
      });
    expect(refused).toThrow("refused");
    expect(tables()).toEqual([]);
    expect(sql.all(read)).toEqual([]);
  });

  it("makes the schema with the first transaction that is stored, nested ones included", () => {
    const { sql, below } = fresh();
    sql.transaction(() => {
      expect(sql.all(read)).toEqual([]);
      sql.transaction(() => sql.run("INSERT INTO things (name) VALUES ('a')"));
      expect(sql.all(read)).toHaveLength(1);
    });
    expect(below.all(read)).toHaveLength(1);
    sql.run("INSERT INTO things (name) VALUES ('b')");
    expect(sql.all(read)).toHaveLength(2);
  });

  it("brings a database that has a schema up to date at once", () => {
    const { below, sql } = fresh();
    sql.run("INSERT INTO things (name) VALUES ('a')");
    withSchema(below, [...migrations, { version: 2, name: "more", sql: "CREATE TABLE more (name TEXT PRIMARY KEY)" }]);
    expect(below.all("SELECT name FROM more")).toEqual([]);
    expect(sql.all(read)).toHaveLength(1);
  });
});
