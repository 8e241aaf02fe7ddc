/**
 * The index of auth chains: which event has which in its auth chain, without walking the room's history.
 *
 * Every state event stands in a chain, in which each event has all before it in its auth chain; what else it has there is
 * found by links out of the chain. A link is stored only where nothing else leads to its target, so an event adds one
 * entry and at most as many links as it has auth events, never the closure. What is reachable in a chain is always a
 * beginning of it, so one number a chain describes an auth chain of any length.
 *
 * Every walk has a budget of entries that it may read.
 */
import type { ChainPosition } from "./store/auth-chains.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";

/** Entries that one question about auth chains may read. */
export const maxChainReads = 50_000;
/** How often it is looked whether a new link is needless, and entries that are looked at; a needless link does no harm. */
const maxReductionLooks = 12;
const maxReductionEntries = 20;
/** Entries read from the database at a time. */
const batchSize = 100;

/** Chain → the last sequence of it that is reached. */
type Reach = Map<number, number>;

/** What one event has in its auth chain by way of `auth_events`. */
interface Link {
  readonly from: ChainPosition;
  readonly to: ChainPosition;
}

/** Is told of the links that a walk follows: a list, for one. */
interface LinkLog {
  push(link: Link): unknown;
}

/** Counts what a walk reads. */
class Budget {
  #left: number;

  constructor(reads: number) {
    this.#left = reads;
  }

  /** @returns false when the budget is used up */
  spend(reads: number): boolean {
    this.#left -= reads;
    return this.#left >= 0;
  }
}

/**
 * Puts a new state event into the index. To be called before the event itself is stored.
 *
 * @param authEvents the events that it names in `auth_events`.
 * @returns its place.
 */
export function indexAuthChain(
  tx: RoomTransaction,
  eventNid: number,
  authEvents: readonly EventRecord[],
): ChainPosition {
  const targets = authEvents.map((event) => event.authPosition).filter((position) => position !== null);
  const needed = withoutReachable(tx, targets);
  const extended = needed.find((position) => tx.authChains.isEnd(position));
  const position =
    extended === undefined
      ? { chain: tx.authChains.newChain(), sequence: 1 }
      : { chain: extended.chain, sequence: extended.sequence + 1 };
  const links = needed.filter((target) => target !== extended);
  tx.authChains.insert({ eventNid, position, links });
  return position;
}

/** The positions to which none of the others leads, as far as that is found by looking a few times. */
function withoutReachable(store: RoomRead, positions: readonly ChainPosition[]): ChainPosition[] {
  // What each of them leads to, without itself.
  const reach: Reach = new Map();
  const queue: ChainPosition[] = [...positions];
  for (const { chain, sequence } of positions) reach.set(chain, Math.max(reach.get(chain) ?? 0, sequence - 1));
  const isReached = ({ chain, sequence }: ChainPosition): boolean => (reach.get(chain) ?? 0) >= sequence;
  let looks = 0;
  // Grows while it is gone through.
  for (const { chain, sequence } of queue) {
    if (positions.filter((position) => !isReached(position)).length <= 1 || looks >= maxReductionLooks) break;
    looks += 1;
    for (const { links } of store.authChains.newest(chain, sequence, maxReductionEntries)) {
      for (const target of links) {
        if (isReached(target)) continue;
        reach.set(target.chain, target.sequence);
        queue.push(target);
      }
    }
  }
  return positions.filter((position) => !isReached(position));
}

/** All that the positions have in their auth chains, themselves included; null when the budget is used up. */
function reachOf(store: RoomRead, starts: Iterable<ChainPosition>, budget: Budget, links?: LinkLog): Reach | null {
  const reach: Reach = new Map();
  // Chain → the last sequence whose links were followed.
  const followed: Reach = new Map();
  const queue: number[] = [];
  const extend = ({ chain, sequence }: ChainPosition): void => {
    if ((reach.get(chain) ?? 0) >= sequence) return;
    reach.set(chain, sequence);
    queue.push(chain);
  };
  for (const start of starts) extend(start);
  for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
    const through = reach.get(chain) ?? 0;
    for (let after = followed.get(chain) ?? 0; after < through; ) {
      const entries = store.authChains.entries(chain, after, through, batchSize);
      if (entries.length === 0 || !budget.spend(entries.length)) return null;
      for (const entry of entries) {
        for (const target of entry.links) {
          links?.push({ from: entry.position, to: target });
          extend(target);
        }
        after = entry.position.sequence;
      }
    }
    followed.set(chain, Math.max(followed.get(chain) ?? 0, through));
  }
  return reach;
}

