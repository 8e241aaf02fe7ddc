/** Asking this server for what one of its events lacks: the events before it or, where there is a gap, the state there. */

import { getMissingPreviousEvents } from "../../shared/federation-api/backfill.ts";
import { getEvent, getEventAuth, getRoomStateIds } from "../../shared/federation-api/events.ts";
import { fetchKeyRing } from "../../shared/federation-api/key-ring.ts";
import { mayTalkTo } from "../../shared/federation-api/peers.ts";
import type { EventId, RoomId } from "../../shared/ids.ts";
import { field, isObject, type JsonObject } from "../../shared/json.ts";
import { numberValue, parseExactly } from "../../shared/matrix/exact-numbers.ts";
import { inParallel } from "../../shared/parallel.ts";
import type { PduOutcome, PduText } from "../../shared/rpc/room-peers.ts";
import type { ServerContext } from "./context.ts";

export type MissingOutcome = Extract<PduOutcome, { kind: "missing" }>;

/** One search for what a room's events lack. */
export interface Search {
  readonly server: ServerContext;
  readonly roomId: RoomId;
  /** Requests that may still be made: the server that sent the events decides how many it takes. */
  requestsLeft: number;
  /** Whether a gap rather waits than is filled without what cannot be verified because nobody has the keys now. */
  isPatient: boolean;
  /** Events that could not be verified because nobody has the keys now. */
  readonly unverified: Set<EventId>;
}

/** Requests of one search, at most; and of all in one minute. */
const maxRequests = 200;
const maxRequestsPerMinute = 1_000;
/** Prev events of one event whose state is asked for, at most. */
const maxGaps = 5;
/** Events that are asked for one by one, before a whole state is. */
const maxSingly = 50;
/** What a whole state counts for among the requests: it may have hundreds of megabytes. */
const requestsForState = 40;
/** Requests for single events at the same time. */
const maxAtOnce = 5;
/** Outliers of one call, at most: by number, and by characters. */
const maxOutliers = 500;
const maxOutlierText = 4 * 1024 * 1024;
/** Ids of one call. */
const maxIds = 20_000;

/** Begins a search for what events of a room lack. */
export function newSearch(server: ServerContext, roomId: RoomId): Search {
  return { server, roomId, requestsLeft: maxRequests, isPatient: false, unverified: new Set() };
}

/** An event that was fetched, read as far as its place among others needs. */
export interface Fetched {
  readonly text: PduText;
  readonly pdu: JsonObject;
  readonly depth: number;
}

/**
 * Fetches what an event lacks, and gives it to the room. The event itself is for the caller to give again.
 *
 * The state before an event that was sent to us is never taken from the server that sent it, but only that before events
 * which it gives as those in between: what was sent would otherwise become an end of the graph with a state of its
 * server's choosing. And that state is only ever resolved with our own.
 */
export async function seekMissing(search: Search, { eventId, prevEvents, authEvents }: MissingOutcome): Promise<void> {
  if (prevEvents.length > 0) await fetchPrevious(search, eventId, prevEvents);
  // Most often they have come with those before it.
  const unknown = await findUnknown(search, authEvents);
  if (unknown.length > 0) await fetchAuthEvents(search, eventId, unknown);
}

/** Fetches the events between what is here and an event, at most 20, the newest ones. */
async function fetchPrevious(search: Search, eventId: EventId, prevEvents: readonly EventId[]): Promise<void> {
  const { server, roomId } = search;
  const ends = await server.actors.room(roomId).getEnds();
  if (ends === null || !spend(search)) return;
  const { forwardExtremities: earliestEvents, minDepth } = ends;
  const wanted = { earliestEvents, latestEvents: [eventId], minDepth };
  const asked = await getMissingPreviousEvents(server.egress, server.serverName, roomId, wanted);
  if (!asked.ok) {
    complain(search, "missing events not fetched", asked.reason);
    return;
  }
  // What is less deep was not asked for: most of it lies before all that is here, and would become a new end of the graph
  // with a state of long ago.
  const given = inDepthOrder(asked.value).filter(({ depth }) => depth >= minDepth);
  const refused = await placeFetched(search, given);
  const unplaced = await server.actors.room(roomId).findUnplaced(prevEvents);
  // What was given and is no event is not asked for again: by its id it cannot be told.
  if (unplaced.length > refused) await fetchOlder(search, unplaced, minDepth);
}

