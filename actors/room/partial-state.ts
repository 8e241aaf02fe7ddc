/**
 * A room joined without being told all of its members: usable at once, and completed behind it (`complete-state.ts`); or
 * joined while events of its state could not be verified, which is tried again (`unverified-state.ts`).
 *
 * Meanwhile the states here lack members, and never hold more than is known. An event of a sender whose membership is not
 * known is authorized by the member event that it names itself, which is here and was not rejected; whether that was still
 * so is seen when the state is whole. Who asks for all members waits until they are known.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
import { errors } from "../../shared/errors.ts";
import type { EventId, ServerName, UserId } from "../../shared/ids.ts";
import type { MatrixEvent, StateLookup } from "../../shared/matrix/event.ts";
import type { RoomContext } from "./context.ts";
import type { PlaceInPast } from "./gaps.ts";
import { stateLookupAt } from "./state.ts";
import type { StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";
import type { ToldState } from "./store/partial-state-rows.ts";
import { requireAccess } from "./visibility.ts";
import { oweWakes } from "./wakes.ts";

/** How long somebody waits who asks for all members. */
const maxWaitMs = 60_000;
/** Servers that are taken to be in a room because another says so, at most. */
const maxToldServers = 20_000;
/**
 * For how long it is tried again to verify what could not be verified. Until then the room is no help to servers that join
 * it: they would be told the same incomplete state, and nobody would ever tell them the rest.
 */
export const verifyForMs = 24 * 60 * 60_000;
/** Before it is tried for the first time; twice as long each time, up to the longest. */
export const firstVerifyPauseMs = 2 * 60_000;

/** Whether not all of the room is known. */
export function isPartial(store: RoomRead): boolean {
  return store.partialState.isOn();
}

/** Whether members of the room are to be fetched: who asks for them waits. What nobody can verify is not waited for. */
export function lacksMembers(store: RoomRead): boolean {
  return store.partialState.lacksMembers();
}

/**
 * The state of a root, for authorizing an event: where members are not known, those whom the event's own auth events tell
 * of. What the state has of a user is never replaced.
 */
export function lookupFor(store: RoomRead, event: MatrixEvent, root: StateRoot): StateLookup {
  const state = stateLookupAt(store, root);
  if (!isPartial(store)) return state;
  return (type, stateKey) => {
    const held = state(type, stateKey);
    if (held !== null || type !== "m.room.member") return held;
    return memberIn(store, event, stateKey)?.event ?? null;
  };
}

/** The member event of a user by which an event says to be authorized. */
export function memberIn(store: RoomRead, event: MatrixEvent, userId: string): EventRecord | null {
  for (const eventId of event.authEvents) {
    const record = store.events.byId(eventId);
    if (record?.type === "m.room.member" && record.stateKey === userId && record.status !== "rejected") return record;
  }
  return null;
}

/** What an event stands on must be known when it is looked at anew, and where it belongs. */
export function notePlaced(
  tx: RoomTransaction,
  eventId: EventId,
  { told, past }: { told: readonly ToldState[]; past: PlaceInPast | null },
): void {
  if (told.length > 0) tx.partialState.setTold(eventId, told);
  if (past !== null) tx.partialState.setPast(eventId, past);
}

/** An event outside of the graph is what those are that authorize it: with them, it is looked at anew. */
export function noteOutlier(tx: RoomTransaction, eventId: EventId, authEvents: readonly EventRecord[]): void {
  // Of the members of a large room, none is: what authorizes them has no place in the graph either.
  const isAnyOutlier = tx.partialState.isAnyOutlier();
  const possible = authEvents.filter(({ stateRootAfter }) => isAnyOutlier || stateRootAfter !== null);
  const isDoubtful = possible.length > 0 && tx.partialState.doubtfulOf(possible.map((one) => one.eventNid)).length > 0;
  if (isDoubtful) tx.partialState.noteOutlier(eventId);
}

/**
 * Begins a time in which not all of the room is known, or goes on with it. To be called before the join takes its place.
 *
 * @param told `servers` were told to be in the room: what this server sends is for them. `formerEnds` are ends of the graph
 *   from before the join that are ends yet.
 */
