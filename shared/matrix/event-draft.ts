import type { EventId, RoomId, ServerName, UserId } from "../ids.ts";
import { type JsonObject, type JsonValue, withFields } from "../json.ts";
import { eventFromPdu, type MatrixEvent, type Pdu } from "./event.ts";
import { maxDepth } from "./event-format.ts";
import type { RoomVersionRules } from "./room-version.ts";
import { type SigningKey, signEvent } from "./signing.ts";

/** What a local event is made of. */
export interface EventFields {
  /** Null for the create event of a room version in which its hash becomes the room id. */
  readonly roomId: RoomId | null;
  readonly sender: UserId;
  readonly type: string;
  readonly stateKey: string | null;
  readonly content: JsonObject;
  readonly originServerTs: number;
  readonly depth: number;
  readonly prevEvents: readonly EventId[];
  readonly authEvents: readonly EventId[];
  /** The event that a redaction is of; put where the room version keeps it. */
  readonly redacts?: EventId | null;
  /** Room versions 1 and 2: the id chosen for this event, and the reference hash of events that it names. */
  readonly eventId?: EventId;
  readonly hashOf?: (eventId: EventId) => string;
}

/**
 * Puts the fields of a new event into the room version's format, unhashed and unsigned.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#event-format
 */
export function buildPdu(fields: EventFields, rules: RoomVersionRules): Pdu {
  const redacts = fields.redacts ?? null;
  const pdu: Pdu = {
    type: fields.type,
    sender: fields.sender,
    content: redacts !== null && rules.redactsInContent ? withFields(fields.content, { redacts }) : fields.content,
    origin_server_ts: fields.originServerTs,
    depth: Math.min(fields.depth, maxDepth),
    prev_events: references(fields.prevEvents, fields, rules),
    auth_events: references(fields.authEvents, fields, rules),
  };
  if (fields.roomId !== null) pdu.room_id = fields.roomId;
  if (fields.stateKey !== null) pdu.state_key = fields.stateKey;
  if (redacts !== null && !rules.redactsInContent) pdu.redacts = redacts;
  if (rules.eventIdFormat === "serverChosen") {
    if (fields.eventId === undefined) throw new Error("a room of this version needs an event id chosen by the server");
    pdu.event_id = fields.eventId;
  }
  return pdu;
}

function references(ids: readonly EventId[], fields: EventFields, rules: RoomVersionRules): JsonValue[] {
  if (rules.eventReferences === "ids") return [...ids];
  const { hashOf } = fields;
  if (hashOf === undefined) throw new Error("a room of this version needs the hashes of the events that it refers to");
  return ids.map((id) => [id, { sha256: hashOf(id) }]);
}

/**
 * Builds, hashes and signs a local event. It is not authorized here.
 * @see https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events
 */
export function signDraft(pdu: Pdu, rules: RoomVersionRules, signer: ServerName, key: SigningKey): MatrixEvent {
  return eventFromPdu(signEvent(pdu, rules, signer, key), rules);
}

/** The depth of an event after `prevDepths`: "The maximum depth of the prev_events, plus one", at most the limit. */
export function depthAfter(prevDepths: readonly number[]): number {
  return Math.min(prevDepths.reduce((deepest, depth) => Math.max(deepest, depth), 0) + 1, maxDepth);
}
