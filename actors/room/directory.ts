/**
 * The room's copy in the directory (D1): its summary and who is joined. A cursor says up to which position the copy is
 * written; what differs since is found by comparing the two states.
 */

import { parseUserId } from "../../shared/ids.ts";
import { membershipIn } from "../../shared/matrix/content/member.ts";
import { type DirectoryMember, writeDirectoryMembers, writeRoomSummary } from "../directory/rooms.ts";
import type { RoomContext } from "./context.ts";
import { stateRootAt } from "./state.ts";
import { differencesOf, type StateRoot } from "./state-tree.ts";
import type { RoomFacts } from "./store/room.ts";
import { roomSummaryOf } from "./summary.ts";

/** State keys that are looked at, and members written, at a time. */
const batchSize = 500;
/** When the alarm looks whether the copy was written. */
const repeatAfterMs = 30_000;

const running = new WeakMap<RoomContext, Promise<void>>();

/** Makes sure that what is owed to the directory is written even if this instance dies. To be called where it is owed. */
export function projectDirectoryLater(room: RoomContext): void {
  room.alarm.ensure(room.clock.now() + repeatAfterMs);
}

/** Writes what the directory lacks, until nothing is owed. One at a time: who comes later waits for the one under way. */
export async function projectDirectory(room: RoomContext): Promise<void> {
  const underWay = running.get(room);
  if (underWay !== undefined) return await underWay;
  const facts = room.store.room.find();
  if (facts === null || !isBehind(facts)) return;
  projectDirectoryLater(room);
  const task = Promise.resolve().then(() => projectAll(room));
  running.set(room, task);
  await task;
}

async function projectAll(room: RoomContext): Promise<void> {
  try {
    for (let facts = room.store.room.get(); isBehind(facts); facts = room.store.room.get()) {
      const written = facts.directoryPosition === 0 ? null : stateRootAt(room.store, facts.directoryPosition);
      await project(room, facts, written);
    }
  } finally {
    running.delete(room);
  }
}

/** Writes the room's row and all of its members' rows anew. */
export async function rebuildDirectory(room: RoomContext): Promise<null> {
  await running.get(room);
  const facts = room.store.room.find();
  if (facts !== null) await project(room, facts, null);
  return null;
}

function isBehind(facts: RoomFacts): boolean {
  return facts.directoryPosition < facts.directoryOwed;
}

/**
 * Writes what differs from the state `written`, then moves the cursor. All that is written was read before the first
 * await, or from states, which never change: a repeat writes the same again.
 */
async function project(room: RoomContext, facts: RoomFacts, written: StateRoot): Promise<void> {
  const summary = roomSummaryOf(room);
  let stateKeyNids: number[] = [];
  const events = new Map<number, number>();
  const flush = async (): Promise<void> => {
    const members = membersAmong(room, stateKeyNids, events);
    stateKeyNids = [];
    events.clear();
    await writeDirectoryMembers(room.directory, room.roomId, members, facts.streamPosition);
  };
  for (const { stateKeyNid, right } of differencesOf(room.store.stateNodes, written, facts.stateRoot)) {
    stateKeyNids.push(stateKeyNid);
    events.set(stateKeyNid, right);
    if (stateKeyNids.length >= batchSize) await flush();
  }
  await flush();
  await writeRoomSummary(room.directory, summary);
  room.store.transaction((tx) => tx.room.setDirectoryPosition(facts.streamPosition));
}

function membersAmong(
  room: RoomContext,
  stateKeyNids: readonly number[],
  events: ReadonlyMap<number, number>,
): DirectoryMember[] {
  const members: DirectoryMember[] = [];
  for (const { stateKeyNid, type, stateKey } of room.store.stateKeys.byNids(stateKeyNids)) {
    const userId = type === "m.room.member" ? parseUserId(stateKey) : null;
    if (userId === null) continue;
    const eventNid = events.get(stateKeyNid) ?? 0;
    const isJoined = eventNid !== 0 && membershipIn(room.store.events.byNid(eventNid).event) === "join";
    members.push({ userId, isJoined });
  }
  return members;
}
