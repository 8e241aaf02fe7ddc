import { Buffer } from "node:buffer";
import { parseEventId, parseRoomId, parseUserId } from "../ids.ts";
import { field, isObject, type JsonObject, type JsonValue, objectField, stringField } from "../json.ts";
import { checkCanonical } from "./canonical-json.ts";
import { referencedEvents } from "./event.ts";
import { numberValue } from "./exact-numbers.ts";
import { canonicalMode } from "./hashes.ts";
import type { RoomVersionRules } from "./room-version.ts";

/** Largest PDU, in bytes of its canonical JSON with signatures. @see https://spec.matrix.org/v1.19/client-server-api/#size-limits */
export const maxEventBytes = 65_536;
/** Longest `type` and `state_key`, in bytes. */
export const maxKeyBytes = 255;
/** Most entries of `auth_events` and of `prev_events`. @see https://spec.matrix.org/v1.19/rooms/v12/#event-format */
export const maxAuthEvents = 10;
export const maxPrevEvents = 20;
/** Of events of the past, which were accepted when there was no such limit. */
const maxPastReferences = 1_000;

/** Largest depth that an event may claim. @see https://spec.matrix.org/v1.19/rooms/v6/#event-format */
export const maxDepth = Number.MAX_SAFE_INTEGER;

/** Whether a PDU has the format of its room version, and if not, why. `tooLarge` sets size apart, for M_TOO_LARGE. */
export type FormatCheck =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly tooLarge: boolean };

/**
 * Checks a PDU against the event format of its room version: types, sizes, ids, canonical JSON.
 *
 * @param options `isPast`: the event is part of a room's history: "the PDU definitions require that `prev_events` and
 *   `auth_events` be limited in number, the response of backfill MUST NOT be validated on these specific restrictions".
 *
 * Does not check hashes, signatures or authorization, nor what `unsigned` holds: whoever receives a PDU takes that off
 * before, since no signature covers it.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 * @see https://spec.matrix.org/v1.19/client-server-api/#size-limits
 */
export function checkEventFormat(
  pdu: JsonObject,
  rules: RoomVersionRules,
  { isPast = false }: { isPast?: boolean } = {},
): FormatCheck {
  // First, because it costs nothing: a body has room for a million names, and each further check would read them all.
  const lengthy =
    checkReferenceCount(pdu, "auth_events", isPast ? maxPastReferences : maxAuthEvents) ??
    checkReferenceCount(pdu, "prev_events", isPast ? maxPastReferences : maxPrevEvents);
  if (lengthy !== null) return lengthy;
  const canonical = checkCanonical(pdu, canonicalMode(rules));
  if (!canonical.ok) return malformed(`not canonical JSON: ${canonical.reason}`);
  for (const check of [checkFields, checkIds, checkReferences, checkSignatures, checkKeySizes]) {
    const problem = check(pdu, rules);
    if (problem !== null) return problem;
  }
  const bytes = Buffer.byteLength(canonical.text, "utf8");
  if (bytes > maxEventBytes) return { ok: false, reason: `the event has ${bytes} bytes`, tooLarge: true };
  return { ok: true };
}

type Problem = Extract<FormatCheck, { ok: false }>;

function malformed(reason: string): Problem {
  return { ok: false, reason, tooLarge: false };
}

function checkFields(pdu: JsonObject, rules: RoomVersionRules): Problem | null {
  const type = stringField(pdu, "type");
  if (type === null) return malformed("type is not a string");
  if (Object.hasOwn(pdu, "state_key") && stringField(pdu, "state_key") === null)
    return malformed("state_key is not a string");
  // Any other create event could not be found as the root of its room's state.
  if (type === "m.room.create" && field(pdu, "state_key") !== "")
    return malformed("a create event's state_key is empty");
  if (objectField(pdu, "content") === null) return malformed("content is not an object");
  if (!Number.isInteger(numberValue(field(pdu, "origin_server_ts"))))
    return malformed("origin_server_ts is not an integer");
  const depth = numberValue(field(pdu, "depth"));
  // Before canonical JSON was enforced, the bound was 2^63-1, which a double cannot hold: any larger integer passes.
  const bound = rules.isStrictCanonicalJson ? maxDepth : 2 ** 63;
  if (depth === null || !Number.isInteger(depth) || depth < 0 || depth > bound) {
    return malformed("depth is not an integer of the allowed range");
  }
  return null;
}