/**
 * Fetches those prev events that are less deep than all that is here, and so were not among what was given: the ends of forks
 * that left the room's graph before this server came.
 */
async function fetchOlder(search: Search, prevEvents: readonly EventId[], minDepth: number): Promise<void> {
  if (prevEvents.length > maxGaps) return;
  const fetched = inDepthOrder(await fetchSingly(search, prevEvents));
  await placeFetched(
    search,
    fetched.filter(({ depth }) => depth < minDepth),
  );
}

/**
 * Gives the room events for its graph, with the states before them where there are gaps.
 * @returns how many of them are refused as no events of the room.
 */
async function placeFetched(search: Search, fetched: readonly Fetched[]): Promise<number> {
  const outcomes = await giveFetched(search, fetched);
  const lost = new Set<EventId>();
  for (const [index, event] of fetched.entries()) {
    const outcome = outcomes[index];
    if (outcome?.kind === "missing" && !(await fillGap(search, event, lost))) lost.add(outcome.eventId);
  }
  return outcomes.filter(({ kind }) => kind === "dropped").length;
}

/**
 * Gets an event into the graph before which there is a gap.
 * @param lost events that could not be got into it: what follows those has no gap of its own.
 * @returns whether it is in the graph now, or refused.
 */
async function fillGap(search: Search, event: Fetched, lost: ReadonlySet<EventId>): Promise<boolean> {
  // Events before it have been placed meanwhile.
  let outcome = await giveOne(search, event);
  if (outcome?.kind !== "missing") return true;
  const { eventId, prevEvents } = outcome;
  if (prevEvents.length > maxGaps || prevEvents.some((id) => lost.has(id))) return false;
  const states = await statesBefore(search, outcome);
  if (states === null) return false;
  outcome = await giveOn(search, event, states);
  // Most often they have come with the states.
  if (outcome?.kind === "missing" && outcome.authEvents.length > 0) {
    await fetchAuthEvents(search, eventId, outcome.authEvents);
    outcome = await giveOn(search, event, states);
  }
  return outcome !== null && outcome.kind !== "missing" && outcome.kind !== "dropped";
}

/** Events that are not here, and the state after each. */
type States = { prevEventId: EventId; stateIds: EventId[] }[];

/**
 * The states after an event's prev events that are not here. One that its server has rejected is given to nobody, and changes
 * no state: then the state before the event itself stands for that after each of them.
 */
async function statesBefore(search: Search, { eventId, prevEvents }: MissingOutcome): Promise<States | null> {
  const states: States = [];
  for (const prevEventId of prevEvents) {
    const after = await fetchStateAround(search, prevEventId);
    if (after?.kind === "unusable") return null;
    // Of an event that it has rejected, a server tells no state either.
    if (after === null || after.kind === "withheld") {
      const before = await fetchStateAt(search, eventId);
      return before === null ? null : prevEvents.map((id) => ({ prevEventId: id, stateIds: [...before.stateIds] }));
    }
    states.push({ prevEventId, stateIds: after.stateIds });
  }
  return states;
}

/** Gives the room an event, on the states of those of its prev events that are not here. */
async function giveOn(search: Search, event: Fetched, states: States): Promise<PduOutcome | null> {
  if (states.length === 0) return await giveOne(search, event);
  const { server, roomId } = search;
  const keys = await fetchKeyRing(server, [event.pdu]);
  return await server.actors.room(roomId).receiveAfterGap({ origin: server.serverName, pdu: event.text, keys, states });
}