/**
 * The auth chains of some state events: all that authorized them, and what authorized that. Of the events themselves, those
 * that are in the auth chain of another.
 *
 * @returns event numbers; null when the budget is used up.
 * @see https://spec.matrix.org/v1.19/server-server-api/#pdus
 */
export function authChainOf(store: RoomRead, events: readonly Placed[], maxReads = maxChainReads): Set<number> | null {
  const budget = new Budget(maxReads);
  // Chain → the last sequence of it that a link leads to.
  const linked: Reach = new Map();
  const noteLink = ({ to }: Link): void => void linked.set(to.chain, Math.max(linked.get(to.chain) ?? 0, to.sequence));
  const reach = reachOf(store, positionsOf(events), budget, { push: noteLink });
  if (reach === null) return null;
  const chain = new Set<number>();
  for (const [number, through] of reach) {
    const entries = readEntries(store, number, { after: 0, through }, budget);
    if (entries === null) return null;
    for (const entry of entries) chain.add(entry.eventNid);
  }
  for (const { eventNid, authPosition } of events) {
    // Of another's auth chain is what stands before another in its chain, and what a link leads to.
    const isOfAnother =
      authPosition !== null &&
      (authPosition.sequence < (reach.get(authPosition.chain) ?? 0) ||
        authPosition.sequence <= (linked.get(authPosition.chain) ?? 0));
    if (!isOfAnother) chain.delete(eventNid);
  }
  return chain;
}

/** Whether some events, or their auth chains, have all of others; null when the budget is used up. */
export function leadsTo(
  store: RoomRead,
  from: readonly Placed[],
  to: readonly Placed[],
  maxReads = maxChainReads,
): boolean | null {
  const reach = reachOf(store, positionsOf(from), new Budget(maxReads));
  return reach && positionsOf(to).every(({ chain, sequence }) => (reach.get(chain) ?? 0) >= sequence);
}

/**
 * The auth difference of several states: "every event that doesn't appear in every auth chain".
 *
 * Only what the states contest is walked from. What an event that all states hold has in its auth chain is in all of
 * them, and is taken out by looking upwards from what is found.
 *
 * @param contested of each state, the events that not all states hold.
 * @param isHeld whether all states hold an event.
 * @returns event numbers; null when the budget is used up.
 * @see https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
export function authDifferenceOf(
  store: RoomRead,
  contested: readonly (readonly EventRecord[])[],
  isHeld: (eventNid: number) => boolean,
  maxReads = maxChainReads,
): Set<number> | null {
  const budget = new Budget(maxReads);
  const reaches: Reach[] = [];
  for (const events of contested) {
    const reach = reachOf(store, positionsOf(events), budget);
    if (reach === null) return null;
    reaches.push(reach);
  }
  const difference = new Set<number>();
  const above = new UpwardWalk(store, isHeld, budget);
  for (const chain of new Set(reaches.flatMap((reach) => [...reach.keys()]))) {
    const sequences = reaches.map((reach) => reach.get(chain) ?? 0);
    const entries = readEntries(
      store,
      chain,
      { after: Math.min(...sequences), through: Math.max(...sequences) },
      budget,
    );
    if (entries === null) return null;
    // Newest first: what a held event leads to ends the search for everything before it in the chain.
    for (const entry of entries.reverse()) {
      const isBelow = above.leadsFromHeld(entry.position);
      if (isBelow === null) return null;
      if (isBelow) break;
      difference.add(entry.eventNid);
    }
  }
  return difference;
}

/**
 * The conflicted state subgraph: all events on a path of `auth_events` from one conflicted event to another.
 *
 * @returns event numbers, some or all of the conflicted events among them; null when the budget is used up.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#definitions
 */
export function conflictedSubgraphOf(
  store: RoomRead,
  conflicted: readonly EventRecord[],
  maxReads = maxChainReads,
): Set<number> | null {
  const budget = new Budget(maxReads);
  const links: Link[] = [];
  const positions = positionsOf(conflicted);
  // Of every chain: the end of what the conflicted events lead to, and the beginning of what leads to one of them.
  const ends = reachOf(store, positions, budget, links);
  if (ends === null) return null;
  const begins = beginningsOf(positions, links);
  const subgraph = new Set<number>();
  for (const [chain, begin] of begins) {
    const entries = readEntries(store, chain, { after: begin - 1, through: ends.get(chain) ?? 0 }, budget);
    if (entries === null) return null;
    for (const entry of entries) subgraph.add(entry.eventNid);
  }
  return subgraph;
}

