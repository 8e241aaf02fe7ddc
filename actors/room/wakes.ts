/**
 * Wakes: how the room tells its local users, and the other servers in it, that they are behind.
 *
 * A wake carries no event, only "newest position is N". Each consumer gets at most one until it has read the room again, so
 * an idle user costs one wake however many messages follow, and so does a server that does not answer. What is no matter of
 * servers wakes none. Each consumer is in one of three states:
 *
 *   current  knows everything up to the head           → the next item owes it a wake
 *   owed     a wake must be delivered                  → delivered at once, and by the alarm until it succeeds
 *   woken    has the wake stored, has not read since   → nothing more is sent
 *
 * `owed` is stored in the transaction of the item that it is about. That a wake was delivered, or read, is remembered
 * in memory beside the page (`overlay`) and stored with the page's next write: forgetting it repeats a wake, no more.
 * Only leaving the stored state `woken` must be written at once: forgetting that would lose the next wake.
 */
import type { ServerName, UserId } from "../../shared/ids.ts";
import { describeError } from "../../shared/log.ts";
import { meter } from "../../shared/meter.ts";
import type { ActorContext } from "../context.ts";
import type { ServerMoves } from "./servers.ts";
import { type Consumer, consumersPerPage, type WakePage, WakeStore, type WakeTarget } from "./store/wakes.ts";

/** How long after an item the alarm looks whether its wakes were delivered. */
const repeatAfterMs = 10_000;
/** Wakes on their way at the same time, at most. */
const maxParallelWakes = 64;
/** How often one delivery follows a head that moves on meanwhile, before the alarm takes over. */
const maxRounds = 5;

type Overlay = { version: number; states: Map<number, "woken" | "current"> };

/** What an instance remembers of deliveries; may be lost at any time. */
export interface WakeMemory {
  /** Page → what happened since the page was stored, valid only for that version of it. */
  overlays: Map<number, Overlay>;
  /** Consumers whom a wake is on its way to and who have not read since it left. */
  inFlight: Set<number>;
  /** Deliveries under way: whoever needs one waits for it, since it follows the head. */
  deliveries: Map<number, Promise<void>>;
}

export const newWakeMemory = (): WakeMemory => ({
  overlays: new Map(),
  inFlight: new Set(),
  deliveries: new Map(),
});

/** What of a room's context the wakes need. */
export interface WakingRoom extends ActorContext {
  readonly roomId: Parameters<ActorContext["actors"]["room"]>[0];
  readonly wakes: WakeMemory;
}

/** Something that took a position of the stream. */
export interface WakingItem {
  /** Local users whose own membership it changed. */
  readonly membershipChanges: readonly UserId[];
  /** Whether it is for every listening user; unless it says otherwise, it is. */
  readonly isForUsers?: boolean;
  /** Whether it is for the other servers in the room; unless it says so, it is not. */
  readonly isForServers?: boolean;
  /** How it changed which servers are in the room. */
  readonly servers?: ServerMoves;
}

/**
 * Owes a wake to every listening user, to those whose own membership changed and, where the item is for servers, to every
 * server in the room. To be called inside the transaction that stores the item, after the memberships are written.
 */
export function oweWakes(room: WakingRoom, item: WakingItem): void {
  const store = new WakeStore(room.sql);
  const owesUsers = item.isForUsers !== false && oweUsers(room, store, item);
  const owesServers = oweServers(room, store, item);
  if (owesUsers || owesServers) room.alarm.ensure(room.clock.now() + repeatAfterMs);
}

/** @returns whether any user is owed a wake. */
function oweUsers(room: WakingRoom, store: WakeStore, item: WakingItem): boolean {
  const forced = new Map<number, boolean>();
  for (const userId of item.membershipChanges) {
    forced.set(store.internConsumer({ kind: "user", name: userId }), store.findMembership(userId) === "join");
  }
  let owesAny = false;
  for (const page of pagesWith(store, store.pages("user"), forced.keys())) {
    let changed = fold(page, overlayOf(room.wakes, page));
    for (const [nid, isListening] of forced) {
      if (pageOf(nid) !== page.page) continue;
      setBit(page.listening, nid, isListening);
      setBit(page.owed, nid, true);
      setBit(page.woken, nid, false);
      changed = true;
    }
    changed = oweListening(page) || changed;
    if (changed) store.store(page);
    owesAny ||= owes(page);
  }
  return owesAny;
}

/**
 * Servers that come listen from the next item on. Those that go are still owed the item that put them out, where it is this
 * server's to send.
 *
 * @returns whether any server is owed a wake.
 */
