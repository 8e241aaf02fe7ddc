import * as v from "valibot";
import { endpoint, type Services, StreamedJson } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import type { EventId, ServerName } from "../../../shared/ids.ts";
import { inParallel } from "../../../shared/parallel.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";
import { eventId, queryInteger } from "../../../shared/validate.ts";
import { concatenated, inOnePart, pagesOf } from "./pdu-stream.ts";

const stateQuery = v.object({ event_id: eventId });

/** `GET /_matrix/federation/v1/state/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid */
export const getRoomState = endpoint(
  {
    operationId: "getRoomState",
    method: "GET",
    path: "/_matrix/federation/v1/state/:roomId",
    auth: "serverSignature",
    query: stateQuery,
  },
  async ({ params, auth, query, actors }) => {
    const { origin } = auth;
    const room = actors.room(params.roomId);
    const { stateIds, authChainIds } = await room.getStateIds({ origin, eventId: query.event_id });
    await actors.server(origin).noteSharedRoom(params.roomId);
    const pages = (ids: readonly EventId[]) =>
      pagesOf(ids, (eventIds) => room.getPdusAt({ origin, at: query.event_id, eventIds }));
    return new StreamedJson(
      concatenated([
        inOnePart('{"auth_chain":['),
        pages(authChainIds),
        inOnePart('],"pdus":['),
        pages(stateIds),
        inOnePart("]}"),
      ]),
    );
  },
);

/** `GET /_matrix/federation/v1/state_ids/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid */
export const getRoomStateIds = endpoint(
  {
    operationId: "getRoomStateIds",
    method: "GET",
    path: "/_matrix/federation/v1/state_ids/:roomId",
    auth: "serverSignature",
    query: stateQuery,
  },
  async ({ params, auth, query, actors }) => {
    const input = { origin: auth.origin, eventId: query.event_id };
    const { stateIds, authChainIds } = await actors.room(params.roomId).getStateIds(input);
    await actors.server(auth.origin).noteSharedRoom(params.roomId);
    return { pdu_ids: stateIds, auth_chain_ids: authChainIds };
  },
);

/** `GET /_matrix/federation/v1/event/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid */
export const getEvent = endpoint(
  {
    operationId: "getEvent",
    method: "GET",
    path: "/_matrix/federation/v1/event/:eventId",
    auth: "serverSignature",
  },
  async (context) => {
    const { params, auth, config, clock } = context;
    const pdu = await findPdu(context, auth.origin, params.eventId);
    if (pdu === null) throw errors.notFound("The event is not known here");
    const facts = JSON.stringify({ origin: config.serverName, origin_server_ts: clock.now() });
    return new StreamedJson(inOnePart(`${facts.slice(0, -1)},"pdus":[${pdu}]}`));
  },
);

/** Rooms that are asked for an event, at most. */
const maxRooms = 100;
const maxRoomsAtOnce = 10;

/** Nothing says which room an event is of: the rooms that both servers share are asked, the likeliest first. */
async function findPdu({ actors }: Services, origin: ServerName, eventId: EventId): Promise<PduText | null> {
  const rooms = await actors.server(origin).getSharedRooms(maxRooms);
  let found: PduText | null = null;
  await inParallel(rooms, maxRoomsAtOnce, async (roomId) => {
    if (found === null) found = (await actors.room(roomId).findPdu({ origin, eventId })) ?? found;
  });
  return found;
}

/** `GET /_matrix/federation/v1/timestamp_to_event/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid */
export const getEventByTimestamp = endpoint(
  {
    operationId: "getEventByTimestamp",
    method: "GET",
    path: "/_matrix/federation/v1/timestamp_to_event/:roomId",
    auth: "serverSignature",
    query: v.object({ ts: queryInteger(Number.MAX_SAFE_INTEGER), dir: v.picklist(["f", "b"]) }),
  },
  async ({ params, auth, query, actors }) => {
    const found = await actors.room(params.roomId).findNearestForServer({ origin: auth.origin, ...query });
    await actors.server(auth.origin).noteSharedRoom(params.roomId);
    return { event_id: found.eventId, origin_server_ts: found.originServerTs };
  },
);
