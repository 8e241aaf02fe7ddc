/**
 * Asking the server of who sent an invite by third-party id to invite the user to whom the id belongs.
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid
 */
import type { RoomId, ServerName, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { PeerRequest } from "../rpc/egress.ts";

/** The other server answers when it has sent us the invite. */
const timeoutMs = 60_000;
const maxBytes = 65_536;

/** `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}` */
export function exchangeRequest(
  destination: ServerName,
  { roomId, sender, target, signed }: { roomId: RoomId; sender: UserId; target: UserId; signed: JsonObject },
): PeerRequest {
  const event = {
    type: "m.room.member",
    room_id: roomId,
    sender,
    state_key: target,
    // The room knows a better name. The third-party id itself is nobody's business.
    content: { membership: "invite", third_party_invite: { display_name: target, signed } },
  };
  const path = `/_matrix/federation/v1/exchange_third_party_invite/${encodeURIComponent(roomId)}`;
  const content = JSON.stringify(event);
  return { destination, method: "PUT", path, content, isSigned: true, timeoutMs, maxBytes };
}
