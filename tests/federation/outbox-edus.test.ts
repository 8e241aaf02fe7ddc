import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { away, day, hour, inRoom, OutboundScene, ok } from "../support/outbound-scene.ts";
import type { ReceivingPeer } from "../support/receiving-peer.ts";
import { user } from "../support/room-builder.ts";
import { send } from "../support/shared-room.ts";

let scene: OutboundScene;
let peer: ReceivingPeer;
let roomId: string;

beforeEach(async () => {
  scene = await OutboundScene.open();
  peer = scene.peer("two.test");
  roomId = await scene.room(peer);
});
afterEach(() => scene.close());

const type = async (isTyping: boolean, timeout = 20_000): Promise<void> => {
  const path = inRoom(roomId, `typing/${encodeURIComponent(scene.alice.userId)}`);
  ok(await scene.alice.put(path, isTyping ? { typing: true, timeout } : { typing: false }));
};
const typing = (isTyping: boolean) => ({ room_id: roomId, user_id: scene.alice.userId, typing: isTyping });

const read = async (eventId: string, receiptType = "m.read", body: { thread_id?: string } = {}): Promise<void> => {
  ok(await scene.alice.post(inRoom(roomId, `receipt/${receiptType}/${encodeURIComponent(eventId)}`), body));
};

describe("m.typing", () => {
  it("tells the other servers who begins and who ceases to type", async () => {
    await type(true);
    await scene.federation.settle();
    await type(false);
    await scene.federation.settle();
    expect(peer.edus("m.typing")).toEqual([typing(true), typing(false)]);
  });

  it("tells them when somebody's time is over", async () => {
    await type(true);
    await scene.federation.advance(hour);
    expect(peer.edus("m.typing")).toEqual([typing(true), typing(false)]);
  });

  it("is repeated while somebody types on, and not at each key", async () => {
    for (let second = 0; second < 90; second += 5) {
      await type(true);
      await scene.federation.advance(5_000);
    }
    expect(peer.edus("m.typing")).toEqual([typing(true), typing(true), typing(true)]);
  });

  it("is dropped when it is old", async () => {
    peer.respond = away;
    await type(true);
    await scene.federation.advance(day);
    peer.transactions.length = 0;
    peer.respond = () => null;
    await scene.federation.advance(hour);
    expect(peer.edus("m.typing")).toEqual([]);
    await scene.say(roomId, "hello");
    await scene.federation.settle();
    expect(peer.bodies()).toEqual(["hello"]);
  });

  it("is not passed on for users of other servers", async () => {
    const other = scene.peer("three.test");
    await scene.join(roomId, other);
    await scene.federation.settle();
    const edu = { room_id: roomId, user_id: "@bob:two.test", typing: true };
    ok(await send({ server: scene.server, peer }, { edus: [{ edu_type: "m.typing", content: edu }] }));
    await scene.federation.settle();
    expect(other.edus("m.typing")).toEqual([]);
    expect(other.transactions).toEqual([]);
  });
});

