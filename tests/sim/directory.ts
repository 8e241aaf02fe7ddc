import { DatabaseSync } from "node:sqlite";
import type { DirectoryDatabase, DirectoryStatement } from "../../actors/context.ts";
import { type Faults, SimulatedFault } from "./faults.ts";
import type { Instance } from "./host.ts";
import type { Scheduler } from "./scheduler.ts";

/** The directory database of the world: one for all actors, behind the network as D1 is. */
export interface SimDirectory {
  forInstance(instance: Instance): DirectoryDatabase;
  readonly database: DatabaseSync;
  close(): void;
}

type Row = Record<string, string | number | null>;

/** Makes an empty directory database. */
export function newSimDirectory(scheduler: Scheduler, faults: Faults): SimDirectory {
  const database = new DatabaseSync(":memory:");
  const ask = <T>(instance: Instance, label: string, body: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      const answer = (settle: () => void): void =>
        scheduler.post(`${label} answered`, faults.delayMs(), () => {
          if (instance.isAlive) settle();
        });
      scheduler.post(label, faults.delayMs(), () => {
        if (faults.strikes("failedDirectory")) {
          answer(() => reject(new SimulatedFault("directory unreachable")));
          return;
        }
        try {
          const value = body();
          // Written, yet the writer hears of an error.
          if (faults.strikes("failedDirectory")) answer(() => reject(new SimulatedFault("directory's answer lost")));
          else answer(() => resolve(value));
        } catch (thrown) {
          answer(() => reject(thrown));
        }
      });
    });
  return {
    database,
    close: () => database.close(),
    forInstance: (instance) => ({
      batch: (statements) =>
        ask(instance, `${instance.host.label} writes the directory`, () => batch(database, statements)),
      all: (statement) => ask(instance, `${instance.host.label} reads the directory`, () => query(database, statement)),
    }),
  };
}

function batch(database: DatabaseSync, statements: readonly DirectoryStatement[]): void {
  database.exec("BEGIN");
  try {
    for (const statement of statements) query(database, statement);
    database.exec("COMMIT");
  } catch (thrown) {
    database.exec("ROLLBACK");
    throw thrown;
  }
}

function query(database: DatabaseSync, statement: DirectoryStatement): Row[] {
  return database
    .prepare(statement.query)
    .all(...statement.bindings)
    .map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])));
}

function plain(value: unknown): string | number | null {
  if (typeof value === "string" || typeof value === "number" || value === null) return value;
  throw new Error("the directory holds text and numbers only");
}
