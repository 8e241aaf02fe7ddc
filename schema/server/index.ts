import type { Migration } from "../migrate.ts";
import ownServer from "./0001-own-server.sql";

/** The ServerActor's schema, in order. */
export const serverMigrations: readonly Migration[] = [{ version: 1, name: "own server", sql: ownServer }];
