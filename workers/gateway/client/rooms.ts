import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { field, objectField, stringField } from "../../../shared/json.ts";
import { roomPositionOf } from "./room-position.ts";

/** "When an empty string, the trailing slash on this endpoint is optional." */
export const statePath = "/_matrix/client/v3/rooms/:roomId/state/:eventType/:stateKey";
export const statePathAliases = [
  "/_matrix/client/v3/rooms/:roomId/state/:eventType",
  "/_matrix/client/r0/rooms/:roomId/state/:eventType/:stateKey",
  "/_matrix/client/r0/rooms/:roomId/state/:eventType",
];

const membership = v.optional(v.picklist(["join", "invite", "knock", "leave", "ban"]));

/** `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid */
export const getOneRoomEvent = endpoint(
  {
    operationId: "getOneRoomEvent",
    method: "GET",
    path: "/_matrix/client/v3/rooms/:roomId/event/:eventId",
    aliases: ["/_matrix/client/r0/rooms/:roomId/event/:eventId"],
    auth: "accessToken",
  },
  async ({ params, auth, actors }) => {
    const event = await actors.room(params.roomId).getEvent(auth.userId, auth.deviceId, params.eventId);
    if (field(event, "state_key") !== undefined) return event;
    // "Once ignored, the client will no longer receive events sent by that user, with the exception of state events."
    const sender = stringField(event, "sender");
    const isIgnored = (await actors.user(auth.userId).getIgnoredUsers()).some((userId) => userId === sender);
    if (isIgnored) throw errors.notFound("Event not found");
    return event;
  },
);

/** `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey */
export const getRoomStateWithKey = endpoint(
  {
    operationId: "getRoomStateWithKey",
    method: "GET",
    path: statePath,
    aliases: statePathAliases,
    auth: "accessToken",
    query: v.object({ format: v.optional(v.picklist(["content", "event"]), "content") }),
  },
  async ({ params, auth, query, actors }) => {
    const { event } = await actors.room(params.roomId).getStateEvent(auth.userId, params.eventType, params.stateKey);
    return query.format === "event" ? event : (objectField(event, "content") ?? {});
  },
);

/** `GET /_matrix/client/v3/rooms/{roomId}/state` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate */
export const getRoomState = endpoint(
  {
    operationId: "getRoomState",
    method: "GET",
    path: "/_matrix/client/v3/rooms/:roomId/state",
    aliases: ["/_matrix/client/r0/rooms/:roomId/state"],
    auth: "accessToken",
  },
  ({ params, auth, actors }) => actors.room(params.roomId).getState(auth.userId),
);

/** `GET /_matrix/client/v3/rooms/{roomId}/members` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers */
export const getMembersByRoom = endpoint(
  {
    operationId: "getMembersByRoom",
    method: "GET",
    path: "/_matrix/client/v3/rooms/:roomId/members",
    aliases: ["/_matrix/client/r0/rooms/:roomId/members"],
    auth: "accessToken",
    query: v.object({ at: v.optional(v.string()), membership, not_membership: membership }),
  },
  async (context) => {
    const { params, auth, query, actors } = context;
    const at = await roomPositionOf(context, { token: query.at, userId: auth.userId, roomId: params.roomId });
    return await actors.room(params.roomId).getMembers({
      requester: auth.userId,
      at,
      membership: query.membership ?? null,
      notMembership: query.not_membership ?? null,
    });
  },
);

/** `GET /_matrix/client/v3/rooms/{roomId}/joined_members` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members */
export const getJoinedMembersByRoom = endpoint(
  {
    operationId: "getJoinedMembersByRoom",
    method: "GET",
    path: "/_matrix/client/v3/rooms/:roomId/joined_members",
    aliases: ["/_matrix/client/r0/rooms/:roomId/joined_members"],
    auth: "accessToken",
  },
  ({ params, auth, actors }) => actors.room(params.roomId).getJoinedMembers(auth.userId),
);
