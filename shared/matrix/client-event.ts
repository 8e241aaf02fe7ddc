import type { EventId, UserId } from "../ids.ts";
import { type JsonObject, objectField, withFields } from "../json.ts";
import type { Membership } from "./content/member.ts";
import type { MatrixEvent } from "./event.ts";
import { redact, redactsOf } from "./redaction.ts";
import type { RoomVersionRules } from "./room-version.ts";

/** What a client is told about an event beside the event itself. */
export interface ClientEventContext {
  readonly rules: RoomVersionRules;
  /** Milliseconds since the Unix epoch; `age` is counted to it. */
  readonly now: number;
  /** False where the answer names the room elsewhere (`/sync`). */
  readonly includeRoomId: boolean;
  /** `federation`: the PDU as it is, for filters that ask for it. */
  readonly format?: "client" | "federation";
  /** Only for the device that sent the event. */
  readonly transactionId?: string | null;
  /** Content of the state event that this one replaced, where the client may see that one. */
  readonly prevContent?: JsonObject | null;
  /** Its sender: from it clients learn who asked for a private talk. Not of the specification, but of its servers. */
  readonly prevSender?: UserId | null;
  /** The state event that this one replaced. */
  readonly replacesState?: EventId | null;
  /** The requester's membership at the event, with what the event itself changes. */
  readonly membership?: Membership | null;
  /** The redaction that was carried out on this event: with it, the event is served redacted. */
  readonly redactedBecause?: MatrixEvent | null;
  /** Further keys of `unsigned`, e.g. `m.relations`. */
  readonly unsigned?: JsonObject;
}

/**
 * An event as clients get it.
 *
 * `redacts` is given both at the top level and in the content, whichever the room version has: "For
 * backwards-compatibility with older clients …" and "For improved compatibility with newer clients …".
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-event-format
 * @see https://spec.matrix.org/v1.19/rooms/v11/#moving-the-redacts-property-of-mroomredaction-events-to-a-content-property
 */
export function toClientEvent(event: MatrixEvent, context: ClientEventContext): JsonObject {
  const { rules } = context;
  const redactedBecause = context.redactedBecause ?? null;
  const pdu = redactedBecause === null ? event.pdu : redact(event.pdu, rules);
  const unsigned = unsignedOf(event, context);
  if (context.format === "federation") {
    return withFields(pdu, { event_id: event.eventId, room_id: event.roomId, unsigned });
  }
  const redacts = event.type === "m.room.redaction" ? redactsOf(pdu, rules) : null;
  const content = objectField(pdu, "content") ?? {};
  const clientEvent: JsonObject = {
    type: event.type,
    sender: event.sender,
    content: redacts === null ? content : withFields(content, { redacts }),
    event_id: event.eventId,
    origin_server_ts: event.originServerTs,
    unsigned,
  };
  if (event.stateKey !== null) clientEvent.state_key = event.stateKey;
  if (context.includeRoomId) clientEvent.room_id = event.roomId;
  if (redacts !== null) clientEvent.redacts = redacts;
  return clientEvent;
}

function unsignedOf(event: MatrixEvent, context: ClientEventContext): JsonObject {
  const unsigned = withFields(context.unsigned ?? {}, { age: context.now - event.originServerTs });
  if (context.transactionId) unsigned.transaction_id = context.transactionId;
  if (context.membership) unsigned.membership = context.membership;
  // "only returned if the event is a state event"
  if (event.stateKey !== null) {
    if (context.prevContent) unsigned.prev_content = context.prevContent;
    if (context.prevSender) unsigned.prev_sender = context.prevSender;
    if (context.replacesState) unsigned.replaces_state = context.replacesState;
  }
  if (context.redactedBecause) {
    unsigned.redacted_because = toClientEvent(context.redactedBecause, {
      rules: context.rules,
      now: context.now,
      includeRoomId: context.includeRoomId,
    });
  }
  return unsigned;
}
