/** The room's states as algorithms ask for them: `(type, state_key) → event`. */
import type { StateLookup } from "../../shared/matrix/event.ts";
import { getEntry, type StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import type { RoomRead } from "./store/index.ts";

/** The event of a key in the current state; null when it is not set. */
export function findCurrentState(store: RoomRead, type: string, stateKey: string): EventRecord | null {
  const stateKeyNid = store.stateKeys.find(type, stateKey);
  const eventNid = stateKeyNid === null ? null : store.currentState.find(stateKeyNid);
  return eventNid === null ? null : store.events.byNid(eventNid);
}

/** The event of a key in the state of a root; null when it is not set. */
export function findStateAt(store: RoomRead, root: StateRoot, type: string, stateKey: string): EventRecord | null {
  const stateKeyNid = store.stateKeys.find(type, stateKey);
  const eventNid = stateKeyNid === null ? 0 : getEntry(store.stateNodes, root, stateKeyNid);
  return eventNid === 0 ? null : store.events.byNid(eventNid);
}

/** What the room's current state was at a position of its stream. */
export function stateRootAt(store: RoomRead, position: number): StateRoot {
  const facts = store.room.get();
  if (position >= facts.streamPosition) return facts.stateRoot;
  const newestThen = store.events.backward(position, Number.MIN_SAFE_INTEGER, 1)[0];
  return newestThen?.currentRoot ?? newestThen?.stateRootAfter ?? null;
}

/** The state of a root, looked up key by key. */
export function stateLookupAt(store: RoomRead, root: StateRoot): StateLookup {
  return (type, stateKey) => findStateAt(store, root, type, stateKey)?.event ?? null;
}
