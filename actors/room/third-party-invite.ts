/**
 * Invites by third-party id, once an identity server has said which user the id belongs to: the room has its word that
 * whoever that is, is invited.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#third-party-invites
 */
import { errors } from "../../shared/errors.ts";
import { serverNameOf } from "../../shared/ids.ts";
import { type JsonObject, stringField } from "../../shared/json.ts";
import { type InviteKey, inviteKeys } from "../../shared/matrix/content/third-party-invite.ts";
import { isSignedByAnyKey } from "../../shared/matrix/signing.ts";
import type { RoomForHandshakes } from "../../shared/rpc/room-resident.ts";
import { admitLocalEvent, stateEvent } from "./admit.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { assertResident } from "./join-resident.ts";
import { isLocalUser } from "./member-profile.ts";
import { fetchSigningKey } from "./signing.ts";
import { findCurrentState } from "./state.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomRead } from "./store/index.ts";

/** Keys of one invite that are looked at. */
const maxKeys = 20;

type ExchangeInput = Parameters<RoomForHandshakes["exchangeInvite"]>[0];

/**
 * Invites the user whom the identity server names, where they are of this server; where not, says what the invite that
 * their server is to sign holds. The event is made here and signed by this server, also where somebody of another server
 * sent the invite by third-party id: "If the invited homeserver is in the room, it can auth the event and send it."
 *
 * Whether the identity server has since given up its key is for the caller to ask: {@link getInviteKeys}.
 *
 * @throws MatrixError M_NOT_FOUND; M_FORBIDDEN unless the sender has sent an invite with that token to the room and, for a
 *   user of this server, its keys have signed: any other invite is authorized when it is made
 */
export async function exchangeInvite(
  room: RoomContext,
  { origin, sender, target, signed }: ExchangeInput,
): Promise<{ content: JsonObject; isInvited: boolean }> {
  assertResident(room, origin);
  const key = await fetchSigningKey(room);
  return commit(room, (tx) => {
    const content = contentOf(tx, signed);
    // The rules would let it make a member a guest at the door.
    if (tx.memberships.isJoined(target)) throw errors.forbidden(`${target} is already in the room`);
    if (isLocalUser(room, target)) {
      admitLocalEvent(room, tx, key, stateEvent(sender, "m.room.member", target, content));
      return { content, isInvited: true };
    }
    if (serverNameOf(sender) !== room.config.serverName)
      throw errors.forbidden(`${sender} is not a user of this server`);
    return { content, isInvited: false };
  });
}

/**
 * The keys of the room's invite with which an identity server has signed, and where each may be asked about.
 * @throws MatrixError M_NOT_FOUND where this server is not in the room; M_FORBIDDEN when there is no such invite, or none of
 *   its keys has signed
 */
export function getInviteKeys(
  room: RoomContext,
  { origin, signed }: Parameters<RoomForHandshakes["getInviteKeys"]>[0],
): InviteKey[] {
  assertResident(room, origin);
  const keys = inviteKeys(originalOf(room.store, signed).event.content).slice(0, maxKeys);
  const used = keys.filter(({ publicKey }) => isSignedByAnyKey(signed, [publicKey]));
  if (used.length === 0) throw errors.forbidden("The invite is not signed with one of its keys");
  return used;
}

/** @throws MatrixError M_FORBIDDEN when nobody has sent such an invite */
function originalOf(store: RoomRead, signed: JsonObject): EventRecord {
  const original = findCurrentState(store, "m.room.third_party_invite", stringField(signed, "token") ?? "");
  if (original === null) throw errors.forbidden("The room has no such third-party invite");
  return original;
}

/** @throws MatrixError M_FORBIDDEN */
function contentOf(store: RoomRead, signed: JsonObject): JsonObject {
  const original = originalOf(store, signed);
  const displayName = stringField(original.event.content, "display_name") ?? stringField(signed, "mxid") ?? "";
  return { membership: "invite", third_party_invite: { display_name: displayName, signed } };
}
