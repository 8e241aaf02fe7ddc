import { endpoint, StreamedJson } from "../../../shared/endpoint.ts";
import { concatenated, inOnePart, pagesOf } from "./pdu-stream.ts";

/** `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid */
export const getEventAuth = endpoint(
  {
    operationId: "getEventAuth",
    method: "GET",
    path: "/_matrix/federation/v1/event_auth/:roomId/:eventId",
    auth: "serverSignature",
  },
  async ({ params, auth, actors }) => {
    const { origin } = auth;
    const room = actors.room(params.roomId);
    const authChainIds = await room.getAuthChainIds({ origin, eventId: params.eventId });
    await actors.server(origin).noteSharedRoom(params.roomId);
    const chain = pagesOf(authChainIds, (eventIds) => room.getPdusAt({ origin, at: params.eventId, eventIds }));
    return new StreamedJson(concatenated([inOnePart('{"auth_chain":['), chain, inOnePart("]}")]));
  },
);
