/** What of the room's core is measured, and against which target. */

import { resolveRoots } from "../../actors/room/resolve.ts";
import { sendEvent } from "../../actors/room/send.ts";
import { findStateAt } from "../../actors/room/state.ts";
import { entriesOf, type StateRoot } from "../../actors/room/state-tree.ts";
import { RoomStore } from "../../actors/room/store/index.ts";
import { serverNameOf } from "../../shared/ids.ts";
import { isObject, type JsonObject, objectField } from "../../shared/json.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { eventFromPdu } from "../../shared/matrix/event.ts";
import { authorize } from "../../shared/matrix/event-auth/state-dependent.ts";
import { hasValidContentHash } from "../../shared/matrix/hashes.ts";
import { isValidSignature, verifyEvent } from "../../shared/matrix/signing.ts";
import { alice, createWorld, message } from "../actors/room/world.ts";
import { RoomBuilder, testVerifyKeysOf, user } from "../support/room-builder.ts";
import { addState, type LargeRoom, makeLargeRoom } from "./core-room.ts";
import { percentiles } from "./measure.ts";

export interface CoreRow {
  readonly name: string;
  readonly result: string;
  readonly target: string;
}

const largeSize = 100_000;
const changesPerSide = 50;

/** Measures everything; `report` is told as it goes. */
export async function measureCore(report: (line: string) => void): Promise<CoreRow[]> {
  const rows: CoreRow[] = [];
  let peakMib = 0;
  const add = (row: CoreRow): void => {
    rows.push(row);
    peakMib = Math.max(peakMib, process.memoryUsage().heapUsed / 2 ** 20);
    report(`${row.name}: ${row.result}`);
  };
  for (const row of measureChecks()) add(row);
  add(measureCanonicalJson());
  const world = createWorld();
  const small = makeLargeRoom(world, "small", 10);
  const large = makeLargeRoom(world, "large", largeSize);
  add({ name: "build and store a state of 100,000 members", result: ms(large.stateMs), target: "≤ 2 s" });
  for (const row of measureReading(large)) add(row);
  for (const forks of [2, 3]) for (const row of measureResolution(large, forks)) add(row);
  for (const row of await measureSends(small, large)) add(row);
  add({ name: "heap in use, most after a measurement", result: `${Math.round(peakMib)} MiB`, target: "≤ 100 MiB" });
  return rows;
}

const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
const count = (value: number): string => Math.round(value).toLocaleString("en");

/** Signature, content hash, event id and authorization of joins, as of a batch that arrives; and the signatures alone. */
function measureChecks(): CoreRow[] {
  const total = 10_000;
  const batch = 500;
  let took = 0;
  let tookToVerify = 0;
  for (let done = 0; done < total; done += batch) {
    // Made in batches, so that those who are measured do not fill the memory.
    const room = RoomBuilder.open({ version: "11", joinRule: "public" });
    const server = serverNameOf(room.creator);
    const [rules, keys] = [room.rules, testVerifyKeysOf(server)];
    const pdus = Array.from({ length: batch }, (_, index) => {
      const sender = user(`@member-${done + index}:${server}`);
      return room.make({ sender, type: "m.room.member", stateKey: sender, content: { membership: "join" } }).pdu;
    });
    const startedAt = performance.now();
    for (const pdu of pdus) {
      const isValid = verifyEvent(pdu, rules, server, keys) && hasValidContentHash(pdu, rules);
      if (!isValid || !authorize(eventFromPdu(pdu, rules), rules, room.lookup).allowed) throw new Error("refused");
    }
    took += performance.now() - startedAt;
    const publicKey = keys.values().next().value ?? "";
    const message = new Uint8Array(512);
    const signature = signatureOf(pdus[0] ?? {});
    const verifyingAt = performance.now();
    for (let index = 0; index < batch; index += 1) isValidSignature(message, signature, publicKey);
    tookToVerify += performance.now() - verifyingAt;
  }
  return [
    {
      name: "verify, hash and authorize 10,000 member events",
      result: `${count((total / took) * 1_000)} events/s`,
      target: "≥ 8,000 events/s",
    },
    {
      name: "10,000 Ed25519 verifications by themselves, between those",
      result: `${count((total / tookToVerify) * 1_000)}/s`,
      target: "",
    },
  ];
}

function signatureOf(pdu: JsonObject): string {
  const [byServer] = Object.values(objectField(pdu, "signatures") ?? {});
  const [signature] = byServer === undefined || !isObject(byServer) ? [] : Object.values(byServer);
  return typeof signature === "string" ? signature : "";
}

