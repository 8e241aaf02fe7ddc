/** Faults in any order: whatever is lost, repeated or ended in the middle, everything arrives, and nobody stays asleep. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Random, seededRandom } from "../sim/random.ts";
import { away, hour, inRoom, OutboundScene, ok } from "../support/outbound-scene.ts";
import type { ReceivedTransaction, ReceivingPeer } from "../support/receiving-peer.ts";

const rounds = 15;
const stepsOfRound = 40;
const methods = ["roomAdvanced", "takeOutbound", "deliver", "transactionEnded", "discover"];

let scene: OutboundScene;
let peers: ReceivingPeer[];
let rooms: string[];
let random: Random;
/** What was said in each room, and what each peer must have been given of it. */
let said: string[][];
/** Chance that a call between actors is lost, before or after it was carried out. */
let lossRate: number;

beforeEach(async () => {
  scene = await OutboundScene.open();
  peers = ["two.test", "three.test"].map((name) => scene.peer(name));
  rooms = [];
  for (let index = 0; index < 3; index += 1) rooms.push(await scene.room(...peers));
  said = rooms.map(() => []);
});
afterEach(() => scene.close());

const steps: readonly (() => Promise<void> | void)[] = [
  () => sayIn(random.int(0, rooms.length - 1)),
  () => sayIn(random.int(0, rooms.length - 1)),
  async () => {
    const path = inRoom(rooms[0] ?? "", `typing/${encodeURIComponent(scene.alice.userId)}`);
    ok(await scene.alice.put(path, { typing: random.chance(0.5), timeout: 20_000 }));
  },
  () => {
    lossRate = random.pick([0, 0.2]);
  },
  () => {
    const peer = random.pick(peers);
    peer.respond = random.pick([
      () => null,
      away,
      () => Response.json({}, { status: 500 }),
      () => Response.json({}, { status: 429 }),
    ]);
  },
  async () => {
    await scene.federation.settle();
    scene.server.evict("server", random.pick(peers).name);
  },
  async () => {
    await scene.federation.settle();
    scene.server.evict("room", random.pick(rooms));
  },
  () => scene.federation.advance(random.int(0, 20_000)),
  () => scene.federation.advance(random.int(0, hour)),
];

async function sayIn(index: number): Promise<void> {
  const body = `room ${index}, message ${said[index]?.length ?? 0}`;
  await scene.say(rooms[index] ?? "", body);
  said[index]?.push(body);
}

/** Calls overtake one another. */
async function takeTime(): Promise<void> {
  for (let turns = random.chance(0.5) ? random.int(0, 6) : 0; turns > 0; turns -= 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a server makes of transactions: one with a known id is a repeat, of which nothing is taken. */
function takenFrom(transactions: readonly ReceivedTransaction[]): string[] {
  const firsts = new Map<string, ReceivedTransaction>();
  for (const transaction of transactions) {
    if (!firsts.has(transaction.txnId)) firsts.set(transaction.txnId, transaction);
  }
  const bodies = [...firsts.values()]
    .flatMap(({ pdus }) => pdus.map((pdu) => JSON.stringify(pdu)))
    .flatMap((pdu) => /room \d+, message \d+/.exec(pdu) ?? []);
  return [...new Set(bodies)];
}

describe("whatever goes wrong", () => {
  it.each([1, 2, 3, 4, 5, 6])(
    "everything arrives in order, and what comes then arrives at once (seed %i)",
    async (seed) => {
      random = seededRandom(`outbox ${seed}`);
      scene.server.onCall = async (method, call) => {
        if (!methods.includes(method)) return await call();
        await takeTime();
        if (random.chance(lossRate)) throw new Error("lost before");
        const answer = await call();
        await takeTime();
        if (random.chance(lossRate)) throw new Error("lost after");
        return answer;
      };
      for (let round = 0; round < rounds; round += 1) {
        lossRate = 0;
        for (let step = 0; step < stepsOfRound; step += 1) {
          await random.pick(steps)();
          if (random.chance(0.3)) await scene.federation.settle();
        }
        lossRate = 0;
        for (const peer of peers) peer.respond = () => null;
        await scene.federation.advance(2 * hour);
        for (const [index] of rooms.entries()) await sayIn(index);
        await scene.federation.settle();
        for (const peer of peers) {
          const confirmed = peer.transactions.filter(({ isConfirmed }) => isConfirmed);
          // Whether those that were not confirmed were lost, or only their answers were.
          for (const taken of [takenFrom(peer.transactions), takenFrom(confirmed)]) {
            for (const [index, bodies] of said.entries()) {
              expect(taken.filter((body) => body.startsWith(`room ${index},`))).toEqual(bodies);
            }
          }
        }
      }
    },
  );
});
