/** Rooms of other servers, given to ours event by event. */
import { admitPdu, type KeyLookup, receivePdus } from "../../../actors/room/receive.ts";
import { findStateAt } from "../../../actors/room/state.ts";
import { entriesOf, type StateRoot } from "../../../actors/room/state-tree.ts";
import { type EventId, trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import type { PduOutcome } from "../../../shared/rpc/room-peers.ts";
import { type RoomBuilder, testVerifyKeysOf } from "../../support/room-builder.ts";
import { createWorld, type TestRoom, type World } from "./world.ts";

/** Every server of a built room has a key made of its name. */
export const testKeys: KeyLookup = (server) => testVerifyKeysOf(server);

export const otherServer = trusted.serverName("example.org");

/** Our side of a room that another server has begun: nothing in it yet. */
export function foreignRoom(builder: RoomBuilder, world: World = createWorld()): TestRoom {
  const room = world.room(builder.roomId);
  room.context.store.transaction((tx) => tx.room.insert(builder.rules.version));
  return room;
}

/** Gives the room events, one batch an event, and says what became of each. */
export async function give(room: TestRoom, events: readonly (MatrixEvent | JsonObject)[]): Promise<PduOutcome[]> {
  const outcomes: PduOutcome[] = [];
  for (const event of events) {
    const pdu = isEvent(event) ? event.pdu : event;
    outcomes.push(...(await receivePdus(room.context, otherServer, [pdu], testKeys)));
  }
  return outcomes;
}

/** Gives an event outside the graph. */
export function giveOutlier(room: TestRoom, event: MatrixEvent): PduOutcome {
  return admitPdu(room.context, event.pdu, { keysFor: testKeys, isOutlier: true });
}

function isEvent(event: MatrixEvent | JsonObject): event is MatrixEvent {
  return "pdu" in event && "eventId" in event;
}

/** `[type, state_key] → event id` as sorted lines. */
export function linesAt(room: TestRoom, root: StateRoot): string[] {
  const { store } = room.context;
  return [...entriesOf(store.stateNodes, root)]
    .map(([, nid]) => store.events.byNid(nid))
    .map(({ type, stateKey, eventId }) => `${type}|${stateKey} = ${eventId}`)
    .sort();
}

/** The current state by the vector, the flat table and the members' table, which must agree. */
export function currentLines(room: TestRoom): string[] {
  const { store } = room.context;
  const lines = linesAt(room, store.room.get().stateRoot);
  const flat = store.currentState
    .all()
    .map((nid) => store.events.byNid(nid))
    .map(({ type, stateKey, eventId }) => `${type}|${stateKey} = ${eventId}`)
    .sort();
  if (JSON.stringify(flat) !== JSON.stringify(lines)) throw new Error("the flat current state is another");
  assertMembers(room);
  return lines;
}

function assertMembers(room: TestRoom): void {
  const { store } = room.context;
  const { stateRoot, joinedMembers, invitedMembers } = store.room.get();
  const rows = room.sql.all<{ user_id: string; membership: string }>(
    "SELECT user_id, membership FROM room_memberships",
  );
  const counts = { join: 0, invite: 0 };
  for (const { user_id, membership } of rows) {
    const record = findStateAt(store, stateRoot, "m.room.member", user_id);
    const actual = record === null ? "leave" : String(record.event.content.membership);
    if (actual !== membership) throw new Error(`${user_id} is ${actual}, the members say ${membership}`);
    if (membership === "join" || membership === "invite") counts[membership] += 1;
  }
  if (counts.join !== joinedMembers || counts.invite !== invitedMembers) throw new Error("members are miscounted");
}

export function statusOf(room: TestRoom, eventId: EventId): string | null {
  return room.context.store.events.byId(eventId)?.status ?? null;
}

export function endsOf(room: TestRoom): EventId[] {
  return room.context.store.extremities
    .ends()
    .map((end) => end.eventId)
    .sort();
}
