import { describe, expect, it } from "vitest";
import { openNodeSql } from "../support/node-sql.ts";

/**
 * The stores are tested, and simulated, over a database with the platform's limits. What is asserted here is that it has
 * them: production would refuse what the local runtime takes.
 */
describe("the database of tests", () => {
  const sql = openNodeSql();
  const select = (count: number) => `SELECT ${Array(count).fill("?").join(" + ")} AS sum`;

  it.each([
    [99, true],
    [100, true],
    [101, false],
  ])("binds %i parameters: %s", (count, isAllowed) => {
    const run = () => sql.one<{ sum: number }>(select(count), ...Array<number>(count).fill(1))?.sum;
    if (isAllowed) expect(run()).toBe(count);
    else expect(run).toThrow("at most 100 parameters");
  });

  it.each([
    [1_999_999, true],
    [2_000_000, true],
    [2_000_001, false],
  ])("takes a value of %i bytes: %s", (bytes, isAllowed) => {
    const text = `é${"x".repeat(bytes - 2)}`;
    for (const value of [text, new Uint8Array(bytes)]) {
      const run = () => sql.one<{ size: number }>("SELECT length(CAST(? AS BLOB)) AS size", value)?.size;
      if (isAllowed) expect(run()).toBe(bytes);
      else expect(run).toThrow("at most 2000000 bytes");
    }
  });

  it.each([
    [99_999, true],
    [100_000, true],
    [100_001, false],
  ])("takes a statement of %i bytes: %s", (bytes, isAllowed) => {
    const run = () => sql.one<{ one: number }>("SELECT 1 AS one".padEnd(bytes))?.one;
    if (isAllowed) expect(run()).toBe(1);
    else expect(run).toThrow("at most 100000 bytes");
  });
});
