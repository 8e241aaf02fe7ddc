import type { RoomId } from "../../../shared/ids.ts";
import { define, type JsonObject } from "../../../shared/json.ts";
import { formatSyncToken, type SyncToken } from "../../../shared/matrix/stream-token.ts";
import type { RoomSyncResult } from "../../../shared/rpc/room.ts";
import type { SyncResult } from "../../../shared/rpc/user.ts";
import type { UserContext } from "../context.ts";
import { blocksInvites } from "../invite-permission.ts";
import { followJoin, updateRoom, wakeCountOf, withMembership } from "../rooms.ts";
import type { UserWriter } from "../store/index.ts";
import type { RoomRead } from "../store/rooms.ts";
import { readInbox } from "../to-device.ts";
import { wakeWaiters } from "../waiters.ts";
import { globalAccountData, roomAccountData } from "./account-data.ts";
import { selectSectionFields } from "./filter.ts";
import type { PlannedRoom, SyncRequest } from "./rooms.ts";

/** What the rooms said, and what was asked of them. */
export interface Gathered {
  plan: readonly PlannedRoom[];
  /** Position of the user's stream when the plan was made. */
  plannedAt: number;
  answers: ReadonlyMap<number, RoomSyncResult>;
}

/** To-device messages in one answer, at most. */
const maxToDevice = 100;
/** Tokens that are answered exactly; older ones are given their rooms anew. */
const keptTokens = 10_000;
/** How often, in tokens, what is older is dropped. */
const trimEvery = 256;

/** Puts the answer together and records, in the same transaction, what its token has read. */
export function finishSync(user: UserContext, request: SyncRequest, gathered: Gathered): SyncResult {
  const { result, isAhead, joined } = user.store.transaction((tx) => {
    const { position, isAhead, joined } = recordReads(
      user,
      tx,
      gathered,
      request.since?.position ?? gathered.plannedAt,
    );
    const rooms = roomSections(user, request, gathered);
    const accountData = globalAccountData(user, request.since?.position ?? null, request.filter);
    const inbox = readInbox(user, request.deviceId, request.since?.toDevicePosition ?? 0, maxToDevice);
    const token: SyncToken = { position, toDevicePosition: inbox.isComplete ? position : inbox.through };
    const nextBatch = formatSyncToken(token);
    const response: JsonObject = { next_batch: nextBatch, device_one_time_keys_count: {} };
    if (Object.keys(rooms).length > 0) response.rooms = rooms;
    if (accountData.length > 0) response.account_data = { events: accountData };
    if (inbox.events.length > 0) response.to_device = { events: inbox.events };
    const isEmpty = Object.keys(rooms).length + accountData.length + inbox.events.length === 0;
    return { result: { response, nextBatch, isEmpty }, isAhead, joined };
  });
  for (const roomId of joined) followJoin(user, roomId);
  // What a room told this device before it woke the user is news to the others, and the wake will find the user knowing.
  if (isAhead) wakeWaiters(user);
  return result;
}

interface RecordedReads {
  /** Position of the new token. */
  position: number;
  /** Whether a room was read beyond what its wakes have spoken of. */
  isAhead: boolean;
  /** Rooms of which only the answers told that the user has come in. */
  joined: RoomId[];
}

/**
 * Records how far the rooms were read, and finds the position of the new token: the stream's head when that already
 * stands for exactly these reads, else a new one. Only what differs is written.
 */
