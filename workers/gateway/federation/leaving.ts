import { endpoint } from "../../../shared/endpoint.ts";
import { anyObject } from "../../../shared/validate.ts";
import { makeEvent, takeEvent } from "./handshake.ts";

/** `GET /_matrix/federation/v1/make_leave/{roomId}/{userId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_leaveroomiduserid */
export const makeLeave = endpoint(
  {
    operationId: "makeLeave",
    method: "GET",
    path: "/_matrix/federation/v1/make_leave/:roomId/:userId",
    auth: "serverSignature",
  },
  (context) => {
    const { roomId, userId } = context.params;
    return makeEvent(context, context.auth.origin, { membership: "leave", roomId, userId, versions: null });
  },
);

/** `PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_leaveroomideventid */
export const sendLeaveV2 = endpoint(
  {
    operationId: "sendLeaveV2",
    method: "PUT",
    path: "/_matrix/federation/v2/send_leave/:roomId/:eventId",
    auth: "serverSignature",
    body: anyObject,
  },
  async (context) => {
    const { roomId, eventId } = context.params;
    await takeEvent(context, context.auth.origin, { membership: "leave", roomId, eventId, pdu: context.body });
    return {};
  },
);

/** `PUT /_matrix/federation/v1/send_leave/{roomId}/{eventId}`, which older servers call, as the newer one: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_leaveroomideventid */
export const sendLeaveV1 = endpoint(
  {
    operationId: "sendLeaveV1",
    method: "PUT",
    path: "/_matrix/federation/v1/send_leave/:roomId/:eventId",
    auth: "serverSignature",
    body: anyObject,
  },
  async (context) => {
    const { roomId, eventId } = context.params;
    await takeEvent(context, context.auth.origin, { membership: "leave", roomId, eventId, pdu: context.body });
    return [200, {}];
  },
);
