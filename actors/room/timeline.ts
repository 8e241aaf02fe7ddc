/** The room's events in the order of their stream positions: pages of history, single events and what surrounds them. */
import { errors } from "../../shared/errors.ts";
import type { DeviceId, EventId, UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { matchesRoomEventFilter, parseRoomEventFilter, type RoomEventFilter } from "../../shared/matrix/filter.ts";
import { formatRoomToken } from "../../shared/matrix/stream-token.ts";
import type { EventContextInput, MessagesInput } from "../../shared/rpc/room.ts";
import type { RoomContext } from "./context.ts";
import { memberEventsFor, newest, oldest, serveState, stateEntries, stateEvents } from "./state-view.ts";
import type { EventRecord } from "./store/events.ts";
import { type Access, accessOf, filteredView, RoomViewer, requireAccess } from "./visibility.ts";

/** Events in one answer, at most. */
export const maxEvents = 1_000;
/** Characters of JSON in one answer, about: 1,000 of the largest events would be more than an actor can answer. */
const maxLength = 1_048_576;
/** Events looked at for one answer, at most: those that are not shown cost work, too. */
const maxScanned = 3_000;
/** Events read from the database at a time. */
const maxBatch = 200;

/** Which way to read: towards the past (`b`) or the present (`f`). */
type Direction = "b" | "f";

/** A stretch of the room's stream: events with `after` < position ≤ `through`. */
export interface Stretch {
  readonly after: number;
  readonly through: number;
}

/** What a scan has found. */
export interface Scan {
  /** In the order of the direction. */
  readonly records: EventRecord[];
  /** Everything between where the scan began and this boundary was looked at. */
  readonly boundary: number;
  /** Whether the whole stretch was looked at. */
  readonly isComplete: boolean;
}

/**
 * Reads a stretch of events until `limit` of them are accepted, these are long enough together, or enough were looked at.
 * @see https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
export function scanEvents(
  room: RoomContext,
  direction: Direction,
  stretch: Stretch,
  wanted: { limit: number; accepts(record: EventRecord): boolean },
): Scan {
  const records: EventRecord[] = [];
  let { after, through } = stretch;
  let length = 0;
  const isFull = (): boolean => records.length >= wanted.limit || length >= maxLength;
  for (let scanned = 0; scanned < maxScanned && !isFull(); ) {
    const size = Math.min(maxBatch, Math.max(wanted.limit - records.length, 10));
    const { events } = room.store;
    const batch = direction === "b" ? events.backward(through, after, size) : events.forward(after, through, size);
    for (const record of batch) {
      const position = record.streamPosition ?? 0;
      if (direction === "b") through = position - 1;
      else after = position;
      scanned += 1;
      if (!wanted.accepts(record)) continue;
      records.push(record);
      length += record.jsonLength;
      if (isFull()) break;
    }
    if (batch.length < size && !isFull()) {
      return { records, boundary: direction === "b" ? stretch.after : stretch.through, isComplete: true };
    }
  }
  const boundary = direction === "b" ? through : after;
  return { records, boundary, isComplete: !hasEvents(room, { after, through }) };
}

/** Whether there is any event in a stretch. */
export function hasEvents(room: RoomContext, stretch: Stretch): boolean {
  return stretch.through > stretch.after && room.store.events.backward(stretch.through, stretch.after, 1).length > 0;
}

/** What may be read, and no more: the end of it lies where the user left. */
function readableThrough(room: RoomContext, access: Access): number {
  return access.kind === "left" ? access.through : room.store.room.get().streamPosition;
}

/** @throws MatrixError M_BAD_JSON */
export function roomEventFilterOf(filter: JsonObject | null): RoomEventFilter | null {
  if (filter === null) return null;
  const parsed = parseRoomEventFilter(filter);
  if (!parsed.ok) throw errors.badJson(`filter: ${parsed.reason}`);
  return parsed.filter;
}

/**
 * Decides which events a reader is given: visible ones that pass the filter. "Once ignored, the client will no longer
 * receive events sent by that user, with the exception of state events."
 */
function acceptorOf(
  viewer: RoomViewer,
  filter: RoomEventFilter | null,
  ignoredUsers: readonly UserId[],
): (record: EventRecord) => boolean {
  const { room } = viewer;
  const ignored = new Set<string>(ignoredUsers);
  return (record) =>
    (record.stateKey !== null || !ignored.has(record.sender)) &&
    viewer.canSee(record) &&
    (filter === null || matchesRoomEventFilter(filter, room.roomId, filteredView(room, record)));
}

/**
 * A page of history; read backwards, it ends at a gap at the latest. `end` is left out only where the room has no further
 * events in that direction that the user might be given; a page that happens to be empty has one.
 *
 * @throws MatrixError M_FORBIDDEN unless the user is or was joined, or history is world readable; then M_MISSING_PARAM
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages
 */
export function getMessages(room: RoomContext, input: MessagesInput): JsonObject {
  const access = requireAccess(room, input.requester);
  if (input.dir === null) throw errors.missingParam("query.dir: missing");
  const viewer = new RoomViewer(room, { userId: input.requester, deviceId: input.deviceId });
  const filter = roomEventFilterOf(input.filter);
  const isBackward = input.dir === "b";
  const readable = readableThrough(room, access);
  const start = isBackward ? Math.min(input.from ?? readable, readable) : (input.from ?? beforeFirst(room));
  const stretch = isBackward
    ? { after: Math.max(input.to ?? oldest, room.store.extremities.gapBelow(start) ?? oldest), through: start }
    : { after: start, through: Math.min(input.to ?? readable, readable) };
  const limit = Math.max(1, Math.min(input.limit, maxEvents));
  const scan = scanEvents(room, input.dir, stretch, { limit, accepts: acceptorOf(viewer, filter, input.ignoredUsers) });

  const answer: JsonObject = {
    start: formatRoomToken(input.from ?? start),
    chunk: scan.records.map((record) => viewer.serve(record, { includeRoomId: true })),
  };
  const beyond = isBackward ? { after: oldest, through: scan.boundary } : { after: scan.boundary, through: readable };
  if (!scan.isComplete || hasEvents(room, beyond)) answer.end = formatRoomToken(scan.boundary);
  else if (isBackward && isBeginningMissing(room) && start > beforeFirst(room)) {
    // What lies before may be had of another server.
    answer.end = formatRoomToken(beforeFirst(room));
  }
  if (filter?.lazyLoadMembers === true) {
    answer.state = serveState(viewer, memberEventsFor(viewer, scan.records), { includeRoomId: true });
  }
  return answer;
}

function isBeginningMissing(room: RoomContext): boolean {
  return room.store.extremities.missingBehind(null, 1).length > 0;
}

function beforeFirst(room: RoomContext): number {
  return (room.store.events.oldestPosition() ?? 1) - 1;
}

/**
 * One event.
 * @throws MatrixError M_NOT_FOUND, also when the user may not see it
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid
 */
export function getEvent(
  room: RoomContext,
  requester: UserId,
  deviceId: DeviceId | null,
  eventId: EventId,
): JsonObject {
  const viewer = viewerOf(room, requester, deviceId);
  return viewer.serve(requireVisible(viewer, eventId), { includeRoomId: true });
}

/**
 * Whether an event comes after another, or there is no other one.
 * @throws MatrixError M_NOT_FOUND, also when the user may not see the event
 */
export function isAfter(room: RoomContext, requester: UserId, eventId: EventId, other: EventId | null): boolean {
  const event = requireVisible(viewerOf(room, requester, null), eventId);
  const position = other === null ? null : (room.store.events.byId(other)?.streamPosition ?? null);
  return position === null || (event.streamPosition ?? oldest) > position;
}

/** @throws MatrixError M_NOT_FOUND for who may not read the room at all: the event's existence is not given away. */
function viewerOf(room: RoomContext, userId: UserId, deviceId: DeviceId | null): RoomViewer {
  if (accessOf(room, userId) === null) throw errors.notFound("Event not found");
  return new RoomViewer(room, { userId, deviceId });
}

/** @throws MatrixError M_NOT_FOUND */
export function requireVisible(viewer: RoomViewer, eventId: EventId): EventRecord {
  const record = viewer.room.store.events.byId(eventId);
  if (record === null || !viewer.canSee(record)) throw errors.notFound("Event not found");
  return record;
}

/**
 * An event with those around it and the state after the last of them.
 * @throws MatrixError M_NOT_FOUND, also when the user may not see the event
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid
 */
export function getContext(room: RoomContext, input: EventContextInput): JsonObject {
  const viewer = viewerOf(room, input.requester, input.deviceId);
  const filter = roomEventFilterOf(input.filter);
  const event = requireVisible(viewer, input.eventId);
  const position = event.streamPosition ?? 0;
  const accepts = acceptorOf(viewer, filter, input.ignoredUsers);
  const limit = Math.max(0, Math.min(input.limit, maxEvents));
  const before = scanEvents(
    room,
    "b",
    { after: oldest, through: position - 1 },
    { limit: Math.floor(limit / 2), accepts },
  );
  const after = scanEvents(
    room,
    "f",
    { after: position, through: newest },
    { limit: limit - Math.floor(limit / 2), accepts },
  );
  const first = before.records.at(-1) ?? event;
  const last = after.records.at(-1) ?? event;
  const serve = (record: EventRecord): JsonObject => viewer.serve(record, { includeRoomId: true });
  return {
    start: formatRoomToken((first.streamPosition ?? position) - 1),
    end: formatRoomToken(last.streamPosition ?? position),
    event: serve(event),
    events_before: before.records.map(serve),
    events_after: after.records.map(serve),
    state: contextState(viewer, filter, last, [...before.records.toReversed(), event, ...after.records]),
  };
}

/** "The state of the room at the last event returned." */
function contextState(
  viewer: RoomViewer,
  filter: RoomEventFilter | null,
  last: EventRecord,
  shown: readonly EventRecord[],
): JsonObject[] {
  const { room } = viewer;
  const members = filter?.lazyLoadMembers === true ? new Set<string>(shown.map((record) => record.sender)) : null;
  const entries = stateEntries(room, viewer.knownRootAfter(last), members);
  return serveState(viewer, stateEvents(room, entries, filter), { includeRoomId: true });
}
