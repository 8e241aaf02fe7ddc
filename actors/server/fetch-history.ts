/**
 * Asking this server for a room's past, where a user has read back to where the past ends here.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import { backfillRoom, maxBackfill } from "../../shared/federation-api/backfill.ts";
import { fetchKeyRing } from "../../shared/federation-api/key-ring.ts";
import type { EventId, RoomId } from "../../shared/ids.ts";
import { field, type JsonObject, withFields } from "../../shared/json.ts";
import { referencedEvents } from "../../shared/matrix/event.ts";
import { checkEventFormat } from "../../shared/matrix/event-format.ts";
import { eventIdOf } from "../../shared/matrix/event-id.ts";
import { type RoomVersionRules, rulesFor } from "../../shared/matrix/room-version.ts";
import type { PduOutcome } from "../../shared/rpc/room-peers.ts";
import type { PeerServer } from "../../shared/rpc/server-peer.ts";
import type { ServerContext } from "./context.ts";
import {
  complain,
  type Fetched,
  fetchAuthEvents,
  fetchStateAfter,
  inDepthOrder,
  newSearch,
  type Search,
  spend,
} from "./seek-missing.ts";

type Wanted = Parameters<PeerServer["fetchHistory"]>[0];

/** Rooms whose past is asked for at the same time, at most. */
const maxAtOnce = 8;
/** How often events are given to their room, with more of what they lack. */
const maxRounds = 3;
/** States that are asked for at a time: where the graph was wide there. */
const maxStates = 5;
/** Events of the answers' beginnings that are looked for. */
const maxPrevEvents = 5_000;
/** Events of one answer whose auth chain is asked for, at most: each brings most of what the others need. */
const maxAuthChains = 5;
/** How long the server is not asked again for what it could not give, ms. */
const pauseMs = 5 * 60_000;
/** Failures that are remembered, at most. */
const maxRemembered = 1_000;

interface HistoryMemory {
  /** What is being asked for, so that all who want it wait for the same. */
  readonly running: Map<string, Promise<number>>;
  /** What was asked for in vain, and until when it is not asked for again, ms since epoch. */
  readonly pauses: Map<string, number>;
}

/** By the living instance of a server's actor. */
const memories = new WeakMap<ServerContext, HistoryMemory>();

/**
 * Fetches events that are missing in a room, and those before them, and gives them to the room.
 * @returns how many events the room has taken: none also where this server is asked for too much, or was in vain just now.
 */
export async function fetchHistory(server: ServerContext, wanted: Wanted): Promise<number> {
  const memory = memories.get(server) ?? { running: new Map(), pauses: new Map() };
  memories.set(server, memory);
  const { running, pauses } = memory;
  const key = JSON.stringify([wanted.roomId, wanted.after, wanted.from]);
  const underWay = running.get(key);
  if (underWay !== undefined) return await underWay;
  if (running.size >= maxAtOnce || (pauses.get(key) ?? 0) > server.clock.now()) return 0;
  const task = fetchAndGive(newSearch(server, wanted.roomId), wanted);
  running.set(key, task);
  try {
    const taken = await task;
    if (taken === 0) pauses.set(key, server.clock.now() + pauseMs);
    for (const oldest of pauses.keys()) {
      if (pauses.size <= maxRemembered) break;
      pauses.delete(oldest);
    }
    return taken;
  } finally {
    running.delete(key);
  }
}

async function fetchAndGive(search: Search, { roomId, from, after }: Wanted): Promise<number> {
  const { server } = search;
  if (!spend(search)) return 0;
  const asked = await backfillRoom(server.egress, server.serverName, roomId, { from, limit: maxBackfill });
  if (!asked.ok) {
    complain(search, "history not fetched", asked.reason);
    return 0;
  }
  const events = inDepthOrder(asked.value).slice(0, maxBackfill);
  if (events.length === 0) return 0;
  return await giveAll(search, { roomId, after }, events);
}

type States = { prevEventId: EventId; stateIds: EventId[] }[];

/** Gives events to their room, and what they lack: first the states where they begin, then what the room says. */
async function giveAll(
  search: Search,
  { roomId, after }: Pick<Wanted, "roomId" | "after">,
  events: readonly Fetched[],
): Promise<number> {
  const { server } = search;
  const room = server.actors.room(roomId);
  const keys = await fetchKeyRing(
    server,
    events.map(({ pdu }) => pdu),
  );
  const pdus = events.map(({ text }) => text);
  const states = await statesAfter(search, await beginningsOf(search, roomId, events));
  let taken = 0;
  for (let round = 0; round < maxRounds; round += 1) {
    const outcomes = await room.receiveHistory({ after, pdus, keys, states });
    taken += outcomes.filter(({ kind }) => kind === "accepted" || kind === "rejected").length;
    const missing = outcomes.filter((outcome) => outcome.kind === "missing");
    if (missing.length === 0) break;
    for (const { eventId, authEvents } of missing.filter(lacksAuthEvents).slice(0, maxAuthChains)) {
      await fetchAuthEvents(search, eventId, authEvents);
    }
    // Events that the room has dropped have left gaps of their own.
    const waiting = new Set(missing.map(({ eventId }) => eventId));
    const asked = new Set(states.map(({ prevEventId }) => prevEventId));
    const lost = new Set(
      missing.flatMap(({ prevEvents }) => prevEvents.filter((id) => !waiting.has(id) && !asked.has(id))),
    );
    states.push(...(await statesAfter(search, [...lost])));
  }
  return taken;
}

/** Events that some of these follow, and that are neither here nor among these. */
async function beginningsOf(search: Search, roomId: RoomId, events: readonly Fetched[]): Promise<EventId[]> {
  const room = search.server.actors.room(roomId);
  const rules = rulesFor((await room.getEnds())?.roomVersion ?? "");
  if (rules === null) return [];
  const ids = new Set(events.map(({ pdu }) => idOf(pdu, rules)));
  const prevEvents = new Set(events.flatMap(({ pdu }) => referencedEvents(field(pdu, "prev_events"))));
  return (await room.findUnplaced([...prevEvents].slice(0, maxPrevEvents))).filter((eventId) => !ids.has(eventId));
}

/** The states after some of these events, as far as the server tells them. */
async function statesAfter(search: Search, eventIds: readonly EventId[]): Promise<States> {
  const states: States = [];
  for (const prevEventId of eventIds.slice(0, maxStates)) {
    const stateIds = await fetchStateAfter(search, prevEventId);
    if (stateIds !== null) states.push({ prevEventId, stateIds });
  }
  return states;
}

function idOf(pdu: JsonObject, rules: RoomVersionRules): EventId | null {
  return checkEventFormat(withFields(pdu, { unsigned: undefined }), rules, { isPast: true }).ok
    ? eventIdOf(pdu, rules)
    : null;
}

function lacksAuthEvents({ authEvents }: Extract<PduOutcome, { kind: "missing" }>): boolean {
  return authEvents.length > 0;
}
