import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { away, bobOf, day, hour, inRoom, minute, OutboundScene, ok } from "../support/outbound-scene.ts";
import { user } from "../support/room-builder.ts";
import { send } from "../support/shared-room.ts";

let scene: OutboundScene;

beforeEach(async () => {
  scene = await OutboundScene.open();
});
afterEach(() => scene.close());

describe("sending to the servers in a room", () => {
  it("brings each message once, in order, to every other server", async () => {
    const peers = [scene.peer("two.test"), scene.peer("three.test")];
    const roomId = await scene.room(...peers);
    const bodies = Array.from({ length: 100 }, (_, index) => `message ${index}`);
    for (const body of bodies) await scene.say(roomId, body);
    await scene.federation.settle();
    for (const peer of peers) expect(peer.bodies()).toEqual(bodies);
  });

  it("sends what is said while a transaction is on its way in one more", async () => {
    const peer = scene.peer("two.test");
    const roomId = await scene.room(peer);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    peer.respond = () => held.then(() => null);
    const bodies = Array.from({ length: 40 }, (_, index) => `message ${index}`);
    for (const body of bodies) await scene.say(roomId, body);
    release();
    await scene.federation.settle();
    expect(peer.bodies()).toEqual(bodies);
    expect(peer.transactions.length).toBeLessThanOrEqual(3);
  });

  it("never sends more than 50 events and 100 EDUs at once", async () => {
    const peer = scene.peer("two.test");
    const roomId = await scene.room(peer);
    peer.respond = away;
    for (let index = 0; index < 120; index += 1) await scene.say(roomId, `message ${index}`);
    await scene.federation.settle();
    peer.respond = () => null;
    await scene.federation.advance(hour);
    expect(peer.transactions.every(({ pdus, edus }) => pdus.length <= 50 && edus.length <= 100)).toBe(true);
    expect(new Set(peer.bodies()).size).toBe(120);
  });

  it("sends nothing of a room to a server that has never been in it", async () => {
    const [peer, stranger] = [scene.peer("two.test"), scene.peer("three.test")];
    const roomId = await scene.room(peer);
    const other = await scene.room(stranger);
    await scene.say(roomId, "not for three");
    await scene.say(other, "not for two");
    await scene.federation.settle();
    expect(peer.bodies()).toEqual(["not for three"]);
    expect(stranger.bodies()).toEqual(["not for two"]);
  });

  it("sends a server nothing from before it came, and does not tell it of its own coming", async () => {
    const [peer, late] = [scene.peer("two.test"), scene.peer("three.test")];
    const roomId = await scene.room(peer);
    await scene.say(roomId, "before");
    await scene.join(roomId, late);
    await scene.say(roomId, "after");
    await scene.federation.settle();
    expect(late.bodies()).toEqual(["after"]);
    expect(late.pdus().filter(({ state_key }) => state_key === bobOf(late))).toEqual([]);
  });

  it("sends the join of a server's user, which it has taken, on to the others", async () => {
    const [peer, late] = [scene.peer("two.test"), scene.peer("three.test")];
    const roomId = await scene.room(peer);
    await scene.join(roomId, late);
    await scene.federation.settle();
    expect(peer.pdus().map(({ state_key }) => state_key)).toEqual([bobOf(late)]);
  });

  it("leaves it to the sender's server to send events of other servers", async () => {
    const [peer, other] = [scene.peer("two.test"), scene.peer("three.test")];
    const roomId = await scene.room(other);
    const built = await scene.join(roomId, peer);
    await scene.federation.settle();
    const before = other.pdus().length;
    ok(await send({ server: scene.server, peer }, { pdus: [built.message(user(bobOf(peer)), "mine to send")] }));
    await scene.federation.settle();
    expect(other.pdus()).toHaveLength(before);
  });

  it("sends a redacted event without what the redaction took away", async () => {
    const peer = scene.peer("two.test");
    const roomId = await scene.room(peer);
    peer.respond = away;
    await scene.say(roomId, "hello");
    const regretted = await scene.say(roomId, "a secret");
    ok(await scene.alice.put(inRoom(roomId, `redact/${encodeURIComponent(regretted)}/r1`), {}));
    await scene.federation.settle();
    peer.respond = () => null;
    await scene.federation.advance(5 * minute);
    expect(peer.eventIds("12")).toContain(regretted);
    expect(JSON.stringify(peer.transactions)).not.toContain("a secret");
  });

  it("says nothing to a server that is not to be talked to", async () => {
    scene.close();
    scene = await OutboundScene.open({ FEDERATION_DOMAIN_DENY: "two.test" });
    const [denied, peer] = [scene.peer("two.test"), scene.peer("three.test")];
    const edu = { edu_type: "m.test", content: {} };
    for (const { name } of [denied, peer]) await scene.server.actors.server(name).sendEdu({ id: "1", edu });
    await scene.federation.advance(day);
    expect(peer.edus("m.test")).toHaveLength(1);
    expect(denied.received).toEqual([]);
    expect(scene.outbox(denied)).toBeNull();
  });
});

describe("those who are put out", () => {
  it.each([
    ["kick", "leave"],
    ["ban", "ban"],
  ])("are told of a %s, and of nothing after it", async (action, membership) => {
    const peer = scene.peer("two.test");
    const roomId = await scene.room(peer);
    ok(await scene.alice.post(inRoom(roomId, action), { user_id: bobOf(peer) }));
    await scene.say(roomId, "behind their back");
    await scene.federation.settle();
    expect(peer.pdus().map(({ content }) => content)).toMatchObject([{ membership }]);
  });

  it("are told when their server answers again, days later", async () => {
    const peer = scene.peer("two.test");
    const roomId = await scene.room(peer);
    peer.respond = away;
    await scene.say(roomId, "hello");
    ok(await scene.alice.post(inRoom(roomId, "ban"), { user_id: bobOf(peer) }));
    await scene.say(roomId, "behind their back");
    await scene.federation.advance(3 * day);
    peer.transactions.length = 0;
    peer.respond = () => null;
    await scene.federation.advance(hour);
    expect(peer.bodies()).toEqual(["hello"]);
    expect(peer.pdus().at(-1)?.content).toMatchObject({ membership: "ban" });
  });

  it("leave the room to the others of their server", async () => {
    const peer = scene.peer("two.test");
    const roomId = await scene.room(peer);
    await scene.join(roomId, peer, "carol");
    ok(await scene.alice.post(inRoom(roomId, "kick"), { user_id: bobOf(peer) }));
    await scene.say(roomId, "for carol");
    await scene.federation.settle();
    expect(peer.bodies()).toEqual(["for carol"]);
    // Their own server knows that carol has come.
    expect(peer.pdus().map(({ state_key }) => state_key)).toEqual([bobOf(peer), undefined]);
  });

  it("are given what was said before and what is said once they are back, and nothing of the time between", async () => {
    const peer = scene.peer("two.test");
    const roomId = await scene.room(peer);
    peer.respond = away;
    await scene.say(roomId, "before");
    ok(await scene.alice.post(inRoom(roomId, "kick"), { user_id: bobOf(peer) }));
    await scene.say(roomId, "between");
    await scene.join(roomId, peer);
    await scene.say(roomId, "after");
    await scene.federation.settle();
    peer.transactions.length = 0;
    peer.respond = () => null;
    await scene.federation.advance(hour);
    expect(peer.bodies()).toEqual(["before", "after"]);
  });
});
