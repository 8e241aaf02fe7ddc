/**
 * The room as another server tells it to one that joins: its state and auth chains are taken as outliers, each by the one
 * door, as soon as the events that authorize it are here; then the join is placed on that state.
 *
 * Every step is stored, and small: a large room comes in many calls, and goes on where it stopped.
 */
import type { EventId } from "../../shared/ids.ts";
import { roomVersionOf } from "../../shared/matrix/content/create.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { createEventIdOf } from "../../shared/matrix/event-id.ts";
import type { KeyRing } from "../../shared/matrix/key-ring.ts";
import type { RoomVersionRules } from "../../shared/matrix/room-version.ts";
import type { VerifyKeys } from "../../shared/matrix/signing.ts";
import type { JoinProgress, OmittedMembers, RoomForJoining } from "../../shared/rpc/room-joining.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { applyCurrentState } from "./current-state.ts";
import { formerEnds, withFormerEnds } from "./former-ends.ts";
import { endLease, forgetTold, renewJoin } from "./join-lease.ts";
import { noteMembers } from "./new-members.ts";
import { noteRoom, noteRoomLater } from "./noting.ts";
import { beginPartial } from "./partial-state.ts";
import { admitPdu } from "./receive.ts";
import { parsePdu } from "./remote-membership.ts";
import { isHere } from "./residency.ts";
import { followServers } from "./servers.ts";
import { fetchSigningKey, keyLookup, ownVerifyKeys } from "./signing.ts";
import { findStateAt } from "./state.ts";
import { differencesOf, type StateRoot, setEntries } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomTransaction } from "./store/index.ts";
import { OutsideStore } from "./store/outside.ts";
import { forKeys, type JoinUnderWay, RemoteJoinStore, type WaitingEvent } from "./store/remote-join.ts";
import { hasUnverified, keepUnverified, mayPassLater, serversUnverified } from "./unverified-state.ts";
import { deliverWakesTo, oweWakes } from "./wakes.ts";

/** Events that are taken in one call, at most. */
const batchSize = 500;

/** The room cannot be begun, or gone on with, as it was told. Undoes the transaction that it is thrown in. */
class ToldWrong extends Error {}

/** What this server has known of the room before, and was not told, does not let the user in. */
class KnownBetter extends ToldWrong {}

/** Takes a part of what a server tells. @throws MatrixError M_UNKNOWN (409) when the join is over */
export async function takeJoinState(
  room: RoomContext,
  { joinId, isState, pdus, keys }: Parameters<RoomForJoining["takeJoinState"]>[0],
): Promise<null> {
  if (pdus.length > batchSize) throw new Error(`a batch of ${pdus.length} PDUs was not cut down`);
  const key = await fetchSigningKey(room);
  await commit(room, (tx) => {
    const join = renewJoin(room, joinId);
    beginRoom(room, tx, join);
    const rules = tx.room.rules();
    const taken = new Taken(room, tx, { key, waiting: new RemoteJoinStore(room.sql) });
    taken.takeAll(pdus, { isState, keys, rules });
    setStateRoot(room, taken.stateOn(join.stateRoot));
  });
  return null;
}

function setStateRoot(room: RoomContext, root: StateRoot): void {
  new RemoteJoinStore(room.sql).setStateRoot(root);
}

/** The room's row, of the version that it was told to have; nothing is part of the room yet. */
function beginRoom(room: RoomContext, tx: RoomTransaction, { roomVersion }: JoinUnderWay): void {
  const facts = tx.room.find();
  if (facts?.roomVersion === roomVersion) return;
  if (facts !== null && facts.stateRoot !== null) throw new Error("a room's version changed while it was being joined");
  forgetTold(room, tx);
  tx.room.insert(roomVersion, new OutsideStore(room.sql).newestPosition());
}

/** Of the keys of a batch, those of the servers that may have signed this event. */
function ringFor(event: MatrixEvent, keys: KeyRing): KeyRing {
  const signatures = event.pdu.signatures;
  const signers = new Set(typeof signatures === "object" && signatures !== null ? Object.keys(signatures) : []);
  return Object.fromEntries(Object.entries(keys).filter(([server]) => signers.has(server)));
}

