/**
 * The events of one resolution of states, within bounds of memory and of work.
 *
 * A Durable Object has no clock to stop by: time stands still for it while it computes. So work is counted instead, as
 * what it may take at worst, and a graph that somebody has crafted to cost more is not resolved. See
 * `docs/decisions/0004-state-resolution-in-one-go.md`.
 */
import type { EventId } from "../../shared/ids.ts";
import { isObject, objectField } from "../../shared/json.ts";
import { hasThirdPartyInvite, thirdPartySigned } from "../../shared/matrix/content/member.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomRead } from "./store/index.ts";

/** µs that one resolution may take by the costs below, each of which is more than it takes as a rule. */
export const maxWork = 2_000_000;
/** Characters of JSON that the events in conflict may have together: parsed, they take five times as much memory. */
export const maxConflictedJson = 8_000_000;

/** µs for reading an event that is not in memory, and for each 20 characters of it. */
const readCost = 20;
const charactersPerMicro = 20;
/** µs for sorting an event and authorizing it. */
const eventCost = 40;
/** µs for comparing the two largest maps of power levels. */
const levelsCost = 1_500;
/** µs for one Ed25519 verification. */
const signatureCost = 100;
/** A third-party invite is checked with each of its signatures and each key of the room, until so many. */
const maxSignatureChecks = 1_000;
/** Keys of a third-party invite in the room that has no more JSON than this. */
const ordinaryKeys = 10;
const ordinaryInviteJson = 1_500;

/** Events read at a time. */
const batchSize = 500;
/** Characters of JSON kept of events that are only looked at, as the mainline is; then they are forgotten. */
const maxPassingJson = 1_000_000;

/** Ends a resolution that would take too long; never leaves {@link withinWork}. */
class OutOfWork extends Error {}

/** Runs a resolution. @returns null when it was given up because it would take too long */
export function withinWork<T>(resolve: () => T): T | null {
  try {
    return resolve();
  } catch (thrown) {
    if (thrown instanceof OutOfWork) return null;
    throw thrown;
  }
}

/** Events in conflict are read once and kept; others that are asked for are kept for a while. */
export class ResolutionEvents {
  readonly #store: RoomRead;
  readonly #kept = new Map<number, EventRecord>();
  readonly #keptById = new Map<EventId, EventRecord>();
  readonly #passing = new Map<number, EventRecord>();
  readonly #passingById = new Map<EventId, EventRecord | null>();
  #keptJson = 0;
  #passingJson = 0;
  #workLeft: number;
  #creatorsCost = 0;

  constructor(store: RoomRead, work = maxWork) {
    this.#store = store;
    this.#workLeft = work;
  }

  /** Every event in conflict is authorized by the creators whom this event names, each time anew. */
  setCreate(create: EventRecord): void {
    this.#creatorsCost = Math.ceil(create.jsonLength / charactersPerMicro);
  }

  byNid(eventNid: number): EventRecord {
    const known = this.#kept.get(eventNid) ?? this.#passing.get(eventNid);
    if (known !== undefined) return known;
    const record = this.#store.events.byNid(eventNid);
    this.#pass(record.eventId, record);
    return record;
  }

  /** Null: it is not here. */
  byId(eventId: EventId): EventRecord | null {
    const known = this.#keptById.get(eventId) ?? this.#passingById.get(eventId);
    const record = known === undefined ? this.#read(eventId) : known;
    // However many keys it names, each may be tried with each signature of each event that it is asked for.
    if (record?.type === "m.room.third_party_invite" && record.jsonLength > ordinaryInviteJson) {
      this.#spend(maxSignatureChecks * signatureCost);
    }
    return record;
  }

  /** Reads events that are in conflict. @returns null when they are too large to be kept together */
  load(eventNids: ReadonlySet<number>): EventRecord[] | null {
    const wanted = [...eventNids].filter((nid) => !this.#kept.has(nid));
    for (let start = 0; start < wanted.length; start += batchSize) {
      for (const record of this.#store.events.byNids(wanted.slice(start, start + batchSize))) {
        this.#keptJson += record.jsonLength;
        if (this.#keptJson > maxConflictedJson) return null;
        this.#spend(readCost + record.jsonLength / charactersPerMicro + this.#costOf(record));
        this.#kept.set(record.eventNid, record);
        this.#keptById.set(record.eventId, record);
      }
    }
    return [...eventNids].map((nid) => this.byNid(nid));
  }

  #read(eventId: EventId): EventRecord | null {
    const record = this.#store.events.byId(eventId);
    this.#pass(eventId, record);
    return record;
  }

  #pass(eventId: EventId, record: EventRecord | null): void {
    const length = record?.jsonLength ?? 0;
    this.#spend(readCost + length / charactersPerMicro);
    this.#passingJson += length;
    if (this.#passingJson > maxPassingJson) {
      this.#passing.clear();
      this.#passingById.clear();
      this.#passingJson = length;
    }
    if (record !== null) this.#passing.set(record.eventNid, record);
    this.#passingById.set(eventId, record);
  }

  #costOf({ type, event }: EventRecord): number {
    let cost = eventCost + this.#creatorsCost;
    if (type === "m.room.power_levels") cost += levelsCost;
    if (type === "m.room.member" && hasThirdPartyInvite(event.content)) {
      cost += Math.min(maxSignatureChecks, signaturesOn(event) * ordinaryKeys) * signatureCost;
    }
    return cost;
  }

  #spend(work: number): void {
    this.#workLeft -= work;
    if (this.#workLeft < 0) throw new OutOfWork();
  }
}

function signaturesOn(invite: MatrixEvent): number {
  const ofServers = objectField(thirdPartySigned(invite.content) ?? {}, "signatures") ?? {};
  return Object.values(ofServers).reduce<number>(
    (count, ofServer) => count + (isObject(ofServer) ? Object.keys(ofServer).length : 0),
    0,
  );
}
