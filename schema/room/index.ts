import type { Migration } from "../migrate.ts";
import events from "./0001-events.sql";
import state from "./0002-state.sql";
import receiptsAndWakes from "./0003-receipts-and-wakes.sql";
import authChains from "./0004-auth-chains.sql";
import upgrades from "./0005-upgrades.sql";
import servers from "./0006-servers.sql";
import remoteMembership from "./0007-remote-membership.sql";
import partialState from "./0008-partial-state.sql";
import heroesAndForgetting from "./0009-heroes-and-forgetting.sql";
import formerEnds from "./0010-former-ends.sql";
import parting from "./0011-parting.sql";
import joinedPosition from "./0012-joined-position.sql";
import lookedAtAnew from "./0013-looked-at-anew.sql";

/** The RoomActor's schema, in order. */
export const roomMigrations: readonly Migration[] = [
  { version: 1, name: "events", sql: events },
  { version: 2, name: "state", sql: state },
  { version: 3, name: "receipts and wakes", sql: receiptsAndWakes },
  { version: 4, name: "auth chains", sql: authChains },
  { version: 5, name: "upgrades", sql: upgrades },
  { version: 6, name: "servers", sql: servers },
  { version: 7, name: "remote membership", sql: remoteMembership },
  { version: 8, name: "partial state", sql: partialState },
  { version: 9, name: "heroes and forgetting", sql: heroesAndForgetting },
  { version: 10, name: "former ends", sql: formerEnds },
  { version: 11, name: "parting", sql: parting },
  { version: 12, name: "joined position", sql: joinedPosition },
  { version: 13, name: "looked at anew", sql: lookedAtAnew },
];
