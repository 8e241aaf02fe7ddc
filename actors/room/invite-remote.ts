/**
 * Inviting users of other servers: the invite is signed here, taken to their server, which signs as well, and only then
 * part of the room.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
import { errors } from "../../shared/errors.ts";
import type { EventId } from "../../shared/ids.ts";
import { type JsonObject, withFields } from "../../shared/json.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { isFederated } from "../../shared/matrix/content/create.ts";
import { membershipOf } from "../../shared/matrix/content/member.ts";
import { signDraft } from "../../shared/matrix/event-draft.ts";
import { canonicalMode } from "../../shared/matrix/hashes.ts";
import { strippedStateEvents } from "../../shared/matrix/stripped-state.ts";
import type { PreparedInvite, RoomForJoining } from "../../shared/rpc/room-joining.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import { assertFormat, draftAllowed, stateEvent } from "./admit.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { admitPdu } from "./receive.ts";
import { parsePdu } from "./remote-membership.ts";
import { fetchSigningKey, keyLookup, ownVerifyKeys } from "./signing.ts";
import { findCurrentState } from "./state.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";
import { prunedEvent } from "./visibility.ts";

/** Characters of the state that goes with an invite: some servers take no more than an event's size. */
const maxStateCharacters = 60_000;

type Invite = Parameters<RoomForJoining["prepareInvite"]>[0];

/**
 * Whether the room takes an invite, before anybody hears of it; counts it against what the room may send.
 *
 * @throws MatrixError M_FORBIDDEN with the rule's reason, M_LIMIT_EXCEEDED
 */
export function checkInvite(room: RoomContext, invite: Invite): null {
  assertMayInvite(room, invite);
  return room.store.transaction((tx) => {
    room.memory.limits.count("rc_invites.per_room");
    draftInvite(room, tx, invite);
    return null;
  });
}

/**
 * An invite, authorized by the room as it is now, and signed; nothing is stored.
 *
 * @throws MatrixError M_FORBIDDEN with the rule's reason, M_TOO_LARGE, M_BAD_JSON
 */
export async function prepareInvite(room: RoomContext, invite: Invite): Promise<PreparedInvite> {
  assertMayInvite(room, invite);
  const key = await fetchSigningKey(room);
  const { requester } = invite;
  return room.store.transaction((tx) => {
    const rules = tx.room.rules();
    const event = signDraft(draftInvite(room, tx, invite), rules, room.config.serverName, key);
    assertFormat(event, rules);
    return {
      eventId: event.eventId,
      roomVersion: rules.version,
      pdu: canonicalJson(event.pdu, [], canonicalMode(rules)),
      inviteRoomState: describingState(room, tx, requester),
    };
  });
}

/** The same whether the room exists or not. @throws MatrixError M_FORBIDDEN */
function assertMayInvite(room: RoomContext, { requester }: Invite): void {
  if (room.store.room.find() === null || !room.store.memberships.isJoined(requester)) {
    throw errors.forbidden(`${requester} is not in the room`);
  }
}

/** @throws MatrixError M_FORBIDDEN */
function draftInvite(room: RoomContext, tx: RoomTransaction, { requester, target, content }: Invite): JsonObject {
  const create = findCurrentState(tx, "m.room.create", "");
  if (create === null || !isFederated(create.event.content)) {
    throw errors.forbidden("The room is only for users of this server");
  }
  const before = findCurrentState(tx, "m.room.member", target)?.event.content ?? {};
  if (membershipOf(before) === "ban") throw errors.forbidden(`${target} is banned from the room`);
  const whole = withFields(content, { membership: "invite" });
  return draftAllowed(room, tx, stateEvent(requester, "m.room.member", target, whole)).pdu;
}

/** The state that describes the room, create event first, as PDUs: as many as there is room for. */
function describingState(room: RoomContext, store: RoomRead, requester: string): PduText[] {
  const mode = canonicalMode(store.room.rules());
  const lookup = (type: string, stateKey: string) => {
    const record = findCurrentState(store, type, stateKey);
    return record === null ? null : prunedEvent(room, record);
  };
  const texts: PduText[] = [];
  let characters = 0;
  for (const event of strippedStateEvents(lookup, [["m.room.member", requester]])) {
    const text = canonicalJson(event.pdu, ["unsigned"], mode);
    if (characters > 0 && characters + text.length > maxStateCharacters) continue;
    characters += text.length;
    texts.push(text);
  }
  return texts;
}

/** Makes an invite part of the room which the invited user's server has signed. @throws MatrixError M_FORBIDDEN when the room has changed so that it is not allowed any more */
export async function completeInvite(
  room: RoomContext,
  { pdu, keys }: Parameters<RoomForJoining["completeInvite"]>[0],
): Promise<{ eventId: EventId }> {
  const key = await fetchSigningKey(room);
  return commit(room, (tx) => {
    const event = parsePdu(pdu, tx.room.rules());
    if (event === null) throw new Error("an invite of this server's own making has not its room's format");
    const outcome = admitPdu(room, event.pdu, {
      keysFor: keyLookup(room, ownVerifyKeys(key), keys),
      isOutlier: false,
      isOurs: true,
    });
    if (outcome.kind === "accepted" || outcome.kind === "duplicate") return { eventId: outcome.eventId };
    throw errors.forbidden("reason" in outcome ? outcome.reason : "The room does not allow the invite any more");
  });
}