function measureCanonicalJson(): CoreRow {
  const room = RoomBuilder.open({ version: "11" });
  const body = "x".repeat(350);
  const { pdu } = room.make({ sender: room.creator, type: "m.room.message", content: { msgtype: "m.text", body } });
  const bytes = canonicalJson(pdu).length;
  const rounds = 50_000;
  for (let round = 0; round < 5_000; round += 1) canonicalJson(pdu);
  const startedAt = performance.now();
  for (let round = 0; round < rounds; round += 1) canonicalJson(pdu);
  const micros = ((performance.now() - startedAt) / rounds) * 1_000;
  return { name: `canonical JSON of an event of ${bytes} bytes`, result: `${micros.toFixed(1)} µs`, target: "≤ 10 µs" };
}

function measureReading({ room, root }: LargeRoom): CoreRow[] {
  const store = new RoomStore(room.sql);
  const before = room.sql.usage.rowsRead;
  const startedAt = performance.now();
  let entries = 0;
  for (const _ of entriesOf(store.stateNodes, root)) entries += 1;
  const took = performance.now() - startedAt;
  const rowsRead = room.sql.usage.rowsRead - before;
  const fullAt = performance.now();
  let nids: number[] = [];
  let events = 0;
  const flush = (): void => {
    events += store.events.byNids(nids).length;
    nids = [];
  };
  for (const [, nid] of entriesOf(store.stateNodes, root)) if (nids.push(nid) === 1_000) flush();
  flush();
  return [
    {
      name: `read a state of ${count(entries)}, as numbers`,
      result: `${ms(took)}, ${count(rowsRead)} rows`,
      target: "",
    },
    { name: `read it with its ${count(events)} events`, result: ms(performance.now() - fullAt), target: "" },
  ];
}

/** Forks that change the same keys: the topic, the power levels and the profiles of the same members. */
function makeForks(large: LargeRoom, forks: number): StateRoot[] {
  const { room, create, creatorMember, levels, joinRules, members } = large;
  return room.context.store.transaction((tx) => {
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
      for (const member of members.slice(0, changesPerSide - 2)) {
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
  const record = findStateAt(room.context.store, root, "m.room.member", member);
  if (record === null) throw new Error("no such member");
  return record.eventNid;
}

function measureResolution(large: LargeRoom, forks: number): CoreRow[] {
  const roots = makeForks(large, forks);
  const times: number[] = [];
  let rowsRead = 0;
  for (let round = 0; round < 7; round += 1) {
    // With nothing in memory, as after an eviction.
    const store = new RoomStore(large.room.sql);
    const before = large.room.sql.usage.rowsRead;
    const startedAt = performance.now();
    store.transaction((tx) => {
      if (!resolveRoots(tx, roots).ok) throw new Error("not resolved");
    });
    times.push(performance.now() - startedAt);
    rowsRead = large.room.sql.usage.rowsRead - before;
  }
  const name = `resolve ${forks} forks of ${changesPerSide} changes each among 100,000 members`;
  return [
    { name, result: ms(percentiles(times).p50), target: "≤ 50 ms" },
    { name: "rows read by that", result: count(rowsRead), target: "≤ 2,000" },
  ];
}

async function measureSends(small: LargeRoom, large: LargeRoom): Promise<CoreRow[]> {
  const times: number[][] = [[], []];
  for (let round = 0; round < 40; round += 1) {
    for (const [index, { room }] of [small, large].entries()) await sendBlock(room, round, times[index] ?? []);
  }
  const [few, many] = times.map((list) => percentiles(list).p50);
  const more = Math.round(((many ?? 0) / (few ?? 1) - 1) * 100);
  return [
    { name: "one local send in a room of 10", result: ms(few ?? 0), target: "" },
    { name: "one local send in a room of 100,000", result: `${ms(many ?? 0)} (${more} % more)`, target: "≤ 20 % more" },
  ];
}

/** The two rooms take turns, each long enough to have its own in the processor's caches. */
async function sendBlock(room: LargeRoom["room"], round: number, times: number[]): Promise<void> {
  for (let index = 0; index < 50; index += 1) {
    const startedAt = performance.now();
    await sendEvent(room.context, message(alice, `message ${index}`, `t${round}-${index}`));
    if (round >= 4) times.push(performance.now() - startedAt);
  }
}
