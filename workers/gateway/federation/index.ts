import type { Endpoint } from "../../../shared/endpoint.ts";
import * as backfill from "./backfill.ts";
import * as eventAuth from "./event-auth.ts";
import * as events from "./events.ts";
import * as invites from "./invites.ts";
import * as joins from "./joins.ts";
import * as keysQuery from "./keys-query.ts";
import * as keysServer from "./keys-server.ts";
import * as knocks from "./knocks.ts";
import * as leaving from "./leaving.ts";
import * as openid from "./openid.ts";
import * as publicRooms from "./public-rooms.ts";
import { queryInfo, queryProfile, queryRoomDirectory } from "./query.ts";
import * as spaceHierarchy from "./space-hierarchy.ts";
import * as thirdPartyInvite from "./third-party-invite.ts";
import * as transactions from "./transactions.ts";
import * as version from "./version.ts";
import * as wellknown from "./wellknown.ts";

/** The server-server API: one line for each file of the spec. */
export const federationEndpoints: readonly Endpoint[] = [
  ...Object.values(backfill),
  ...Object.values(eventAuth),
  ...Object.values(events),
  ...Object.values(invites),
  ...Object.values(joins),
  ...Object.values(keysQuery),
  ...Object.values(keysServer),
  ...Object.values(knocks),
  ...Object.values(leaving),
  ...Object.values(openid),
  ...Object.values(publicRooms),
  // The router tries them in turn: the one of any type comes last.
  queryProfile,
  queryRoomDirectory,
  queryInfo,
  ...Object.values(spaceHierarchy),
  ...Object.values(thirdPartyInvite),
  ...Object.values(transactions),
  ...Object.values(version),
  ...Object.values(wellknown),
];
