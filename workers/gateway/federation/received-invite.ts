/** An invite that another server has sent: what it must be before this server signs it. */
import type { Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import {
  assertInviteState,
  looseInviteState,
  verifiedInviteState,
} from "../../../shared/federation-api/invite-state.ts";
import { fetchKeyRing } from "../../../shared/federation-api/key-ring.ts";
import {
  type EventId,
  parseUserId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from "../../../shared/ids.ts";
import { type JsonObject, type JsonValue, stringField, withFields } from "../../../shared/json.ts";
import { membershipOf } from "../../../shared/matrix/content/member.ts";
import { eventFromPdu, type MatrixEvent } from "../../../shared/matrix/event.ts";
import { checkEventFormat } from "../../../shared/matrix/event-format.ts";
import { eventIdOf, roomIdOf } from "../../../shared/matrix/event-id.ts";
import { hasValidContentHash } from "../../../shared/matrix/hashes.ts";
import { type KeyRing, keysForEvent } from "../../../shared/matrix/key-ring.ts";
import { pduTextOf } from "../../../shared/matrix/pdu-text.ts";
import { type RoomVersionRules, rulesFor } from "../../../shared/matrix/room-version.ts";
import { requiredSigners, verifyEvent } from "../../../shared/matrix/signing.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";

/** An invite as it came, nothing of it looked at. */
export interface SentInvite {
  readonly origin: ServerName;
  readonly roomId: RoomId;
  readonly eventId: EventId;
  readonly roomVersion: string;
  readonly event: JsonObject;
  /** `invite_room_state` */
  readonly roomState: JsonValue;
}

/**
 * Has an invite for a local user signed, and the user told of it.
 *
 * @returns the event with this server's signature.
 * @throws MatrixError M_INVALID_PARAM for what is no invite for a local user by a user of the origin; M_FORBIDDEN;
 *   M_INCOMPATIBLE_ROOM_VERSION; M_LIMIT_EXCEEDED; then nothing is signed
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid
 */
export async function takeInvite(services: Services, sent: SentInvite): Promise<PduText> {
  const { actors, config } = services;
  const { origin, roomId, roomVersion } = sent;
  const rules = rulesFor(roomVersion);
  if (rules === null) {
    throw errors.incompatibleRoomVersion("This server does not know that room version", { room_version: roomVersion });
  }
  const { event, target } = assertInvite(sent, rules, config.serverName);
  // Before anybody is asked for keys.
  const statePdus = rules.roomIdIsCreateHash ? assertInviteState(sent.roomState, rules, roomId) : null;
  assertSigned(event, rules, { origin, keys: await fetchKeyRing({ actors, config }, [event.pdu]) });
  const invited = actors.user(target);
  if (!(await invited.exists())) throw errors.forbidden(`${target} cannot be invited`);
  // Whether the user takes invites; counts this one against what they may get.
  await invited.getMemberProfile("invite", roomId);
  const strippedState =
    statePdus === null
      ? looseInviteState(sent.roomState)
      : verifiedInviteState(statePdus, rules, await keysOfState(services, origin, statePdus));
  const pdu = pduTextOf(event.pdu);
  return await actors.room(roomId).receiveInvite({ origin, pdu, roomVersion, strippedState });
}

/**
 * The invite, if it is one: nothing else is ever signed.
 * @throws MatrixError M_INVALID_PARAM
 */
function assertInvite(
  { origin, roomId, eventId, event }: SentInvite,
  rules: RoomVersionRules,
  serverName: ServerName,
): { event: MatrixEvent; target: UserId } {
  // Nobody signs what stands there.
  const pdu = withFields(event, { unsigned: undefined });
  const format = checkEventFormat(pdu, rules);
  if (!format.ok) throw errors.invalidParam(`This is no event of the room's version: ${format.reason}`);
  const assert = (holds: boolean, otherwise: string): void => {
    if (!holds) throw errors.invalidParam(otherwise);
  };
  assert(roomIdOf(pdu, rules) === roomId, "The event is of another room");
  assert(eventIdOf(pdu, rules) === eventId, "The event has another id");
  assert(stringField(pdu, "type") === "m.room.member", "The event is not a member event");
  const invite = eventFromPdu(pdu, rules);
  assert(membershipOf(invite.content) === "invite", "The event's membership is not invite");
  assert(serverNameOf(invite.sender) === origin, `The sender is not of ${origin}`);
  const target = parseUserId(invite.stateKey ?? "");
  if (target === null || serverNameOf(target) !== serverName) {
    throw errors.invalidParam("The event invites nobody of this server");
  }
  return { event: invite, target };
}

/**
 * Also an invite by third-party id is signed by who sends it, though it need not be by the rules.
 * @throws MatrixError M_INVALID_PARAM when the invite "fails a signature check"
 */
function assertSigned(
  { pdu, originServerTs }: MatrixEvent,
  rules: RoomVersionRules,
  { origin, keys }: { origin: ServerName; keys: KeyRing },
): void {
  const signers = requiredSigners(pdu, rules);
  if (signers === null || !hasValidContentHash(pdu, rules)) throw errors.invalidParam("The event's hash is not valid");
  const validAt = rules.enforcesKeyValidity ? originServerTs : null;
  for (const signer of new Set([origin, ...signers])) {
    const known = keysForEvent(keys, signer, validAt);
    if (known === null || !verifyEvent(pdu, rules, signer, known)) {
      throw errors.invalidParam(`The event is not signed by ${signer}`);
    }
  }
}

/** The keys of who made the room and described it. Their servers may be gone: the one that invites may know them. */
function keysOfState(
  { actors, config, egress, clock }: Services,
  origin: ServerName,
  pdus: readonly JsonObject[],
): Promise<KeyRing> {
  const request = (input: Parameters<typeof egress.request>[0]) => egress.request(input);
  return fetchKeyRing({ actors, config }, pdus, { serverName: origin, request, nowMs: clock.now() });
}
