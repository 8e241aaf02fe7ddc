/** Inviting users of other servers. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isObject, type JsonObject, type JsonValue, objectField, withFields } from "../../shared/json.ts";
import { countersignEvent } from "../../shared/matrix/signing.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { rulesOf } from "../support/room-builder.ts";
import { TestPeer } from "../support/test-peer.ts";

let federation: Federation;
let one: FederatedServer;
let alice: FederatedUser;
let peer: TestPeer;

const eve = "@eve:peer.test";

beforeEach(async () => {
  federation = new Federation();
  one = federation.server("one.test");
  alice = await one.user("alice");
  peer = new TestPeer(federation, "peer.test");
});
afterEach(() => federation.close());

async function createRoom(body: JsonObject = {}, creator = alice): Promise<string> {
  const made = await creator.post("v3/createRoom", { preset: "private_chat", ...body });
  expect(made.status, made.text).toBe(200);
  return String(made.body.room_id);
}

/** Has the peer sign invites as an honest server does; `change` is done to what it answers. */
function acceptInvites(change: (event: JsonObject) => JsonValue = (event) => event): void {
  peer.on(/\/v2\/invite\//, async (request) => {
    const body: unknown = await request.json();
    const sent = isObject(body) ? body : {};
    const event = objectField(sent, "event") ?? {};
    return { event: change(countersignEvent(event, rulesOf(String(sent.room_version)), peer.name, peer.key)) };
  });
}

