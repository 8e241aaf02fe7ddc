import * as v from "valibot";
import { endpoint, type Services, StreamedJson } from "../../../shared/endpoint.ts";
import type { EventId, RoomId } from "../../../shared/ids.ts";
import type { HandshakeEvent } from "../../../shared/rpc/room-resident.ts";
import { anyObject, queryBoolean } from "../../../shared/validate.ts";
import { makeEvent, takeEvent, versionsQuery } from "./handshake.ts";
import { concatenated, inOnePart, pagesOf } from "./pdu-stream.ts";

/** `GET /_matrix/federation/v1/make_join/{roomId}/{userId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid */
export const makeJoin = endpoint(
  {
    operationId: "makeJoin",
    method: "GET",
    path: "/_matrix/federation/v1/make_join/:roomId/:userId",
    auth: "serverSignature",
    query: versionsQuery,
  },
  (context) => {
    const { roomId, userId } = context.params;
    return makeEvent(context, context.auth.origin, { membership: "join", roomId, userId, versions: context.query.ver });
  },
);

/** `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid */
export const sendJoinV2 = endpoint(
  {
    operationId: "sendJoinV2",
    method: "PUT",
    path: "/_matrix/federation/v2/send_join/:roomId/:eventId",
    auth: "serverSignature",
    query: v.object({ omit_members: v.optional(queryBoolean, "false") }),
    body: anyObject,
  },
  async (context) => {
    const { roomId, eventId } = context.params;
    const event = await takeEvent(context, context.auth.origin, {
      membership: "join",
      roomId,
      eventId,
      pdu: context.body,
    });
    return new StreamedJson(await joinAnswer(context, roomId, { event, omitMembers: context.query.omit_members }));
  },
);

/** `PUT /_matrix/federation/v1/send_join/{roomId}/{eventId}`, which older servers call, as the newer one: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid */
export const sendJoinV1 = endpoint(
  {
    operationId: "sendJoinV1",
    method: "PUT",
    path: "/_matrix/federation/v1/send_join/:roomId/:eventId",
    auth: "serverSignature",
    body: anyObject,
  },
  async (context) => {
    const { roomId, eventId } = context.params;
    const event = await takeEvent(context, context.auth.origin, {
      membership: "join",
      roomId,
      eventId,
      pdu: context.body,
    });
    return new StreamedJson(enclosed("[200,", await joinAnswer(context, roomId, { event, omitMembers: false }), "]"));
  },
);

/** The answer to a join, part by part. What can be refused is refused before the first part. */
async function joinAnswer(
  { actors, config }: Services,
  roomId: RoomId,
  { event, omitMembers }: { event: HandshakeEvent; omitMembers: boolean },
): Promise<AsyncIterable<string>> {
  const room = actors.room(roomId);
  const state = await room.getJoinState({ eventId: event.eventId, omitMembers });
  const facts = JSON.stringify({
    origin: config.serverName,
    members_omitted: state.membersOmitted,
    servers_in_room: state.serversInRoom,
  });
  const pages = (eventIds: readonly EventId[]) =>
    pagesOf(eventIds, async (page) => ({ pdus: await room.getPdus(page), taken: page.length }));
  return concatenated([
    inOnePart(`${facts.slice(0, -1)},"event":${event.pdu},"state":[`),
    pages(state.stateIds),
    inOnePart('],"auth_chain":['),
    pages(state.authChainIds),
    inOnePart("]}"),
  ]);
}

async function* enclosed(before: string, parts: AsyncIterable<string>, after: string): AsyncIterable<string> {
  yield before;
  yield* parts;
  yield after;
}
