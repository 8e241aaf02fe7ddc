import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import type { DirectoryDatabase, DirectoryStatement } from "../../actors/context.ts";

/** The directory's database over `node:sqlite`, for tests. */
export interface NodeDirectory extends DirectoryDatabase {
  readonly database: DatabaseSync;
  /** Batches that are still to fail: before they have an effect, or after. */
  failures: ("before" | "after")[];
}

/** Opens an empty directory in memory. A batch is one transaction, as in D1. */
export function openNodeDirectory(): NodeDirectory {
  const database = new DatabaseSync(":memory:");
  const run = ({ query, bindings }: DirectoryStatement): Record<string, string | number | null>[] => {
    if (bindings.length > 100) throw new Error("D1 binds at most 100 parameters");
    return database
      .prepare(query)
      .all(...bindings)
      .map(plainRow);
  };
  const directory: NodeDirectory = {
    database,
    failures: [],
    batch: async (statements) => {
      const failure = directory.failures.shift();
      if (failure === "before") throw new Error("the directory is out of reach");
      database.exec("BEGIN");
      try {
        for (const statement of statements) run(statement);
        database.exec("COMMIT");
      } catch (thrown) {
        database.exec("ROLLBACK");
        throw thrown;
      }
      if (failure === "after") throw new Error("the directory's answer was lost");
    },
    all: async (statement) => run(statement),
  };
  return directory;
}

function plainRow(row: Record<string, SQLOutputValue>): Record<string, string | number | null> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)]));
}

function plain(value: SQLOutputValue): string | number | null {
  if (typeof value === "string" || typeof value === "number" || value === null) return value;
  throw new Error("the directory holds text and numbers only");
}
