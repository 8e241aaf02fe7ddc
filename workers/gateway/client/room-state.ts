import { endpoint } from "../../../shared/endpoint.ts";
import { parseUserId, serverNameOf, type UserId } from "../../../shared/ids.ts";
import { type JsonObject, stringField } from "../../../shared/json.ts";
import { anyBody } from "../../../shared/validate.ts";
import { findAliasesElsewhere } from "./canonical-alias.ts";
import { statePath, statePathAliases } from "./rooms.ts";

/** `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey */
export const setRoomStateWithKey = endpoint(
  {
    operationId: "setRoomStateWithKey",
    method: "PUT",
    path: statePath,
    aliases: statePathAliases,
    auth: "accessToken",
    rateLimit: "rc_message",
    body: anyBody,
  },
  async (context) => {
    const { params, auth, body, actors, egress, config } = context;
    const { roomId } = params;
    const target = inviteeOf(params, body);
    if (target !== null && serverNameOf(target) !== config.serverName) {
      const { eventId } = await egress.inviteUser({ roomId, requester: auth.userId, target, content: body });
      return { event_id: eventId };
    }
    const isAliases = params.eventType === "m.room.canonical_alias" && params.stateKey === "";
    const asked = { requester: auth.userId, roomId, content: body };
    const { eventId } = await actors.room(roomId).sendEvent({
      sender: auth.userId,
      deviceId: auth.deviceId,
      // "Requests to this endpoint cannot use transaction IDs": setting the same state again changes nothing.
      txnId: null,
      type: params.eventType,
      stateKey: params.stateKey,
      content: body,
      redacts: null,
      ...(isAliases ? { aliasesElsewhere: await findAliasesElsewhere(context, asked) } : {}),
    });
    return { event_id: eventId };
  },
);

/** The user whom a state event would invite: whose server may have to sign it. */
function inviteeOf(key: { eventType: string; stateKey: string }, content: JsonObject): UserId | null {
  const isInvite = key.eventType === "m.room.member" && stringField(content, "membership") === "invite";
  return isInvite ? parseUserId(key.stateKey) : null;
}
