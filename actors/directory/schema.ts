/**
 * D1: copies for search, which the actors write and which decide nothing. The server makes and migrates the tables
 * itself, when an actor first needs them.
 */
import { directoryMigrations } from "../../schema/d1/index.ts";
import type { Migration } from "../../schema/migrate.ts";
import type { DirectoryDatabase, DirectoryStatement } from "../context.ts";

const prepared = new WeakMap<DirectoryDatabase, Promise<void>>();

/** Brings D1's tables to the newest version, once for each database object. Any number of actors may do so at once. */
export function ensureDirectorySchema(directory: DirectoryDatabase): Promise<void> {
  const known = prepared.get(directory);
  if (known !== undefined) return known;
  const running = migrateDirectory(directory).catch((thrown: unknown) => {
    prepared.delete(directory);
    throw thrown;
  });
  prepared.set(directory, running);
  return running;
}

async function migrateDirectory(directory: DirectoryDatabase): Promise<void> {
  await directory.batch([
    { query: "CREATE TABLE IF NOT EXISTS directory_schema (version INTEGER PRIMARY KEY)", bindings: [] },
  ]);
  let current = await schemaVersion(directory);
  for (const migration of directoryMigrations) {
    if (migration.version <= current) continue;
    try {
      await directory.batch(statementsOf(migration));
    } catch (thrown) {
      // The version's row is unique: another actor was faster, which is as good.
      current = await schemaVersion(directory);
      if (current < migration.version) throw thrown;
    }
  }
}

async function schemaVersion(directory: DirectoryDatabase): Promise<number> {
  const query = "SELECT MAX(version) AS version FROM directory_schema";
  const version = (await directory.all({ query, bindings: [] }))[0]?.version;
  return typeof version === "number" ? version : 0;
}

/** D1 takes one statement at a time; a migration's are one batch, hence one transaction. */
function statementsOf(migration: Migration): DirectoryStatement[] {
  const record = "INSERT INTO directory_schema (version) VALUES (?)";
  const statements: DirectoryStatement[] = [{ query: record, bindings: [migration.version] }];
  for (const part of migration.sql.split(/;\s*\n/)) {
    const query = part.replace(/^\s*--.*$/gm, "").trim();
    if (query !== "") statements.push({ query, bindings: [] });
  }
  return statements;
}