/**
 * The state after an event that is not here, all of its events given to the room.
 * @returns null when it could not be had.
 */
export async function fetchStateAfter(search: Search, eventId: EventId): Promise<EventId[] | null> {
  const after = await fetchStateAround(search, eventId);
  return after?.kind === "after" ? after.stateIds : null;
}

/**
 * The state after an event that is not here, unless its server gives not the event itself, without which nobody knows what
 * changed (`withheld`), or not what authorizes it (`unusable`).
 */
async function fetchStateAround(
  search: Search,
  eventId: EventId,
): Promise<{ kind: "after"; stateIds: EventId[] } | { kind: "withheld" } | { kind: "unusable" } | null> {
  const before = await fetchStateAt(search, eventId);
  if (before === null) return null;
  if (!before.isGiven) return { kind: "withheld" };
  if ((await findUnknown(search, [eventId])).length > 0) return { kind: "unusable" };
  return { kind: "after", stateIds: [...before.stateIds.filter((id) => id !== eventId), eventId] };
}

/** The state before an event; it, and the events of the state, are given to the room as far as they are to be had. */
async function fetchStateAt(
  search: Search,
  eventId: EventId,
): Promise<{ stateIds: readonly EventId[]; isGiven: boolean } | null> {
  const { server, roomId } = search;
  if (!spend(search)) return null;
  const asked = await getRoomStateIds(server.egress, server.serverName, { roomId, eventId });
  if (!asked.ok) {
    complain(search, "state not fetched", asked.reason);
    return null;
  }
  const { stateIds, authChainIds } = asked.value;
  const unknown = await findUnknown(search, [...new Set([...authChainIds, ...stateIds, eventId])]);
  if (unknown.length > maxSingly) await fetchWholeState(search, eventId);
  const remaining = unknown.length > maxSingly ? await findUnknown(search, unknown) : unknown;
  // What it refuses to give is one thing; of a state most of which is still to come, nothing is built.
  if (remaining.length > search.requestsLeft) {
    complain(search, "state not fetched", `${remaining.length} of its events are missing`);
    return null;
  }
  const own = await fetchSingly(search, remaining.includes(eventId) ? [eventId] : []);
  const others = remaining.filter((id) => id !== eventId);
  await giveOutliers(search, [...(await fetchSingly(search, others)), ...own]);
  if (search.isPatient && stateIds.some((id) => search.unverified.has(id))) {
    complain(search, "state not taken", "nobody has the keys of who signed a part of it");
    return null;
  }
  return { stateIds, isGiven: own.length > 0 || !remaining.includes(eventId) };
}

/** Has all of a state given to the room, as it arrives. */
async function fetchWholeState(search: Search, eventId: EventId): Promise<void> {
  const { server, roomId } = search;
  if (!spend(search, requestsForState)) return;
  const asked = await server.egress.fetchState({ serverName: server.serverName, roomId, eventId });
  if (asked.kind === "failed") complain(search, "state not fetched", asked.reason);
}

async function fetchSingly(search: Search, eventIds: readonly EventId[]): Promise<PduText[]> {
  const { server } = search;
  const texts = await inParallel(eventIds, maxAtOnce, async (eventId) => {
    if (!spend(search)) return null;
    const asked = await getEvent(server.egress, server.serverName, eventId);
    return asked.ok ? asked.value : null;
  });
  return texts.filter((text) => text !== null);
}

/** Fetches the auth chain of an event and, where that is not to be had, the events that authorize it one by one. */
export async function fetchAuthEvents(search: Search, eventId: EventId, missing: readonly EventId[]): Promise<void> {
  const { server, roomId } = search;
  if (!spend(search)) return;
  const asked = await getEventAuth(server.egress, server.serverName, { roomId, eventId });
  if (asked.ok) await giveOutliers(search, asked.value);
  else complain(search, "auth chain not fetched", asked.reason);
  await giveOutliers(search, await fetchSingly(search, await findUnknown(search, missing)));
}

