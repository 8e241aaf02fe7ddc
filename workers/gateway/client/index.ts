import type { Endpoint } from "../../../shared/endpoint.ts";
import * as accountData from "./account-data.ts";
import * as accountDeactivation from "./account-deactivation.ts";
import * as banning from "./banning.ts";
import * as capabilities from "./capabilities.ts";
import * as createRoom from "./create-room.ts";
import * as deviceManagement from "./device-management.ts";
import * as directory from "./directory.ts";
import * as eventContext from "./event-context.ts";
import * as filter from "./filter.ts";
import * as inviting from "./inviting.ts";
import * as joining from "./joining.ts";
import * as kicking from "./kicking.ts";
import * as knocking from "./knocking.ts";
import * as leaving from "./leaving.ts";
import * as listJoinedRooms from "./list-joined-rooms.ts";
import * as listPublicRooms from "./list-public-rooms.ts";
import * as login from "./login.ts";
import * as logout from "./logout.ts";
import * as messagePagination from "./message-pagination.ts";
import * as openid from "./openid.ts";
import * as passwordManagement from "./password-management.ts";
import * as profile from "./profile.ts";
import * as pushrules from "./pushrules.ts";
import { setReadMarker } from "./read-markers.ts";
import * as receipts from "./receipts.ts";
import * as redaction from "./redaction.ts";
import * as refresh from "./refresh.ts";
import * as registration from "./registration.ts";
import * as registrationTokens from "./registration-tokens.ts";
import * as roomEventByTimestamp from "./room-event-by-timestamp.ts";
import * as roomSend from "./room-send.ts";
import * as roomState from "./room-state.ts";
import * as roomSummary from "./room-summary.ts";
import * as roomUpgrades from "./room-upgrades.ts";
import {
  getJoinedMembersByRoom,
  getMembersByRoom,
  getOneRoomEvent,
  getRoomState,
  getRoomStateWithKey,
} from "./rooms.ts";
import * as spaceHierarchy from "./space-hierarchy.ts";
import * as support from "./support.ts";
import * as sync from "./sync.ts";
import * as tags from "./tags.ts";
import * as toDevice from "./to-device.ts";
import * as typing from "./typing.ts";
import * as users from "./users.ts";
import * as versions from "./versions.ts";
import * as wellknown from "./wellknown.ts";
import * as whoami from "./whoami.ts";

/**
 * The client-server API: one line for each file of the spec, in the order of the spec's file names, but for the busiest,
 * which come first because the router tries them in turn.
 */
export const clientEndpoints: readonly Endpoint[] = [
  ...Object.values(sync),
  ...Object.values(roomSend),
  ...Object.values(typing),
  ...Object.values(receipts),
  setReadMarker,
  ...Object.values(messagePagination),
  ...Object.values(accountData),
  ...Object.values(accountDeactivation),
  ...Object.values(banning),
  ...Object.values(capabilities),
  ...Object.values(createRoom),
  ...Object.values(deviceManagement),
  ...Object.values(directory),
  ...Object.values(eventContext),
  ...Object.values(filter),
  ...Object.values(inviting),
  ...Object.values(joining),
  ...Object.values(kicking),
  ...Object.values(knocking),
  ...Object.values(leaving),
  ...Object.values(listJoinedRooms),
  ...Object.values(listPublicRooms),
  ...Object.values(login),
  ...Object.values(logout),
  ...Object.values(openid),
  ...Object.values(passwordManagement),
  ...Object.values(profile),
  ...Object.values(pushrules),
  ...Object.values(redaction),
  ...Object.values(refresh),
  ...Object.values(registration),
  ...Object.values(registrationTokens),
  ...Object.values(roomEventByTimestamp),
  ...Object.values(roomState),
  ...Object.values(roomSummary),
  ...Object.values(roomUpgrades),
  getOneRoomEvent,
  getRoomStateWithKey,
  getRoomState,
  getMembersByRoom,
  getJoinedMembersByRoom,
  ...Object.values(spaceHierarchy),
  ...Object.values(support),
  ...Object.values(tags),
  ...Object.values(toDevice),
  ...Object.values(users),
  ...Object.values(versions),
  ...Object.values(wellknown),
  ...Object.values(whoami),
];
