/** Who works on a join by way of other servers, until when, and who waits for its end. */
import { encodeBase64Url } from "../../shared/base64.ts";
import { errors } from "../../shared/errors.ts";
import type { RoomContext } from "./context.ts";
import type { RoomTransaction } from "./store/index.ts";
import { type JoinUnderWay, RemoteJoinStore } from "./store/remote-join.ts";

/** How long whoever works on a join may be silent before it is taken to be dead. */
const leaseMs = 10 * 60_000;

/**
 * The lease of an instance. Until another server may have taken the join it is all there is: asking for rooms that nobody
 * has leaves nothing behind.
 */
interface Lease {
  joinId: string | null;
  untilTs: number;
  readonly waiting: Set<() => void>;
}
const leases = new WeakMap<RoomContext, Lease>();

function leaseOf(room: RoomContext): Lease {
  const lease = leases.get(room) ?? { joinId: null, untilTs: 0, waiting: new Set() };
  leases.set(room, lease);
  return lease;
}

/**
 * Begins a lease. Whoever worked for an instance that has ended is gone with it, and nobody waits for the end of their lease.
 * @returns null when another join is under way
 */
export function takeLease(room: RoomContext): string | null {
  const now = room.clock.now();
  const lease = leaseOf(room);
  if (lease.untilTs > now) return null;
  lease.joinId = encodeBase64Url(room.random.bytes(12));
  lease.untilTs = now + leaseMs;
  return lease.joinId;
}

/** Resolves when the join under way has ended, in whatever way, or its lease is over. */
export function waitForEnd(room: RoomContext): Promise<void> {
  const lease = leaseOf(room);
  const untilTs = Math.max(lease.untilTs, new RemoteJoinStore(room.sql).find()?.leaseTs ?? 0);
  room.alarm.ensure(untilTs);
  return new Promise((resolve) => lease.waiting.add(resolve));
}

/** Whether somebody works on a join. */
export function isLeased(room: RoomContext): boolean {
  return leaseOf(room).untilTs > room.clock.now();
}

/**
 * Until when the lease lasts from now on, for who holds it. After a crash, who held it goes on.
 * @throws MatrixError M_UNKNOWN (409) when another join is under way
 */
export function holdLease(room: RoomContext, joinId: string): number {
  const lease = leaseOf(room);
  const stored = new RemoteJoinStore(room.sql).find();
  const now = room.clock.now();
  const isLeased = lease.untilTs > now;
  const isStored = stored !== null && stored.leaseTs > now;
  if (isLeased ? lease.joinId !== joinId : isStored && stored.joinId !== joinId) throw overtaken();
  lease.joinId = joinId;
  lease.untilTs = now + leaseMs;
  return lease.untilTs;
}

/** The stored join of that id, whose lease begins anew. @throws MatrixError M_UNKNOWN (409) when it is over */
export function renewJoin(room: RoomContext, joinId: string): JoinUnderWay {
  const store = new RemoteJoinStore(room.sql);
  const join = store.find();
  if (join?.joinId !== joinId) throw overtaken();
  store.setLease(holdLease(room, joinId));
  return join;
}

function overtaken() {
  return errors.conflict("The join has ended, or another has taken its place");
}

/** Makes the lease over now, though the join has not ended: who holds it goes on later. */
export function releaseLease(room: RoomContext): void {
  const now = room.clock.now();
  leaseOf(room).untilTs = now;
  room.store.transaction(() => new RemoteJoinStore(room.sql).setIdle(now));
}

/** Lets those go on who wait for a join: it has ended, or (null) its lease is over. */
export function endLease(room: RoomContext, joinId: string | null): void {
  const lease = leases.get(room);
  if (lease === undefined || (joinId !== null && lease.joinId !== null && lease.joinId !== joinId)) return;
  leases.delete(room);
  for (const resolve of lease.waiting) resolve();
}

/** Drops the stored join, and what came with it and is not part of the room. */
export function deleteJoin(room: RoomContext): void {
  if (new RemoteJoinStore(room.sql).find() === null) return;
  room.store.transaction((tx) => {
    forgetTold(room, tx);
    new RemoteJoinStore(room.sql).delete();
  });
}

/** Drops what another server has told of the room and what is not part of it: all of it, where nothing is. */
export function forgetTold(room: RoomContext, tx: RoomTransaction): void {
  const store = new RemoteJoinStore(room.sql);
  store.deleteAllWaiting();
  const facts = tx.room.find();
  if (facts === null || facts.stateRoot !== null) return;
  store.deleteImported();
  tx.room.forgetAll();
}
