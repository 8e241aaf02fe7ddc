/** Lists of events and of event ids in answers of other servers. */
import * as v from "valibot";
import { type EventId, parseEventId } from "../ids.ts";
import { isObject, type JsonValue } from "../json.ts";
import { maxEventBytes } from "../matrix/event-format.ts";
import { checkPduText } from "../matrix/pdu-text.ts";
import type { PduText } from "../rpc/room-peers.ts";

/**
 * A list of events, of which no more than `max` are looked at. What is no object, or too large for an event, is left out:
 * one that is bad must not take the others with it.
 */
export function pduList(max: number) {
  return v.pipe(
    v.custom<JsonValue[]>(Array.isArray),
    v.transform((values): PduText[] => textsOf(values.slice(0, max))),
  );
}

/** Events as they travel between actors; what is none is left out. */
export function textsOf(values: readonly JsonValue[]): PduText[] {
  // A character has at least one byte.
  return values
    .filter(isObject)
    .map(checkPduText)
    .filter((text) => text !== null)
    .filter((text) => text.length <= maxEventBytes);
}

/** A list of event ids, each once, of which no more than `max` are looked at. */
export function eventIdList(max: number) {
  return v.pipe(
    v.custom<JsonValue[]>(Array.isArray),
    v.transform((values): EventId[] => {
      const ids = values.slice(0, max).map((value) => (typeof value === "string" ? parseEventId(value) : null));
      return [...new Set(ids.filter((eventId) => eventId !== null))];
    }),
  );
}
