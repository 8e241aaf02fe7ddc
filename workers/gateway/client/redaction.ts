import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";

/** `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid */
export const redactEvent = endpoint(
  {
    operationId: "redactEvent",
    method: "PUT",
    path: "/_matrix/client/v3/rooms/:roomId/redact/:eventId/:txnId",
    aliases: ["/_matrix/client/r0/rooms/:roomId/redact/:eventId/:txnId"],
    auth: "accessToken",
    rateLimit: "rc_message",
    body: v.object({ reason: v.nullish(v.string()) }),
    allowsEmptyBody: true,
  },
  async ({ params, auth, body, actors }) => {
    const { eventId } = await actors.room(params.roomId).sendEvent({
      sender: auth.userId,
      deviceId: auth.deviceId,
      txnId: params.txnId,
      type: "m.room.redaction",
      stateKey: null,
      content: typeof body.reason === "string" ? { reason: body.reason } : {},
      redacts: params.eventId,
    });
    return { event_id: eventId };
  },
);
