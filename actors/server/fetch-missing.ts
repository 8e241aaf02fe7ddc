/**
 * Events of this server that wait, because others which they follow or which authorize them are not here: what is missing is
 * fetched from the server that sent them, and only its actor waits for that. A crash loses nothing: the events are stored,
 * and the alarm comes back for them.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { fetchKeyRing } from "../../shared/federation-api/key-ring.ts";
import type { RoomId } from "../../shared/ids.ts";
import { isObject, type JsonObject } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import { parseExactly } from "../../shared/matrix/exact-numbers.ts";
import { type KeyRing, possibleSigners } from "../../shared/matrix/key-ring.ts";
import type { PduOutcome, PduText } from "../../shared/rpc/room-peers.ts";
import type { ServerContext } from "./context.ts";
import { newSearch, type Search, seekMissing } from "./seek-missing.ts";
import type { WaitingEvent } from "./store/inbox.ts";

/** When the alarm looks after what an instance was about to see to, ms from then. */
export const settleLeaseMs = 60_000;
/** Rooms that are seen to at the same time. */
const maxRooms = 4;
/** How often one run goes through a room's waiting events, before the alarm takes over. */
const maxPasses = 20;
/** How often what an event lacks is looked for. */
const maxTries = 8;
/** Before the second try, ms; before each further one, three times as long. An hour and a half in all. */
const firstPauseMs = 5_000;
/**
 * Tries, half an hour in all, in which a gap is not filled on a state of which a part cannot be verified because nobody has
 * the keys: what is left out then, nobody tells again.
 */
const patientTries = 6;
/** Events that a room takes at once. */
const maxBatch = 50;

/** Sees to the waiting events of a room, after the reply. Where too many rooms are being seen to, one of those goes on with it. */
export function settleRoomLater(server: ServerContext, roomId: RoomId): void {
  const { settling } = server.memory.inbox;
  if (settling.has(roomId) || settling.size >= maxRooms) return;
  settling.add(roomId);
  server.background(async () => {
    try {
      await settleRoom(server, roomId);
    } catch (thrown) {
      server.log.warn("waiting events not settled", { room_id: roomId, error: describeError(thrown) });
      const now = server.clock.now();
      for (const event of server.store.inbox.waitingOf(roomId)) {
        if (event.dueTs <= now) postpone(server, roomId, event);
      }
    } finally {
      settling.delete(roomId);
      const next = dueRooms(server).find((room) => room !== roomId && !settling.has(room));
      if (next !== undefined) settleRoomLater(server, next);
    }
  });
}

/** Sees to what is due. To be called by the alarm. */
export function settleWaiting(server: ServerContext): void {
  const now = server.clock.now();
  for (const { roomId, dueTs } of server.store.inbox.waitingRooms()) {
    server.alarm.ensure(dueTs > now ? dueTs : now + settleLeaseMs);
    if (dueTs <= now) settleRoomLater(server, roomId);
  }
}

function dueRooms(server: ServerContext): RoomId[] {
  const now = server.clock.now();
  return server.store.inbox
    .waitingRooms()
    .filter(({ dueTs }) => dueTs <= now)
    .map(({ roomId }) => roomId);
}

async function settleRoom(server: ServerContext, roomId: RoomId): Promise<void> {
  const search = newSearch(server, roomId);
  for (let pass = 0; pass < maxPasses; pass += 1) {
    const dueTs = server.store.inbox.findDueTs(roomId);
    if (dueTs === null || dueTs > server.clock.now()) {
      // In the same turn as the look: what comes now begins anew.
      server.memory.inbox.settling.delete(roomId);
      return;
    }
    await passOver(server, search);
  }
}

/** Gives the room all that waits, and looks for what the due ones lack. */
async function passOver(server: ServerContext, search: Search): Promise<void> {
  const outcomes = await give(server, search.roomId, server.store.inbox.waitingOf(search.roomId));
  const waitingIds = new Set<string>();
  const soughtInVain = new Set<string>();
  let hasChanged = false;
  for (const [event, given] of outcomes) {
    if (!server.store.inbox.isWaiting(event.inboxNid)) continue;
    if (event.dueTs <= server.clock.now()) {
      // It may have waited for nothing but those before it.
      const outcome = hasChanged ? ((await give(server, search.roomId, [event])).get(event) ?? null) : given;
      // An event that is new says that its server is there: what others have long waited for is looked for anew.
      const passedOver = event.tries === 0 ? soughtInVain : waitingIds;
      await seekFor(server, search, { event, outcome, passedOver });
      if (!server.store.inbox.isWaiting(event.inboxNid)) hasChanged = true;
      else if (given?.eventId) soughtInVain.add(given.eventId);
    }
    if (given?.eventId && server.store.inbox.isWaiting(event.inboxNid)) waitingIds.add(given.eventId);
  }
  // Those that were not due may have come with what was found.
  if (hasChanged) await give(server, search.roomId, server.store.inbox.waitingOf(search.roomId));
}

