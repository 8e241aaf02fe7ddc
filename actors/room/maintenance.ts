/** What the room does by itself, later: the alarm's work, and what sets the alarm. */
import { describeError } from "../../shared/log.ts";
import { continueCompletion } from "./complete-state.ts";
import type { RoomContext } from "./context.ts";
import { projectDirectory } from "./directory.ts";
import { expireTyping } from "./ephemeral.ts";
import { continueJoin } from "./join-remote.ts";
import { noteRoom } from "./noting.ts";
import { endWaits } from "./partial-state.ts";
import { tellOutside } from "./remote-membership.ts";
import { continueUpgrade } from "./upgrade.ts";
import { repeatWakes } from "./wakes.ts";

/** How long a client may repeat a request and get the same answer. */
export const transactionLifetimeMs = 24 * 60 * 60 * 1000;
/** Old transactions are dropped in one go, this often at most. */
const trimPauseMs = 60 * 60 * 1000;

type Work = (room: RoomContext) => void | Promise<void>;

/** Also of a room that other servers are in, and this one is not. */
const atAnyTime: readonly Work[] = [tellOutside, continueJoin];
const ofRoom: readonly Work[] = [
  trimTransactions,
  expireTyping,
  repeatWakes,
  projectDirectory,
  noteRoom,
  continueUpgrade,
  continueCompletion,
  endWaits,
];

/** Everything that is due. Each piece of work fails alone. @throws Error when one did: the alarm is set again. */
export async function onRoomAlarm(room: RoomContext): Promise<void> {
  const failed: string[] = [];
  for (const work of [...atAnyTime, ...ofRoom]) {
    try {
      // A join that has failed takes with it what was told of the room.
      if (atAnyTime.includes(work) || room.store.room.find() !== null) await work(room);
    } catch (thrown) {
      failed.push(`${work.name}: ${describeError(thrown)}`);
    }
  }
  if (failed.length > 0) throw new Error(failed.join("; "));
}

/** Makes sure that transactions are dropped when they are old. To be called when one is stored. */
export function trimTransactionsLater(room: RoomContext): void {
  room.alarm.ensure(room.clock.now() + transactionLifetimeMs);
}

/** Drops the transactions that no client repeats any more. Looks for them once in a while only, however often it is called. */
export function trimTransactions(room: RoomContext): void {
  const now = room.clock.now();
  if (now < room.memory.trimTs) {
    room.alarm.ensure(room.memory.trimTs);
    return;
  }
  let oldest = room.store.transactions.oldestTs();
  if (oldest !== null && oldest + transactionLifetimeMs <= now) {
    room.store.transaction((tx) => tx.transactions.deleteBefore(now - transactionLifetimeMs + 1));
    oldest = room.store.transactions.oldestTs();
  }
  room.memory.trimTs = Math.max((oldest ?? now) + transactionLifetimeMs, now + trimPauseMs);
  if (oldest !== null) room.alarm.ensure(room.memory.trimTs);
}
