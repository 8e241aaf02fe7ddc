/** States of the room as lists that clients are given. Who may read a state is for the caller to decide. */
import type { UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { matchesEventFilter, matchesRoomEventFilter, type RoomEventFilter } from "../../shared/matrix/filter.ts";
import type { RoomContext } from "./context.ts";
import { isPartial, memberIn } from "./partial-state.ts";
import { findStateAt } from "./state.ts";
import { entriesOf, getEntry, type StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import { type Access, filteredView, type RoomViewer } from "./visibility.ts";

/** The oldest position there can be, and the newest. */
export const oldest = Number.MIN_SAFE_INTEGER;
export const newest = Number.MAX_SAFE_INTEGER;

/** `state_key_nid → event_nid` */
export type StateEntries = Map<number, number>;

/** The state that a user may read: the current one or, of who has left, the one of then. */
export function readableRoot(room: RoomContext, access: Access): StateRoot {
  return access.kind === "left" ? access.root : room.store.room.get().stateRoot;
}

/**
 * A whole state; with `members`, only theirs of the member events.
 * @see https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members
 */
export function stateEntries(room: RoomContext, root: StateRoot, members: ReadonlySet<string> | null): StateEntries {
  if (members === null) return new Map(entriesOf(room.store.stateNodes, root));
  const entries: StateEntries = new Map();
  for (const { stateKeyNid } of room.store.stateKeys.exceptType("m.room.member")) {
    const eventNid = getEntry(room.store.stateNodes, root, stateKeyNid);
    if (eventNid !== 0) entries.set(stateKeyNid, eventNid);
  }
  addMembers(room, root, members, entries);
  return entries;
}

/** Adds the member events that a state has of these users. */
export function addMembers(room: RoomContext, root: StateRoot, members: Iterable<string>, entries: StateEntries): void {
  for (const userId of members) {
    const stateKeyNid = room.store.stateKeys.find("m.room.member", userId);
    const eventNid = stateKeyNid === null ? 0 : getEntry(room.store.stateNodes, root, stateKeyNid);
    if (stateKeyNid !== null && eventNid !== 0) entries.set(stateKeyNid, eventNid);
  }
}

/** The events of entries that pass a filter; its `limit` is about timelines and does not apply. */
export function stateEvents(room: RoomContext, entries: StateEntries, filter: RoomEventFilter | null): EventRecord[] {
  if (filter === null) return room.store.events.byNids([...entries.values()]);
  const wanted = hasTypes(filter) ? withTypes(room, entries, filter) : entries;
  const records = room.store.events.byNids([...wanted.values()]);
  return records.filter((record) => matchesRoomEventFilter(filter, room.roomId, filteredView(room, record)));
}

function hasTypes(filter: RoomEventFilter): boolean {
  return filter.types !== null || filter.notTypes.length > 0;
}

/** Looks at the types first, so that events that nobody wants are not loaded. */
function withTypes(room: RoomContext, entries: StateEntries, filter: RoomEventFilter): StateEntries {
  const byType: RoomEventFilter = { ...filter, senders: null, notSenders: new Set(), containsUrl: null };
  const kept: StateEntries = new Map();
  for (const { stateKeyNid, type } of room.store.stateKeys.byNids([...entries.keys()])) {
    const eventNid = entries.get(stateKeyNid);
    if (eventNid === undefined) continue;
    if (matchesEventFilter(byType, { type, sender: null, content: {} })) kept.set(stateKeyNid, eventNid);
  }
  return kept;
}

/** State events as clients get them. */
export function serveState(
  viewer: RoomViewer,
  records: readonly EventRecord[],
  options: { includeRoomId: boolean },
): JsonObject[] {
  const isLarge = records.length > maxWithHistory;
  return records.map((record) => viewer.serve(record, { ...options, omitHistory: isLarge }));
}

/**
 * States larger than this are given without what `unsigned` says of the state before each event: looking into many
 * thousand old states would cost more than the state itself.
 */
const maxWithHistory = 500;

/**
 * Member events that a client needs to show events, as they were at the start of the chunk; for who came only within it,
 * as they were at its end.
 */
export function memberEventsFor(viewer: RoomViewer, records: readonly EventRecord[]): EventRecord[] {
  const { room } = viewer;
  const known = records.filter((record) => viewer.knowsStateAround(record));
  const [first, last] = [known[0], known.at(-1)];
  if (first === undefined || last === undefined) return [];
  const senders = new Set<UserId>(records.map((record) => record.sender));
  const entries: StateEntries = new Map();
  // Later ones replace earlier ones.
  for (const root of [last.stateRootAfter, first.stateRootAfter, first.stateRootBefore]) {
    addMembers(room, root, senders, entries);
  }
  return [...room.store.events.byNids([...entries.values()]), ...unknownSenders(room, records, last.stateRootAfter)];
}

/** Where not all members are known, those of senders by whom their events say to be authorized. */
export function unknownSenders(room: RoomContext, records: readonly EventRecord[], root: StateRoot): EventRecord[] {
  if (!isPartial(room.store)) return [];
  const members = new Map<string, EventRecord>();
  for (const { sender, event } of records) {
    if (findStateAt(room.store, root, "m.room.member", sender) !== null) continue;
    const member = memberIn(room.store, event, sender);
    if (member !== null) members.set(sender, member);
  }
  return [...members.values()];
}
