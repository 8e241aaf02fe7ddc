/** Which room replaces which: both must say so. */
import { parseRoomId, type RoomId } from "../../shared/ids.ts";
import { stringField } from "../../shared/json.ts";
import { predecessorOf } from "../../shared/matrix/content/create.ts";
import type { RoomContext } from "./context.ts";
import { findCurrentState } from "./state.ts";
import { UpgradeStore } from "./store/upgrades.ts";

/**
 * The room that this one replaces, where that room agrees. Null: there is none, or none that this server knows.
 *
 * What this room's create event says is not enough: anybody can make a room that claims to replace another.
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
export async function findReplacedRoom(room: RoomContext): Promise<RoomId | null> {
  if (room.store.room.find() === null) return null;
  const create = findCurrentState(room.store, "m.room.create", "")?.event.content ?? {};
  const predecessor = parseRoomId(predecessorOf(create)?.roomId ?? "");
  if (predecessor === null || predecessor === room.roomId) return null;
  return (await room.actors.room(predecessor).isReplacedBy(room.roomId)) ? predecessor : null;
}

/** Whether the room's tombstone names that room, or is about to: an upgrade is under way whose new room it is. */
export function isReplacedBy(room: RoomContext, replacement: RoomId): boolean {
  if (room.store.room.find() === null) return false;
  const upgrade = new UpgradeStore(room.sql).find();
  if (upgrade?.step === "create" && upgrade.roomId === replacement) return true;
  return tombstoneOf(room) === replacement;
}

/** The room to which the tombstone points; null: there is no tombstone, or it names none. */
export function tombstoneOf(room: RoomContext): string | null {
  const tombstone = findCurrentState(room.store, "m.room.tombstone", "")?.event.content ?? {};
  return stringField(tombstone, "replacement_room");
}
