/**
 * What leaves the room for another server: who may read at all, and which events in full. Every event that a server is
 * given on asking comes out of {@link ServerViewer.pduOf}.
 */
import { errors } from "../../shared/errors.ts";
import type { EventId, ServerName } from "../../shared/ids.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { type HistoryVisibility, historyVisibilityOf } from "../../shared/matrix/content/history-visibility.ts";
import { membershipIn } from "../../shared/matrix/content/member.ts";
import { eventWithId } from "../../shared/matrix/event.ts";
import { canonicalMode } from "../../shared/matrix/hashes.ts";
import { redact } from "../../shared/matrix/redaction.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { RoomContext } from "./context.ts";
import { isResident } from "./residency.ts";
import { isShutOut } from "./server-acl.ts";
import { getEntry, type StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import { prunedEvent } from "./visibility.ts";

/** Users of the server whose membership is looked at, at most: those who came first. */
const maxMembers = 10_000;
/** Memberships that are looked up for one answer, at most. Beyond, events count as not visible. */
const maxLookups = 100_000;

/**
 * The room for a server that asks about some of its events. One that is not in the room any more may ask about what happened
 * while it was: else the event that put it out, following others that it has not, would never find its place there, and the
 * server would believe for ever that it is still in the room.
 *
 * @param at the events that it asks about: of a server that is gone, one of them at least must be of its time. None: the
 *   server must be in the room now.
 * @returns null where the server may not read
 * @see https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls
 */
export function findViewer(room: RoomContext, origin: ServerName, at: readonly EventId[]): ServerViewer | null {
  if (!isResident(room, room.store) || isShutOut(room, room.store, origin)) return null;
  const viewer = new ServerViewer(room, origin);
  // A room that a server has not been in is none to it, whatever is asked.
  return viewer.isGone && !at.some((eventId) => viewer.knows(eventId)) ? null : viewer;
}

/** {@link findViewer}. @throws MatrixError M_FORBIDDEN, in the same words whether the room exists or not */
export function viewerOf(room: RoomContext, origin: ServerName, at: readonly EventId[]): ServerViewer {
  const viewer = findViewer(room, origin, at);
  if (viewer === null) throw errors.forbidden("Your server is not in the room");
  return viewer;
}

/**
 * The room as the users of one server see it, for the length of one request.
 *
 * "Servers may only see what at least one of their users may": for most rooms that is everything, since whoever is joined
 * now sees shared history. Where only those of then may see an event, the server's members of then are looked for.
 */
export class ServerViewer {
  /** None of the server's users is joined now: it sees what was until the last of them left, and nothing else, not even redacted. */
  readonly isGone: boolean;
  /** Position in the stream after which the server sees nothing, if it is gone. */
  readonly #until: number;
  readonly #room: RoomContext;
  readonly #origin: ServerName;
  readonly #visibilityKey: number | null;
  readonly #visibilities = new Map<StateRoot, HistoryVisibility>();
  readonly #presences = new Map<StateRoot, Presence>();
  #members: number[] | null = null;
  #lookupsLeft = maxLookups;

  constructor(room: RoomContext, origin: ServerName) {
    this.#room = room;
    this.#origin = origin;
    this.isGone = !room.store.servers.isIn(origin);
    this.#until = this.isGone ? (room.store.servers.findPastStay(origin)?.until ?? 0) : Number.MAX_SAFE_INTEGER;
    this.#visibilityKey = room.store.stateKeys.find("m.room.history_visibility", "");
  }

  /** Whether the event is here, and may be seen. */
  knows(eventId: EventId): boolean {
    const record = this.#room.store.events.byId(eventId);
    return record !== null && this.canSee(record);
  }

  /** Whether one of the server's users may see the event, or might when they were in the room. */
  canSee(record: EventRecord): boolean {
    // Of what is outside of the graph, no state is known: what is shown of it is what is shown now.
    const isPlaced = record.stateRootAfter !== null;
    if (this.isGone && !isPlaced) return false;
    const before = isPlaced ? record.stateRootBefore : this.#room.store.room.get().stateRoot;
    const visibilities = [this.#visibilityAt(before)];
    if (isPlaced && record.type === "m.room.history_visibility" && record.stateKey === "") {
      visibilities.push(this.#visibilityAt(record.stateRootAfter));
    }
    const isShared = visibilities.some((visibility) => visibility === "world_readable" || visibility === "shared");
    if (isShared && !this.#isAfter(record)) return true;
    const presence = strongerOf(this.#presenceAt(before), this.#presenceBy(record));
    // Who is invited sees that only once they have joined.
    return presence === "join" || (presence === "invite" && visibilities.includes("invited") && !this.#isAfter(record));
  }

  /** Whether the event came after the server had left. What was soft-failed has no place in the stream. */
  #isAfter({ streamPosition }: EventRecord): boolean {
    return this.isGone && (streamPosition === null || streamPosition > this.#until);
  }

  /** The event as it goes over the wire: redacted where the server may not see it, or where it was redacted. */
  pduOf(record: EventRecord, options: { isSeen?: boolean } = {}): PduText {
    const rules = this.#room.store.room.rules();
    const event =
      options.isSeen === true || this.canSee(record)
        ? prunedEvent(this.#room, record)
        : eventWithId(record.eventId, redact(record.event.pdu, rules), rules);
    return canonicalJson(event.pdu, ["unsigned"], canonicalMode(rules));
  }

  #visibilityAt(root: StateRoot): HistoryVisibility {
    const known = this.#visibilities.get(root);
    if (known !== undefined) return known;
    const nid = this.#visibilityKey === null ? 0 : getEntry(this.#room.store.stateNodes, root, this.#visibilityKey);
    const visibility = historyVisibilityOf(nid === 0 ? null : this.#room.store.events.byNid(nid).event.content);
    this.#visibilities.set(root, visibility);
    return visibility;
  }

  /** What an event makes of one of the server's users. */
  #presenceBy({ type, stateKey, event }: EventRecord): Presence {
    if (type !== "m.room.member" || stateKey === null || !isUserOf(this.#origin, stateKey)) return "none";
    const membership = membershipIn(event);
    return membership === "join" || membership === "invite" ? membership : "none";
  }

  /** The strongest membership that one of the server's users has in a state. */
  #presenceAt(root: StateRoot): Presence {
    const known = this.#presences.get(root);
    if (known !== undefined) return known;
    const { stateKeys, stateNodes, events } = this.#room.store;
    this.#members ??= stateKeys.membersOf(this.#origin, maxMembers);
    let presence: Presence = "none";
    for (const stateKeyNid of this.#members) {
      this.#lookupsLeft -= 1;
      if (presence === "join" || this.#lookupsLeft < 0) break;
      const nid = getEntry(stateNodes, root, stateKeyNid);
      if (nid !== 0) presence = strongerOf(presence, this.#presenceBy(events.byNid(nid)));
    }
    this.#presences.set(root, presence);
    return presence;
  }
}

type Presence = "none" | "invite" | "join";

function strongerOf(left: Presence, right: Presence): Presence {
  if (left === "join" || right === "join") return "join";
  return left === "invite" || right === "invite" ? "invite" : "none";
}

/** Whether a state key is a user id of the server; a server name may itself have a colon. */
function isUserOf(server: ServerName, stateKey: string): boolean {
  return stateKey.slice(stateKey.indexOf(":") + 1) === server;
}
