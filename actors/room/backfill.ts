/**
 * Events of the past that were fetched from another server. They pass the one door like all others, but change nothing of
 * the present: no current state, no end of the graph, no wake.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import type { EventId } from "../../shared/ids.ts";
import { field, isObject, type JsonObject, withFields } from "../../shared/json.ts";
import { referencedEvents } from "../../shared/matrix/event.ts";
import { checkEventFormat } from "../../shared/matrix/event-format.ts";
import { eventIdOf } from "../../shared/matrix/event-id.ts";
import { numberValue, parseExactly } from "../../shared/matrix/exact-numbers.ts";
import { keysForEvent } from "../../shared/matrix/key-ring.ts";
import type { RoomForHistory } from "../../shared/rpc/room-history.ts";
import type { PduOutcome, PduText } from "../../shared/rpc/room-peers.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { lowestAbove } from "./gaps.ts";
import { admitPdu } from "./receive.ts";
import { toldStateOf } from "./receive-rpc.ts";
import { isResident } from "./residency.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { ToldState } from "./store/partial-state-rows.ts";

type Input = Parameters<RoomForHistory["receiveHistory"]>[0];

/** Events of one call, at most. */
const maxEvents = 100;
/** Events that one call asks after, at most. */
const maxAskedAfter = 20_000;
/** Ends of what is here, at most, that the events are compared with. */
const maxEnds = 10_000;

/** An event, read as far as its place among the others needs. */
interface Past {
  readonly pdu: JsonObject;
  readonly eventId: EventId;
  readonly depth: number;
  readonly prevEvents: readonly EventId[];
}

/** Which of these events have no place in the graph here: they are unknown, or outside of it. */
export function findUnplaced(room: RoomContext, eventIds: readonly EventId[]): EventId[] {
  if (eventIds.length > maxAskedAfter) throw new Error(`${eventIds.length} event ids were not cut down`);
  if (room.store.room.find() === null) return [...eventIds];
  return room.store.events.unplacedOf(eventIds);
}

/**
 * Takes events of a room's past: each on the state after those that it follows or, where nobody has given these, on the
 * state that a server told.
 *
 * Only what is here, or is taken with it, says what belongs to the past: an event that nothing follows would be in the
 * history that clients read without ever having been compared with the room as it is now.
 */
export async function receiveHistory(room: RoomContext, input: Input): Promise<PduOutcome[]> {
  if (input.pdus.length > maxEvents) throw new Error(`${input.pdus.length} events of the past were not cut down`);
  return await commit(room, (tx) => {
    if (!isResident(room, tx)) return input.pdus.map(() => dropped("this server is not in the room"));
    const parsed = input.pdus.map((text) => pastOf(tx, text));
    const known = parsed.filter((event) => event !== null);
    const followed = followedAmong(known, new Set(tx.extremities.missingBehind(input.after, maxEnds)));
    const states = statesOf(tx, input.states);
    const outcomes = new Map<EventId, PduOutcome>();
    const inOrder = known
      .filter((event) => followed.has(event.eventId))
      .sort((left, right) => left.depth - right.depth);
    const lowest = lowestAbove(tx, input.after) - inOrder.length;
    for (const [index, event] of inOrder.entries()) {
      const place = { position: lowest + index, after: input.after };
      outcomes.set(event.eventId, take(room, tx, event, { input, states, place }));
    }
    return parsed.map(
      (event) => (event === null ? null : outcomes.get(event.eventId)) ?? dropped("nothing that is here follows it"),
    );
  });
}

function take(
  room: RoomContext,
  tx: RoomTransaction,
  { pdu, prevEvents, eventId }: Past,
  at: { input: Input; states: ReadonlyMap<EventId, ToldState>; place: { position: number; after: number | null } },
): PduOutcome {
  const { position, after } = at.place;
  if (after !== null && position <= after) return { kind: "dropped", eventId, reason: "the gap is full" };
  const missing = tx.events.unplacedOf(prevEvents);
  const told = missing.map((prevEventId) => at.states.get(prevEventId)).filter((state) => state !== undefined);
  return admitPdu(room, pdu, {
    keysFor: (server, validAt) => keysForEvent(at.input.keys, server, validAt),
    isOutlier: false,
    past: at.place,
    ...(told.length === missing.length ? { stateOfMissing: told } : {}),
  });
}

/** Null for what is no event of the room's version. */
function pastOf(tx: RoomTransaction, text: PduText): Past | null {
  const rules = tx.room.rules();
  const pdu = parseExactly(text);
  if (!isObject(pdu) || !checkEventFormat(withFields(pdu, { unsigned: undefined }), rules, { isPast: true }).ok)
    return null;
  const eventId = eventIdOf(pdu, rules);
  if (eventId === null) return null;
  const prevEvents = referencedEvents(field(pdu, "prev_events"));
  return { pdu, eventId, depth: numberValue(field(pdu, "depth")) ?? 0, prevEvents };
}

/** The events that those which are here follow, directly or by way of others of these. */
function followedAmong(events: readonly Past[], missing: ReadonlySet<EventId>): Set<EventId> {
  const byId = new Map(events.map((event) => [event.eventId, event]));
  const followed = new Set([...byId.keys()].filter((eventId) => missing.has(eventId)));
  // Grows while it is gone through.
  for (const eventId of followed) {
    for (const prevEventId of byId.get(eventId)?.prevEvents ?? []) if (byId.has(prevEventId)) followed.add(prevEventId);
  }
  return followed;
}

function statesOf(tx: RoomTransaction, states: Input["states"]): Map<EventId, ToldState> {
  const told = new Map<EventId, ToldState>();
  for (const { prevEventId, stateIds } of states) {
    const state = toldStateOf(tx, stateIds);
    if (state !== null) told.set(prevEventId, state);
  }
  return told;
}

function dropped(reason: string): PduOutcome {
  return { kind: "dropped", eventId: null, reason };
}
