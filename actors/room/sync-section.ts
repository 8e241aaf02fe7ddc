/** A room's section in `/sync` for who is, or was, joined: timeline, state and what goes with them. */

import { parseUserId, type UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { membershipIn } from "../../shared/matrix/content/member.ts";
import { matchesRoomEventFilter, type RoomEventFilter, type RoomFilter } from "../../shared/matrix/filter.ts";
import { formatRoomToken } from "../../shared/matrix/stream-token.ts";
import type { RoomSyncInput, RoomSyncResult } from "../../shared/rpc/room.ts";
import { ephemeralEvents } from "./ephemeral.ts";
import { newestGap } from "./gaps.ts";
import { rememberMembers } from "./lazy-members.ts";
import { stateRootAt } from "./state.ts";
import { differencesOf, type StateRoot } from "./state-tree.ts";
import { oldest, serveState } from "./state-view.ts";
import type { EventRecord } from "./store/events.ts";
import type { MembershipRecord } from "./store/memberships.ts";
import { syncSummaryOf } from "./summary.ts";
import { syncState } from "./sync-state.ts";
import { maxEvents, type Stretch, scanEvents } from "./timeline.ts";
import { countUnread, unreadFields } from "./unread.ts";
import { filteredView, lastJoined, type RoomViewer } from "./visibility.ts";

/** Events of a timeline where the filter names no limit. */
const defaultTimelineLimit = 10;

/** Members who are listed one by one where a whole room is meant. */
const maxListedMembers = 10_000;

/** One user's request, understood. */
export interface SyncRequest {
  readonly input: RoomSyncInput;
  readonly viewer: RoomViewer;
  readonly filter: RoomFilter;
  readonly ignoredUsers: ReadonlySet<string>;
}

/** The timeline of a section. */
interface Timeline {
  /** Oldest first. */
  readonly records: readonly EventRecord[];
  /** Whether events between the token and the first of these were left out. */
  readonly isLimited: boolean;
  /** Everything at or before this lies before the timeline. */
  readonly boundary: number;
  readonly start: StateRoot;
}

/** What a room has to tell a client. */
export type RoomSection = Omit<RoomSyncResult, "member">;

/** Read up to a position, and nothing to tell. */
export function nothingFor(readPosition: number): RoomSection {
  return { readPosition, place: null, section: {}, joinedUsers: [], leftUsers: [] };
}

/**
 * The section of a room in which the user is joined. Null when there is nothing to tell.
 *
 * To whom the room is new, because the token has not seen them joined, the whole state is given and the newest of all
 * that they may see.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */
export function joinedSection(request: SyncRequest): RoomSection {
  const { input, viewer, filter } = request;
  const { room } = viewer;
  const facts = room.store.room.get();
  const known = knownTo(request);
  const isNew = known === null;
  const stretch = { after: known?.since ?? oldest, through: facts.streamPosition };
  const timeline = withoutOutdated(request, timelineOf(request, stretch, isNew), facts.stateRoot);
  const members = isNew ? allMembers(request) : memberChanges(request, known.root, facts.stateRoot);
  const needsSummary = isNew || known.wasPartial || input.fullState || members.hasAny;
  const { summary, heroes } = needsSummary ? syncSummaryOf(room, input.userId) : { summary: null, heroes: [] };
  const state = stateOf(request, timeline, { known, end: facts.stateRoot, heroes });
  const unread = countUnread(viewer, { pushRules: input.pushRules, ignoredUsers: request.ignoredUsers });
  const ephemeral = ephemeralEvents(room, input.userId, known?.since ?? null).filter((event) =>
    matchesRoomEventFilter(filter.ephemeral, room.roomId, { type: String(event.type), sender: null, content: {} }),
  );
  const hasNews =
    needsSummary ||
    timeline.records.length + state.length + ephemeral.length > 0 ||
    timeline.isLimited ||
    unread.changedAt > (input.since ?? oldest);
  const section: JsonObject = {
    ...timelineFields(request, timeline, state),
    ephemeral: { events: ephemeral },
    ...unreadFields(unread, filter.timeline.unreadThreadNotifications),
  };
  if (summary !== null) section.summary = summary;
  rememberMembers(room, deviceOf(input), [...state, ...timeline.records], facts.streamPosition);
  return {
    readPosition: facts.streamPosition,
    place: hasNews ? "join" : null,
    section: hasNews ? section : {},
    joinedUsers: members.joined,
    leftUsers: members.left,
  };
}

/**
 * The section of a room that the user has left: all until then that the token has not seen, or, where they were never
 * joined, that they are out. Null when the token has seen it.
 *
 * @param exit room position of the user's own member event.
 */
export function leftSection(request: SyncRequest, exit: number): RoomSection {
  const { input, viewer } = request;
  const nothing = nothingFor(Math.max(exit, input.since ?? exit));
  if (input.since !== null && input.since >= exit && !input.fullState) return nothing;
  const membership = lastJoined(viewer.room, input.userId);
  const known = knownTo(request);
  const since = input.since ?? oldest;
  // Who has joined and left since may see what happened before, as who has joined and stayed. And whom the last answer
  // told of an invite, it told of nothing that was before it.
  const isAnew = known === null && membership !== null && (membership.through > since || sawInvite(request));
  const after = isAnew ? oldest : since;
  const newest = timelineOf(request, { after, through: exit }, isAnew);
  const timeline =
    membership === null ? newest : withoutOutdated(request, untilLeft(newest, membership, exit), membership.root);
  const hasState = membership !== null && (membership.through > after || input.fullState);
  const state = hasState ? stateOf(request, timeline, { known, end: membership.root, heroes: [] }) : [];
  const left = othersLeft(request, known, membership);
  return { ...nothing, place: "leave", section: timelineFields(request, timeline, state), leftUsers: left };
}

/**
 * The section of a room that the user has left and forgotten since, for a client that has not been told that they left: the
 * event by which they did and nothing else, because its history is closed to them.
 *
 * @param exit the user's membership.
 */
export function partingSection(request: SyncRequest, exit: MembershipRecord): RoomSection {
  const { input, viewer, filter } = request;
  const { room } = viewer;
  const record = room.store.events.byNid(exit.eventNid);
  const isWanted = (part: RoomEventFilter): boolean =>
    matchesRoomEventFilter(part, room.roomId, filteredView(room, record));
  const isInTimeline = isWanted(filter.timeline) && filter.timeline.limit !== 0;
  const isInState = isWanted(filter.state) && (input.useStateAfter || !isInTimeline);
  const timeline: Timeline = {
    records: isInTimeline ? [record] : [],
    // What else was there since the token is not told.
    isLimited: input.since === null || input.since < exit.streamPosition - 1,
    boundary: exit.streamPosition - 1,
    start: stateRootAt(room.store, exit.streamPosition - 1),
  };
  return {
    ...nothingFor(exit.streamPosition),
    place: "leave",
    section: timelineFields(request, timeline, isInState ? [record] : []),
    leftUsers: othersLeft(request, knownTo(request), lastJoined(room, input.userId)),
  };
}

/** With whom a user who is out has ceased to share the room since the token. */
function othersLeft(request: SyncRequest, known: Known | null, membership: { through: number } | null): UserId[] {
  const wasJoined = known !== null && membership !== null && membership.through > known.since;
  return wasJoined ? joinedOthers(request, membership.through) : [];
}

/**
 * Who left, and was banned or uninvited later, is told of that; but the state that such an end came upon is that of a time
 * when they were not in the room.
 */
function untilLeft(timeline: Timeline, membership: { through: number; root: StateRoot }, exit: number): Timeline {
  const isEndOnly = timeline.records.every((record) => record.streamPosition === exit);
  return exit > membership.through && isEndOnly ? { ...timeline, start: membership.root } : timeline;
}

/** What the token's answer has left the client with. */
interface Known {
  readonly root: StateRoot;
  readonly since: number;
  /** Not all members were known then. */
  readonly wasPartial: boolean;
}

/** The state that the token's answer has left the client with; null when it did not show the user as joined. */
function knownTo({ input, viewer, filter }: SyncRequest): Known | null {
  if (input.since === null) return null;
  const { store } = viewer.room;
  const root = stateRootAt(store, input.since);
  if (viewer.membershipAt(root) !== "join") return null;
  const told = store.partialState.toldAt(input.since);
  // Who loads members lazily is given those of senders as they come, and asks for all when it needs them.
  const isShort = told !== null && !filter.state.lazyLoadMembers;
  return { root: isShort ? told : root, since: input.since, wasPartial: told !== null };
}

/** Whether the token's answer has shown the user as invited, or as having knocked. */
function sawInvite({ input, viewer }: SyncRequest): boolean {
  if (input.since === null) return false;
  const membership = viewer.membershipAt(stateRootAt(viewer.room.store, input.since));
  return membership === "invite" || membership === "knock";
}

/**
 * The newest events of a stretch that the user may see and the filter wants, down to the newest gap in it: what is missing
 * there is fetched when the client reads back, and a client that is given both sides of it as one would not.
 *
 * @param isAnew whether the room is given from its beginning on, whatever the client was given of it before.
 */
function timelineOf(request: SyncRequest, whole: Stretch, isAnew: boolean): Timeline {
  const { viewer, filter, ignoredUsers, input } = request;
  const { room } = viewer;
  const gap = newestGap(room.store, whole);
  const stretch = gap === null || gap.after === null ? whole : { ...whole, after: gap.after };
  const limit = Math.min(filter.timeline.limit ?? defaultTimelineLimit, maxEvents);
  const scan = scanEvents(room, "b", stretch, {
    // One more tells whether the rest would fit.
    limit: limit + 1,
    accepts: (record) =>
      // "State events will still be sent to the client, even if the user is ignored."
      (record.stateKey !== null || !ignoredUsers.has(record.sender)) &&
      matchesRoomEventFilter(filter.timeline, room.roomId, filteredView(room, record)) &&
      viewer.canSee(record),
  });
  const records = scan.records.slice(0, limit).reverse();
  const hasMore = scan.records.length > limit || !scan.isComplete || gap !== null;
  const [first] = records;
  const boundary =
    first !== undefined
      ? (first.streamPosition ?? 0) - 1
      : hasMore && scan.records.length === 0
        ? Math.max(scan.boundary, (room.store.events.oldestPosition() ?? 1) - 1)
        : stretch.through;
  const start = stateRootAt(room.store, boundary);
  // A client that had the room before, if only to look into it, must not take these for what follows directly on what it has.
  return { records, isLimited: hasMore || (isAnew && input.isIncremental), boundary, start };
}

/**
 * Cuts a timeline short where it shows a state event that was replaced, at its end, by one that it does not show: the
 * client would take the older for the newer, whatever `state` says, because it reads the timeline last.
 */
function withoutOutdated(request: SyncRequest, timeline: Timeline, end: StateRoot): Timeline {
  if (request.input.useStateAfter || timeline.start === end) return timeline;
  const { room } = request.viewer;
  const shown = new Set(timeline.records.map((record) => record.eventNid));
  let cut = oldest;
  for (const { right } of differencesOf(room.store.stateNodes, timeline.start, end)) {
    if (right === 0 || shown.has(right)) continue;
    const unseen = room.store.events.byNid(right);
    const outdated = timeline.records.findLast(
      (record) => record.type === unseen.type && record.stateKey === unseen.stateKey,
    );
    cut = Math.max(cut, outdated?.streamPosition ?? oldest);
  }
  if (cut === oldest) return timeline;
  const records = timeline.records.filter((record) => (record.streamPosition ?? 0) > cut);
  const [first] = records;
  const boundary = first === undefined ? cut : (first.streamPosition ?? 0) - 1;
  return { records, isLimited: true, boundary, start: stateRootAt(room.store, boundary) };
}

function stateOf(
  request: SyncRequest,
  timeline: Timeline,
  at: { known: { root: StateRoot; since: number } | null; end: StateRoot; heroes: readonly UserId[] },
): EventRecord[] {
  const { input, viewer, filter } = request;
  const isWhole = at.known === null || input.fullState;
  return syncState(viewer.room, {
    known: isWhole ? null : at.known,
    start: timeline.start,
    end: at.end,
    timeline: timeline.records,
    isAfter: input.useStateAfter,
    filter: filter.state,
    // "servers MUST include the syncing user's own membership event when they join a room, or when the full state of
    // rooms is requested"
    members: isWhole ? [input.userId, ...at.heroes] : at.heroes,
    device: deviceOf(input),
  });
}

function timelineFields(request: SyncRequest, timeline: Timeline, state: readonly EventRecord[]): JsonObject {
  const { viewer, input } = request;
  const events = serveState(viewer, state, { includeRoomId: false });
  return {
    timeline: {
      events: timeline.records.map((record) => viewer.serve(record, { includeRoomId: false })),
      limited: timeline.isLimited,
      prev_batch: formatRoomToken(timeline.boundary),
    },
    [input.useStateAfter ? "state_after" : "state"]: { events },
  };
}

/** Others who joined and left. */
interface MemberChanges {
  readonly joined: UserId[];
  readonly left: UserId[];
  readonly hasAny: boolean;
}

/** Others who joined and left between two states. */
function memberChanges(request: SyncRequest, before: StateRoot, after: StateRoot): MemberChanges {
  const { room } = request.viewer;
  const joined: UserId[] = [];
  const left: UserId[] = [];
  let hasAny = false;
  const changed = [...differencesOf(room.store.stateNodes, before, after)];
  const keys = room.store.stateKeys.byNids(changed.map(({ stateKeyNid }) => stateKeyNid));
  for (const [index, { type, stateKey }] of keys.entries()) {
    const change = changed[index];
    if (type !== "m.room.member" || change === undefined) continue;
    hasAny = true;
    const userId = parseUserId(stateKey);
    if (userId === null || userId === request.input.userId) continue;
    const [was, is] = [isJoin(request, change.left), isJoin(request, change.right)];
    if (is && !was) joined.push(userId);
    if (was && !is) left.push(userId);
  }
  return { joined, left, hasAny };
}

/** To whom the room is new, everybody else in it is. A client that has no token yet asks for devices when it needs them. */
function allMembers(request: SyncRequest): MemberChanges {
  const joined = request.input.since === null ? [] : joinedOthers(request, Number.MAX_SAFE_INTEGER);
  return { joined, left: [], hasAny: true };
}

/** Everybody else who is joined, and has been at a position; of a very large room, some. */
function joinedOthers({ input, viewer }: SyncRequest, position: number): UserId[] {
  const members = viewer.room.store.memberships.withMembership("join", "", maxListedMembers);
  return members
    .filter((member) => member.userId !== input.userId && member.beganPosition <= position)
    .map((member) => member.userId);
}

function isJoin({ viewer }: SyncRequest, eventNid: number): boolean {
  return eventNid !== 0 && membershipIn(viewer.room.store.events.byNid(eventNid).event) === "join";
}

function deviceOf({ userId, deviceId }: RoomSyncInput): Pick<RoomSyncInput, "userId" | "deviceId"> {
  return { userId, deviceId };
}
