/** Tries events again that could not be verified when the room was joined (`unverified-state.ts`). */
import type { RoomForJoining } from "../../shared/rpc/room-joining.ts";
import { commit } from "./commit.ts";
import { assertWorker } from "./complete-state.ts";
import type { RoomContext } from "./context.ts";
import { Taken } from "./import.ts";
import { fetchSigningKey } from "./signing.ts";
import { getEntry } from "./state-tree.ts";
import type { RoomTransaction } from "./store/index.ts";
import { RemoteJoinStore } from "./store/remote-join.ts";
import { UnverifiedStore } from "./store/unverified.ts";
import { maxToVerify } from "./unverified-state.ts";

/** Tries the events that the worker was given last, with the keys that it has found. */
export async function takeKeys(
  room: RoomContext,
  { workerId, keys }: Parameters<RoomForJoining["takeKeys"]>[0],
): Promise<null> {
  const key = await fetchSigningKey(room);
  await commit(room, (tx) => {
    assertWorker(tx, workerId);
    const store = new UnverifiedStore(room.sql);
    const events = store.untried(workerId, maxToVerify);
    const eventIds = events.map(({ eventId }) => eventId);
    // Those that do not pass yet are put back.
    store.delete(eventIds);
    const waiting = new RemoteJoinStore(room.sql, "partial_state_unverified");
    const taken = new Taken(room, tx, { key, waiting });
    for (const isState of [false, true]) {
      const pdus = events.filter((event) => event.isState === isState).map(({ pdu }) => pdu);
      taken.takeAll(pdus, { isState, keys, rules: tx.room.rules() });
    }
    store.setTried(eventIds, workerId);
    while (taken.takeReleased());
    addToTold(tx, taken);
  });
  return null;
}

/** The state before the join is what was told, and this: only what that state lacks is added. */
function addToTold(tx: RoomTransaction, taken: Taken): void {
  const [join] = tx.partialState.eventsAfter(0, 1);
  const told = join?.told[0]?.root;
  if (join === undefined || told === undefined) return;
  const root = taken.stateOn(told, (_type, stateKeyNid) => getEntry(tx.stateNodes, told, stateKeyNid) === 0);
  if (root !== told) tx.partialState.setToldRoot(join.sequence, root);
}