async function invite(roomId: string, target = eve, reason = "come") {
  const reply = await alice.post(`v3/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: target, reason });
  await federation.settle();
  return reply;
}

function memberOf(roomId: string, target = eve, person = alice) {
  return person.get(`v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${target}`);
}

function signersOf(server: FederatedServer, roomId: string): string[] {
  const row = server
    .sql("room", roomId)
    .one<{ json: string }>("SELECT json FROM events WHERE state_key = ? AND status = 'accepted'", eve);
  return Object.keys(objectField(JSON.parse(row?.json ?? "{}"), "signatures") ?? {}).sort();
}

describe("inviteUser, for a user of another server", () => {
  it.each(["1", "5", "10", "11", "12"])("has that server sign the invite, in room version %s", async (version) => {
    acceptInvites();
    const roomId = await createRoom({ room_version: version, name: "Attic" });
    expect((await invite(roomId)).status).toBe(200);
    const [{ body } = { body: null }] = peer.received.filter(({ path }) => path.includes("/v2/invite/"));
    const sent = isObject(body) ? body : {};
    expect(sent.room_version).toBe(version);
    const state = Array.isArray(sent.invite_room_state) ? sent.invite_room_state.filter(isObject) : [];
    expect(state[0]).toMatchObject({ type: "m.room.create", sender: alice.userId });
    expect(Object.keys(objectField(state[0] ?? {}, "signatures") ?? {})).toEqual(["one.test"]);
    expect(state.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["m.room.name", "m.room.join_rules", "m.room.member"]),
    );
    expect((await memberOf(roomId)).body).toEqual({ membership: "invite", reason: "come" });
    expect(signersOf(one, roomId)).toEqual(["one.test", "peer.test"]);
  });

  it("calls the invited user as their server does", async () => {
    acceptInvites();
    const profile = { displayname: "Eve", avatar_url: "mxc://peer.test/eve", "m.tz": "Europe/Berlin" };
    peer.on(/\/query\/profile/, () => profile);
    const roomId = await createRoom();
    expect((await invite(roomId)).status).toBe(200);
    const { displayname, avatar_url } = profile;
    expect((await memberOf(roomId)).body).toEqual({ membership: "invite", reason: "come", displayname, avatar_url });
  });

  it.each([
    ["says nothing", () => Response.json({}, { status: 500 })],
    ["hides its users", () => Response.json({ errcode: "M_FORBIDDEN", error: "no" }, { status: 403 })],
    ["makes no sense", () => new Response("[")],
    ["has names that are none", () => ({ displayname: 7, avatar_url: "x".repeat(1_001) })],
    ["says something else", () => ({ membership: "join", is_direct: true })],
  ] as const)("goes without a name where the invited user's server %s", async (_what, answer) => {
    acceptInvites();
    peer.on(/\/query\/profile/, answer);
    const roomId = await createRoom();
    expect((await invite(roomId)).status).toBe(200);
    expect((await memberOf(roomId)).body).toEqual({ membership: "invite", reason: "come" });
  });

  it("reaches the other servers in the room", async () => {
    acceptInvites();
    const roomId = await createRoom({ preset: "public_chat" });
    const bob = await federation.server("two.test").user("bob");
    expect((await bob.post(`v3/join/${encodeURIComponent(roomId)}?via=one.test`)).status).toBe(200);
    await federation.settle();
    expect((await invite(roomId)).status).toBe(200);
    await federation.advance(1_000);
    expect((await memberOf(roomId, eve, bob)).body).toMatchObject({ membership: "invite" });
    expect(signersOf(federation.server("two.test"), roomId)).toEqual(["one.test", "peer.test"]);
  });

  it("is sent with no more state than other servers take (R34)", async () => {
    acceptInvites();
    const roomId = await createRoom({ name: "n".repeat(40_000), topic: "t".repeat(10_000) });
    expect((await invite(roomId)).status).toBe(200);
    const [{ body } = { body: null }] = peer.received.filter(({ path }) => path.includes("/v2/invite/"));
    const sent = isObject(body) ? body : {};
    const state = Array.isArray(sent.invite_room_state) ? sent.invite_room_state.filter(isObject) : [];
    expect(JSON.stringify(state).length).toBeLessThan(65_536);
    expect(state.map(({ type }) => type)).toEqual(expect.arrayContaining(["m.room.create", "m.room.name"]));
    expect(state.map(({ type }) => type)).not.toContain("m.room.topic");
  });

  it("takes nothing but the signature from the answer", async () => {
    acceptInvites((event) => ({ ...event, content: { membership: "join" }, unsigned: { evil: true }, "m.evil": 1 }));
    const roomId = await createRoom();
    expect((await invite(roomId)).status).toBe(200);
    expect((await memberOf(roomId)).body).toEqual({ membership: "invite", reason: "come" });
  });

  const unsigned: readonly [what: string, change: (event: JsonObject) => JsonValue][] = [
    ["nothing", () => ({})],
    ["a list", () => []],
    ["our own event as it was", (event) => withFields(event, { signatures: {} })],
    ["another server's signature", (event) => ({ ...event, signatures: { "third.test": { "ed25519:test": "x" } } })],
    ["a wrong signature", (event) => ({ ...event, signatures: { "peer.test": { "ed25519:test": "A".repeat(86) } } })],
    ["a signature by an unknown key", (event) => ({ ...event, signatures: { "peer.test": { "ed25519:x": "AAAA" } } })],
  ];

  it.each(unsigned)("does not invite when the answer is %s", async (_, change) => {
    acceptInvites(change);
    const roomId = await createRoom();
    const reply = await invite(roomId);
    expect([reply.status, reply.body.errcode]).toEqual([502, "M_UNKNOWN"]);
    expect((await memberOf(roomId)).status).toBe(404);
  });

  it("passes on that the other server refuses, and says when it is away", async () => {
    const roomId = await createRoom();
    peer.on(/invite/, () => Response.json({ errcode: "M_FORBIDDEN", error: "we take no invites" }, { status: 403 }));
    const refused = await invite(roomId);
    expect([refused.status, refused.body.errcode, refused.body.error]).toEqual([
      403,
      "M_FORBIDDEN",
      "we take no invites",
    ]);
    const incompatible = { errcode: "M_INCOMPATIBLE_ROOM_VERSION", error: "unknown version", room_version: "12" };
    peer.on(/invite/, () => Response.json(incompatible, { status: 400 }));
    expect((await invite(roomId)).body).toEqual(incompatible);
    const away = await invite(roomId, "@eve:gone.test");
    expect([away.status, away.body.errcode]).toEqual([502, "M_UNKNOWN"]);
  });

  it("uses the first version of the endpoint for the oldest rooms only", async () => {
    peer.on(/\/v1\/invite\//, async (request) => {
      const event: unknown = await request.json();
      if (!isObject(event)) return null;
      expect(JSON.stringify(event.unsigned)).toContain("invite_room_state");
      return [200, { event: countersignEvent(event, rulesOf("2"), peer.name, peer.key) }];
    });
    const old = await createRoom({ room_version: "2" });
    expect((await invite(old)).status).toBe(200);
    expect((await invite(await createRoom({ room_version: "3" }))).status).toBe(502);
  });

  it("counts against what a room may send, whoever invites", async () => {
    acceptInvites();
    const limited = federation.server("limited.test", { RATE_LIMITS: "on" });
    const [dave, carol] = [await limited.user("dave"), await limited.user("carol")];
    const anybody = { preset: "public_chat", power_level_content_override: { invite: 0 } };
    const roomId = await createRoom(anybody, dave);
    const path = `v3/rooms/${encodeURIComponent(roomId)}`;
    expect((await carol.post(`${path}/join`)).status).toBe(200);
    const statuses: number[] = [];
    for (const [index, person] of [dave, carol, dave, carol, dave, carol, dave, carol, dave, carol, dave].entries()) {
      statuses.push((await person.post(`${path}/invite`, { user_id: `@eve${index}:peer.test` })).status);
    }
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
  });

  it("asks nobody when the room does not allow the invite", async () => {
    acceptInvites();
    const carol = await one.user("carol");
    const roomId = await createRoom({ preset: "public_chat", power_level_content_override: { invite: 50 } });
    await carol.post(`v3/join/${encodeURIComponent(roomId)}`);
    const path = `v3/rooms/${encodeURIComponent(roomId)}`;
    expect((await carol.post(`${path}/invite`, { user_id: eve })).status).toBe(403);
    const dave = await one.user("dave");
    expect((await dave.post(`${path}/invite`, { user_id: eve })).status).toBe(403);
    await alice.post(`${path}/ban`, { user_id: eve });
    expect((await invite(roomId)).status).toBe(403);
    expect((await invite(await createRoom({ creation_content: { "m.federate": false } }))).status).toBe(403);
    expect(peer.received).toEqual([]);
  });

  it("is also done by createRoom, and by setting the state", async () => {
    acceptInvites();
    const roomId = await createRoom({ invite: [eve], is_direct: true, preset: "trusted_private_chat" });
    expect((await memberOf(roomId)).body).toEqual({ membership: "invite", is_direct: true });
    const other = await createRoom();
    const path = `v3/rooms/${encodeURIComponent(other)}/state/m.room.member/${eve}`;
    const set = await alice.put(path, { membership: "invite", reason: "by state" });
    expect(set.status, set.text).toBe(200);
    expect((await memberOf(other)).body).toEqual({ membership: "invite", reason: "by state" });
  });

  it("is refused before there is a room where this server does not federate", async () => {
    const closed = await federation.server("closed.test", { FEDERATION: "off" }).user("carol");
    const made = await closed.post("v3/createRoom", { invite: [eve] });
    expect([made.status, made.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    expect((await closed.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    const roomId = await createRoom({}, closed);
    const reply = await closed.post(`v3/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: eve });
    expect([reply.status, reply.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
  });
});

