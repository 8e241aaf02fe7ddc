import { endpoint } from "../../../shared/endpoint.ts";
import { anyBody } from "../../../shared/validate.ts";

/** `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid */
export const sendMessage = endpoint(
  {
    operationId: "sendMessage",
    method: "PUT",
    path: "/_matrix/client/v3/rooms/:roomId/send/:eventType/:txnId",
    aliases: ["/_matrix/client/r0/rooms/:roomId/send/:eventType/:txnId"],
    auth: "accessToken",
    rateLimit: "rc_message",
    body: anyBody,
  },
  async ({ params, auth, body, actors }) => {
    const { eventId } = await actors.room(params.roomId).sendEvent({
      sender: auth.userId,
      deviceId: auth.deviceId,
      txnId: params.txnId,
      type: params.eventType,
      stateKey: null,
      content: body,
      redacts: null,
    });
    return { event_id: eventId };
  },
);