/** Chain → the first event of it from which the links lead to one of the positions. */
function beginningsOf(positions: readonly ChainPosition[], links: readonly Link[]): Map<number, number> {
  const byTarget = new Map<number, Link[]>();
  for (const link of links) {
    const known = byTarget.get(link.to.chain);
    if (known === undefined) byTarget.set(link.to.chain, [link]);
    else known.push(link);
  }
  const begins = new Map<number, number>();
  const queue: number[] = [];
  const extend = ({ chain, sequence }: ChainPosition): void => {
    if ((begins.get(chain) ?? Number.POSITIVE_INFINITY) <= sequence) return;
    begins.set(chain, sequence);
    queue.push(chain);
  };
  for (const position of positions) extend(position);
  for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
    const begin = begins.get(chain) ?? 0;
    for (const { from, to } of byTarget.get(chain) ?? []) if (to.sequence >= begin) extend(from);
  }
  return begins;
}

/** What the index needs to know of an event. */
type Placed = Pick<EventRecord, "eventNid" | "authPosition">;

function positionsOf(events: readonly Placed[]): ChainPosition[] {
  return events.map((event) => event.authPosition).filter((position) => position !== null);
}

function readEntries(
  store: RoomRead,
  chain: number,
  range: { after: number; through: number },
  budget: Budget,
): { eventNid: number; position: ChainPosition }[] | null {
  const found: { eventNid: number; position: ChainPosition }[] = [];
  for (let { after } = range; after < range.through; ) {
    const entries = store.authChains.entries(chain, after, range.through, batchSize);
    const last = entries.at(-1);
    if (last === undefined || !budget.spend(entries.length)) return null;
    found.push(...entries);
    after = last.position.sequence;
  }
  return found;
}

/** Looks from events to those that have them in their auth chains, and remembers what it found. */
class UpwardWalk {
  readonly #store: RoomRead;
  readonly #isHeld: (eventNid: number) => boolean;
  readonly #budget: Budget;
  /** Chain → first sequence from which no held event is reached. */
  readonly #free = new Map<number, number>();

  constructor(store: RoomRead, isHeld: (eventNid: number) => boolean, budget: Budget) {
    this.#store = store;
    this.#isHeld = isHeld;
    this.#budget = budget;
  }

  /** Whether an event that all states hold has this one in its auth chain, or is it; null: the budget is used up. */
  leadsFromHeld(start: ChainPosition): boolean | null {
    const seen = new Map<number, number>();
    const queue = [start];
    for (let position = queue.pop(); position !== undefined; position = queue.pop()) {
      const known = Math.min(
        seen.get(position.chain) ?? Number.POSITIVE_INFINITY,
        this.#free.get(position.chain) ?? Number.POSITIVE_INFINITY,
      );
      if (position.sequence >= known) continue;
      seen.set(position.chain, position.sequence);
      const found = this.#look(position, known, queue);
      if (found !== false) return found;
    }
    for (const [chain, sequence] of seen) {
      this.#free.set(chain, Math.min(sequence, this.#free.get(chain) ?? Number.POSITIVE_INFINITY));
    }
    return false;
  }

  /** Looks at a chain from a position until `before`, and notes where links into that part of it come from. */
  #look(position: ChainPosition, before: number, queue: ChainPosition[]): boolean | null {
    const { authChains } = this.#store;
    const through = Number.isFinite(before) ? before - 1 : Number.MAX_SAFE_INTEGER;
    for (let after = position.sequence - 1; after < through; ) {
      const entries = authChains.entries(position.chain, after, through, batchSize);
      if (!this.#budget.spend(entries.length)) return null;
      if (entries.some((entry) => this.#isHeld(entry.eventNid))) return true;
      after = entries.length < batchSize ? through : (entries.at(-1)?.position.sequence ?? through);
    }
    for (let skip = 0; ; skip += batchSize) {
      const dependants = authChains.dependants(position, batchSize, skip);
      if (!this.#budget.spend(dependants.length + 1)) return null;
      queue.push(...dependants);
      if (dependants.length < batchSize) return false;
    }
  }
}
