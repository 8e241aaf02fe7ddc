import type { Migration } from "../migrate.ts";
import ownServer from "./0001-own-server.sql";
import peers from "./0002-peers.sql";
import outbox from "./0003-outbox.sql";
import inbox from "./0004-inbox.sql";

/** The ServerActor's schema, in order. */
export const serverMigrations: readonly Migration[] = [
  { version: 1, name: "own server", sql: ownServer },
  { version: 2, name: "peers", sql: peers },
  { version: 3, name: "outbox", sql: outbox },
  { version: 4, name: "inbox", sql: inbox },
];
