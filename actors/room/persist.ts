/**
 * THE writer: the only code that inserts into `events`. What an event changes is stored with it, in the caller's
 * transaction: graph, states, memberships, counts, the room's next stream position, and the wakes that it owes.
 */
import { parseUserId, serverNameOf, type UserId } from "../../shared/ids.ts";
import { withFields } from "../../shared/json.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { membershipOf } from "../../shared/matrix/content/member.ts";
import { PowerLevels } from "../../shared/matrix/content/power-levels.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { mayRedact } from "../../shared/matrix/event-auth/state-dependent.ts";
import { canonicalMode } from "../../shared/matrix/hashes.ts";
import type { Membership } from "../../shared/rpc/room.ts";
import type { RoomContext } from "./context.ts";
import { projectDirectoryLater } from "./directory.ts";
import { findCurrentState } from "./state.ts";
import { type StateRoot, setEntries } from "./state-tree.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";
import type { RoomFacts } from "./store/room.ts";
import { oweWakes } from "./wakes.ts";

/** State events from which the directory's copy of the room is made. */
const summaryTypes: ReadonlySet<string> = new Set([
  "m.room.create",
  "m.room.member",
  "m.room.name",
  "m.room.topic",
  "m.room.avatar",
  "m.room.canonical_alias",
  "m.room.join_rules",
  "m.room.history_visibility",
  "m.room.guest_access",
]);

/** Event numbers are entries of state vectors: unsigned 32 bits. */
const maxEventNid = 2 ** 32 - 1;

/** An accepted event of the live room. */
export interface AcceptedEvent {
  readonly event: MatrixEvent;
  /** The request that made it; null when it was not made here. */
  readonly deviceId: string | null;
  readonly txnId: string | null;
}

interface MemberChange {
  readonly userId: UserId;
  readonly before: Membership | null;
  readonly after: Membership;
}

/**
 * Stores an authorized event as the newest of the live room.
 *
 * Its prev events must be forward extremities, so that the state before it is the current one.
 *
 * @returns its stream position.
 */
export function persistEvent(room: RoomContext, tx: RoomTransaction, accepted: AcceptedEvent): number {
  const { event } = accepted;
  const facts = tx.room.get();
  const eventNid = facts.eventNid + 1;
  const streamPosition = facts.streamPosition + 1;
  if (eventNid > maxEventNid) throw new Error("the room has no event numbers left");
  const stateKeyNid = event.stateKey === null ? null : tx.stateKeys.intern(event.type, event.stateKey);
  const stateRoot: StateRoot =
    stateKeyNid === null
      ? facts.stateRoot
      : setEntries(tx.stateNodes, facts.stateRoot, new Map([[stateKeyNid, eventNid]]));
  insertEvent(tx, accepted, { eventNid, streamPosition, before: facts.stateRoot, after: stateRoot });
  tx.edges.insert(eventNid, event.prevEvents);
  tx.extremities.replace(eventNid, event.prevEvents);
  applyRedaction(tx, event);
  if (stateKeyNid !== null) tx.currentState.set(stateKeyNid, eventNid);
  const change = stateKeyNid === null ? null : putMembership(room, tx, event, { eventNid, streamPosition });
  const isSummary = event.stateKey !== null && summaryTypes.has(event.type);
  tx.room.advance({
    streamPosition,
    eventNid,
    stateRoot,
    ...countsAfter(facts, change),
    directoryOwed: isSummary ? streamPosition : facts.directoryOwed,
  });
  if (isSummary) projectDirectoryLater(room);
  stopTyping(tx, facts, change, streamPosition);
  const isLocal = change !== null && serverNameOf(change.userId) === room.config.serverName;
  oweWakes(room, { membershipChanges: isLocal ? [change.userId] : [] });
  return streamPosition;
}

function insertEvent(
  tx: RoomTransaction,
  { event, deviceId, txnId }: AcceptedEvent,
  at: { eventNid: number; streamPosition: number; before: StateRoot; after: StateRoot },
): void {
  tx.events.insert({
    eventNid: at.eventNid,
    eventId: event.eventId,
    streamPosition: at.streamPosition,
    status: "accepted",
    depth: event.depth,
    originServerTs: event.originServerTs,
    sender: event.sender,
    type: event.type,
    stateKey: event.stateKey,
    stateRootBefore: at.before,
    stateRootAfter: at.after,
    deviceId,
    txnId,
    event,
    json: canonicalJson(event.pdu, ["unsigned"], canonicalMode(tx.room.rules())),
  });
}

/**
 * Marks the event that a redaction names, where the redaction's sender has the right to it. The state is still the one
 * before the redaction.
 *
 * @see https://spec.matrix.org/v1.19/rooms/v11/#handling-redactions
 */
function applyRedaction(tx: RoomTransaction, event: MatrixEvent): void {
  if (event.type !== "m.room.redaction" || event.redacts === null) return;
  const target = tx.events.byId(event.redacts);
  if (target === null || target.redactedBy !== null || target.status !== "accepted") return;
  if (mayRedact(event, target.event, currentPowerLevels(tx))) tx.events.setRedacted(target.eventNid, event.eventId);
}

/** The power levels of the current state. */
export function currentPowerLevels(store: RoomRead): PowerLevels {
  const levels = findCurrentState(store, "m.room.power_levels", "");
  const create = findCurrentState(store, "m.room.create", "");
  return new PowerLevels(levels?.event ?? null, create?.event ?? null, store.room.rules());
}

function putMembership(
  room: RoomContext,
  tx: RoomTransaction,
  event: MatrixEvent,
  at: { eventNid: number; streamPosition: number },
): MemberChange | null {
  if (event.type !== "m.room.member" || event.stateKey === null) return null;
  const userId = parseUserId(event.stateKey);
  const after = membershipOf(event.content);
  if (userId === null || after === null) return null;
  const before = tx.memberships.find(userId)?.membership ?? null;
  tx.memberships.put({ userId, membership: after, ...at, isLocal: serverNameOf(userId) === room.config.serverName });
  return { userId, before, after };
}

function countsAfter(
  facts: RoomFacts,
  change: MemberChange | null,
): Pick<RoomFacts, "joinedMembers" | "invitedMembers"> {
  const moved = (membership: Membership): number =>
    change === null ? 0 : Number(change.after === membership) - Number(change.before === membership);
  return {
    joinedMembers: facts.joinedMembers + moved("join"),
    invitedMembers: facts.invitedMembers + moved("invite"),
  };
}

/** Who is no longer in the room does not type in it. */
function stopTyping(tx: RoomTransaction, facts: RoomFacts, change: MemberChange | null, streamPosition: number): void {
  if (change === null || change.after === "join" || !Object.hasOwn(facts.typing, change.userId)) return;
  tx.room.setTyping(withFields(facts.typing, { [change.userId]: undefined }), streamPosition);
}
