/** Measures of one room: reading its state, resolving forks, sending. */
import type { RoomContext } from "../../actors/room/context.ts";
import { resolveRoots } from "../../actors/room/resolve.ts";
import { sendEvent } from "../../actors/room/send.ts";
import { findStateAt } from "../../actors/room/state.ts";
import { entriesOf, type StateRoot } from "../../actors/room/state-tree.ts";
import { RoomStore } from "../../actors/room/store/index.ts";
import type { SendEventInput } from "../../shared/rpc/room.ts";
import { addState, alice, type LargeRoom } from "./core-room.ts";
import { percentiles } from "./measure.ts";

/** Milliseconds and rows read. */
export interface Reading {
  readonly entries: number;
  readonly asNumbersMs: number;
  readonly nodeRows: number;
  readonly withEventsMs: number;
}

/** Reads the whole state, first as numbers and then with all of its events, a batch at a time. */
export function measureReading({ room, root }: LargeRoom): Reading {
  const store = new RoomStore(room.sql);
  const before = room.sql.usage.rowsRead;
  const startedAt = performance.now();
  let entries = 0;
  for (const _ of entriesOf(store.stateNodes, root)) entries += 1;
  const asNumbersMs = performance.now() - startedAt;
  const nodeRows = room.sql.usage.rowsRead - before;
  const fullAt = performance.now();
  let nids: number[] = [];
  let events = 0;
  const flush = (): void => {
    events += store.events.byNids(nids).length;
    nids = [];
  };
  for (const [, nid] of entriesOf(store.stateNodes, root)) if (nids.push(nid) === 1_000) flush();
  flush();
  if (events !== entries) throw new Error("the state has events that are not here");
  return { entries, asNumbersMs, nodeRows, withEventsMs: performance.now() - fullAt };
}

/** Forks that change the same keys: the topic, the power levels and the profiles of the same members. */
function makeForks(large: LargeRoom, forks: number, changes: number): StateRoot[] {
  const { room, create, creatorMember, levels, joinRules, members } = large;
  return room.store.transaction((tx) => {
    const base = tx.room.get().stateRoot;
    return Array.from({ length: forks }, (_, fork) => {
      const prev = [joinRules.eventId];
      const own = [create, levels, creatorMember];
      const add = (
        type: string,
        stateKey: string,
        before: StateRoot,
        content: Parameters<typeof addState>[2]["content"],
      ) => addState(room, tx, { sender: alice, type, stateKey, content, auth: own, prev, before }).stateRootAfter;
      let root = add("m.room.topic", "", base, { topic: `fork ${fork}` });
      const changed = { users: { [alice]: 100, [String(members[fork])]: 50 }, state_default: 0 };
      root = add("m.room.power_levels", "", root, changed);
      for (const member of members.slice(0, changes - 2)) {
        const known = tx.events.byNid(nidOf(large, member));
        const content = { membership: "join", displayname: `In fork ${fork}` };
        const auth = [create, levels, joinRules, known];
        const input = { sender: member, type: "m.room.member", stateKey: member, content, auth, prev, before: root };
        root = addState(room, tx, input).stateRootAfter;
      }
      return root;
    });
  });
}

function nidOf({ room, root }: LargeRoom, member: string): number {
  const record = findStateAt(room.store, root, "m.room.member", member);
  if (record === null) throw new Error("no such member");
  return record.eventNid;
}

/** Resolves forks of the room, each time with nothing of it in memory, as after an eviction. */
export function measureResolution(
  large: LargeRoom,
  { forks, changes, rounds }: { forks: number; changes: number; rounds: number },
): { ms: number; rowsRead: number } {
  const roots = makeForks(large, forks, changes);
  const times: number[] = [];
  let rowsRead = 0;
  for (let round = 0; round < rounds; round += 1) {
    const store = new RoomStore(large.room.sql);
    const before = large.room.sql.usage.rowsRead;
    const startedAt = performance.now();
    store.transaction((tx) => {
      if (!resolveRoots(tx, roots).ok) throw new Error("not resolved");
    });
    times.push(performance.now() - startedAt);
    rowsRead = large.room.sql.usage.rowsRead - before;
  }
  return { ms: percentiles(times).p50, rowsRead };
}

/** Messages one after the other, each stored before the next. @returns ms for one, on average over all `count` */
export async function measureSends(room: RoomContext, round: number, count: number): Promise<number> {
  const startedAt = performance.now();
  for (let index = 0; index < count; index += 1) await sendEvent(room, message(index, `t${round}-${index}`));
  return (performance.now() - startedAt) / count;
}

function message(index: number, txnId: string): SendEventInput {
  const content = { msgtype: "m.text", body: `message ${index}` };
  return { sender: alice, deviceId: null, txnId, type: "m.room.message", stateKey: null, content, redacts: null };
}
