/** The server's register of the rooms that live here. */
import type { RoomContext } from "./context.ts";

/** How long the register may lack the room before the alarm sees to it. */
const noteAfterMs = 10_000;

/** Makes sure that the server's register notes the room even if this instance dies. To be called when the room is made. */
export function noteRoomLater(room: RoomContext): void {
  room.alarm.ensure(room.clock.now() + noteAfterMs);
}

/** Has the server's register note the room, for maintenance that visits every room. */
export async function noteRoom(room: RoomContext): Promise<void> {
  if (room.store.room.find()?.isNoted !== false) return;
  await room.actors.server(room.config.serverName).noteRoom(room.roomId);
  room.store.transaction((tx) => tx.room.setNoted());
}