export function beginPartial(
  room: RoomContext,
  tx: RoomTransaction,
  told: {
    root: StateRoot;
    server: ServerName;
    servers: readonly ServerName[];
    isAnew: boolean;
    lacksMembers: boolean;
    formerEnds: readonly number[];
  },
): void {
  const { streamPosition } = tx.room.get();
  const { root: toldRoot, server } = told;
  if (toldRoot === null) throw new Error("a room begins with a state");
  const now = room.clock.now();
  if (told.isAnew) tx.partialState.end();
  if (tx.partialState.find() === null) {
    const retryTs = told.lacksMembers ? now : now + firstVerifyPauseMs;
    const unverifiedUntilTs = told.lacksMembers ? null : now + verifyForMs;
    const since = streamPosition + 1;
    const { lacksMembers, formerEnds } = told;
    tx.partialState.begin({ since, toldRoot, server, lacksMembers, unverifiedUntilTs, retryTs, formerEnds });
    room.alarm.ensure(retryTs);
  } else room.alarm.ensure(now);
  const arrived = addToldServers(room, tx, told.servers, streamPosition);
  oweWakes(room, { membershipChanges: [], isForUsers: false, servers: { arrived, gone: [], visited: [] } });
}

/** Takes servers to be in the room because others say so. @returns those that were not in it before */
export function addToldServers(
  room: RoomContext,
  tx: RoomTransaction,
  servers: readonly ServerName[],
  at: number,
): ServerName[] {
  const known = new Set(tx.partialState.toldServers());
  const arrived: ServerName[] = [];
  for (const server of new Set(servers.slice(0, maxToldServers))) {
    if (server === room.config.serverName || known.has(server)) continue;
    tx.partialState.addServer(server);
    const stay = tx.servers.findStay(server);
    if (stay !== null) tx.servers.setJoinedMembers(stay, stay.joinedMembers + 1);
    else {
      tx.servers.open(server, at, 1);
      arrived.push(server);
    }
  }
  return arrived;
}

/** What others say of who is in the room counts no more: to be called before the members are. */
export function forgetToldServers(tx: RoomTransaction): ServerName[] {
  const servers = tx.partialState.toldServers();
  for (const server of servers) {
    const stay = tx.servers.findStay(server);
    if (stay !== null) tx.servers.setJoinedMembers(stay, stay.joinedMembers - 1);
  }
  return servers;
}

/** Those of them that have no joined member leave. */
export function closeToldServers(tx: RoomTransaction, servers: readonly ServerName[], at: number): ServerName[] {
  const gone: ServerName[] = [];
  for (const server of servers) {
    const stay = tx.servers.findStay(server);
    if (stay === null || stay.joinedMembers > 0) continue;
    tx.servers.close(stay, at);
    gone.push(server);
  }
  return gone;
}

/** @throws MatrixError M_NOT_FOUND: another server, that knows the whole room, is to be asked */
export function assertWhole(store: RoomRead): void {
  if (isPartial(store)) throw errors.notFound("This server does not know all of the room yet");
}

interface Waiter {
  readonly untilTs: number;
  readonly resolve: () => void;
}
const waiters = new WeakMap<RoomContext, Set<Waiter>>();

/**
 * What a member asks for of which all of the room must be known.
 * @throws MatrixError M_FORBIDDEN for who may not read the room; M_UNKNOWN (502) when it takes too long
 */
export async function whenWhole<T>(room: RoomContext, requester: UserId, ask: () => T | Promise<T>): Promise<T> {
  if (room.store.room.find() !== null && lacksMembers(room.store)) {
    requireAccess(room, requester);
    await waitUntilWhole(room);
    if (lacksMembers(room.store)) throw errors.badGateway("Not all members of the room are known yet");
  }
  return await ask();
}

/** What a member asks to do to another, for which must be known what the other is in the room. @throws MatrixError as {@link whenWhole} */
export async function whenKnown<T>(
  room: RoomContext,
  { requester, target }: { readonly requester: UserId; readonly target: UserId },
  ask: () => T | Promise<T>,
): Promise<T> {
  const { store } = room;
  const isUnknown = target !== requester && store.room.find() !== null && store.memberships.find(target) === null;
  return isUnknown ? await whenWhole(room, requester, ask) : await ask();
}

function waitUntilWhole(room: RoomContext): Promise<void> {
  const untilTs = room.clock.now() + maxWaitMs;
  const waiting = waiters.get(room) ?? new Set();
  waiters.set(room, waiting);
  room.alarm.ensure(untilTs);
  return new Promise((resolve) => waiting.add({ untilTs, resolve }));
}

/** Lets those go on who have waited long enough or, once all members are known, everybody. */
export function endWaits(room: RoomContext): void {
  const waiting = waiters.get(room) ?? new Set();
  const now = room.clock.now();
  const isWhole = !lacksMembers(room.store);
  for (const waiter of waiting) {
    if (!isWhole && waiter.untilTs > now) {
      room.alarm.ensure(waiter.untilTs);
      continue;
    }
    waiting.delete(waiter);
    waiter.resolve();
  }
}
