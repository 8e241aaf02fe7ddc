/**
 * Makes a room whole whose members were left out when it was joined: the whole states are fetched on which its events here
 * stand (by egress, from the servers in the room in turn), and then everything is looked at anew (`replay.ts`).
 *
 * Each step is stored, and small but for the last. One worker at a time; the alarm finds another when it is lost, which goes
 * on where that one ended.
 */
import { encodeBase64Url } from "../../shared/base64.ts";
import { errors } from "../../shared/errors.ts";
import type { ServerName } from "../../shared/ids.ts";
import { describeError } from "../../shared/log.ts";
import type { CompletionStep, RoomForJoining } from "../../shared/rpc/room-joining.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { Taken } from "./import.ts";
import { endWaits } from "./partial-state.ts";
import { becomeWhole, replayEvents } from "./replay.ts";
import { isResident } from "./residency.ts";
import { fetchSigningKey } from "./signing.ts";
import { entriesOf, getEntry } from "./state-tree.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { PartialState } from "./store/partial-state-rows.ts";
import { RemoteJoinStore } from "./store/remote-join.ts";
import { isToBeVerified, keepUnverified, nextToVerify, pauseVerifying } from "./unverified-state.ts";

type Input<Method extends keyof RoomForJoining> = Parameters<RoomForJoining[Method]>[0];

/** When it is begun anew; twice as long each time, up to the longest. */
const retryPauseMs = 30_000;
const longestPauseMs = 60 * 60_000;
/** How often the alarm looks whether the worker is still there. */
const watchPauseMs = 60_000;
/** Events of one call, at most. */
const maxPdus = 500;
/** Servers that are asked for a state, at most, in one go. */
const maxServers = 10;

/**
 * The worker that the living instance of a room waits for: it ends when nobody waits for it any more. So one that this
 * instance does not wait for is gone, or will find that another has taken its place.
 */
const awaited = new WeakMap<RoomContext, string>();

/** The alarm's part: finds a worker where there is none. */
export function continueCompletion(room: RoomContext): void {
  const partial = room.store.partialState.find();
  // Nobody sends us the room's events any more. Whoever joins again is told its state anew.
  if (partial === null || !isResident(room, room.store)) return;
  const now = room.clock.now();
  const isUnderWay = partial.workerId !== null && awaited.get(room) === partial.workerId;
  const dueTs = isUnderWay ? now + watchPauseMs : partial.retryTs;
  if (dueTs > now) {
    room.alarm.ensure(dueTs);
    return;
  }
  const workerId = encodeBase64Url(room.random.bytes(12));
  // Also should it be its fault that this instance ends.
  const retryTs = now + pauseAfter(partial.attempts);
  room.store.transaction((tx) => {
    tx.partialState.setWorker(workerId, { retryTs, attempts: partial.attempts + 1 });
    room.alarm.ensure(retryTs);
  });
  awaited.set(room, workerId);
  // Not in the alarm itself, which would do nothing else for minutes.
  room.background(() => waitForWorker(room, workerId));
}

async function waitForWorker(room: RoomContext, workerId: string): Promise<void> {
  try {
    await room.egress.completeState({ roomId: room.roomId, workerId });
  } catch (thrown) {
    room.log.warn("room not made whole", { room_id: room.roomId, error: describeError(thrown) });
  } finally {
    if (awaited.get(room) === workerId) awaited.delete(room);
  }
}

function pauseAfter(attempts: number): number {
  return Math.min(retryPauseMs * 2 ** attempts, longestPauseMs);
}

/** What is to be done next; finds out what follows from states that are here. */
export async function advanceCompletion(
  room: RoomContext,
  { workerId }: Input<"advanceCompletion">,
): Promise<CompletionStep> {
  if (!room.store.partialState.isOn() || !isResident(room, room.store)) return { kind: "done" };
  const step = await commit(room, (tx): CompletionStep => {
    const partial = assertWorker(tx, workerId);
    const missing = tx.partialState.firstToFetch();
    if (missing !== null) {
      const { eventId } = tx.events.byNid(missing.eventNid);
      return { kind: "fetch", eventId, servers: serversToAsk(tx, partial), begun: partial.begun };
    }
    const unverified = nextToVerify(room, tx, partial);
    if (unverified !== null) return unverified;
    if (partial.isApplied && isToBeVerified(room)) pauseVerifying(room, tx, partial);
    else if (replayEvents(room, tx, partial)) becomeWhole(room, tx);
    else return { kind: "more" };
    return { kind: "done" };
  });
  if (step.kind === "done") endWaits(room);
  return step;
}