function checkIds(pdu: JsonObject, rules: RoomVersionRules): Problem | null {
  const sender = stringField(pdu, "sender");
  if (sender === null || parseUserId(sender) === null) return malformed("sender is not a user id");
  if (rules.eventIdFormat === "serverChosen") {
    const eventId = stringField(pdu, "event_id");
    if (eventId === null || parseEventId(eventId) === null || !eventId.includes(":")) {
      return malformed("event_id is not an event id of this room version");
    }
  }
  // A create event of room version 12 that has a room_id is refused by the authorization rules, not by its format.
  const hasNoRoomId = rules.roomIdIsCreateHash && stringField(pdu, "type") === "m.room.create";
  if (hasNoRoomId) return null;
  const roomId = stringField(pdu, "room_id");
  if (roomId === null || parseRoomId(roomId) === null || roomId.includes(":") === rules.roomIdIsCreateHash) {
    return malformed("room_id is not a room id of this room version");
  }
  return null;
}

function checkReferences(pdu: JsonObject, rules: RoomVersionRules): Problem | null {
  return (
    checkReferenceList(pdu, "auth_events", rules) ??
    checkReferenceList(pdu, "prev_events", rules) ??
    checkGraph(pdu, rules)
  );
}

/**
 * An event follows another once. No page of the specification says so, but Synapse, whose edges are unique, has never been
 * able to store any other event: refusing it parts us from nobody. That `auth_events` names an event twice is refused by
 * an authorization rule, and so rejected rather than dropped.
 */
function checkGraph(pdu: JsonObject, rules: RoomVersionRules): Problem | null {
  const prevEvents = field(pdu, "prev_events");
  const followed = referencedEvents(prevEvents);
  if (Array.isArray(prevEvents) && prevEvents.length !== followed.length) {
    return malformed("prev_events names an event twice");
  }
  // Only where ids are chosen can an event name itself; it would wait for itself for ever.
  const ownId = rules.eventIdFormat === "serverChosen" ? stringField(pdu, "event_id") : null;
  if (ownId === null) return null;
  const named = [...followed, ...referencedEvents(field(pdu, "auth_events"))];
  return named.some((id) => id === ownId) ? malformed("the event names itself as one before it") : null;
}

function checkReferenceCount(pdu: JsonObject, key: string, most: number): Problem | null {
  const list = field(pdu, key);
  return Array.isArray(list) && list.length > most ? malformed(`${key} has more than ${most} entries`) : null;
}

function checkReferenceList(pdu: JsonObject, key: string, rules: RoomVersionRules): Problem | null {
  const list = field(pdu, key);
  if (!Array.isArray(list)) return malformed(`${key} is not a list`);
  if (!list.every((entry) => isReference(entry, rules))) return malformed(`${key} has an entry that names no event`);
  return null;
}

function isReference(entry: JsonValue, rules: RoomVersionRules): boolean {
  if (rules.eventReferences === "ids") return typeof entry === "string" && parseEventId(entry) !== null;
  if (!Array.isArray(entry) || entry.length !== 2) return false;
  const [id, hashes] = entry;
  return typeof id === "string" && parseEventId(id) !== null && hashes !== undefined && isObject(hashes);
}

function checkSignatures(pdu: JsonObject): Problem | null {
  const hashes = objectField(pdu, "hashes");
  if (hashes === null || stringField(hashes, "sha256") === null) return malformed("hashes has no sha256");
  const signatures = objectField(pdu, "signatures");
  if (signatures === null) return malformed("signatures is not an object");
  for (const ofServer of Object.values(signatures)) {
    if (!isObject(ofServer) || !Object.values(ofServer).every((signature) => typeof signature === "string")) {
      return malformed("signatures holds something other than signatures");
    }
  }
  return null;
}

function checkKeySizes(pdu: JsonObject, rules: RoomVersionRules): Problem | null {
  // Ids were bounded in bytes when they were parsed.
  for (const key of ["type", "state_key"]) {
    const text = stringField(pdu, key);
    if (text !== null && sizeOf(text, rules) > maxKeyBytes) {
      return { ok: false, reason: `${key} is too long`, tooLarge: true };
    }
  }
  return null;
}

function sizeOf(text: string, rules: RoomVersionRules): number {
  return rules.limitsCountBytes ? Buffer.byteLength(text, "utf8") : [...text].length;
}
