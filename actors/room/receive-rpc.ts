/**
 * What the actors of other servers hand to the room: events as JSON text, with the keys that they are to be checked by. Each
 * goes through `admitPdu` of `receive.ts`.
 */
import type { EventId, ServerName } from "../../shared/ids.ts";
import { isObject, type JsonObject } from "../../shared/json.ts";
import { parseExactly } from "../../shared/matrix/exact-numbers.ts";
import { type KeyRing, keysForEvent } from "../../shared/matrix/key-ring.ts";
import { rulesFor } from "../../shared/matrix/room-version.ts";
import type { PduOutcome, PduText, RoomForInbox } from "../../shared/rpc/room-peers.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { isPartial } from "./partial-state.ts";
import { admitPdu, type KeyLookup, receiveFetched, receivePdus } from "./receive.ts";
import { applyHeldReceipts } from "./remote-ephemeral.ts";
import { parsePdu, takeFromOutside } from "./remote-membership.ts";
import { isResident } from "./residency.ts";
import { setEntries } from "./state-tree.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { ToldState } from "./store/partial-state-rows.ts";
import { RemoteJoinStore } from "./store/remote-join.ts";

type Input<Method extends keyof RoomForInbox> = Parameters<RoomForInbox[Method]>[0];

/** Outliers of one call, at most. */
const maxOutliers = 500;
/** Events that one call asks after, at most. */
const maxAskedAfter = 20_000;
/** Ends of the graph that another server is told, so that it does not give what is here. */
const maxToldEnds = 50;

/** Takes events of a transaction, or fetched ones; see {@link RoomForInbox}. */
export async function receiveBatch(room: RoomContext, input: Input<"receivePdus">): Promise<PduOutcome[]> {
  if (!isResident(room, room.store)) return beforeJoin(room, input);
  const keysFor = lookupIn(input.keys);
  const outcomes = await eachParsed(input.pdus, (pdus) =>
    input.areFetched
      ? receiveFetched(room, pdus, { keysFor, isOutlier: false })
      : receivePdus(room, input.origin, pdus, keysFor),
  );
  await applyHeldReceipts(room, idsOfAccepted(outcomes));
  return outcomes;
}

/** Takes events of auth chains and states, in any order. */
export async function receiveOutliers(room: RoomContext, input: Input<"receiveOutliers">): Promise<PduOutcome[]> {
  if (input.pdus.length > maxOutliers) throw new Error(`${input.pdus.length} outliers were not cut down`);
  if (!isResident(room, room.store)) return input.pdus.map(() => dropped("this server is not in the room"));
  const receipt = { keysFor: lookupIn(input.keys), isOutlier: true };
  return await eachParsed(input.pdus, (pdus) => receiveFetched(room, pdus, receipt));
}

/**
 * Takes an event on the states that another server told of those of its prev events that are not here. What it claims is
 * resolved with the state of this server's own part of the graph, and never takes its place.
 */
export async function receiveAfterGap(room: RoomContext, input: Input<"receiveAfterGap">): Promise<PduOutcome> {
  if (!isResident(room, room.store)) return dropped("this server is not in the room");
  const pdu = jsonOf(input.pdu);
  if (pdu === null) return dropped("it is no JSON object");
  const outcome = await commit(room, (tx): PduOutcome => {
    const stateOfMissing: ToldState[] = [];
    for (const { prevEventId, stateIds } of input.states) {
      const told = toldStateOf(tx, stateIds);
      if (told === null) return dropped(`the state after ${prevEventId} lacks the room's create event`);
      stateOfMissing.push(told);
    }
    return admitPdu(room, pdu, { keysFor: lookupIn(input.keys), isOutlier: false, stateOfMissing });
  });
  await applyHeldReceipts(room, idsOfAccepted([outcome]));
  return outcome;
}

/**
 * Of a room that this server is not in, nothing is taken but how invites and knocks of local users end; while a user is
 * joining it, what happens there waits.
 */
function beforeJoin(room: RoomContext, { pdus, keys }: Input<"receivePdus">): PduOutcome[] {
  const join = new RemoteJoinStore(room.sql).find();
  const rules = join === null ? null : rulesFor(join.roomVersion);
  return pdus.map((text) => {
    const taken = takeFromOutside(room, text, keys);
    if (taken !== null) return { kind: "outlier", eventId: taken };
    const event = rules === null ? null : parsePdu(text, rules);
    if (event === null || event.roomId !== room.roomId) return dropped("this server is not in the room");
    return { kind: "missing", eventId: event.eventId, prevEvents: [], authEvents: [] };
  });
}

function idsOfAccepted(outcomes: readonly PduOutcome[]): EventId[] {
  return outcomes.flatMap((outcome) => (outcome.kind === "accepted" ? [outcome.eventId] : []));
}

/** The state of these events; null when it has no beginning. */
export function toldStateOf(tx: RoomTransaction, eventIds: readonly EventId[]): ToldState | null {
  const entries = new Map<number, number>();
  const doubtful: number[] = [];
  const create = tx.stateKeys.find("m.room.create", "");
  for (let start = 0; start < eventIds.length; start += maxAskedAfter) {
    const told = tx.events.stateKeysOf(eventIds.slice(start, start + maxAskedAfter));
    if (isPartial(tx)) doubtful.push(...tx.partialState.doubtfulOf(told.map(({ eventNid }) => eventNid)));
    for (const found of told) {
      if (found.status === "rejected") continue;
      entries.set(tx.stateKeys.intern(found.type, found.stateKey), found.eventNid);
    }
  }
  return create !== null && entries.has(create) ? { root: setEntries(tx.stateNodes, null, entries), doubtful } : null;
}

/** Which of these events are not here. */
export function findUnknown(room: RoomContext, eventIds: readonly EventId[]): EventId[] {
  if (eventIds.length > maxAskedAfter) throw new Error(`${eventIds.length} event ids were not cut down`);
  return room.store.room.find() === null ? [...eventIds] : room.store.events.unknownOf(eventIds);
}

/** What `get_missing_events` asks with; null where this server is not in the room. */
export function getEnds(
  room: RoomContext,
): { roomVersion: string; forwardExtremities: EventId[]; minDepth: number } | null {
  const { store } = room;
  if (!isResident(room, store)) return null;
  const oldest = store.events.oldestPosition();
  return {
    roomVersion: store.room.get().roomVersion,
    forwardExtremities: store.extremities.forward(maxToldEnds).map(({ eventId }) => eventId),
    minDepth: oldest === null ? 0 : (store.events.atPosition(oldest)?.depth ?? 0),
  };
}

function lookupIn(keys: KeyRing): KeyLookup {
  return (server: ServerName, validAt) => keysForEvent(keys, server, validAt);
}

/** Hands on what can be parsed; the outcomes are those of all, in their order. */
async function eachParsed(
  texts: readonly PduText[],
  receive: (pdus: readonly JsonObject[]) => Promise<PduOutcome[]>,
): Promise<PduOutcome[]> {
  const parsed = texts.map(jsonOf);
  const outcomes = await receive(parsed.filter((pdu) => pdu !== null));
  const remaining = outcomes.values();
  return parsed.map((pdu) => (pdu === null ? undefined : remaining.next().value) ?? dropped("it is no JSON object"));
}

function jsonOf(text: PduText): JsonObject | null {
  try {
    const value = parseExactly(text);
    return isObject(value) ? value : null;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return null;
    throw thrown;
  }
}

function dropped(reason: string): PduOutcome {
  return { kind: "dropped", eventId: null, reason };
}