function recordReads(user: UserContext, tx: UserWriter, gathered: Gathered, since: number): RecordedReads {
  const reads = new Map<number, number | null>();
  for (const planned of gathered.plan) reads.set(planned.room.roomNid, readPositionOf(planned, gathered.answers));
  const plan = new Map(gathered.plan.map((planned) => [planned.room.roomNid, planned]));
  const changed: { roomNid: number; roomPosition: number }[] = [];
  const joined: RoomId[] = [];
  let isOvertaken = false;
  let isAhead = false;
  for (const room of tx.rooms.readsAt(Number.MAX_SAFE_INTEGER)) {
    const planned = plan.get(room.roomNid);
    const answer = gathered.answers.get(room.roomNid);
    const headKnown = knownAfter(user, room, planned, answer);
    const known = { ...withMembership(room, planned?.room ?? null), headKnown };
    if (updateRoom(user, tx, room, known)) joined.push(room.roomId);
    if (headKnown > Math.max(room.headKnown, room.headHint)) isAhead = true;
    const roomPosition = reads.get(room.roomNid) ?? null;
    if (planned?.isWanted !== false && (roomPosition ?? 0) < headKnown) isOvertaken = true;
    if (roomPosition !== room.readPosition) changed.push({ roomNid: room.roomNid, roomPosition: roomPosition ?? 0 });
  }
  // Those that were forgotten while they were asked are among them.
  const forgotten = tx.rooms.forgottenAfter(since, Number.MAX_SAFE_INTEGER).filter(({ roomNid }) => plan.has(roomNid));
  for (const { roomNid, readPosition } of forgotten) {
    const roomPosition = reads.get(roomNid) ?? null;
    if (roomPosition !== readPosition) changed.push({ roomNid, roomPosition: roomPosition ?? 0 });
  }
  const untold = forgotten.filter((room) => (reads.get(room.roomNid) ?? 0) < room.membershipPosition);
  const tokenPosition = changed.length === 0 ? tx.streams.head() : tx.streams.next();
  for (const read of changed) tx.rooms.insertRead({ ...read, tokenPosition });
  if (changed.length > 0 && tokenPosition % trimEvery === 0) tx.rooms.trimReads(tokenPosition - keptTokens);
  // Another answer has read further meanwhile: the stream moves past this token, so that its holder asks again.
  if (isOvertaken || untold.length > 0) {
    const next = tx.streams.next();
    for (const { roomNid } of untold) tx.rooms.setForgottenAt(roomNid, next);
  }
  return { position: tokenPosition, isAhead, joined };
}

/** Up to where answers have read a room for certain, this one included. */
function knownAfter(
  user: UserContext,
  room: RoomRead,
  planned: PlannedRoom | undefined,
  answer: RoomSyncResult | undefined,
): number {
  if (answer === undefined) return room.headKnown;
  const isWoken = planned?.wakeCount !== wakeCountOf(user, room.roomId);
  // The room may have answered before that wake left it, and then waits for the user to ask once more.
  const read = isWoken ? Math.min(answer.readPosition, room.headHint - 1) : answer.readPosition;
  return Math.max(read, room.headKnown);
}

function readPositionOf(planned: PlannedRoom, answers: Gathered["answers"]): number | null {
  const answer = answers.get(planned.room.roomNid);
  if (answer !== undefined) return answer.readPosition;
  // Not wanted and nothing new: as good as read. Wanted but failed: not read, so that it is asked again.
  if (!planned.isWanted && !planned.isAsked) return Math.max(planned.since ?? 0, planned.room.headKnown);
  return planned.since;
}

/** `rooms` of the answer: place → room id → section. */
function roomSections(user: UserContext, request: SyncRequest, gathered: Gathered): JsonObject {
  const places = new Map<string, JsonObject>();
  for (const planned of gathered.plan) {
    const placed = roomSection(user, request, planned, gathered.answers.get(planned.room.roomNid) ?? null);
    if (placed === null) continue;
    const sections = places.get(placed.place) ?? {};
    define(sections, planned.room.roomId, placed.section);
    places.set(placed.place, sections);
  }
  return Object.fromEntries(places);
}

/** A room's section, with the account data that the user keeps for it; null: nothing to tell. */
function roomSection(
  user: UserContext,
  request: SyncRequest,
  planned: PlannedRoom,
  answer: RoomSyncResult | null,
): { place: string; section: JsonObject } | null {
  if (!planned.isWanted) return null;
  // A room that could not be asked still has its account data, because the token goes past it; not where the user has
  // come in since: its next answer will give all of it.
  const isNew = isNewToClient(planned);
  if (planned.isAsked && answer === null && isNew) return null;
  const since = isNew || request.fullState ? null : (request.since?.position ?? null);
  const events = roomAccountData(user, planned.room.roomId, { since, filter: request.filter });
  const hasNews = events.length > 0 && planned.room.membership === "join";
  const place = answer?.place ?? (hasNews ? "join" : null);
  if (place === null) return null;
  // "invite events for this user already in the database, or received over federation, MUST NOT be served"
  if (place === "invite" && blocksInvites(user)) return null;
  const section = answer?.section ?? {};
  const carriesAccountData = events.length > 0 && (place === "join" || place === "leave");
  const whole = carriesAccountData ? { ...section, account_data: { events } } : section;
  return { place, section: selectSectionFields(whole, request.filter.eventFields) };
}

/** Whether the client has not had the room yet, or not since the user joined. */
function isNewToClient({ since, room }: PlannedRoom): boolean {
  return since === null || (room.membership === "join" && room.membershipPosition > since);
}
