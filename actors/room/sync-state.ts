/** The state part of a room's section in `/sync`. */
import { matchesRoomEventFilter, type RoomEventFilter } from "../../shared/matrix/filter.ts";
import type { RoomContext } from "./context.ts";
import { knowsMember, type LazyDevice } from "./lazy-members.ts";
import { differencesOf, type StateRoot } from "./state-tree.ts";
import { addMembers, type StateEntries, stateEntries, stateEvents, unknownSenders } from "./state-view.ts";
import type { EventRecord } from "./store/events.ts";
import { filteredView } from "./visibility.ts";

/** What the state part of a section is made of. */
export interface StateRequest {
  /** State that the client has; null where it is to have the whole of it. */
  readonly known: { readonly root: StateRoot; readonly since: number } | null;
  /** States at the start and the end of the timeline. */
  readonly start: StateRoot;
  readonly end: StateRoot;
  /** Events that the client is given in the timeline. */
  readonly timeline: readonly EventRecord[];
  /** Whether the state at the end of the timeline is wanted, in place of that at its start. */
  readonly isAfter: boolean;
  readonly filter: RoomEventFilter;
  /** Members whom a lazily loading client needs beside the senders: itself, the heroes. */
  readonly members: readonly string[];
  readonly device: LazyDevice;
}

/**
 * State that the client needs beside the timeline: what changed between the state it has and the timeline's start and,
 * since a filter may keep state events out of the timeline, what changed within it unseen. With `isAfter`, simply what
 * changed until the timeline's end.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
export function syncState(room: RoomContext, request: StateRequest): EventRecord[] {
  const root = request.isAfter ? request.end : request.start;
  const entries = request.known === null ? wholeState(room, request, root) : changes(room, request.known.root, root);
  if (!request.isAfter) addUnseen(room, request, entries);
  const essential = new Set(entries.values());
  if (request.filter.lazyLoadMembers && request.known !== null) {
    addMembers(room, root, lazyMembersOf(request), entries);
  }
  const { known, filter, device } = request;
  const senders = filter.lazyLoadMembers ? unknownSenders(room, request.timeline, request.end) : [];
  const wanted = senders.filter((record) => matchesRoomEventFilter(filter, room.roomId, filteredView(room, record)));
  return [...stateEvents(room, entries, filter), ...wanted].filter(
    (record) =>
      known === null ||
      filter.includeRedundantMembers ||
      essential.has(record.eventNid) ||
      !knowsMember(room, device, record, known.since),
  );
}

function wholeState(room: RoomContext, request: StateRequest, root: StateRoot): StateEntries {
  return stateEntries(room, root, request.filter.lazyLoadMembers ? lazyMembersOf(request) : null);
}

/** "servers will only include membership events for the sender of events being included in the response" */
function lazyMembersOf(request: StateRequest): Set<string> {
  return new Set([...request.timeline.map((record) => record.sender), ...request.members]);
}

/** What `after` has where it differs from `before`. */
function changes(room: RoomContext, before: StateRoot, after: StateRoot): StateEntries {
  const entries: StateEntries = new Map();
  for (const { stateKeyNid, right } of differencesOf(room.store.stateNodes, before, after)) {
    if (right !== 0) entries.set(stateKeyNid, right);
  }
  return entries;
}

/** Adds what the state at the end has and neither the start nor the timeline shows. */
function addUnseen(room: RoomContext, request: StateRequest, entries: StateEntries): void {
  if (request.start === request.end) return;
  const shown = new Set(request.timeline.map((record) => record.eventNid));
  for (const [stateKeyNid, eventNid] of changes(room, request.start, request.end)) {
    if (!shown.has(eventNid)) entries.set(stateKeyNid, eventNid);
  }
}
