/** Which thread an event belongs to. */
import { type EventId, parseEventId } from "../../shared/ids.ts";
import { type JsonObject, objectField, stringField } from "../../shared/json.ts";
import type { RoomContext } from "./context.ts";
import type { EventRecord } from "./store/events.ts";
import { prunedEvent } from "./visibility.ts";

/** The main timeline, where it is spoken of as a thread. */
export const mainThread = "main";

/** "a maximum of 3 hops is recommended to cover indirect relationships" */
const maxHops = 3;

/** The event that an event is related to, and how; null for one without a `rel_type`. */
function relationOf(content: JsonObject): { relType: string; eventId: EventId } | null {
  const relation = objectField(content, "m.relates_to");
  const relType = relation === null ? null : stringField(relation, "rel_type");
  const eventId = relation === null ? null : parseEventId(stringField(relation, "event_id") ?? "");
  return relType === null || eventId === null ? null : { relType, eventId };
}

/**
 * The thread of an event: the id of the thread's root, or `main`.
 *
 * "An event is considered to be in a thread if it has a rel_type of m.thread, or, following the event relationships, it
 * has a parent event which references the thread root with a rel_type of m.thread."
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts
 */
export function threadOf(room: RoomContext, record: EventRecord): string {
  let current: EventRecord | null = record;
  for (let hop = 0; current !== null && hop <= maxHops; hop += 1) {
    const relation = relationOf(prunedEvent(room, current).content);
    if (relation === null) return mainThread;
    if (relation.relType === "m.thread") return relation.eventId;
    current = room.store.events.byId(relation.eventId);
  }
  return mainThread;
}

/**
 * Whether a receipt for a thread may name an event: one of the thread, the thread's root, or one that is related to it.
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid
 */
export function isInThread(room: RoomContext, record: EventRecord, threadId: string): boolean {
  if (threadId === mainThread) return threadOf(room, record) === mainThread;
  let current: EventRecord | null = record;
  for (let hop = 0; current !== null && hop <= maxHops; hop += 1) {
    if (current.eventId === threadId) return true;
    const relation = relationOf(prunedEvent(room, current).content);
    if (relation === null) return false;
    if (relation.eventId === threadId) return true;
    current = room.store.events.byId(relation.eventId);
  }
  return false;
}
