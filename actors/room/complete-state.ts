/**
 * Makes a room whole whose members were left out when it was joined: the whole states are fetched on which its events here
 * stand (by egress, from the servers in the room in turn), and then everything is looked at anew (`replay.ts`).
 *
 * Each step is stored, and small but for the last. One worker at a time; the alarm finds another when it is lost.
 */
import { encodeBase64Url } from "../../shared/base64.ts";
import { errors } from "../../shared/errors.ts";
import type { ServerName } from "../../shared/ids.ts";
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
import type { PartialState } from "./store/partial-state.ts";
import { RemoteJoinStore } from "./store/remote-join.ts";

type Input<Method extends keyof RoomForJoining> = Parameters<RoomForJoining[Method]>[0];

/** How long a worker may be silent before it is taken to be lost. */
const leaseMs = 3 * 60_000;
/** When it is begun anew; twice as long each time, up to the longest. */
const retryPauseMs = 30_000;
const longestPauseMs = 60 * 60_000;
/** Events of one call, at most. */
const maxPdus = 500;
/** Servers that are asked for a state, at most, in one go. */
const maxServers = 10;

/** The alarm's part: finds a worker where there is none. */
export async function continueCompletion(room: RoomContext): Promise<void> {
  const partial = room.store.partialState.find();
  // Nobody sends us the room's events any more. Whoever joins again is told its state anew.
  if (partial === null || !isResident(room, room.store)) return;
  const now = room.clock.now();
  const dueTs = Math.max(partial.leaseTs, partial.retryTs);
  if (dueTs > now) {
    room.alarm.ensure(dueTs);
    return;
  }
  const workerId = encodeBase64Url(room.random.bytes(12));
  const leaseTs = now + leaseMs;
  room.store.transaction((tx) => {
    tx.partialState.setWorker(workerId, { leaseTs, attempts: partial.attempts + 1 });
    room.alarm.ensure(leaseTs);
  });
  await room.egress.completeState({ roomId: room.roomId, workerId });
}

/** What is to be done next; finds out what follows from states that are here. */
export async function advanceCompletion(
  room: RoomContext,
  { workerId }: Input<"advanceCompletion">,
): Promise<CompletionStep> {
  if (!room.store.partialState.isOn() || !isResident(room, room.store)) return { kind: "done" };
  const step = await commit(room, (tx): CompletionStep => {
    const partial = renew(room, tx, workerId);
    const missing = tx.partialState.firstToFetch();
    if (missing !== null) {
      const { eventId } = tx.events.byNid(missing.eventNid);
      return { kind: "fetch", eventId, servers: serversToAsk(tx, partial) };
    }
    if (!replayEvents(room, tx, partial)) return { kind: "more" };
    becomeWhole(room, tx);
    return { kind: "done" };
  });
  if (step.kind === "done") endWaits(room);
  return step;
}

/** Who told the state that lacks members knows them; then those who have been in the room for longest. */
function serversToAsk(tx: RoomTransaction, { server }: PartialState): ServerName[] {
  return [...new Set([server, ...tx.servers.longestIn(maxServers)])].slice(0, maxServers);
}

/** @throws MatrixError M_UNKNOWN (409) */
function renew(room: RoomContext, tx: RoomTransaction, workerId: string): PartialState {
  const partial = tx.partialState.find();
  if (partial?.workerId !== workerId) throw errors.conflict("The room's state is completed by another, or is whole");
  const now = room.clock.now();
  // Not with each of a hundred calls in a second.
  if (partial.leaseTs < now + leaseMs / 2) tx.partialState.setLease(now + leaseMs);
  return partial;
}

/** Takes a part of the whole state before the event that is next. */
export async function takeWholeState(room: RoomContext, input: Input<"takeWholeState">): Promise<null> {
  const { workerId, isState, pdus, keys } = input;
  if (pdus.length > maxPdus) throw new Error(`a batch of ${pdus.length} PDUs was not cut down`);
  const key = await fetchSigningKey(room);
  await commit(room, (tx) => {
    const partial = renew(room, tx, workerId);
    const taken = new Taken(room, tx, { key, waiting: waitingOf(room) });
    taken.takeAll(pdus, { isState, keys, rules: tx.room.rules() });
    addToFetched(tx, partial, taken);
  });
  return null;
}

function waitingOf(room: RoomContext): RemoteJoinStore {
  return new RemoteJoinStore(room.sql, "partial_state_waiting");
}

/** Only members are added, whom the state as it was told lacks: who tells the rest cannot change what is known. */
function addToFetched(tx: RoomTransaction, { fetchedRoot }: PartialState, taken: Taken): void {
  const told = tx.partialState.firstToFetch()?.told[0] ?? null;
  const root = taken.stateOn(fetchedRoot ?? told, (stateKeyNid) => {
    if (getEntry(tx.stateNodes, told, stateKeyNid) !== 0) return false;
    return tx.stateKeys.byNid(stateKeyNid).type === "m.room.member";
  });
  tx.partialState.setFetchedRoot(root);
}

/** All of a state was given, as far as there was more of it. */
export async function finishWholeState(
  room: RoomContext,
  input: Input<"finishWholeState">,
): Promise<{ kind: "more" | "taken" | "refused" }> {
  const key = await fetchSigningKey(room);
  return await commit(room, (tx) => {
    const partial = renew(room, tx, input.workerId);
    const wanted = tx.partialState.firstToFetch();
    if (wanted === null || tx.events.byNid(wanted.eventNid).eventId !== input.eventId) return { kind: "refused" };
    const told = wanted.told[0] ?? null;
    if (!input.isWhole || input.stateEvents < [...entriesOf(tx.stateNodes, told)].length) {
      tx.partialState.dropFetched();
      return { kind: "refused" };
    }
    const taken = new Taken(room, tx, { key, waiting: waitingOf(room) });
    if (taken.takeReleased()) {
      addToFetched(tx, partial, taken);
      return { kind: "more" };
    }
    tx.partialState.setFetched(wanted.sequence, partial.fetchedRoot ?? told);
    return { kind: "taken" };
  });
}

/** No server could help: it is tried anew, later. */
export async function postponeCompletion(room: RoomContext, { workerId }: Input<"postponeCompletion">): Promise<null> {
  return await commit(room, (tx) => {
    const { attempts } = renew(room, tx, workerId);
    const retryTs = room.clock.now() + Math.min(retryPauseMs * 2 ** Math.max(0, attempts - 1), longestPauseMs);
    tx.partialState.setIdle(retryTs);
    room.alarm.ensure(retryTs);
    return null;
  });
}