async function giveFetched({ server, roomId }: Search, events: readonly Fetched[]): Promise<PduOutcome[]> {
  if (events.length === 0) return [];
  const keys = await fetchKeyRing(
    server,
    events.map(({ pdu }) => pdu),
  );
  const pdus = events.map(({ text }) => text);
  return await server.actors.room(roomId).receivePdus({ origin: server.serverName, pdus, keys, areFetched: true });
}

async function giveOne(search: Search, event: Fetched): Promise<PduOutcome | null> {
  return (await giveFetched(search, [event]))[0] ?? null;
}

/** Gives the room events outside of the graph, those that authorize others first. */
async function giveOutliers(search: Search, texts: readonly PduText[]): Promise<void> {
  let remaining = inDepthOrder(texts);
  // Depth is only what a server claims: once more for those that came before what authorizes them.
  for (let round = 0; round < 2 && remaining.length > 0; round += 1) {
    const missing: Fetched[] = [];
    for (const batch of batchesOf(remaining)) missing.push(...(await giveOutlierBatch(search, batch)));
    remaining = missing;
  }
}

/** @returns those of which other events are missing. */
async function giveOutlierBatch(search: Search, batch: readonly Fetched[]): Promise<Fetched[]> {
  const { server, roomId } = search;
  const keys = await fetchKeyRing(
    server,
    batch.map(({ pdu }) => pdu),
  );
  const pdus = batch.map(({ text }) => text);
  const outcomes = await server.actors.room(roomId).receiveOutliers({ pdus, keys });
  for (const outcome of outcomes) {
    if (outcome.kind !== "dropped" || outcome.eventId === null || outcome.lacksKeysOf === undefined) continue;
    // With a server that is not talked to, there never will be any.
    if (mayTalkTo(server.config, outcome.lacksKeysOf)) search.unverified.add(outcome.eventId);
  }
  return batch.filter((_, index) => outcomes[index]?.kind === "missing");
}

function batchesOf(events: readonly Fetched[]): Fetched[][] {
  const batches: Fetched[][] = [];
  let batch: Fetched[] = [];
  let length = 0;
  for (const event of events) {
    if (batch.length >= maxOutliers || length + event.text.length > maxOutlierText) {
      batches.push(batch);
      batch = [];
      length = 0;
    }
    batch.push(event);
    length += event.text.length;
  }
  return batch.length === 0 ? batches : [...batches, batch];
}

async function findUnknown({ server, roomId }: Search, eventIds: readonly EventId[]): Promise<EventId[]> {
  const unknown: EventId[] = [];
  for (let start = 0; start < eventIds.length; start += maxIds) {
    unknown.push(...(await server.actors.room(roomId).findUnknown(eventIds.slice(start, start + maxIds))));
  }
  return unknown;
}

/** Those that are events, the least deep first. */
export function inDepthOrder(texts: readonly PduText[]): Fetched[] {
  const events: Fetched[] = [];
  for (const text of texts) {
    const pdu = parseExactly(text);
    if (isObject(pdu)) events.push({ text, pdu, depth: numberValue(field(pdu, "depth")) ?? 0 });
  }
  return events.sort((left, right) => left.depth - right.depth);
}

/** Whether one more request may be made, or one that counts for more. */
export function spend(search: Search, requests = 1): boolean {
  const { inbox } = search.server.memory;
  const now = search.server.clock.now();
  if (now >= inbox.requests.sinceTs + 60_000) inbox.requests = { sinceTs: now, count: 0 };
  if (search.requestsLeft < requests || inbox.requests.count + requests > maxRequestsPerMinute) return false;
  search.requestsLeft -= requests;
  inbox.requests.count += requests;
  return true;
}

/** Notes what could not be had of the server. */
export function complain({ server, roomId }: Search, message: string, reason: string): void {
  server.log.info(message, { origin: server.serverName, room_id: roomId, reason });
}
