/** What goes into the next transaction to another server, and into the repeat of one that it has not confirmed. */
import { encodeBase64Url } from "../../shared/base64.ts";
import { MatrixError } from "../../shared/errors.ts";
import { isObject, type JsonObject } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import type { OutboundBatch } from "../../shared/rpc/room-outbox.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { ServerContext } from "./context.ts";
import type { OutboundRoom, OutboxState, PendingTransaction, RoomRange } from "./store/outbox.ts";

/** "Transactions are limited in size; they can have at most 50 PDUs and 100 EDUs." */
const maxPdus = 50;
const maxEdus = 100;
/** Stored EDUs in one transaction, at most: there is always room for some of the others. */
const maxStoredEdus = 80;
/** Length of the stored EDUs in one transaction, at most, unless one alone is longer. */
const maxStoredSize = 1_048_576;
/** Rooms that are asked at the same time. */
const maxParallelRooms = 10;
/** Rooms that one transaction is put together from, at most. */
const maxRooms = 200;
const txnIdBytes = 12;

/** A transaction with its content. */
export interface FilledTransaction {
  readonly pending: PendingTransaction;
  readonly pdus: readonly PduText[];
  readonly edus: readonly JsonObject[];
}

/** What came of asking for the next transaction. */
export type Composition =
  | { readonly kind: "filled"; readonly transaction: FilledTransaction }
  | { readonly kind: "nothing" }
  /** A room could not be asked: later. */
  | { readonly kind: "blocked" };

/**
 * Puts the next transaction together from the rooms that have something for the server, each in its turn, and the EDUs that
 * wait. Rooms that turn out to have nothing are done with. Stores nothing else.
 */
export async function composeNext(server: ServerContext, state: OutboxState): Promise<Composition> {
  const { asked, wokenMeanwhile } = server.memory.outbox;
  asked.clear();
  wokenMeanwhile.clear();
  const draft = newDraft(state);
  takeStoredEdus(server, draft);
  let isBlocked = false;
  const seen = new Set<string>();
  while (!isFull(draft) && seen.size < maxRooms) {
    const rooms = nextRooms(server, seen);
    if (rooms.length === 0) break;
    const left = leftIn(draft);
    for (const { roomId } of rooms) asked.add(roomId);
    const ranges = rooms.map((room) => ({ ...room, since: room.position, through: null }));
    const batches = await Promise.all(ranges.map((range) => takeFrom(server, range, left)));
    for (const [index, room] of rooms.entries()) {
      const batch = batches[index];
      seen.add(room.roomId);
      if (batch === undefined || batch === "unknown") continue;
      if (batch === "failed") isBlocked = true;
      else addBatch(server, draft, room, batch);
      server.memory.outbox.lastRoom = room.roomId;
    }
  }
  if (draft.items === 0 && draft.edus.length === 0) return { kind: isBlocked ? "blocked" : "nothing" };
  return { kind: "filled", transaction: filled(server, draft) };
}

/**
 * Puts an unconfirmed transaction together anew, with the same events and stored EDUs: "The sending server must wait and
 * retry for a 200 OK response before sending a transaction with a different txnId". What has lost its use meanwhile, such
 * as typing, is left out.
 */
export async function composeAgain(server: ServerContext, pending: PendingTransaction): Promise<Composition> {
  const pdus: PduText[] = [];
  const edus = storedEdusThrough(server, pending.eduThrough);
  for (let start = 0; start < pending.rooms.length; start += maxParallelRooms) {
    const ranges = pending.rooms.slice(start, start + maxParallelRooms);
    const left = { pdus: maxPdus, edus: maxEdus };
    for (const batch of await Promise.all(ranges.map((range) => takeFrom(server, range, left)))) {
      if (batch === "failed") return { kind: "blocked" };
      if (batch === "unknown") continue;
      pdus.push(...batch.pdus);
      edus.push(...batch.edus);
    }
  }
  if (pdus.length === 0 && edus.length === 0) return { kind: "nothing" };
  return { kind: "filled", transaction: { pending, pdus: pdus.slice(0, maxPdus), edus: edus.slice(0, maxEdus) } };
}

/** A transaction that is being filled. */
interface Draft {
  /** Events and stored EDUs, at most; null: as many as are allowed. */
  readonly maxItems: number | null;
  items: number;
  eduThrough: number;
  readonly rooms: RoomRange[];
  readonly pdus: PduText[];
  readonly edus: JsonObject[];
}

function newDraft({ maxItems }: OutboxState): Draft {
  return { maxItems, items: 0, eduThrough: 0, rooms: [], pdus: [], edus: [] };
}