/** Whose answer was begun; who told the state that lacks members knows them; then those who have been in the room for longest. */
function serversToAsk(tx: RoomTransaction, { server, begun }: PartialState): ServerName[] {
  const first = begun === null ? [server] : [begun.server, server];
  return [...new Set([...first, ...tx.servers.longestIn(maxServers)])].slice(0, maxServers);
}

/** @throws MatrixError M_UNKNOWN (409) */
export function assertWorker(tx: RoomTransaction, workerId: string): PartialState {
  const partial = tx.partialState.find();
  if (partial?.workerId !== workerId) throw errors.conflict("The room's state is completed by another, or is whole");
  return partial;
}

/** Takes a part of the whole state before the event that is next. What was taken, is: a worker that is lost costs nothing of it. */
export async function takeWholeState(room: RoomContext, input: Input<"takeWholeState">): Promise<null> {
  const { workerId, server, isState, pdus, keys, progress } = input;
  if (pdus.length > maxPdus) throw new Error(`a batch of ${pdus.length} PDUs was not cut down`);
  const key = await fetchSigningKey(room);
  await commit(room, (tx) => {
    const { begun } = assertWorker(tx, workerId);
    // What two servers tell is not mixed.
    if (begun !== null && begun.server !== server) tx.partialState.dropFetched();
    const taken = new Taken(room, tx, { key, waiting: waitingOf(room) });
    taken.takeAll(pdus, { isState, keys, rules: tx.room.rules() });
    addToFetched(tx, assertWorker(tx, workerId), taken);
    tx.partialState.setBegun({ server, ...progress });
  });
  return null;
}

/** Drops what was begun. */
export async function dropWholeState(room: RoomContext, { workerId }: Input<"dropWholeState">): Promise<null> {
  return await commit(room, (tx) => {
    assertWorker(tx, workerId);
    tx.partialState.dropFetched();
    return null;
  });
}

function waitingOf(room: RoomContext): RemoteJoinStore {
  return new RemoteJoinStore(room.sql, "partial_state_waiting");
}

/** Only members are added, whom the state as it was told lacks: who tells the rest cannot change what is known. */
function addToFetched(tx: RoomTransaction, { fetchedRoot }: PartialState, taken: Taken): void {
  const told = tx.partialState.firstToFetch()?.told[0]?.root ?? null;
  const isLeftOut = (stateKeyNid: number): boolean => getEntry(tx.stateNodes, told, stateKeyNid) === 0;
  const root = taken.stateOn(
    fetchedRoot ?? told,
    (type, stateKeyNid) => type === "m.room.member" && isLeftOut(stateKeyNid),
  );
  tx.partialState.setFetchedRoot(root);
}

/** All of a state was given, as far as there was more of it. */
export async function finishWholeState(
  room: RoomContext,
  input: Input<"finishWholeState">,
): Promise<{ kind: "more" | "taken" | "refused" }> {
  const key = await fetchSigningKey(room);
  return await commit(room, (tx) => {
    const partial = assertWorker(tx, input.workerId);
    const wanted = tx.partialState.firstToFetch();
    if (wanted === null || tx.events.byNid(wanted.eventNid).eventId !== input.eventId) return { kind: "refused" };
    const told = wanted.told[0]?.root ?? null;
    const isOf = partial.begun?.server === input.server;
    if (!isOf || input.stateEvents < [...entriesOf(tx.stateNodes, told)].length) {
      tx.partialState.dropFetched();
      return { kind: "refused" };
    }
    const taken = new Taken(room, tx, { key, waiting: waitingOf(room) });
    if (taken.takeReleased()) {
      addToFetched(tx, partial, taken);
      return { kind: "more" };
    }
    // Only of the state that was told first: what later ones have beside it comes by itself.
    if (tx.partialState.eventsAfter(0, 1)[0]?.sequence === wanted.sequence)
      keepUnverified(room, "partial_state_waiting");
    tx.partialState.setFetched(wanted.sequence, partial.fetchedRoot ?? told);
    return { kind: "taken" };
  });
}

/** No server could help: it is tried anew, later. */
export async function postponeCompletion(room: RoomContext, { workerId }: Input<"postponeCompletion">): Promise<null> {
  return await commit(room, (tx) => {
    const { attempts } = assertWorker(tx, workerId);
    const retryTs = room.clock.now() + pauseAfter(Math.max(0, attempts - 1));
    tx.partialState.setIdle(retryTs);
    room.alarm.ensure(retryTs);
    return null;
  });
}