/** What one call takes of a state and its auth chains. */
export class Taken {
  readonly #room: RoomContext;
  readonly #tx: RoomTransaction;
  readonly #waiting: RemoteJoinStore;
  readonly #own: VerifyKeys;
  /** Events that are known to be here. */
  readonly #here = new Set<EventId>();
  /** Those of the state, in their order. */
  readonly #state: EventId[] = [];
  #isAnyWaiting: boolean;
  #bad = 0;

  /** @param with `waiting`: where events wait for those that authorize them */
  constructor(room: RoomContext, tx: RoomTransaction, { key, waiting }: { key: SigningKey; waiting: RemoteJoinStore }) {
    this.#room = room;
    this.#tx = tx;
    this.#waiting = waiting;
    this.#own = ownVerifyKeys(key);
    this.#isAnyWaiting = waiting.isAnyWaiting();
  }

  takeAll(pdus: readonly PduText[], input: { isState: boolean; keys: KeyRing; rules: RoomVersionRules }): void {
    const parsed = pdus.map((pdu) => ({ pdu, event: parsePdu(pdu, input.rules) }));
    this.#lookFor(parsed.map(({ event }) => event));
    for (const { pdu, event } of parsed) {
      if (event === null) this.countBad();
      else this.take(event, { eventId: event.eventId, isState: input.isState, keys: input.keys, pdu });
    }
  }

  /** Takes the next of those that have waited, a part of them. @returns false when there were none */
  takeReleased(): boolean {
    const released = this.#waiting.released(batchSize);
    if (released.length === 0) return false;
    const rules = this.#tx.room.rules();
    const parsed = released.map((input) => ({ input, event: parsePdu(input.pdu, rules) }));
    this.#lookFor(parsed.map(({ event }) => event));
    for (const { input, event } of parsed) {
      const waits = event !== null && this.take(event, input);
      if (!waits) this.#waiting.deleteWaiting(input.eventId);
    }
    return true;
  }

