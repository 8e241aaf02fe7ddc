/** What is measured: the operations of everyday use, at rest and under load. */
import { setTimeout as delay } from "node:timers/promises";
import type { Api } from "./http.ts";
import { type Measurement, measure, type Scenario } from "./measure.ts";
import {
  joinRoom,
  type Listener,
  listen,
  makeOneUser,
  makeRoom,
  makeUsers,
  readMessages,
  sendMessage,
  sendReceipt,
  setTyping,
  sync,
  type User,
} from "./world.ts";

const senders = 32;
const manyRooms = 50;
/** An actor that nobody asked for this long is evicted from memory by workerd. */
const evictedAfterMs = 12_000;

/** Everything that the scenarios share. */
export interface Bench {
  readonly api: Api;
  readonly alice: User;
  readonly bob: User;
  readonly crowd: readonly User[];
  /** Alice and Bob. */
  readonly pairRoom: string;
  /** Alice and the crowd. */
  readonly crowdRoom: string;
  /** Alice made them; each also has one of the crowd, who sends there. */
  readonly rooms: readonly string[];
  /** Event ids that were acknowledged, by room; {@link countLost} looks whether they are all there. */
  readonly sent: Map<string, string[]>;
  report(measurement: Measurement): void;
}

/** Registers the users and makes the rooms. */
export async function prepare(api: Api, report: (measurement: Measurement) => void): Promise<Bench> {
  const alice = await makeOneUser(api, "alice");
  const bob = await makeOneUser(api, "bob");
  const crowd = await makeUsers(api, "crowd", senders);
  const pairRoom = await makeRoom(alice, [bob]);
  const crowdRoom = await makeRoom(alice, crowd);
  const rooms: string[] = [];
  for (let index = 0; index < manyRooms; index += 1) rooms.push(await makeRoom(alice, [memberOf(crowd, index)]));
  return { api, alice, bob, crowd, pairRoom, crowdRoom, rooms, sent: new Map(), report };
}

/** Runs all scenarios one after another. */
export async function runScenarios(bench: Bench): Promise<void> {
  await measureBaseline(bench);
  await measureSends(bench);
  await measureDelivery(bench);
  await measureSync(bench);
  await measureSmallThings(bench);
  await measureRooms(bench);
  await measureEvicted(bench);
}

async function run(bench: Bench, scenario: Scenario): Promise<void> {
  bench.report(await measure(bench.api, scenario));
}

async function measureBaseline(bench: Bench): Promise<void> {
  await run(bench, {
    name: "`GET /versions` (HTTP alone)",
    count: 500,
    concurrency: 1,
    warmUp: 50,
    run: async () => void (await bench.api.call("GET", "/_matrix/client/versions")),
  });
}

async function measureSends(bench: Bench): Promise<void> {
  const { alice, crowd, pairRoom, crowdRoom, rooms } = bench;
  await run(bench, {
    name: "send, one at a time, room of 2",
    count: 300,
    concurrency: 1,
    warmUp: 30,
    run: async () => send(bench, alice, pairRoom),
  });
  await run(bench, {
    name: `send, ${senders} at a time, one room of ${senders + 1}`,
    count: 2_000,
    concurrency: senders,
    warmUp: 10,
    run: async (index) => send(bench, memberOf(crowd, Math.abs(index)), crowdRoom),
  });
  await run(bench, {
    name: `send, ${senders} at a time, over ${manyRooms} rooms`,
    count: 3_000,
    concurrency: senders,
    warmUp: manyRooms,
    run: async (index) => {
      const room = Math.abs(index) % manyRooms;
      return send(bench, memberOf(crowd, room), roomOf(rooms, room));
    },
  });
}

async function measureDelivery(bench: Bench): Promise<void> {
  const { alice, bob, crowd, pairRoom, crowdRoom } = bench;
  const listener = await listen(bob);
  await run(bench, {
    name: "send until another client's sync has it",
    count: 200,
    concurrency: 1,
    warmUp: 20,
    run: async () => timeToHear([listener], () => sendMessage(alice, pairRoom)),
  });
  assertHeardOnce([listener]);
  listener.stop();
  const listeners = await Promise.all(crowd.map((user) => listen(user)));
  await run(bench, {
    name: `send until ${crowd.length} listening clients have it`,
    count: 50,
    concurrency: 1,
    warmUp: 5,
    run: async () => timeToHear(listeners, () => sendMessage(alice, crowdRoom)),
  });
  assertHeardOnce(listeners);
  for (const one of listeners) one.stop();
}

