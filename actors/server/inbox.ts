/**
 * Transactions of another server: one at a time, each answered once. Events go to their rooms; what the rooms cannot take
 * yet, because others are missing, is stored here before the answer and seen to afterwards (`fetch-missing.ts`).
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import { hash } from "node:crypto";
import { errors } from "../../shared/errors.ts";
import { fetchKeyRing } from "../../shared/federation-api/key-ring.ts";
import { parseRoomId, type RoomId } from "../../shared/ids.ts";
import { define, isObject, type JsonObject, parseStoredObject, stringField } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import { parseExactly } from "../../shared/matrix/exact-numbers.ts";
import type { KeyRing } from "../../shared/matrix/key-ring.ts";
import { inParallel } from "../../shared/parallel.ts";
import type { PduOutcome, PduText } from "../../shared/rpc/room-peers.ts";
import type { PeerServer } from "../../shared/rpc/server-peer.ts";
import type { ServerContext } from "./context.ts";
import { receiveEdus } from "./edus.ts";
import { lacksKeys, settleLeaseMs, settleRoomLater } from "./fetch-missing.ts";
import { noteAlive } from "./outbox.ts";
import { noteSharedRoom } from "./shared-rooms.ts";

export type Transaction = Parameters<PeerServer["receiveTransaction"]>[0];

/** For how long a transaction keeps others waiting: one that hangs must not shut its server out. */
const leaseMs = 60_000;
/** Transactions that are taken or wait, at most. A server sends one at a time. */
const maxConcurrent = 3;
/** Transactions in one second, at most. */
const maxPerSecond = 50;
/** Rooms that take events of one transaction at the same time. */
const maxRoomsAtOnce = 10;
/** Events that wait, at most. */
const maxWaitingOfRoom = 100;
const maxWaiting = 1_000;
/** How long an event whose room did not answer waits. */
const roomRetryMs = 10_000;

/**
 * Takes a transaction. A repeat is answered as the first time, and one that comes while the first is still being taken waits
 * for it. Under the same id but with other content, it is another transaction.
 *
 * @returns the answer of `PUT /send/{txnId}`. An event that waits for others counts as handled.
 * @throws MatrixError M_LIMIT_EXCEEDED
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid
 */
export async function receiveTransaction(server: ServerContext, transaction: Transaction): Promise<JsonObject> {
  noteAlive(server);
  const digest = hash("sha256", JSON.stringify([transaction.pdus, transaction.edus]), "base64");
  const answered = server.store.inbox.findAnswer(transaction.txnId, digest);
  if (answered !== null) return parseStoredObject(answered);
  const { running } = server.memory.inbox;
  const key = `${digest} ${transaction.txnId}`;
  const now = server.clock.now();
  const same = running.get(key);
  if (same !== undefined && now < same.startedTs + leaseMs) return await same.answer;
  const before = [...running.values()].filter(({ startedTs }) => now < startedTs + leaseMs);
  limit(server, before.length);
  const answer = Promise.allSettled(before.map((other) => other.answer)).then(() => take(server, transaction, digest));
  const entry = { startedTs: now, answer };
  running.set(key, entry);
  try {
    return await answer;
  } finally {
    if (running.get(key) === entry) running.delete(key);
  }
}

/** @throws MatrixError M_LIMIT_EXCEEDED */
function limit(server: ServerContext, concurrent: number): void {
  if (!server.config.rateLimits) return;
  const { inbox } = server.memory;
  const now = server.clock.now();
  inbox.arrivals = inbox.arrivals.filter((arrival) => arrival > now - 1_000);
  if (concurrent >= maxConcurrent || inbox.arrivals.length >= maxPerSecond) throw errors.limitExceeded(1_000);
  inbox.arrivals = [...inbox.arrivals, now];
}

/** An event of the transaction. */
interface SentPdu {
  readonly text: PduText;
  readonly pdu: JsonObject;
}

/** An event that its room could not take yet. */
interface Waiting {
  readonly roomId: RoomId;
  /** Its event id; null: the room has not said. */
  readonly name: string | null;
  readonly text: PduText;
  readonly dueTs: number;
}

/** What became of the transaction's events. */
interface Taken {
  /** event id → why it was not taken; null where nothing went wrong */
  readonly results: Map<string, string | null>;
  readonly waiting: Waiting[];
}