function oweServers(room: WakingRoom, store: WakeStore, item: WakingItem): boolean {
  const { isForServers = false, servers } = item;
  const numbersOf = (names: readonly ServerName[] = []): number[] =>
    names.map((name) => store.internConsumer({ kind: "server", name }));
  const [arrived, gone, visited] = [servers?.arrived, servers?.gone, servers?.visited].map(numbersOf);
  const moved = [...(arrived ?? []), ...(gone ?? []), ...(visited ?? [])];
  if (!isForServers && moved.length === 0) return false;
  let owesAny = false;
  for (const page of pagesWith(store, store.pages("server"), moved)) {
    const isHere = (nid: number): boolean => pageOf(nid) === page.page;
    let changed = fold(page, overlayOf(room.wakes, page));
    for (const nid of (visited ?? []).filter(isHere)) setBit(page.owed, nid, !getBit(page.woken, nid));
    if (isForServers) changed = oweListening(page) || changed;
    for (const nid of (arrived ?? []).filter(isHere)) setBit(page.listening, nid, true);
    for (const nid of (gone ?? []).filter(isHere)) setBit(page.listening, nid, false);
    if (changed || moved.some(isHere)) store.store(page);
    owesAny ||= owes(page);
  }
  return owesAny;
}

/** The pages, and those that are not stored yet, of further consumers. */
function pagesWith(store: WakeStore, stored: readonly WakePage[], nids: Iterable<number>): WakePage[] {
  const pages = new Map(stored.map((page) => [page.page, page]));
  for (const nid of nids) {
    const number = pageOf(nid);
    if (!pages.has(number)) pages.set(number, store.page(number));
  }
  return [...pages.values()];
}

/** Owes a wake to all who listen and have none that they have not read. @returns whether that is new for any of them. */
function oweListening(page: WakePage): boolean {
  let changed = false;
  for (let i = 0; i < page.owed.length; i += 1) {
    const before = page.owed[i] ?? 0;
    const after = before | ((page.listening[i] ?? 0) & ~(page.woken[i] ?? 0));
    changed ||= after !== before;
    page.owed[i] = after;
  }
  return changed;
}

function owes(page: WakePage): boolean {
  return page.owed.some((byte) => byte !== 0);
}

/** Delivers every wake that is owed, following the head while it moves on. Never throws; what fails stays owed. */
export async function deliverWakes(room: WakingRoom): Promise<void> {
  const owed = owedConsumers(room);
  for (let start = 0; start < owed.length; start += maxParallelWakes) {
    await Promise.all(owed.slice(start, start + maxParallelWakes).map((nid) => deliverTo(room, nid)));
  }
}

/** Delivers the wakes owed to these users, so that what they ask next sees the change. */
export async function deliverWakesTo(room: WakingRoom, userIds: readonly UserId[]): Promise<void> {
  const store = new WakeStore(room.sql);
  const nids = userIds.map((name) => store.findConsumer({ kind: "user", name })).filter((nid) => nid !== null);
  await Promise.all(nids.map((nid) => deliverTo(room, nid)));
}

/**
 * The user has asked for everything up to the head: it may be woken again.
 *
 * A wake that is still owed stays owed, because only a delivered wake is stored at the user: if the user's actor dies
 * before it stores the answer, that stored wake makes it ask again.
 */
export function caughtUp(room: WakingRoom, userId: UserId): void {
  mayBeWoken(room, { kind: "user", name: userId });
}

/** The server has asked for everything up to the head: it may be woken again. */
export function serverCaughtUp(room: WakingRoom, server: ServerName): void {
  mayBeWoken(room, { kind: "server", name: server });
}

function mayBeWoken(room: WakingRoom, consumer: Consumer): void {
  const store = new WakeStore(room.sql);
  const nid = store.findConsumer(consumer);
  if (nid === null) return;
  room.wakes.inFlight.delete(nid);
  const page = store.page(pageOf(nid));
  const overlay = overlayOf(room.wakes, page);
  if (overlay.states.has(nid)) {
    overlay.states.set(nid, "current");
  } else if (getBit(page.woken, nid)) {
    room.sql.transaction(() => {
      fold(page, overlay);
      setBit(page.woken, nid, false);
      store.store(page);
    });
  }
}

/** Repeats what is owed, and stores what was learnt since, so that the alarm comes to rest. */
export async function repeatWakes(room: WakingRoom): Promise<void> {
  await deliverWakes(room);
  const store = new WakeStore(room.sql);
  room.sql.transaction(() => {
    for (const page of store.pages()) if (fold(page, overlayOf(room.wakes, page))) store.store(page);
  });
  if (owedConsumers(room).length > 0) room.alarm.ensure(room.clock.now() + repeatAfterMs);
}

/** Delivers what is owed to a consumer; resolves when it has been told, be it by a delivery that was under way already. */
function deliverTo(room: WakingRoom, nid: number): Promise<void> {
  const underWay = room.wakes.deliveries.get(nid);
  if (underWay !== undefined) return underWay;
  const delivery = followHead(room, nid).finally(() => room.wakes.deliveries.delete(nid));
  room.wakes.deliveries.set(nid, delivery);
  return delivery;
}