describe("m.receipt", () => {
  it("tells the other servers how far somebody has read, in which thread", async () => {
    const built = await scene.join(roomId, peer, "carol");
    const message = built.message(user("@carol:two.test"), "read me");
    ok(await send({ server: scene.server, peer }, { pdus: [message] }));
    await read(message.eventId);
    await read(message.eventId, "m.read", { thread_id: "main" });
    await scene.federation.settle();
    const data = { ts: expect.any(Number) };
    const of = (extra: object) => ({
      [roomId]: { "m.read": { [scene.alice.userId]: { event_ids: [message.eventId], data: { ...data, ...extra } } } },
    });
    expect(peer.edus("m.receipt")).toEqual([of({}), of({ thread_id: "main" })]);
  });

  it("says nothing of private receipts", async () => {
    const eventId = await scene.say(roomId, "hello");
    await scene.federation.settle();
    const before = peer.transactions.length;
    await read(eventId, "m.read.private");
    await scene.federation.settle();
    expect(peer.transactions).toHaveLength(before);
    await scene.say(roomId, "news");
    await scene.federation.settle();
    expect(peer.edus("m.receipt")).toEqual([]);
  });

  it("says nothing of what somebody had read who has left since", async () => {
    const bob = await scene.server.user("bob");
    ok(await bob.post(`v3/join/${encodeURIComponent(roomId)}`));
    const eventId = await scene.say(roomId, "hello");
    await scene.federation.settle();
    peer.respond = away;
    ok(await bob.post(inRoom(roomId, `receipt/m.read/${encodeURIComponent(eventId)}`)));
    ok(await bob.post(inRoom(roomId, "leave")));
    await scene.say(roomId, "news");
    await scene.federation.settle();
    peer.transactions.length = 0;
    peer.respond = () => null;
    await scene.federation.advance(hour);
    expect(peer.bodies()).toContain("news");
    expect(peer.transactions.at(-1)?.edus).toEqual([]);
  });

  it("tells only the last of several, and still does after an outage", async () => {
    const eventIds = [await scene.say(roomId, "one"), await scene.say(roomId, "two"), await scene.say(roomId, "three")];
    await scene.federation.settle();
    peer.respond = away;
    for (const eventId of eventIds) await read(eventId);
    await scene.federation.advance(day);
    peer.transactions.length = 0;
    peer.respond = () => null;
    await scene.federation.advance(hour);
    const told = JSON.stringify(peer.edus("m.receipt"));
    expect(eventIds.map((eventId) => told.split(eventId).length - 1)).toEqual([0, 0, 1]);
  });

  it("of hundreds of users are told in EDUs of a moderate size, all of them", async () => {
    const eventId = await scene.say(roomId, "hello");
    await scene.federation.settle();
    peer.respond = away;
    const sql = scene.server.sql("room", roomId);
    sql.run(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 700)
      INSERT INTO room_memberships (user_id, membership, event_nid, stream_position, is_local)
      SELECT '@u' || i || ':one.test', 'join', 1, 1, 1 FROM n`);
    for (let thread = 0; thread < 2; thread += 1) {
      sql.run(
        `INSERT INTO receipts (user_id, receipt_type, thread_id, event_id, event_position, ts, stream_position)
         SELECT user_id, 'm.read', ?, ?, 1, 1, 1000 * (?3 + 1) + CAST(substr(user_id, 3) AS INTEGER)
         FROM room_memberships WHERE user_id LIKE '@u%'`,
        thread === 0 ? "" : "main",
        eventId,
        thread,
      );
    }
    sql.run("UPDATE room SET stream_position = 5000");
    await read(eventId);
    peer.respond = () => null;
    await scene.federation.advance(hour);
    const edus = peer.edus("m.receipt");
    expect(edus.every((edu) => JSON.stringify(edu).length < 65_536)).toBe(true);
    const told = JSON.stringify(edus);
    for (let index = 1; index <= 700; index += 1) expect(told.split(`"@u${index}:one.test"`)).toHaveLength(3);
  });
});

describe("a user of a server that is not in the room", () => {
  it("is told that their invitation is withdrawn", async () => {
    const other = scene.peer("three.test");
    other.on(/\/v2\/invite\//, () => null);
    const sql = scene.server.sql("room", roomId);
    // As if the invitation had gone by way of their server.
    sql.run(
      `INSERT INTO room_memberships (user_id, membership, event_nid, stream_position, is_local)
       VALUES ('@eve:three.test', 'knock', 1, 1, 0)`,
    );
    ok(await scene.alice.post(inRoom(roomId, "ban"), { user_id: "@eve:three.test" }));
    await scene.say(roomId, "not for eve");
    await scene.federation.settle();
    expect(other.pdus().map(({ state_key }) => state_key)).toEqual(["@eve:three.test"]);
    expect(other.bodies()).toEqual([]);
  });
});
