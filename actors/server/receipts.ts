/**
 * Receipts of this server's users that wait: their room could not be told, or does not have the event yet. Servers tell a
 * receipt once, and the next may be long in coming.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#receipts
 */
import type { RoomId } from "../../shared/ids.ts";
import { describeError } from "../../shared/log.ts";
import { inParallel } from "../../shared/parallel.ts";
import type { RemoteReceipt, RemoteTyping } from "../../shared/rpc/room-peers.ts";
import type { ServerContext } from "./context.ts";

/** Receipts that wait, at most: a server may make up events that nobody will ever see. */
const maxWaiting = 200;
/**
 * Before a room is told again, ms; before each further time, three times as long, up to an hour. A day in all: so long a room
 * may be without its members, or an event with a server that is away.
 */
const firstPauseMs = 5_000;
const maxPauseMs = 3_600_000;
const maxTries = 31;
/** Rooms that are told at the same time. */
const maxAtOnce = 10;

/** Tells a room what users have read, and that they type. @returns what is left for later: receipts it cannot place yet. */
export async function tellRoom(
  server: ServerContext,
  roomId: RoomId,
  news: { readonly typing: readonly RemoteTyping[]; readonly receipts: readonly RemoteReceipt[] },
): Promise<readonly RemoteReceipt[]> {
  try {
    return await server.actors.room(roomId).receiveEphemeral({ origin: server.serverName, ...news });
  } catch (thrown) {
    server.log.warn("room did not take edus", { room_id: roomId, error: describeError(thrown) });
    return news.receipts;
  }
}

/**
 * Keeps receipts for later. One that is newer takes the place of the user's last; beyond the bound, they are dropped.
 * @param of `tries`: how often the room has been told already.
 */
export function keepReceipts(
  server: ServerContext,
  roomId: RoomId,
  of: { readonly receipts: readonly RemoteReceipt[]; readonly tries: number },
): void {
  const { receipts, tries } = of;
  if (receipts.length === 0 || tries >= maxTries) return;
  const dueTs = server.clock.now() + Math.min(firstPauseMs * 3 ** (tries - 1), maxPauseMs);
  server.store.transaction((tx) => {
    for (const receipt of receipts) {
      const isNew = !tx.receipts.has(roomId, receipt);
      // What is told again never takes the place of what came meanwhile.
      if (isNew ? tx.receipts.count() >= maxWaiting : tries > 1) continue;
      tx.receipts.put({ roomId, receipt, tries, dueTs });
    }
    server.alarm.ensure(dueTs);
  });
}

/** Tells rooms again of what waits and is due. To be called by the alarm. */
export async function settleReceipts(server: ServerContext): Promise<void> {
  const now = server.clock.now();
  const waiting = server.store.receipts.all();
  const due = waiting.filter(({ dueTs }) => dueTs <= now);
  for (const { dueTs } of waiting) if (dueTs > now) server.alarm.ensure(dueTs);
  if (due.length === 0) return;
  const batches = Map.groupBy(due, ({ roomId, tries }) => `${tries} ${roomId}`);
  await inParallel([...batches.values()], maxAtOnce, async (batch) => {
    const [first] = batch;
    if (first === undefined) return;
    const receipts = batch.map(({ receipt }) => receipt);
    const { roomId, tries } = first;
    const left = await tellRoom(server, roomId, { typing: [], receipts });
    server.store.transaction((tx) => {
      for (const { receipt } of batch) tx.receipts.delete(roomId, receipt);
      keepReceipts(server, roomId, { receipts: left, tries: tries + 1 });
    });
  });
}
