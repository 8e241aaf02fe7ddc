/** Which rooms this server and the other share: where an event is looked for that is asked after without its room. */
import type { RoomId } from "../../shared/ids.ts";
import type { ServerContext } from "./context.ts";

/** Rooms that are remembered as the latest of which was spoken. */
const maxRemembered = 50;

/** By the living instance of a server's actor: rooms that the server has read or sent events of, the latest last. */
const spokenOf = new WeakMap<ServerContext, Set<RoomId>>();

/** The server reads a room, or sends events of it: what it asks for next is likely to be there. Lost with the instance. */
export function noteSharedRoom(server: ServerContext, roomId: RoomId): void {
  const rooms = spokenOf.get(server) ?? new Set();
  spokenOf.set(server, rooms);
  rooms.delete(roomId);
  rooms.add(roomId);
  for (const oldest of rooms) {
    if (rooms.size <= maxRemembered) break;
    rooms.delete(oldest);
  }
}

/** Rooms of which the server spoke lately, the latest first, then others of which it is sent something. */
export function getSharedRooms(server: ServerContext, limit: number): RoomId[] {
  const rooms = new Set([...(spokenOf.get(server) ?? [])].reverse());
  for (const roomId of server.store.outbox.someRooms(limit)) rooms.add(roomId);
  return [...rooms].slice(0, limit);
}