async function take(server: ServerContext, transaction: Transaction, digest: string): Promise<JsonObject> {
  const byRoom = groupByRoom(server, transaction.pdus);
  for (const roomId of byRoom.keys()) noteSharedRoom(server, roomId);
  const keys = await fetchKeyRing(
    server,
    [...byRoom.values()].flat().map(({ pdu }) => pdu),
  );
  const taken: Taken = { results: new Map(), waiting: [] };
  await inParallel([...byRoom], maxRoomsAtOnce, ([roomId, sent]) => giveToRoom(server, roomId, { sent, keys }, taken));
  // Afterwards, because a receipt may be for one of the events.
  await receiveEdus(server, transaction.edus);
  const answer = store(server, { txnId: transaction.txnId, digest }, taken);
  for (const roomId of new Set(taken.waiting.map((event) => event.roomId))) settleRoomLater(server, roomId);
  return answer;
}

/** What names no room is dropped: it has no event id either, which follows from the room's version. */
function groupByRoom(server: ServerContext, texts: readonly PduText[]): Map<RoomId, SentPdu[]> {
  const byRoom = new Map<RoomId, SentPdu[]>();
  for (const text of texts) {
    const pdu = parseExactly(text);
    const roomId = isObject(pdu) ? parseRoomId(stringField(pdu, "room_id") ?? "") : null;
    if (!isObject(pdu) || roomId === null) {
      server.log.info("pdu names no room", { origin: server.serverName });
      continue;
    }
    byRoom.set(roomId, [...(byRoom.get(roomId) ?? []), { text, pdu }]);
  }
  return byRoom;
}

async function giveToRoom(
  server: ServerContext,
  roomId: RoomId,
  { sent, keys }: { sent: readonly SentPdu[]; keys: KeyRing },
  taken: Taken,
): Promise<void> {
  const pdus = sent.map(({ text }) => text);
  const now = server.clock.now();
  let outcomes: readonly PduOutcome[];
  try {
    const input = { origin: server.serverName, pdus, keys, areFetched: false };
    outcomes = await server.actors.room(roomId).receivePdus(input);
  } catch (thrown) {
    // Else one room in trouble would hold up all that its members' servers have to say.
    server.log.error("room did not take pdus", { room_id: roomId, error: describeError(thrown) });
    taken.waiting.push(...pdus.map((text) => ({ roomId, name: null, text, dueTs: now + roomRetryMs })));
    return;
  }
  for (const [index, { pdu, text }] of sent.entries()) {
    const outcome = outcomes[index];
    if (outcome === undefined) throw new Error("a room gave fewer outcomes than there were events");
    const { eventId } = outcome;
    const waits = outcome.kind === "missing" || (outcome.kind === "dropped" && lacksKeys(server, pdu, keys));
    if (waits) taken.waiting.push({ roomId, name: eventId, text, dueTs: now });
    if (eventId !== null) taken.results.set(eventId, outcome.kind === "dropped" && !waits ? outcome.reason : null);
  }
}

/** Stores what waits, and the answer, before it is given. */
function store(server: ServerContext, id: { txnId: string; digest: string }, taken: Taken): JsonObject {
  return server.store.transaction((tx) => {
    for (const { roomId, name, text, dueTs } of taken.waiting) {
      const { ofRoom, ofAll } = tx.inbox.countWaiting(roomId);
      if (ofRoom >= maxWaitingOfRoom || ofAll >= maxWaiting) {
        if (name !== null) taken.results.set(name, "Too many events wait for others that are missing");
        continue;
      }
      tx.inbox.addWaiting(roomId, { name: name ?? hash("sha256", text, "base64"), pdu: text, dueTs });
      server.alarm.ensure(Math.max(dueTs, server.clock.now() + settleLeaseMs));
    }
    const answer = answerOf(taken.results);
    // A repeat of what changes nothing for good costs nothing to take again.
    if (taken.results.size > 0) tx.inbox.putAnswer({ ...id, answer: JSON.stringify(answer) });
    return answer;
  });
}

function answerOf(results: ReadonlyMap<string, string | null>): JsonObject {
  const pdus: JsonObject = {};
  for (const [eventId, error] of results) define(pdus, eventId, error === null ? {} : { error });
  return { pdus };
}
