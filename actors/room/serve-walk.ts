/** Walks from events towards the past, for servers that lack what lies there. Each has a budget of events that it visits. */
import type { EventId } from "../../shared/ids.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { RoomForServers } from "../../shared/rpc/room-serving.ts";
import type { RoomContext } from "./context.ts";
import { type ServerViewer, viewerOf } from "./serve-visibility.ts";
import type { EventRecord } from "./store/events.ts";

type Input<Method extends keyof RoomForServers> = Parameters<RoomForServers[Method]>[0];

/** Events of one answer. */
const maxHistory = 100;
const maxMissing = 20;
/** Events that one walk visits, at most: those that are not given cost work, too. */
const maxVisited = 1_000;
/** Events that a walk begins at, at most. */
const maxStarts = 50;
/** Events that a server says it has, at most; beyond, it may be given what it has. */
const maxEarliest = 200;
/** Characters of JSON in one answer, about. */
const maxLength = 4 * 1024 * 1024;

/**
 * Events and those before them, deepest first: what the server may not see, redacted.
 * @throws MatrixError M_FORBIDDEN
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid
 */
export function getHistory(room: RoomContext, { origin, from, limit }: Input<"getHistory">): PduText[] {
  const viewer = viewerOf(room, origin, from.slice(0, maxStarts));
  const walk = new Walk(room);
  for (const eventId of from.slice(0, maxStarts)) walk.add(eventId);
  const pdus: PduText[] = [];
  let length = 0;
  for (let record = walk.deepest(); record !== null; record = walk.deepest()) {
    if (pdus.length >= Math.min(limit, maxHistory) || length >= maxLength) break;
    walk.addBefore(record);
    if (!isGiven(record, viewer)) continue;
    pdus.push(viewer.pduOf(record));
    length += record.jsonLength;
  }
  return pdus;
}

/**
 * The events between some that the server has and some that it has not, the newest of them, oldest first.
 * @throws MatrixError M_FORBIDDEN
 * @see https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid
 */
export function getMissing(
  room: RoomContext,
  { origin, earliestEvents, latestEvents, limit, minDepth }: Input<"getMissing">,
): PduText[] {
  const viewer = viewerOf(room, origin, latestEvents.slice(0, maxStarts));
  const earliest = new Set(earliestEvents.slice(0, maxEarliest));
  const walk = new Walk(room, [...earliest, ...latestEvents]);
  for (const eventId of latestEvents.slice(0, maxStarts)) {
    // "These are skipped when retrieving the previous events of latest_events."
    const record = earliest.has(eventId) ? null : room.store.events.byId(eventId);
    if (record !== null) walk.addBefore(record);
  }
  const found: EventRecord[] = [];
  // "a breadth-first walk"
  for (let record = walk.first(); record !== null; record = walk.first()) {
    if (found.length >= Math.min(limit, maxMissing)) break;
    if (record.depth < minDepth) continue;
    walk.addBefore(record);
    if (isGiven(record, viewer)) found.push(record);
  }
  return found.sort((left, right) => left.depth - right.depth).map((record) => viewer.pduOf(record));
}

/** Rejected events are given to nobody; those outside of the graph are part of no history. */
function isGiven(record: EventRecord, viewer: ServerViewer): boolean {
  if (record.status !== "accepted" && record.status !== "soft_failed") return false;
  return !viewer.isGone || viewer.canSee(record);
}

/** Visits each event once, and no more than the budget allows. */
class Walk {
  readonly #room: RoomContext;
  readonly #seen: Set<EventId>;
  /** Found, and not visited yet. */
  readonly #found: EventRecord[] = [];
  #left = maxVisited;

  /** @param passedOver events that are not visited, nor what lies before them by way of them. */
  constructor(room: RoomContext, passedOver: readonly EventId[] = []) {
    this.#room = room;
    this.#seen = new Set(passedOver);
  }

  add(eventId: EventId): void {
    if (this.#seen.has(eventId) || this.#left <= 0) return;
    this.#seen.add(eventId);
    this.#left -= 1;
    const record = this.#room.store.events.byId(eventId);
    // What is outside of the graph is not followed: what lies before it is not here.
    if (record !== null && record.stateRootAfter !== null) this.#found.push(record);
  }

  addBefore({ eventNid }: EventRecord): void {
    for (const eventId of this.#room.store.edges.prevEventsOf(eventNid)) this.add(eventId);
  }

  /** The event that was found first. */
  first(): EventRecord | null {
    return this.#found.shift() ?? null;
  }

  /** The deepest of those that were found; of equals, the one that came last. */
  deepest(): EventRecord | null {
    let at = 0;
    for (const [index, { depth, eventNid }] of this.#found.entries()) {
      const best = this.#found[at];
      if (best === undefined || depth > best.depth || (depth === best.depth && eventNid > best.eventNid)) at = index;
    }
    return this.#found.splice(at, 1)[0] ?? null;
  }
}
