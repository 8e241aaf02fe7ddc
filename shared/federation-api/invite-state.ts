/**
 * The state that comes with an invite and tells what room it is for.
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid
 */
import { errors } from "../errors.ts";
import { type RoomId, serverNameOf } from "../ids.ts";
import { field, isObject, type JsonObject, type JsonValue, withFields } from "../json.ts";
import { plainObject } from "../json-text.ts";
import { eventFromPdu, type MatrixEvent } from "../matrix/event.ts";
import { checkEventFormat } from "../matrix/event-format.ts";
import { roomIdOf } from "../matrix/event-id.ts";
import { hasValidContentHash } from "../matrix/hashes.ts";
import { type KeyRing, keysForEvent } from "../matrix/key-ring.ts";
import { redact } from "../matrix/redaction.ts";
import type { RoomVersionRules } from "../matrix/room-version.ts";
import { hasSignatureOf, requiredSigners, verifyEvent } from "../matrix/signing.ts";
import { stripEvent } from "../matrix/stripped-state.ts";

/** Events that describe a room are seven; what more a server sends is its own affair, up to here. */
const maxEntries = 50;

/** The create event before everything else: where there is too much, it is not what is left out. */
function createFirst<Entry>(entries: readonly Entry[], typeOf: (entry: Entry) => JsonValue | undefined): Entry[] {
  const isCreate = (entry: Entry): boolean => typeOf(entry) === "m.room.create";
  return [...entries.filter(isCreate), ...entries.filter((entry) => !isCreate(entry))];
}

/**
 * The entries of `invite_room_state` of a room version that asks nothing of them, as plain JSON; those that are no objects,
 * or nested too deeply, are left out.
 */
export function looseInviteState(value: JsonValue): JsonObject[] {
  if (!Array.isArray(value)) return [];
  const entries = value.map(plainObject).filter((entry) => entry !== null);
  return createFirst(entries, (entry) => field(entry, "type"));
}

/**
 * The PDUs of `invite_room_state`: all have the format of the room's version and are of the room, and the event with which
 * the room began is among them.
 *
 * @throws MatrixError M_INVALID_PARAM otherwise, as "servers SHOULD return"
 */
export function assertInviteState(value: JsonValue, rules: RoomVersionRules, roomId: RoomId): JsonObject[] {
  if (!Array.isArray(value) || value.length > maxEntries) {
    throw errors.invalidParam(`invite_room_state is a list of at most ${maxEntries} events`);
  }
  const pdus = value.map((entry) => {
    const pdu = isObject(entry) ? withFields(entry, { unsigned: undefined }) : null;
    if (pdu === null || !checkEventFormat(pdu, rules).ok) {
      throw errors.invalidParam("invite_room_state has an entry that is no event of the room's version");
    }
    if (roomIdOf(pdu, rules) !== roomId) throw errors.invalidParam("invite_room_state has an event of another room");
    return pdu;
  });
  // One that is of the room is the one: the room's id is its hash, or there is no telling.
  if (!pdus.some((pdu) => field(pdu, "type") === "m.room.create")) {
    throw errors.invalidParam("invite_room_state has no m.room.create event");
  }
  return createFirst(pdus, (pdu) => field(pdu, "type"));
}

/**
 * What such PDUs say, as far as it is known that their senders said it, stripped. Without the keys of its sender's server,
 * which may be gone, an event is left out; but for the create event, without which nothing is known of the room.
 *
 * @param pdus as {@link assertInviteState} gives them
 * @throws MatrixError M_INVALID_PARAM when one "fails a signature check"
 */
export function verifiedInviteState(pdus: readonly JsonObject[], rules: RoomVersionRules, keys: KeyRing): JsonObject[] {
  return pdus.flatMap((pdu) => {
    const event = eventFromPdu(hasValidContentHash(pdu, rules) ? pdu : redact(pdu, rules), rules);
    const isVerified = isSigned(event, rules, keys);
    if (isVerified === false)
      throw errors.invalidParam("invite_room_state has an event that its sender has not signed");
    if (isVerified === true) return event.stateKey === null ? [] : [stripEvent(event)];
    if (event.type !== "m.room.create") return [];
    throw errors.invalidParam(`No keys of ${serverNameOf(event.sender)} are known, which has made the room`);
  });
}

/** Null: not known, for want of keys. */
function isSigned(event: MatrixEvent, rules: RoomVersionRules, keys: KeyRing): boolean | null {
  const signers = requiredSigners(event.pdu, rules);
  if (signers === null) return false;
  const validAt = rules.enforcesKeyValidity ? event.originServerTs : null;
  for (const signer of signers) {
    if (!hasSignatureOf(event.pdu, signer)) return false;
    const known = keysForEvent(keys, signer, validAt);
    if (known === null) return null;
    if (!verifyEvent(event.pdu, rules, signer, known)) return false;
  }
  return true;
}
