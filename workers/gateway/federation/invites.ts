import * as v from "valibot";
import { endpoint, StreamedJson } from "../../../shared/endpoint.ts";
import { field, type JsonValue, objectField, withFields } from "../../../shared/json.ts";
import { anyObject } from "../../../shared/validate.ts";
import { inOnePart } from "./pdu-stream.ts";
import { takeInvite } from "./received-invite.ts";

/** "must assume that the room version is either "1" or "2"", whose events have the same format. */
const versionOfV1 = "1";

const anyValue = v.custom<JsonValue>(() => true);

/** `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid */
export const sendInviteV2 = endpoint(
  {
    operationId: "sendInviteV2",
    method: "PUT",
    path: "/_matrix/federation/v2/invite/:roomId/:eventId",
    auth: "serverSignature",
    body: v.object({
      room_version: v.pipe(v.string(), v.maxLength(255)),
      event: anyObject,
      invite_room_state: v.optional(anyValue),
    }),
  },
  async (context) => {
    const { roomId, eventId } = context.params;
    const { room_version: roomVersion, event, invite_room_state: roomState = null } = context.body;
    const { origin } = context.auth;
    const pdu = await takeInvite(context, { origin, roomId, eventId, roomVersion, event, roomState });
    return new StreamedJson(inOnePart(`{"event":${pdu}}`));
  },
);

/** `PUT /_matrix/federation/v1/invite/{roomId}/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1inviteroomideventid */
export const sendInviteV1 = endpoint(
  {
    operationId: "sendInviteV1",
    method: "PUT",
    path: "/_matrix/federation/v1/invite/:roomId/:eventId",
    auth: "serverSignature",
    body: anyObject,
  },
  async (context) => {
    const { roomId, eventId } = context.params;
    const { origin } = context.auth;
    const roomState = field(objectField(context.body, "unsigned") ?? {}, "invite_room_state") ?? null;
    const event = withFields(context.body, { unsigned: undefined });
    const sent = { origin, roomId, eventId, roomVersion: versionOfV1, event, roomState };
    return new StreamedJson(inOnePart(`[200,{"event":${await takeInvite(context, sent)}}]`));
  },
);
