/**
 * Events of the state that was told to a joining server, and of its auth chains, that nobody could verify then, because the
 * keys of who signed them were to be had neither from that server nor from another. They are kept and tried again, for a day
 * and ever more seldom. When they pass, they are part of the state before the join, and everything is looked at anew
 * (`replay.ts`). Without that, this server and the others would never again agree on the room's state.
 */
import { mayTalkTo } from "../../shared/federation-api/peers.ts";
import { parseUserId, type ServerName, serverNameOf } from "../../shared/ids.ts";
import type { CompletionStep } from "../../shared/rpc/room-joining.ts";
import type { RoomContext } from "./context.ts";
import { firstVerifyPauseMs } from "./partial-state.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { PartialState } from "./store/partial-state-rows.ts";
import type { WaitingTable } from "./store/remote-join.ts";
import { UnverifiedStore } from "./store/unverified.ts";

const longestPauseMs = 2 * 60 * 60_000;
/** Events that are kept, at most: each may be of another server, which then is asked for its keys a dozen times. */
const maxUnverified = 2_000;
/** Servers that are sent what is said in the room because of members who cannot be verified, at most. */
const maxServers = 200;
/** Events that are tried at a time. */
export const maxToVerify = 100;
/** Servers that are asked for others' keys in one go. */
const maxNotaries = 3;

/** Whether events of the state that was told wait for keys. */
export function hasUnverified(room: RoomContext): boolean {
  return new UnverifiedStore(room.sql).isAny("remote_join_events");
}

/** Servers that are in the room if what cannot be verified is true. */
export function serversUnverified(room: RoomContext, table: WaitingTable): ServerName[] {
  const members = new UnverifiedStore(room.sql).joinedMembers(table).map(parseUserId);
  return [...new Set(members.filter((userId) => userId !== null).map(serverNameOf))].slice(0, maxServers);
}

/** Keeps what waits for keys, and what waits for that. */
export function keepUnverified(room: RoomContext, from: "remote_join_events" | "partial_state_waiting"): void {
  const store = new UnverifiedStore(room.sql);
  if (!store.isAny(from)) return;
  store.keepFrom(from, { limit: maxUnverified, mayTellAll: from === "remote_join_events" });
}

/** Whether there is anything left that may pass. */
export function isToBeVerified(room: RoomContext): boolean {
  return new UnverifiedStore(room.sql).isAny();
}

/** The next events that the worker is to fetch keys for; null: there are no more for now. */
export function nextToVerify(room: RoomContext, tx: RoomTransaction, partial: PartialState): CompletionStep | null {
  if (partial.lacksMembers || partial.workerId === null) return null;
  const store = new UnverifiedStore(room.sql);
  if (partial.unverifiedUntilTs !== null && partial.unverifiedUntilTs <= room.clock.now()) {
    room.log.warn("events of a state never verified", { room_id: room.roomId });
    store.deleteAll();
    return null;
  }
  const events = store.untried(partial.workerId, maxToVerify);
  if (events.length === 0) return null;
  const servers = [...new Set([partial.server, ...tx.servers.longestIn(maxNotaries)])].slice(0, maxNotaries);
  return { kind: "verify", pdus: events.map(({ pdu }) => pdu), servers };
}

/** The worker has tried all, and nothing has come of it: it is tried anew, later. */
export function pauseVerifying(room: RoomContext, tx: RoomTransaction, partial: PartialState): void {
  const pauseMs = Math.min(firstVerifyPauseMs * 2 ** partial.attempts, longestPauseMs);
  const retryTs = room.clock.now() + pauseMs;
  tx.partialState.setIdle(retryTs);
  room.alarm.ensure(retryTs);
}

/** Whether an event that was dropped may pass later. With a server that is not talked to, it never will. */
export function mayPassLater(room: RoomContext, { lacksKeysOf }: { readonly lacksKeysOf?: ServerName }): boolean {
  return lacksKeysOf !== undefined && mayTalkTo(room.config, lacksKeysOf);
}