describe("an invite from one of our servers to another", () => {
  const bobOf = () => federation.server("two.test").user("bob");

  async function placeOf(person: FederatedUser, roomId: string): Promise<string | null> {
    const rooms = objectField(await person.sync(), "rooms") ?? {};
    const found = Object.entries(rooms).find(([, sections]) => isObject(sections) && Object.hasOwn(sections, roomId));
    return found?.[0] ?? null;
  }

  it.each(["6", "10", "12"])("is shown, accepted, and lets both talk, in room version %s", async (version) => {
    const bob = await bobOf();
    await bob.sync();
    const roomId = await createRoom({ room_version: version, name: "Attic", invite: [bob.userId], is_direct: true });
    await federation.settle();
    const shown = JSON.stringify((await bob.sync()).rooms);
    for (const part of ['"invite":', "Attic", '"is_direct":true', alice.userId]) expect(shown).toContain(part);
    const joined = await bob.post(`v3/rooms/${encodeURIComponent(roomId)}/join`);
    expect(joined.status, joined.text).toBe(200);
    await federation.settle();
    expect(await placeOf(bob, roomId)).toBe("join");
    await alice.sync();
    const path = `v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`;
    expect((await bob.put(path, { msgtype: "m.text", body: "hello" })).status).toBe(200);
    await federation.settle();
    expect(JSON.stringify(await alice.sync())).toContain('"hello"');
  });

  it("is told with the join that follows it: by it clients know a private talk, and with whom", async () => {
    const bob = await bobOf();
    const roomId = await createRoom({ invite: [bob.userId], is_direct: true });
    await federation.settle();
    await bob.post(`v3/rooms/${encodeURIComponent(roomId)}/join`);
    const joined = JSON.stringify((await bob.sync()).rooms);
    expect(joined).toContain('"is_direct":true,"membership":"invite"');
    expect(joined).toContain(`"prev_sender":"${alice.userId}"`);
  });

  it("is turned down, and can be sent again", async () => {
    const bob = await bobOf();
    const roomId = await createRoom();
    for (const reason of ["first", "second"]) {
      expect((await invite(roomId, bob.userId, reason)).status).toBe(200);
      expect(await placeOf(bob, roomId)).toBe("invite");
      expect((await bob.post(`v3/rooms/${encodeURIComponent(roomId)}/leave`)).status).toBe(200);
      await federation.settle();
      expect((await memberOf(roomId, bob.userId)).body.membership).toBe("leave");
      expect(await placeOf(bob, roomId)).toBe("leave");
    }
  });

  it("is taken back by a kick", async () => {
    const bob = await bobOf();
    const roomId = await createRoom({ invite: [bob.userId] });
    expect(await placeOf(bob, roomId)).toBe("invite");
    await alice.post(`v3/rooms/${encodeURIComponent(roomId)}/kick`, { user_id: bob.userId });
    await federation.advance(1_000);
    expect(await placeOf(bob, roomId)).toBe("leave");
  });

  it("answers a knock", async () => {
    const bob = await bobOf();
    const rules = { type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } };
    const roomId = await createRoom({ initial_state: [rules] });
    expect((await bob.post(`v3/knock/${encodeURIComponent(roomId)}?via=one.test`)).status).toBe(200);
    expect(await placeOf(bob, roomId)).toBe("knock");
    expect((await invite(roomId, bob.userId)).status).toBe(200);
    expect(await placeOf(bob, roomId)).toBe("invite");
    expect((await bob.post(`v3/rooms/${encodeURIComponent(roomId)}/join`)).status).toBe(200);
    expect(await placeOf(bob, roomId)).toBe("join");
  });

  it("reaches a user of a server that is in the room already, as an event of the room", async () => {
    const two = federation.server("two.test");
    const [bob, carol] = [await bobOf(), await two.user("carol")];
    const roomId = await createRoom({ invite: [bob.userId] });
    await bob.post(`v3/rooms/${encodeURIComponent(roomId)}/join`);
    await federation.settle();
    expect((await invite(roomId, carol.userId)).status).toBe(200);
    await federation.advance(1_000);
    expect(two.sql("room", roomId).all("SELECT * FROM outside_memberships")).toEqual([]);
    expect(await placeOf(carol, roomId)).toBe("invite");
    expect((await carol.post(`v3/rooms/${encodeURIComponent(roomId)}/join`)).status).toBe(200);
  });
});
