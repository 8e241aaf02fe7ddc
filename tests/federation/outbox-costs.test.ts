/** What delivering may cost: rows written and calls between actors. Each budget is what was measured. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { away, OutboundScene } from "../support/outbound-scene.ts";
import type { ReceivingPeer } from "../support/receiving-peer.ts";
import { user } from "../support/room-builder.ts";
import { send } from "../support/shared-room.ts";

let scene: OutboundScene;
let calls: Map<string, number>;

beforeEach(async () => {
  scene = await OutboundScene.open();
});
afterEach(() => scene.close());

function countCalls(): void {
  calls = new Map();
  scene.server.onCall = (method, call) => {
    calls.set(method, (calls.get(method) ?? 0) + 1);
    return call();
  };
}

const rowsOf = (kind: "room" | "server", name: string): number => scene.server.sql(kind, name).usage.rowsWritten;

/** Rows that a message costs the room and the actors of the servers in it, and which calls it makes. */
async function costOf(roomId: string, peers: readonly ReceivingPeer[], deed: () => Promise<unknown>) {
  const before = { room: rowsOf("room", roomId), peers: peers.map(({ name }) => rowsOf("server", name)) };
  countCalls();
  await deed();
  await scene.federation.settle();
  const ofPeers = peers.map(({ name }, index) => rowsOf("server", name) - (before.peers[index] ?? 0));
  return {
    room: rowsOf("room", roomId) - before.room,
    peers: Math.max(0, ...ofPeers),
    calls: Object.fromEntries(calls),
  };
}

const named = (count: number): ReceivingPeer[] =>
  Array.from({ length: count }, (_, index) => scene.peer(`peer${index}.test`));

describe("a message in a room with other servers", () => {
  it.each([1, 5, 30])("costs the room as much for %i as for one, and each of their actors the same", async (count) => {
    const peers = named(count);
    const [local, roomId] = [await scene.room(), await scene.room(...peers)];
    for (const room of [local, roomId]) await scene.say(room, "first");
    await scene.federation.settle();
    const alone = await costOf(local, [], () => scene.say(local, "second"));
    const cost = await costOf(roomId, peers, () => scene.say(roomId, "second"));
    // That it is for servers, and one page of wakes for all of them.
    expect(cost.room - alone.room).toBeLessThanOrEqual(2);
    expect(cost.peers).toBeLessThanOrEqual(4);
    expect(cost.calls).toMatchObject({
      roomAdvanced: count,
      takeOutbound: count,
      deliver: count,
      transactionEnded: count,
    });
    const total = Object.values(cost.calls).reduce((sum, calls) => sum + calls, 0);
    const totalAlone = Object.values(alone.calls).reduce((sum, calls) => sum + calls, 0);
    expect(total - totalAlone).toBeLessThanOrEqual(5 * count);
  });

  it("costs a server that is away, and its actor, nothing after the first", async () => {
    const peers = named(5);
    for (const peer of peers) peer.respond = away;
    const roomId = await scene.room(...peers);
    await scene.say(roomId, "first");
    await scene.federation.settle();
    await scene.say(roomId, "second");
    await scene.federation.settle();
    const cost = await costOf(roomId, peers, () => scene.say(roomId, "third"));
    expect(cost.peers).toBe(0);
    expect(cost.calls).toEqual({ authenticate: 1, sendEvent: 1 });
  });

  it("of another server wakes none", async () => {
    const peers = named(3);
    const roomId = await scene.room(...peers);
    await scene.say(roomId, "first");
    await scene.federation.settle();
    const [speaker] = peers;
    if (speaker === undefined) throw new Error("no peer");
    const built = await scene.join(roomId, speaker, "carol");
    await scene.federation.settle();
    const message = built.message(user(`@carol:${speaker.name}`), "hello");
    const cost = await costOf(roomId, peers, () => send({ server: scene.server, peer: speaker }, { pdus: [message] }));
    expect(cost.calls).not.toHaveProperty("takeOutbound");
    expect(cost.calls.roomAdvanced ?? 0).toBeLessThanOrEqual(1);
  });

  it("of a hundred in a burst costs a few transactions", async () => {
    const [peer] = named(1);
    if (peer === undefined) throw new Error("no peer");
    const roomId = await scene.room(peer);
    await scene.say(roomId, "first");
    await scene.federation.settle();
    let isBusy = true;
    peer.respond = async () => {
      while (isBusy) await new Promise((resolve) => setImmediate(resolve));
      return null;
    };
    peer.transactions.length = 0;
    const cost = await costOf(roomId, [peer], async () => {
      for (let index = 0; index < 100; index += 1) await scene.say(roomId, `message ${index}`);
      isBusy = false;
    });
    expect(peer.transactions.length).toBeLessThanOrEqual(4);
    expect(cost.calls.takeOutbound).toBeLessThanOrEqual(5);
    expect(cost.peers).toBeLessThanOrEqual(16);
  });
});

describe("a room of only local users", () => {
  it("keeps no account of servers", async () => {
    const roomId = await scene.room();
    await scene.say(roomId, "hello");
    const sql = scene.server.sql("room", roomId);
    expect(sql.all("SELECT * FROM outbound_events")).toEqual([]);
    expect(sql.all("SELECT page FROM wake_pages")).toHaveLength(1);
  });
});