async function measureSync(bench: Bench): Promise<void> {
  const { alice, bob, pairRoom, crowdRoom, crowd } = bench;
  const fiveRooms = await makeOneUser(bench.api, "five");
  for (const roomId of bench.rooms.slice(0, 5)) await joinRoom(fiveRooms, roomId);
  await run(bench, {
    name: "initial sync, 5 rooms",
    count: 50,
    concurrency: 1,
    warmUp: 2,
    run: async () => assertRooms(await sync(fiveRooms, null), 5),
  });
  await run(bench, {
    name: `initial sync, ${manyRooms + 2} rooms`,
    count: 20,
    concurrency: 1,
    warmUp: 1,
    run: async () => assertRooms(await sync(alice, null), manyRooms + 2),
  });
  let nextBatch = await catchUp(bob);
  await run(bench, {
    name: "incremental sync, nothing new",
    count: 300,
    concurrency: 1,
    warmUp: 10,
    run: async () => assertRooms(await sync(bob, nextBatch), 0),
  });
  await run(bench, {
    name: "send, then incremental sync of it",
    count: 100,
    concurrency: 1,
    run: async () => {
      await sendMessage(alice, pairRoom);
      const startedAt = performance.now();
      const answer = await sync(bob, nextBatch);
      const took = performance.now() - startedAt;
      assertRooms(answer, 1);
      ({ nextBatch } = answer);
      return took;
    },
  });
  await run(bench, {
    name: "`/messages`, 100 events",
    count: 100,
    concurrency: 1,
    warmUp: 5,
    run: async () => {
      const page = await readMessages(memberOf(crowd, 0), crowdRoom, null);
      // The spec lets a page be short; a page that is nearly empty would be no measurement.
      if (page.eventIds.length < 90) throw new Error(`a page had ${page.eventIds.length} events`);
      return undefined;
    },
  });
}

async function measureSmallThings(bench: Bench): Promise<void> {
  const { alice, bob, pairRoom } = bench;
  await run(bench, {
    name: "typing on, typing off",
    count: 50,
    concurrency: 1,
    run: async () => {
      await setTyping(alice, pairRoom, true);
      await setTyping(alice, pairRoom, false);
      return undefined;
    },
  });
  const eventIds: string[] = [];
  for (let count = 0; count < 50; count += 1) eventIds.push(await sendMessage(alice, pairRoom));
  await run(bench, {
    name: "read receipt",
    count: eventIds.length,
    concurrency: 1,
    run: async (index) => void (await sendReceipt(bob, pairRoom, eventIds[index] ?? "")),
  });
}

async function measureRooms(bench: Bench): Promise<void> {
  const made: string[] = [];
  await run(bench, {
    name: "createRoom",
    count: 50,
    concurrency: 1,
    warmUp: 2,
    run: async () => {
      made.push(await makeRoom(bench.bob));
      return undefined;
    },
  });
  await run(bench, {
    name: "join",
    count: 50,
    concurrency: 1,
    run: async (index) => void (await joinRoom(bench.alice, roomOf(made, index))),
  });
}

async function measureEvicted(bench: Bench): Promise<void> {
  await delay(evictedAfterMs);
  await run(bench, {
    name: "send to a room whose actors were evicted (first of each)",
    count: 20,
    concurrency: 1,
    run: async (index) => send(bench, memberOf(bench.crowd, index), roomOf(bench.rooms, index)),
  });
}

/** Sends and remembers. The time is that of the request alone. */
async function send(bench: Bench, user: User, roomId: string): Promise<undefined> {
  const eventId = await sendMessage(user, roomId);
  const known = bench.sent.get(roomId);
  if (known === undefined) bench.sent.set(roomId, [eventId]);
  else known.push(eventId);
  return undefined;
}

/** Milliseconds from the request until the last of the listeners has the event. */
async function timeToHear(listeners: readonly Listener[], act: () => Promise<string>): Promise<number> {
  const startedAt = performance.now();
  const eventId = await act();
  const times = await Promise.all(listeners.map((listener) => listener.heard(eventId)));
  return Math.max(...times) - startedAt;
}

function assertHeardOnce(listeners: readonly Listener[]): void {
  for (const { counts, gaps } of listeners) {
    const repeated = [...counts].filter(([, count]) => count !== 1);
    if (repeated.length > 0) throw new Error(`a client was given ${repeated.length} events more than once`);
    if (gaps() > 0) throw new Error(`a listening client was left ${gaps()} gaps`);
  }
}

/**
 * Looks through the history of every room for what was acknowledged.
 *
 * @returns how many events were looked for; how many of them are missing; how many came more than once.
 */
export async function countLost(bench: Bench): Promise<{ sent: number; lost: number; repeated: number }> {
  let sent = 0;
  let lost = 0;
  let repeated = 0;
  for (const [roomId, eventIds] of bench.sent) {
    const found: string[] = [];
    for (let from: string | null = null, first = true; first || from !== null; first = false) {
      const page = await readMessages(bench.alice, roomId, from);
      found.push(...page.eventIds);
      from = page.end;
    }
    const distinct = new Set(found);
    sent += eventIds.length;
    lost += eventIds.filter((eventId) => !distinct.has(eventId)).length;
    repeated += found.length - distinct.size;
  }
  return { sent, lost, repeated };
}

/** A token after which there is nothing new; a homeserver may answer an initial sync from a cache. */
async function catchUp(user: User): Promise<string> {
  let answer = await sync(user, null);
  for (let tries = 0; answer.rooms > 0 && tries < 20; tries += 1) answer = await sync(user, answer.nextBatch);
  return answer.nextBatch;
}

function assertRooms(answer: { rooms: number }, expected: number): undefined {
  if (answer.rooms !== expected) throw new Error(`a sync had ${answer.rooms} rooms, not ${expected}`);
  return undefined;
}

function memberOf(users: readonly User[], index: number): User {
  const user = users[index % users.length];
  if (user === undefined) throw new Error("there are no users");
  return user;
}

function roomOf(rooms: readonly string[], index: number): string {
  const room = rooms[index % rooms.length];
  if (room === undefined) throw new Error("there are no rooms");
  return room;
}