  /** Takes an event, or lets it wait for the first that it lacks. @returns whether it waits */
  take(event: MatrixEvent, input: WaitingEvent): boolean {
    // What is here is not checked, hashed and stored again.
    if (this.#here.has(event.eventId)) {
      this.#noteTaken(event, input);
      return false;
    }
    const missing = this.#neededBy(event).find((eventId) => !this.#here.has(eventId));
    if (missing !== undefined) {
      this.#isAnyWaiting = true;
      this.#waiting.putWaiting({ ...input, keys: ringFor(event, input.keys) }, missing);
      return true;
    }
    const keysFor = keyLookup(this.#room, this.#own, input.keys);
    const outcome = admitPdu(this.#room, event.pdu, { keysFor, isOutlier: true });
    if (outcome.kind === "dropped" && mayPassLater(this.#room, outcome)) {
      this.#waiting.putWaiting({ ...input, keys: {} }, forKeys);
      return true;
    }
    if (outcome.kind === "dropped" || outcome.kind === "missing") {
      this.countBad();
      return false;
    }
    this.#here.add(event.eventId);
    this.#noteTaken(event, input);
    return false;
  }

  #noteTaken({ eventId }: MatrixEvent, { isState }: WaitingEvent): void {
    if (this.#isAnyWaiting) this.#waiting.release(eventId);
    if (isState) this.#state.push(eventId);
  }

  /** Looks which of these events, and of those that they need, are here. */
  #lookFor(events: readonly (MatrixEvent | null)[]): void {
    const ids = new Set<EventId>();
    for (const event of events) {
      if (event === null) continue;
      for (const eventId of [event.eventId, ...this.#neededBy(event)]) if (!this.#here.has(eventId)) ids.add(eventId);
    }
    const unknown = new Set(this.#tx.events.unknownOf([...ids]));
    for (const eventId of ids.difference(unknown)) this.#here.add(eventId);
  }

  countBad(): void {
    this.#bad += 1;
  }

  /**
   * A state with what was taken.
   * @param mayAdd which keys may be added to it; unless it is given, all
   */
  stateOn(root: StateRoot, mayAdd: (type: string, stateKeyNid: number) => boolean = () => true): StateRoot {
    if (this.#bad > 0) this.#room.log.warn("bad events in a state", { room_id: this.#room.roomId, count: this.#bad });
    const found = this.#tx.events.stateKeysOf(this.#state).filter(({ status }) => status !== "rejected");
    const nids = this.#tx.stateKeys.internAll(found.map(({ type, stateKey }) => [type, stateKey]));
    const added = found
      .map((entry, index) => ({ ...entry, stateKeyNid: nids[index] ?? 0 }))
      .filter(({ type, stateKeyNid }) => mayAdd(type, stateKeyNid));
    noteMembers(this.#room, this.#tx, added);
    const entries = added.map(({ stateKeyNid, eventNid }) => [stateKeyNid, eventNid] as const);
    return setEntries(this.#tx.stateNodes, root, new Map(entries));
  }

  #neededBy(event: MatrixEvent): MatrixEvent["authEvents"] {
    // Nothing names the create event where the room id does, but it authorizes all the same.
    const isNamed = this.#tx.room.rules().createIsAuthEvent || event.type === "m.room.create";
    return isNamed ? event.authEvents : [createEventIdOf(this.#room.roomId), ...event.authEvents];
  }
}

/** All of the state is here: goes on with it, a part at each call. */
export async function finishJoin(
  room: RoomContext,
  { joinId, pdu, keys, omitted }: Parameters<RoomForJoining["finishJoin"]>[0],
): Promise<JoinProgress> {
  await commit(room, () => {
    if (renewJoin(room, joinId).step !== "place") new RemoteJoinStore(room.sql).setComplete({ pdu, keys, omitted });
  });
  return placeJoin(room, joinId);
}

/** Takes the next of the events that have waited or, when there are none, places the join. */
export async function placeJoin(room: RoomContext, joinId: string): Promise<JoinProgress> {
  const key = await fetchSigningKey(room);
  const { userId } = renewJoin(room, joinId);
  try {
    const progress = await commit(room, (tx): JoinProgress => {
      const join = renewJoin(room, joinId);
      return takeReleased(room, tx, key, join) ? { kind: "more" } : conclude(room, tx, key, join);
    });
    if (progress.kind !== "joined") return progress;
    endLease(room, joinId);
    room.background(() => noteRoom(room));
    await deliverWakesTo(room, [userId]);
    return progress;
  } catch (thrown) {
    if (!(thrown instanceof ToldWrong)) throw thrown;
    return { kind: "failed", reason: thrown.message, isRefused: thrown instanceof KnownBetter };
  }
}

/** @returns false when there was nothing to take */
function takeReleased(room: RoomContext, tx: RoomTransaction, key: SigningKey, join: JoinUnderWay): boolean {
  const taken = new Taken(room, tx, { key, waiting: new RemoteJoinStore(room.sql) });
  if (!taken.takeReleased()) return false;
  setStateRoot(room, taken.stateOn(join.stateRoot));
  return true;
}

/** Places the join on the state that was told. What still waits for events that nobody gave is left out of it. */
function conclude(room: RoomContext, tx: RoomTransaction, key: SigningKey, join: JoinUnderWay): JoinProgress {
  const waiting = new RemoteJoinStore(room.sql);
  const facts = tx.room.find();
  const event = facts === null ? null : parsePdu(join.pdu, tx.room.rules());
  if (facts === null || event === null) throw new ToldWrong("no state was told");
  const left = waiting.countWaiting();
  if (left > 0) room.log.warn("events in a join without their auth events", { room_id: room.roomId, count: left });
  assertOwnState(tx, join);
  const eventId = place(room, tx, { key, join, event });
  waiting.deleteAllWaiting();
  waiting.delete();
  tx.memberships.forgetTold();
  new OutsideStore(room.sql).delete(join.userId);
  noteRoomLater(room);
  return { kind: "joined", eventId };
}

/** The join on the state that was told, which is the room's where this server was not in it. */
function place(
  room: RoomContext,
  tx: RoomTransaction,
  { key, join, event }: { key: SigningKey; join: JoinUnderWay; event: MatrixEvent },
): EventId {
  const waiting = new RemoteJoinStore(room.sql);
  const isAnew = !isHere(room, tx);
  const omitted = waiting.omitted();
  const isUnverified = isAnew && hasUnverified(room);
  // Another server may have been quicker to send the join, to a room that is known here: then nothing is unknown by it.
  const isPlaced = !isAnew && (tx.events.byId(event.eventId)?.stateRootAfter ?? null) !== null;
  const mayLackMembers = !isPlaced && (omitted !== null || isUnverified);
  const former = isAnew ? formerEnds(room, tx, { root: join.stateRoot, join: event, mayLackMembers }) : [];
  if (isAnew) {
    tx.partialState.end();
    // A state without its members can be resolved with no other: that follows when they are known.
    replaceState(room, tx, join.stateRoot, omitted === null ? former : []);
  }
  const told = { ...toldOf(room, join, omitted), isAnew, formerEnds: former.map(({ eventNid }) => eventNid) };
  if (mayLackMembers) beginPartial(room, tx, told);
  const receipt = {
    keysFor: keyLookup(room, ownVerifyKeys(key), waiting.keys()),
    isOutlier: false,
    stateOfMissing: join.stateRoot,
    isToldAnew: isAnew,
  };
  const outcome = admitPdu(room, event.pdu, receipt);
  if (outcome.kind !== "accepted" && outcome.kind !== "duplicate") {
    const reason = `the join is ${outcome.kind}${"reason" in outcome ? `: ${outcome.reason}` : ""}`;
    throw outcome.kind === "softFailed" && former.length > 0 ? new KnownBetter(reason) : new ToldWrong(reason);
  }
  // It may be allowed, and yet not be what the two states resolve to.
  if (former.length > 0 && !tx.memberships.isJoined(event.sender)) throw new KnownBetter("the join has no effect");
  if (omitted !== null) tx.partialState.markPartial(outcome.eventId);
  if (isUnverified) keepUnverified(room, "remote_join_events");
  return outcome.eventId;
}

/** Who told what of the room, where that is not all. */
function toldOf(room: RoomContext, { stateRoot: root, servers }: JoinUnderWay, omitted: OmittedMembers | null) {
  const { server = servers[0] ?? room.config.serverName, serversInRoom = [] } = omitted ?? {};
  const unverified = serversUnverified(room, "remote_join_events");
  return { root, server, servers: [...serversInRoom, ...unverified], lacksMembers: omitted !== null };
}

/** A state begins with the create event of this very room, of the version that was told. @throws ToldWrong */
function assertOwnState(tx: RoomTransaction, { stateRoot, roomVersion }: JoinUnderWay): void {
  const create = findStateAt(tx, stateRoot, "m.room.create", "");
  if (create === null) throw new ToldWrong("the state has no create event");
  if (roomVersionOf(create.event.content) !== roomVersion) {
    throw new ToldWrong("the room is not of the version that was told");
  }
}

/**
 * Makes the state that was told the room's current state, and ends the graph here: before, the room was not known or is
 * known as it was when this server was in it last.
 *
 * @param former old ends of the graph that are ends yet: the current state is resolved with theirs.
 */
function replaceState(room: RoomContext, tx: RoomTransaction, told: StateRoot, former: readonly EventRecord[]): void {
  const facts = tx.room.get();
  const { root, ends } = withFormerEnds(tx, told, former);
  const create = findStateAt(tx, root, "m.room.create", "");
  if (create === null) throw new Error("a state has no create event");
  // The join's own: what changes by what was told, changes by the join.
  const streamPosition = facts.streamPosition + 1;
  const differences = [...differencesOf(tx.stateNodes, facts.stateRoot, root)];
  const effect = applyCurrentState(room, tx, {
    facts,
    changes: differences.map(({ stateKeyNid, right }) => ({ stateKeyNid, eventNid: right })),
    cause: create,
    streamPosition,
  });
  const servers = followServers(room, tx, effect, { streamPosition, isSent: false });
  const { joinedMembers, invitedMembers } = effect;
  tx.extremities.deleteForward();
  for (const { eventNid } of ends) tx.extremities.replace(eventNid, []);
  tx.room.advance({ ...facts, stateRoot: root, joinedMembers, invitedMembers });
  oweWakes(room, { membershipChanges: effect.localMembers, isForServers: false, servers });
}
