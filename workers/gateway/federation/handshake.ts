/** What joining, leaving and knocking through a server in the room have in common. */
import * as v from "valibot";
import type { Services } from "../../../shared/endpoint.ts";
import { fetchKeyRing } from "../../../shared/federation-api/key-ring.ts";
import type { EventId, RoomId, ServerName, UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { pduTextOf } from "../../../shared/matrix/pdu-text.ts";
import type { HandshakeEvent, HandshakeMembership } from "../../../shared/rpc/room-resident.ts";

const versions = v.pipe(
  v.union([v.string(), v.array(v.string())]),
  v.transform((ver) => [ver].flat()),
  v.maxLength(100),
);

/** Room versions that the asking server knows; "Defaults to [1]". */
export const versionsQuery = v.object({ ver: v.optional(versions, ["1"]) });
/** The same where they have to be named: who may knock knows more than the first. */
export const requiredVersionsQuery = v.object({ ver: versions });

/** The template of an event, and the version of the room that it is for. */
export async function makeEvent(
  { actors }: Services,
  origin: ServerName,
  ask: { membership: HandshakeMembership; roomId: RoomId; userId: UserId; versions: readonly string[] | null },
): Promise<JsonObject> {
  const { roomId, ...input } = ask;
  const { roomVersion, event } = await actors.room(roomId).makeMembership({ ...input, origin });
  return { room_version: roomVersion, event };
}

/** Hands a signed event to its room, with the keys to check it by. */
export async function takeEvent(
  { actors, config }: Services,
  origin: ServerName,
  sent: { membership: HandshakeMembership; roomId: RoomId; eventId: EventId; pdu: JsonObject },
): Promise<HandshakeEvent> {
  const { roomId, membership, eventId } = sent;
  const pdu = pduTextOf(sent.pdu);
  const keys = await fetchKeyRing({ actors, config }, [sent.pdu]);
  const accepted = await actors.room(roomId).acceptMembership({ membership, origin, eventId, pdu, keys });
  if (membership === "join") await actors.server(origin).noteSharedRoom(roomId);
  return accepted;
}
