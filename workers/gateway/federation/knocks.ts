import { endpoint, StreamedJson } from "../../../shared/endpoint.ts";
import { anyObject } from "../../../shared/validate.ts";
import { makeEvent, requiredVersionsQuery, takeEvent } from "./handshake.ts";
import { inOnePart } from "./pdu-stream.ts";

/** `GET /_matrix/federation/v1/make_knock/{roomId}/{userId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_knockroomiduserid */
export const makeKnock = endpoint(
  {
    operationId: "makeKnock",
    method: "GET",
    path: "/_matrix/federation/v1/make_knock/:roomId/:userId",
    auth: "serverSignature",
    query: requiredVersionsQuery,
  },
  (context) => {
    const { roomId, userId } = context.params;
    return makeEvent(context, context.auth.origin, {
      membership: "knock",
      roomId,
      userId,
      versions: context.query.ver,
    });
  },
);

/** `PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid */
export const sendKnock = endpoint(
  {
    operationId: "sendKnock",
    method: "PUT",
    path: "/_matrix/federation/v1/send_knock/:roomId/:eventId",
    auth: "serverSignature",
    body: anyObject,
  },
  async (context) => {
    const { roomId, eventId } = context.params;
    await takeEvent(context, context.auth.origin, { membership: "knock", roomId, eventId, pdu: context.body });
    const state = await context.actors.room(roomId).getKnockState(eventId);
    return new StreamedJson(inOnePart(`{"knock_room_state":[${state.join(",")}]}`));
  },
);