function leftIn({ maxItems, items, pdus, edus }: Draft): { pdus: number; edus: number } {
  const left = (maxItems ?? Number.POSITIVE_INFINITY) - items;
  return { pdus: Math.min(maxPdus - pdus.length, left), edus: maxEdus - edus.length };
}

function isFull(draft: Draft): boolean {
  const left = leftIn(draft);
  return left.pdus <= 0 || left.edus <= 0;
}

/** One that cannot be read is dropped: it would hold up all behind it for ever. */
function takeStoredEdus(server: ServerContext, draft: Draft): void {
  const { outbox } = server.store;
  const limit = Math.min(maxStoredEdus, draft.maxItems ?? maxStoredEdus);
  let size = 0;
  for (const { eduNid, eduId, json } of outbox.edus(0, limit)) {
    if (draft.items > 0 && size + json.length > maxStoredSize) break;
    const edu = parseEdu(json);
    if (edu === null) {
      server.log.error("stored EDU cannot be sent", { destination: server.serverName, edu_id: eduId });
      server.store.transaction((tx) => tx.outbox.deleteEdu(eduNid));
      continue;
    }
    size += json.length;
    draft.items += 1;
    draft.eduThrough = eduNid;
    draft.edus.push(edu);
  }
}

function storedEdusThrough(server: ServerContext, eduThrough: number): JsonObject[] {
  return server.store.outbox
    .edus(0, maxStoredEdus)
    .filter(({ eduNid }) => eduNid <= eduThrough)
    .map(({ json }) => parseEdu(json))
    .filter((edu) => edu !== null);
}

function parseEdu(json: string): JsonObject | null {
  try {
    const edu: unknown = JSON.parse(json);
    return isObject(edu) ? edu : null;
  } catch {
    return null;
  }
}

/** The next rooms in which something may wait: those after the room that was looked at last, then from the first on. */
function nextRooms(server: ServerContext, seen: ReadonlySet<string>): OutboundRoom[] {
  const { lastRoom } = server.memory.outbox;
  for (const after of [lastRoom, ""]) {
    const rooms = server.store.outbox.roomsBehind(after, maxParallelRooms).filter(({ roomId }) => !seen.has(roomId));
    if (rooms.length > 0) return rooms;
  }
  return [];
}

async function takeFrom(
  server: ServerContext,
  { roomId, since, through }: Omit<RoomRange, "through"> & { through: number | null },
  left: { pdus: number; edus: number },
): Promise<OutboundBatch | "unknown" | "failed"> {
  const { serverName: destination } = server;
  const wanted = { destination, since, through, maxPdus: left.pdus, maxEdus: left.edus };
  try {
    return await server.actors.room(roomId).takeOutbound(wanted);
  } catch (thrown) {
    const isUnknown = thrown instanceof MatrixError && thrown.errcode === "M_NOT_FOUND";
    server.log.warn("room gave nothing to send", { room_id: roomId, destination, error: describeError(thrown) });
    if (!isUnknown) return "failed";
    server.store.transaction((tx) => tx.outbox.deleteRoom(roomId));
    return "unknown";
  }
}

/** Adds what fits; a room whose batch does not fit is asked again for the next transaction. */
function addBatch(server: ServerContext, draft: Draft, room: OutboundRoom, batch: OutboundBatch): void {
  const { roomId, position: since } = room;
  // After a refusal for what was in a transaction, what can be done without is left out.
  const edus = draft.maxItems === null ? batch.edus : [];
  const left = leftIn(draft);
  if (batch.pdus.length > left.pdus || edus.length > left.edus) return;
  const hasMore = batch.isMore || server.memory.outbox.wokenMeanwhile.has(roomId);
  server.store.transaction((tx) => {
    if (hasMore) tx.outbox.raiseHead(roomId, batch.position + 1);
    if (batch.pdus.length > 0 || edus.length > 0) return;
    if (hasMore) tx.outbox.advance(roomId, batch.position);
    else tx.outbox.catchUp(roomId, batch.position);
  });
  if (batch.pdus.length === 0 && edus.length === 0) return;
  draft.rooms.push({ roomId, since, through: batch.position });
  draft.items += batch.pdus.length;
  draft.pdus.push(...batch.pdus);
  draft.edus.push(...edus);
}

function filled(server: ServerContext, { rooms, eduThrough, items, pdus, edus }: Draft): FilledTransaction {
  const txnId = encodeBase64Url(server.random.bytes(txnIdBytes));
  return { pending: { txnId, rooms, eduThrough, items, sentTs: null }, pdus, edus };
}
