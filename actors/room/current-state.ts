/** The current state as kept flat: by key, and the members. Follows what the states after the graph's ends resolve to. */
import { parseUserId, serverNameOf, type UserId } from "../../shared/ids.ts";
import { withFields } from "../../shared/json.ts";
import { membershipOf } from "../../shared/matrix/content/member.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import type { RoomContext } from "./context.ts";
import { manyChanges, putNewMembers } from "./new-members.ts";
import type { MemberMove, NewMembers } from "./servers.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { RoomFacts } from "./store/room.ts";

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

/** A key of the current state and what it has now; 0: nothing. */
export interface StateChange {
  readonly stateKeyNid: number;
  readonly eventNid: number;
}

/** What a change of the current state means for the rest of the room. */
export interface StateEffect {
  readonly joinedMembers: number;
  readonly invitedMembers: number;
  /** Users of this server whose own member event is another now. */
  readonly localMembers: UserId[];
  /** Others whose own member event is another now. */
  readonly moves: readonly MemberMove[];
  /** Those of whom nothing was known, where they are many. */
  readonly newMembers: readonly NewMembers[];
  /** Whether the directory's copy of the room is old now. */
  readonly isSummary: boolean;
}

interface Update {
  readonly facts: RoomFacts;
  readonly changes: readonly StateChange[];
  /** The event that brought the changes; most often it is the one change itself. */
  readonly cause: { readonly event: MatrixEvent; readonly eventNid: number };
  readonly streamPosition: number;
}

/** Writes the changes of the current state that an event has brought, its own and those of resolution. */
export function applyCurrentState(room: RoomContext, tx: RoomTransaction, update: Update): StateEffect {
  const counts = { join: update.facts.joinedMembers, invite: update.facts.invitedMembers };
  const isMany = update.changes.length >= manyChanges;
  const { newMembers, remaining } = isMany ? putNewMembers(room, tx, update) : { newMembers: [], remaining: null };
  for (const { membership, count } of newMembers) {
    if (membership === "join" || membership === "invite") counts[membership] += count;
  }
  const moves: MemberMove[] = [];
  const localMembers: UserId[] = [];
  const gone: UserId[] = [];
  let isSummary = newMembers.length > 0;
  for (const change of remaining ?? update.changes) {
    const event = eventOf(tx, change, update.cause);
    const { type, stateKey } = event ?? tx.stateKeys.byNid(change.stateKeyNid);
    if (change.eventNid === 0) tx.currentState.delete(change.stateKeyNid);
    else tx.currentState.set(change.stateKeyNid, change.eventNid);
    isSummary ||= summaryTypes.has(type);
    if (type !== "m.room.member" || stateKey === null) continue;
    const moved = putMembership(room, tx, { stateKey, event, change, streamPosition: update.streamPosition });
    if (moved === null) continue;
    moves.push(moved);
    if (moved.before === "join" || moved.before === "invite") counts[moved.before] -= 1;
    if (moved.after === "join" || moved.after === "invite") counts[moved.after] += 1;
    if (moved.after !== "join") gone.push(moved.userId);
    if (serverNameOf(moved.userId) === room.config.serverName) localMembers.push(moved.userId);
  }
  stopTyping(tx, update, gone);
  return { joinedMembers: counts.join, invitedMembers: counts.invite, localMembers, moves, newMembers, isSummary };
}

function eventOf(tx: RoomTransaction, { eventNid }: StateChange, cause: Update["cause"]): MatrixEvent | null {
  if (eventNid === 0) return null;
  return eventNid === cause.eventNid ? cause.event : tx.events.byNid(eventNid).event;
}

/** Whoever has no member event any more, because resolution has undone it, is out of the room. */
function putMembership(
  room: RoomContext,
  tx: RoomTransaction,
  input: { stateKey: string; event: MatrixEvent | null; change: StateChange; streamPosition: number },
): MemberMove | null {
  const userId = parseUserId(input.stateKey);
  const after = input.event === null ? "leave" : membershipOf(input.event.content);
  if (userId === null || after === null) return null;
  const old = tx.memberships.find(userId);
  const eventNid = input.change.eventNid === 0 ? old?.eventNid : input.change.eventNid;
  if (eventNid === undefined) return null;
  const isLocal = serverNameOf(userId) === room.config.serverName;
  tx.memberships.put({ userId, membership: after, eventNid, streamPosition: input.streamPosition, isLocal });
  return { userId, before: old?.membership ?? null, after };
}

/** Who is no longer in the room does not type in it. */
function stopTyping(tx: RoomTransaction, { facts, streamPosition }: Update, gone: readonly UserId[]): void {
  const typing = gone.filter((userId) => Object.hasOwn(facts.typing, userId));
  if (typing.length === 0) return;
  const changes = Object.fromEntries(typing.map((userId) => [userId, undefined]));
  tx.room.setTyping(withFields(facts.typing, changes), streamPosition);
}
