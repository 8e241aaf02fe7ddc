/** Whether this server takes part in the room: has a joined user in it. */
import type { UserId } from "../../shared/ids.ts";
import type { RoomContext } from "./context.ts";
import type { RoomRead } from "./store/index.ts";

/** A local user who was joined when it was last asked, by the living instance of a room: looking for one costs a scan. */
const knownMembers = new WeakMap<RoomContext, UserId>();

/** Whether the room exists here and a local user is joined. Without one, nobody sends us its events, and none are taken. */
export function isResident(room: RoomContext, store: RoomRead): boolean {
  if (store.room.find() === null) return false;
  const known = knownMembers.get(room);
  if (known !== undefined && store.memberships.isJoined(known)) return true;
  const [member] = store.memberships.localJoined("", 1);
  if (member === undefined) return false;
  knownMembers.set(room, member.userId);
  return true;
}

/**
 * Whether the room's state here is its state: this server is in the room or, where nobody is, was the last to know it.
 * Otherwise only servers that are in the room can say who may join it.
 */
export function isHere(room: RoomContext, store: RoomRead): boolean {
  const facts = store.room.find();
  if (facts === null || facts.stateRoot === null) return false;
  // Where members are not known, that nobody seems to be in the room says nothing.
  return (facts.joinedMembers === 0 && !store.partialState.isOn()) || isResident(room, store);
}
