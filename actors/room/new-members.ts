/**
 * Members who come to be known all at once, when a large room is joined or made whole. What their events say is noted while
 * the state is being taken; when it becomes the room's, during which nobody is answered, it is stored in one go.
 */
import { parseUserId, serverNameOf } from "../../shared/ids.ts";
import type { RoomContext } from "./context.ts";
import type { StateChange } from "./current-state.ts";
import type { NewMembers } from "./servers.ts";
import type { RoomTransaction } from "./store/index.ts";

/** Fewer changes are made one by one. */
export const manyChanges = 1_000;
/** Fewer entries of one batch are of a small room, and not noted. */
const manyEntries = 100;
/** Entries of one statement. */
const batchSize = 1_000;

/** An entry of a state. */
interface StateEntry extends StateChange {
  readonly type: string;
  readonly stateKey: string;
}

/** Notes the members of other servers among the entries of a state that is being taken, where they are many. */
export function noteMembers(room: RoomContext, tx: RoomTransaction, entries: readonly StateEntry[]): void {
  if (entries.length >= manyEntries) tx.memberships.noteTold(entries.filter((entry) => isOfOther(room, entry)));
}

function isOfOther(room: RoomContext, { type, stateKey }: StateEntry): boolean {
  const userId = type === "m.room.member" ? parseUserId(stateKey) : null;
  return userId !== null && serverNameOf(userId) !== room.config.serverName;
}

/**
 * Stores those of the changes that are members of other servers of whom nothing was known.
 * @returns how many they are, and the changes that are still to be made
 */
export function putNewMembers(
  room: RoomContext,
  tx: RoomTransaction,
  { changes, streamPosition }: { changes: readonly StateChange[]; streamPosition: number },
): { newMembers: NewMembers[]; remaining: StateChange[] } {
  let noted = new Set(tx.memberships.told());
  const wanted = new Set(changes.map(({ eventNid }) => eventNid));
  // Of a state that has not become the room's, or of which this is another part.
  tx.memberships.dropTold([...noted.difference(wanted)]);
  const rest = changes.filter(({ eventNid }) => eventNid !== 0 && !noted.has(eventNid));
  for (let start = 0; start < rest.length; start += batchSize) noteRest(room, tx, rest.slice(start, start + batchSize));
  if (rest.length > 0) noted = new Set(tx.memberships.told());
  for (const eventNid of tx.memberships.dropToldOfKnown()) noted.delete(eventNid);
  const newMembers = tx.memberships.countTold();
  tx.memberships.storeTold(streamPosition);
  return { newMembers, remaining: changes.filter(({ eventNid }) => !noted.has(eventNid)) };
}

/** Notes what was not noted before. */
function noteRest(room: RoomContext, tx: RoomTransaction, changes: readonly StateChange[]): void {
  const keys = tx.stateKeys.byNids(changes.map(({ stateKeyNid }) => stateKeyNid));
  const byNid = new Map(keys.map((key) => [key.stateKeyNid, key]));
  const entries = changes.flatMap((change) => {
    const key = byNid.get(change.stateKeyNid);
    return key === undefined ? [] : [{ ...key, ...change }];
  });
  tx.memberships.noteTold(entries.filter((entry) => isOfOther(room, entry)));
}
