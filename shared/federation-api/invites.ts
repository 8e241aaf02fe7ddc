/**
 * Inviting a user of another server, as the inviting server sees it.
 * @see https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
import type { RoomId, ServerName } from "../ids.ts";
import { isObject, type JsonObject, objectField } from "../json.ts";
import type { PeerRequest } from "../rpc/egress.ts";
import type { PreparedInvite } from "../rpc/room-joining.ts";
import { parseAnswer } from "./handshakes.ts";

const timeoutMs = 60_000;
const maxBytes = 1_048_576;

/**
 * `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}`, and its first version. Events are put in as text: their numbers
 * stay as they are.
 */
export function inviteRequest(
  destination: ServerName,
  version: "v1" | "v2",
  { roomId, invite }: { roomId: RoomId; invite: PreparedInvite },
): PeerRequest {
  const { eventId, roomVersion, pdu, inviteRoomState } = invite;
  const state = `[${inviteRoomState.join(",")}]`;
  const content =
    version === "v2"
      ? `{"event":${pdu},"invite_room_state":${state},"room_version":${JSON.stringify(roomVersion)}}`
      : `${pdu.slice(0, -1)},"unsigned":{"invite_room_state":${state}}}`;
  const path = `/_matrix/federation/${version}/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId)}`;
  return { destination, method: "PUT", path, content, isSigned: true, timeoutMs, maxBytes };
}

/** The event of an answer to either version; null when there is none. */
export function parseInviteAnswer(text: string): JsonObject | null {
  const parsed = parseAnswer(text);
  const body = Array.isArray(parsed) ? parsed[1] : parsed;
  return body !== undefined && isObject(body) ? objectField(body, "event") : null;
}
