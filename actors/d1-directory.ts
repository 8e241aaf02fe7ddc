import type { DirectoryDatabase, DirectoryStatement } from "./context.ts";

/** D1 behind the interface that actors use. */
export function d1Directory(database: D1Database): DirectoryDatabase {
  const prepare = ({ query, bindings }: DirectoryStatement): D1PreparedStatement =>
    database.prepare(query).bind(...bindings);
  return {
    batch: async (statements) => {
      if (statements.length > 0) await database.batch(statements.map(prepare));
    },
    all: async (statement) => {
      const answer = await prepare(statement).all<Record<string, string | number | null>>();
      return answer.results;
    },
  };
}
