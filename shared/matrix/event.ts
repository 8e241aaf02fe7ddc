import { type EventId, parseEventId, parseUserId, type RoomId, trusted, type UserId } from "../ids.ts";
import {
  field,
  isObject,
  type JsonObject,
  type JsonValue,
  objectField,
  parseStoredObject,
  stringField,
} from "../json.ts";
import { eventIdOf, roomIdOf } from "./event-id.ts";
import { numberValue, parseExactly } from "./exact-numbers.ts";
import { redactsOf } from "./redaction.ts";
import type { RoomVersionRules } from "./room-version.ts";

/** A PDU: an event as federated, checked by `event-format.ts`. @see https://spec.matrix.org/v1.19/server-server-api/#pdus */
export type Pdu = JsonObject;

/** What the authorization rules read of an event. A draft is one whose id is not known yet. */
export interface EventDraft {
  /** Null until the event is hashed and signed. */
  readonly eventId: EventId | null;
  readonly roomId: RoomId;
  readonly sender: UserId;
  readonly type: string;
  /** Null: a message event. */
  readonly stateKey: string | null;
  readonly content: JsonObject;
  readonly prevEvents: readonly EventId[];
  readonly authEvents: readonly EventId[];
  readonly pdu: Pdu;
}

/** An event of a room, read from its PDU as its fields are asked for. */
export interface MatrixEvent extends EventDraft {
  readonly eventId: EventId;
  /** Milliseconds since the Unix epoch, as its sender's server claims. */
  readonly originServerTs: number;
  readonly depth: number;
  /** The event that this redaction names; null for other events. */
  readonly redacts: EventId | null;
}

/** `[type, state_key] → event`, or null: how algorithms look at a state without holding it. */
export type StateLookup = (type: string, stateKey: string) => MatrixEvent | null;

/** A state event's key. */
export type StateKey = readonly [type: string, stateKey: string];

/**
 * An event of a PDU that passed `checkEventFormat`, with the id that the room version gives it.
 * @throws Error when the PDU has no valid id, sender or room: it was not checked.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#event-format
 */
export function eventFromPdu(pdu: Pdu, rules: RoomVersionRules): MatrixEvent {
  const eventId = eventIdOf(pdu, rules);
  if (eventId === null) throw new Error("a PDU has no valid event id");
  return new PduEvent(eventId, rules, pdu);
}

/**
 * An event as stored: its id is known and its canonical JSON is parsed when a field is first asked for.
 * @param json the PDU's canonical JSON, as this server wrote it.
 */
export function storedEvent(eventId: EventId, json: string, rules: RoomVersionRules): MatrixEvent {
  return new PduEvent(eventId, rules, json);
}

/** An event whose id is known already, so that it need not be hashed again. */
export function eventWithId(eventId: EventId, pdu: Pdu, rules: RoomVersionRules): MatrixEvent {
  return new PduEvent(eventId, rules, pdu);
}

/** An event not hashed and signed yet, for the authorization rules. @throws Error as {@link eventFromPdu}. */
export function draftOf(pdu: Pdu, rules: RoomVersionRules): EventDraft {
  const view = new PduEvent(trusted.eventId("$"), rules, pdu);
  return {
    eventId: rules.eventIdFormat === "serverChosen" ? eventIdOf(pdu, rules) : null,
    roomId: view.roomId,
    sender: view.sender,
    type: view.type,
    stateKey: view.stateKey,
    content: view.content,
    prevEvents: view.prevEvents,
    authEvents: view.authEvents,
    pdu,
  };
}

class PduEvent implements MatrixEvent {
  readonly eventId: EventId;
  readonly #rules: RoomVersionRules;
  #source: Pdu | string;
  #prevEvents: readonly EventId[] | null = null;
  #authEvents: readonly EventId[] | null = null;
  #roomId: RoomId | null = null;
  #sender: UserId | null = null;

  constructor(eventId: EventId, rules: RoomVersionRules, source: Pdu | string) {
    this.eventId = eventId;
    this.#rules = rules;
    this.#source = source;
  }

  get pdu(): Pdu {
    if (typeof this.#source === "string") this.#source = parsePdu(this.#source, this.#rules);
    return this.#source;
  }

  get roomId(): RoomId {
    this.#roomId ??= roomIdOf(this.pdu, this.#rules);
    if (this.#roomId === null) throw new Error("a PDU has no valid room id");
    return this.#roomId;
  }

  get sender(): UserId {
    this.#sender ??= parseUserId(stringField(this.pdu, "sender") ?? "");
    if (this.#sender === null) throw new Error("a PDU has no valid sender");
    return this.#sender;
  }

  get type(): string {
    return stringField(this.pdu, "type") ?? "";
  }

  get stateKey(): string | null {
    return stringField(this.pdu, "state_key");
  }

  get content(): JsonObject {
    return objectField(this.pdu, "content") ?? {};
  }

  get originServerTs(): number {
    return numberField(this.pdu, "origin_server_ts");
  }

  get depth(): number {
    return numberField(this.pdu, "depth");
  }

  get redacts(): EventId | null {
    const redacts = this.type === "m.room.redaction" ? redactsOf(this.pdu, this.#rules) : null;
    return redacts === null ? null : parseEventId(redacts);
  }

  get prevEvents(): readonly EventId[] {
    this.#prevEvents ??= referencedEvents(field(this.pdu, "prev_events"));
    return this.#prevEvents;
  }

  get authEvents(): readonly EventId[] {
    this.#authEvents ??= referencedEvents(field(this.pdu, "auth_events"));
    return this.#authEvents;
  }
}

/** Stored text of older rooms may hold numbers that a double changes. */
function parsePdu(json: string, rules: RoomVersionRules): Pdu {
  if (rules.isStrictCanonicalJson) return parseStoredObject(json);
  const value = parseExactly(json);
  if (!isObject(value)) throw new Error("a stored PDU is not an object");
  return value;
}

/** As a double: a depth of 2^63-1 compares as 2^63. */
function numberField(object: JsonObject, key: string): number {
  return numberValue(field(object, key)) ?? 0;
}

/**
 * Event ids of `prev_events` or `auth_events`, each once and in order: plain ids, or `[id, hashes]` in room versions 1 and 2.
 * @see https://spec.matrix.org/v1.19/rooms/v3/#event-format
 */
export function referencedEvents(value: JsonValue | undefined): readonly EventId[] {
  if (!Array.isArray(value)) return [];
  const ids = new Set<EventId>();
  for (const entry of value) {
    const text = Array.isArray(entry) ? entry[0] : entry;
    const id = typeof text === "string" ? parseEventId(text) : null;
    if (id !== null) ids.add(id);
  }
  return [...ids];
}
