import type { Migration } from "../migrate.ts";
import account from "./0001-account.sql";
import rooms from "./0002-rooms.sql";
import toDevice from "./0003-to-device.sql";
import openId from "./0004-openid.sql";
import forgottenRooms from "./0005-forgotten-rooms.sql";

/** The UserActor's schema, in order. */
export const userMigrations: readonly Migration[] = [
  { version: 1, name: "account", sql: account },
  { version: 2, name: "rooms", sql: rooms },
  { version: 3, name: "to-device", sql: toDevice },
  { version: 4, name: "openid", sql: openId },
  { version: 5, name: "forgotten rooms", sql: forgottenRooms },
];