async function followHead(room: WakingRoom, nid: number): Promise<void> {
  const store = new WakeStore(room.sql);
  for (let round = 0; round < maxRounds; round += 1) {
    if (room.wakes.inFlight.has(nid) || !isOwed(room, store.page(pageOf(nid)), nid)) return;
    const target = store.findTarget(nid);
    if (target === null) return;
    if (!(await sendWake(room, store, nid, target))) return;
  }
}

/** @returns false when the wake could not be delivered; the alarm will try again. */
async function sendWake(room: WakingRoom, store: WakeStore, nid: number, target: WakeTarget): Promise<boolean> {
  const sentVersion = store.page(pageOf(nid)).version;
  const lastPosition = lastPositionFor(target);
  const head = lastPosition ?? store.head();
  room.wakes.inFlight.add(nid);
  let knownPosition: number;
  try {
    meter.wakes += 1;
    knownPosition = await tell(room, target, head);
  } catch (thrown) {
    room.wakes.inFlight.delete(nid);
    const name = target.kind === "user" ? target.userId : target.server;
    room.log.warn("wake not delivered", { room_id: room.roomId, to: name, error: describeError(thrown) });
    return false;
  }
  const hasReadMeanwhile = !room.wakes.inFlight.delete(nid);
  const page = store.page(pageOf(nid));
  // Something newer was stored meanwhile, or the user has read: what this wake said is not the last word.
  if (page.version !== sentVersion || (hasReadMeanwhile && target.kind === "user")) return true;
  // A server that has read has the wake stored until what it read is delivered: it need not be woken once more for that.
  if (knownPosition < head && !hasReadMeanwhile) overlayOf(room.wakes, page).states.set(nid, "woken");
  // An item that came meanwhile may have found the wake owed already, and so left the page as it was.
  else if (lastPosition !== null || store.head() === head) overlayOf(room.wakes, page).states.set(nid, "current");
  return true;
}

/** Where the room ends for those who are out of it; null: they follow it. */
function lastPositionFor(target: WakeTarget): number | null {
  if (target.kind === "server") return target.until;
  return target.membership === "join" ? null : target.membershipPosition;
}

/** @returns the position that the consumer has read for certain. */
async function tell(room: WakingRoom, target: WakeTarget, head: number): Promise<number> {
  const { roomId } = room;
  if (target.kind === "server") {
    const answer = await room.actors.server(target.server).roomAdvanced({ roomId, head, since: target.since });
    return answer.knownPosition;
  }
  const { userId, membership, membershipPosition } = target;
  const wake = { roomId, head, membership, membershipPosition };
  return (await room.actors.user(userId).roomAdvanced(wake)).knownPosition;
}

function owedConsumers(room: WakingRoom): number[] {
  const nids: number[] = [];
  for (const page of new WakeStore(room.sql).pages()) {
    for (let i = 0; i < page.owed.length; i += 1) {
      if (page.owed[i] === 0) continue;
      for (let bit = 0; bit < 8; bit += 1) {
        const nid = page.page * consumersPerPage + i * 8 + bit;
        if (isOwed(room, page, nid)) nids.push(nid);
      }
    }
  }
  return nids;
}

function isOwed(room: WakingRoom, page: WakePage, nid: number): boolean {
  return getBit(page.owed, nid) && !overlayOf(room.wakes, page).states.has(nid);
}

/** What is remembered beside exactly this version of the page. */
function overlayOf(memory: WakeMemory, page: WakePage): Overlay {
  const known = memory.overlays.get(page.page);
  if (known?.version === page.version) return known;
  const fresh: Overlay = { version: page.version, states: new Map() };
  // A version that is not committed yet may be rolled back: keep the newer memory only once it is asked for again.
  memory.overlays.set(page.page, fresh);
  return fresh;
}

/** Writes what is remembered into the page's bits. @returns whether they changed. */
function fold(page: WakePage, overlay: Overlay): boolean {
  for (const [nid, state] of overlay.states) {
    setBit(page.owed, nid, false);
    setBit(page.woken, nid, state === "woken");
  }
  return overlay.states.size > 0;
}

const pageOf = (nid: number): number => Math.floor(nid / consumersPerPage);

function getBit(bits: Uint8Array, nid: number): boolean {
  const index = nid % consumersPerPage;
  return (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
}

function setBit(bits: Uint8Array, nid: number, value: boolean): void {
  const index = nid % consumersPerPage;
  const mask = 1 << (index & 7);
  const byte = bits[index >> 3] ?? 0;
  bits[index >> 3] = value ? byte | mask : byte & ~mask;
}