/**
 * Looks for what one event lacks, and gives it again.
 * @param of `passedOver`: events before it that wait themselves; it need not be looked for what those are waited for.
 */
async function seekFor(
  server: ServerContext,
  search: Search,
  of: { event: WaitingEvent; outcome: PduOutcome | null; passedOver: ReadonlySet<string> },
): Promise<void> {
  const { event, outcome, passedOver } = of;
  if (outcome?.kind === "missing" && ![...outcome.prevEvents, ...outcome.authEvents].some((id) => passedOver.has(id))) {
    search.isPatient = event.tries < patientTries;
    await seekMissing(search, outcome);
    await give(server, search.roomId, [event]);
  }
  if (server.store.inbox.isWaiting(event.inboxNid)) postpone(server, search.roomId, event);
}

/** The event has to wait on, or is given up: one that follows it will ask for it anew. */
function postpone(server: ServerContext, roomId: RoomId, { inboxNid, name, tries }: WaitingEvent): void {
  server.store.transaction((tx) => {
    if (tries + 1 >= maxTries) {
      server.log.warn("event given up", { origin: server.serverName, room_id: roomId, event_id: name });
      tx.inbox.deleteWaiting([inboxNid]);
      return;
    }
    const pauseMs = firstPauseMs * 3 ** tries;
    const dueTs = server.clock.now() + pauseMs + jitterOf(server, pauseMs);
    tx.inbox.postpone(inboxNid, tries + 1, dueTs);
    server.alarm.ensure(dueTs);
  });
}

/** Up to a quarter of the pause, so that those who lost touch together do not come back together. */
function jitterOf({ random }: ServerContext, pauseMs: number): number {
  return Math.floor(((random.bytes(1)[0] ?? 0) / 256) * (pauseMs / 4));
}

/**
 * Gives waiting events to their room, and forgets those that it has dealt with.
 * @returns what became of each; null where the room could not say.
 */
async function give(
  server: ServerContext,
  roomId: RoomId,
  events: readonly WaitingEvent[],
): Promise<Map<WaitingEvent, PduOutcome | null>> {
  const outcomes = new Map<WaitingEvent, PduOutcome | null>();
  for (let start = 0; start < events.length; start += maxBatch) {
    const batch = events.slice(start, start + maxBatch);
    const pdus = batch.map(({ pdu }) => pdu);
    const parsed = pdus.map(parsePdu);
    const keys = await fetchKeyRing(
      server,
      parsed.filter((pdu) => pdu !== null),
    );
    const input = { origin: server.serverName, pdus, keys, areFetched: false };
    const given = await server.actors.room(roomId).receivePdus(input);
    const settled = batch.filter((event, index) => {
      const outcome = given[index] ?? null;
      outcomes.set(event, outcome);
      const pdu = parsed[index] ?? null;
      if (outcome === null || outcome.kind === "missing") return false;
      return outcome.kind !== "dropped" || pdu === null || !lacksKeys(server, pdu, keys);
    });
    if (settled.length > 0) {
      server.store.transaction((tx) => tx.inbox.deleteWaiting(settled.map(({ inboxNid }) => inboxNid)));
    }
  }
  return outcomes;
}

/** Whether a third server has signed the event whose keys could not be had: the event may pass once they can. */
export function lacksKeys(server: ServerContext, pdu: JsonObject, keys: KeyRing): boolean {
  const { serverName, config } = server;
  return [...possibleSigners(pdu).keys()].some(
    (signer) => signer !== serverName && signer !== config.serverName && !Object.hasOwn(keys, signer),
  );
}

/** Null for what is no event; the room drops it. */
function parsePdu(text: PduText): JsonObject | null {
  const value = parseExactly(text);
  return isObject(value) ? value : null;
}
