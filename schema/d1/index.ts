import type { Migration } from "../migrate.ts";
import rooms from "./0001-rooms.sql";
import users from "./0002-users.sql";
import federatedRooms from "./0003-federated-rooms.sql";

/** D1's schema, in order. Each statement ends in a semicolon at the end of a line, and nothing else does. */
export const directoryMigrations: readonly Migration[] = [
  { version: 1, name: "rooms", sql: rooms },
  { version: 2, name: "users", sql: users },
  { version: 3, name: "federated rooms", sql: federatedRooms },
];
