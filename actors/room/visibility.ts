/**
 * What leaves the room for a client: who may read at all, which events, and in what form.
 *
 * Every event that a client is given comes out of {@link RoomViewer.serve}, and every event that stands by itself was
 * let through by {@link RoomViewer.canSee}. States are not looked at event by event: who may read a state, and as of
 * when, is {@link accessOf}.
 */
import { errors } from "../../shared/errors.ts";
import type { DeviceId, UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { toClientEvent } from "../../shared/matrix/client-event.ts";
import { type HistoryVisibility, historyVisibilityOf } from "../../shared/matrix/content/history-visibility.ts";
import { membershipIn, membershipOf } from "../../shared/matrix/content/member.ts";
import { eventWithId, type MatrixEvent } from "../../shared/matrix/event.ts";
import type { FilteredEvent } from "../../shared/matrix/filter.ts";
import { visibleToUser } from "../../shared/matrix/history-visibility.ts";
import { redact } from "../../shared/matrix/redaction.ts";
import type { Membership } from "../../shared/rpc/room.ts";
import type { RoomContext } from "./context.ts";
import { findCurrentState, findStateAt, stateRootAt } from "./state.ts";
import { getEntry, type StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";

/** On what ground a user may read the room. */
export type Access =
  | { readonly kind: "joined" }
  /** Was joined until the event at `through`; `root` is the state after it. */
  | { readonly kind: "left"; readonly through: number; readonly root: StateRoot }
  /** Is no member, but the history is world readable now. */
  | { readonly kind: "peeking" };

/** How far back a user's own changes of membership are followed to find when they were last joined. */
const maxMembershipHops = 200;

/**
 * On what ground a user may read the room; null: not at all, or the room does not exist.
 * "In all cases except world_readable, a user needs to join a room to view events in that room."
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
export function accessOf(room: RoomContext, userId: UserId): Access | null {
  const facts = room.store.room.find();
  if (facts === null) return null;
  const member = room.store.memberships.find(userId);
  if (member?.membership === "join") return { kind: "joined" };
  if (isWorldReadable(room)) return { kind: "peeking" };
  return member === null || member.isForgotten ? null : lastJoined(room, userId);
}

/** @throws MatrixError M_FORBIDDEN; the same whether the room exists or not. */
export function requireAccess(room: RoomContext, userId: UserId): Access {
  const access = accessOf(room, userId);
  if (access === null) throw errors.forbidden("You are not a member of this room");
  return access;
}

/** Whether anyone may read the room as it is now. */
export function isWorldReadable(room: RoomContext): boolean {
  const content = findCurrentState(room.store, "m.room.history_visibility", "")?.event.content ?? null;
  return historyVisibilityOf(content) === "world_readable";
}

/** When a user who is not joined now was joined last; null: never. */
export function lastJoined(room: RoomContext, userId: UserId): Extract<Access, { kind: "left" }> | null {
  const member = room.store.memberships.find(userId);
  if (member === null) return null;
  // What the room took for true then: resolution may have ended the membership by an event from elsewhere in the graph.
  let through: number | null = member.streamPosition;
  let before = findStateAt(room.store, stateRootAt(room.store, through - 1), "m.room.member", userId);
  for (let hop = 0; hop < maxMembershipHops && through !== null && before !== null; hop += 1) {
    if (membershipIn(before.event) === "join") return { kind: "left", through, root: stateRootAt(room.store, through) };
    through = before.streamPosition;
    before = findStateAt(room.store, before.stateRootBefore, "m.room.member", userId);
  }
  return null;
}

/** The event as anyone may see it: without what a redaction took away. */
export function prunedEvent(room: RoomContext, record: EventRecord): MatrixEvent {
  if (record.redactedBy === null) return record.event;
  const rules = room.store.room.rules();
  return eventWithId(record.eventId, redact(record.event.pdu, rules), rules);
}

/** What filters look at, without parsing the event before they ask for its content. */
export function filteredView(room: RoomContext, record: EventRecord): FilteredEvent {
  return {
    type: record.type,
    sender: record.sender,
    get content() {
      return prunedEvent(room, record).content;
    },
  };
}

/** Who looks. `deviceId` decides who is given back the transaction ids of what it sent. */
export interface Viewer {
  readonly userId: UserId;
  readonly deviceId: DeviceId | null;
  /** `federation`: events are given as PDUs. */
  readonly format?: "client" | "federation";
}

/** The room as one user sees it, for the length of one request: look-ups are remembered by state root. */
export class RoomViewer {
  readonly room: RoomContext;
  readonly viewer: Viewer;
  readonly #now: number;
  readonly #memberKey: number | null;
  readonly #visibilityKey: number | null;
  /** Newest position of the time when the user was joined last; infinite for a member. */
  readonly #joinedThrough: number;
  /** When and how the user was in the room last; null: they are now, or never were. */
  readonly #left: ReturnType<typeof lastJoined>;
  /** The user's own member event, where it says that they are out. */
  readonly #exitNid: number | null;
  readonly #memberships = new Map<StateRoot, Membership>();
  readonly #visibilities = new Map<StateRoot, HistoryVisibility>();

  constructor(room: RoomContext, viewer: Viewer) {
    const { stateKeys, memberships } = room.store;
    const member = memberships.find(viewer.userId);
    this.room = room;
    this.viewer = viewer;
    this.#now = room.clock.now();
    this.#memberKey = stateKeys.find("m.room.member", viewer.userId);
    this.#visibilityKey = stateKeys.find("m.room.history_visibility", "");
    const isJoined = member?.membership === "join";
    // Who has forgotten the room is a stranger to it: all that may be left is what anybody may read.
    this.#left = isJoined || member?.isForgotten === true ? null : lastJoined(room, viewer.userId);
    this.#joinedThrough = isJoined ? Number.POSITIVE_INFINITY : (this.#left?.through ?? Number.NEGATIVE_INFINITY);
    this.#exitNid = member?.membership === "leave" || member?.membership === "ban" ? member.eventNid : null;
  }

  /**
   * Whether the user may see the event: by the room's state at the event, and nothing from after they left, "but no
   * events received after they left". That they are out they are always told.
   *
   * @see https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-10
   */
  canSee(record: EventRecord): boolean {
    const position = record.streamPosition;
    return position !== null && (record.eventNid === this.#exitNid || this.#isVisible(record, position));
  }

  #isVisible(record: EventRecord, position: number): boolean {
    const visibility = this.#visibilityAt(record.stateRootBefore);
    const visibilityAfter =
      record.type === "m.room.history_visibility" && record.stateKey === ""
        ? this.#visibilityAt(record.stateRootAfter)
        : null;
    if (position > this.#joinedThrough) {
      return visibility === "world_readable" || visibilityAfter === "world_readable";
    }
    const isOwnMember = record.type === "m.room.member" && record.stateKey === this.viewer.userId;
    return visibleToUser({
      visibility,
      visibilityAfter,
      membership: this.membershipAt(record.stateRootBefore),
      membershipAfter: isOwnMember ? this.membershipAt(record.stateRootAfter) : null,
      // Whoever is joined now, or was last joined at a later time than this, has joined at or after it.
      hasJoinedSince: true,
    });
  }

  /**
   * Whether the user may know the state around an event: of one that they are only told because it put them out once more,
   * from a time when they were not in the room, they may not.
   */
  knowsStateAround(record: EventRecord): boolean {
    return record.streamPosition !== null && this.#isVisible(record, record.streamPosition);
  }

  /** The state after an event or, where the user may not know it, the one in which they left. */
  knownRootAfter(record: EventRecord): StateRoot {
    return this.knowsStateAround(record) ? record.stateRootAfter : (this.#left?.root ?? null);
  }

  /** The user's membership in a state; `leave` where it has none. */
  membershipAt(root: StateRoot): Membership {
    const known = this.#memberships.get(root);
    if (known !== undefined) return known;
    const nid = this.#memberKey === null ? 0 : getEntry(this.room.store.stateNodes, root, this.#memberKey);
    const content = nid === 0 ? null : this.room.store.events.byNid(nid).event.content;
    const membership = content === null ? "leave" : (membershipOf(content) ?? "leave");
    this.#memberships.set(root, membership);
    return membership;
  }

  /**
   * The event in the clients' format, pruned when redacted. Does not check whether the user may see it.
   *
   * @param options `omitHistory` leaves out what `unsigned` says of the state before the event and of the membership then.
   * @see https://spec.matrix.org/v1.19/client-server-api/#room-event-format
   */
  serve(record: EventRecord, options: { includeRoomId: boolean; omitHistory?: boolean }): JsonObject {
    const { viewer } = this;
    const hasHistory = options.omitHistory !== true;
    const isOwnRequest = record.deviceId !== null && record.deviceId === viewer.deviceId;
    const replaced = hasHistory ? this.#replacedBy(record) : null;
    const shown = replaced !== null && this.#canSeeReplaced(replaced, record) ? replaced : null;
    return toClientEvent(prunedEvent(this.room, record), {
      rules: this.room.store.room.rules(),
      now: this.#now,
      format: viewer.format ?? "client",
      includeRoomId: options.includeRoomId,
      transactionId: isOwnRequest && record.sender === viewer.userId ? record.txnId : null,
      prevContent: shown === null ? null : prunedEvent(this.room, shown).content,
      prevSender: shown?.sender ?? null,
      replacesState: replaced?.eventId ?? null,
      membership: hasHistory ? this.membershipAt(record.stateRootAfter) : null,
      redactedBecause: record.redactedBy === null ? null : (this.#find(record.redactedBy)?.event ?? null),
    });
  }

  #visibilityAt(root: StateRoot): HistoryVisibility {
    const known = this.#visibilities.get(root);
    if (known !== undefined) return known;
    const nid = this.#visibilityKey === null ? 0 : getEntry(this.room.store.stateNodes, root, this.#visibilityKey);
    const visibility = historyVisibilityOf(nid === 0 ? null : this.room.store.events.byNid(nid).event.content);
    this.#visibilities.set(root, visibility);
    return visibility;
  }

  /** The state event that a state event took the place of. */
  #replacedBy(record: EventRecord): EventRecord | null {
    if (record.stateKey === null) return null;
    return findStateAt(this.room.store, record.stateRootBefore, record.type, record.stateKey);
  }

  /**
   * "only returned if … the client has permission to see the previous event": everybody has to see what was said of them,
   * and members to see what another server told as the state in which this one joined.
   */
  #canSeeReplaced(replaced: EventRecord, by: EventRecord): boolean {
    if (replaced.type === "m.room.member" && replaced.stateKey === this.viewer.userId) return true;
    const isTold = replaced.streamPosition === null;
    return isTold ? this.membershipAt(by.stateRootBefore) === "join" : this.canSee(replaced);
  }

  #find(eventId: EventRecord["eventId"]): EventRecord | null {
    return this.room.store.events.byId(eventId);
  }
}
