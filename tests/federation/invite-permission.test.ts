/** Users who take no invites: every way by which one could be invited, and what `/sync` tells of those that are there. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { type FederatedReply, type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { InvitingPeer } from "../support/inviting-peer.ts";
import { user } from "../support/room-builder.ts";
import { send, shareRoom } from "../support/shared-room.ts";

let federation: Federation;
let one: FederatedServer;
let alice: FederatedUser;
let bob: FederatedUser;

const encode = encodeURIComponent;

beforeEach(async () => {
  federation = new Federation();
  one = federation.server("one.test");
  alice = await one.user("alice");
  bob = await one.user("bob");
});
afterEach(() => federation.close());

async function decide(person: FederatedUser, content: JsonObject): Promise<void> {
  const path = `v3/user/${encode(person.userId)}/account_data/m.invite_permission_config`;
  expect((await person.put(path, content)).status).toBe(200);
}

const block = (person: FederatedUser) => decide(person, { default_action: "block" });

async function createRoom(creator: FederatedUser, body: JsonObject = {}): Promise<string> {
  const made = await creator.post("v3/createRoom", { preset: "private_chat", ...body });
  expect(made.status, made.text).toBe(200);
  return String(made.body.room_id);
}

const invite = (by: FederatedUser, roomId: string, target: FederatedUser): Promise<FederatedReply> =>
  by.post(`v3/rooms/${encode(roomId)}/invite`, { user_id: target.userId });

async function membershipOf(reader: FederatedUser, roomId: string, target: FederatedUser): Promise<JsonValue> {
  const path = `v3/rooms/${encode(roomId)}/state/m.room.member/${encode(target.userId)}`;
  return (await reader.get(path)).body.membership ?? null;
}

function expectBlocked(reply: FederatedReply): void {
  expect([reply.status, reply.body.errcode], reply.text).toEqual([403, "M_INVITE_BLOCKED"]);
}

/** The rooms that a client which knows nothing is told that it is invited to. */
async function invitesOf(person: FederatedUser): Promise<string[]> {
  const { body } = await person.get("v3/sync?timeout=0");
  return Object.keys(objectField(objectField(body, "rooms") ?? {}, "invite") ?? {});
}

/** Each way by which a client invites somebody. */
const ways: Record<string, (by: FederatedUser, target: FederatedUser) => Promise<FederatedReply>> = {
  inviteUser: async (by, target) => invite(by, await createRoom(by), target),
  createRoom: (by, target) => by.post("v3/createRoom", { invite: [target.userId] }),
  setRoomStateWithKey: async (by, target) => {
    const path = `v3/rooms/${encode(await createRoom(by))}/state/m.room.member/${encode(target.userId)}`;
    return by.put(path, { membership: "invite" });
  },
};

describe.each(Object.entries(ways))("%s", (_name, way) => {
  it("invites nobody of this server who takes no invites", async () => {
    await block(bob);
    expectBlocked(await way(alice, bob));
    expect(await invitesOf(bob)).toEqual([]);
  });

  it("invites nobody of another server who takes no invites", async () => {
    const carol = await federation.server("two.test").user("carol");
    await block(carol);
    expectBlocked(await way(alice, carol));
    await federation.settle();
    expect(await invitesOf(carol)).toEqual([]);
  });

  it.each<[what: string, content: JsonObject]>([
    ["says nothing", {}],
    ["says null", { default_action: null }],
    ["says something unknown", { default_action: "allow" }],
    ["speaks of another thing", { "org.example": "block" }],
    ["is a list", { default_action: ["block"] }],
  ])("invites whoever has account data that %s", async (_what, content) => {
    await block(bob);
    await decide(bob, content);
    expect((await way(alice, bob)).status).toBe(200);
    expect(await invitesOf(bob)).toHaveLength(1);
  });
});

describe("an invite that another server sends", () => {
  it("is not signed for a user who takes none, by either version of the endpoint", async () => {
    await block(bob);
    const inviting = new InvitingPeer(federation, one, { version: "1" });
    for (const answer of [
      await inviting.send(inviting.invite(bob.userId)),
      await inviting.sendV1(inviting.invite(bob.userId)),
    ]) {
      expectBlocked(answer);
      expect(answer.text).not.toContain("signatures");
    }
    expect(await invitesOf(bob)).toEqual([]);
  });

  it("is not told where it came as an event of the room, though it is part of it", async () => {
    federation.close();
    federation = new Federation();
    const room = await shareRoom(federation, "12", { power_level_content_override: { invite: 0 } });
    const dave = await room.server.user("dave");
    await block(dave);
    const pdu = room.built.sendState(room.bob, "m.room.member", { membership: "invite" }, user(dave.userId));
    await send(room, { pdus: [pdu] });
    await federation.settle();
    expect(await membershipOf(room.alice, room.roomId, dave)).toBe("invite");
    expect(await invitesOf(dave)).toEqual([]);
    await decide(dave, {});
    expect(await invitesOf(dave)).toEqual([room.roomId]);
  });
});

describe("sync", () => {
  it("tells of no invite, old or new, while the user takes none, and of all when they do again", async () => {
    const roomId = await createRoom(alice);
    expect((await invite(alice, roomId, bob)).status).toBe(200);
    await bob.sync();
    const other = await createRoom(alice, { preset: "public_chat" });
    expect((await invite(alice, other, bob)).status).toBe(200);
    await block(bob);
    const { rooms } = await bob.sync();
    expect(rooms).toBeUndefined();
    expect(await invitesOf(bob)).toEqual([]);
    // "Other endpoints … are not affected".
    expect(await membershipOf(alice, roomId, bob)).toBe("invite");
    await decide(bob, {});
    expect((await invitesOf(bob)).sort()).toEqual([roomId, other].sort());
  });

  it("tells of a room whose hidden invite was taken", async () => {
    const roomId = await createRoom(alice);
    expect((await invite(alice, roomId, bob)).status).toBe(200);
    await block(bob);
    await bob.sync();
    expect((await bob.post(`v3/rooms/${encode(roomId)}/join`)).status).toBe(200);
    const { rooms } = await bob.sync();
    const sections = rooms !== undefined && isObject(rooms) ? rooms : {};
    const joined = objectField(objectField(sections, "join") ?? {}, roomId);
    expect(JSON.stringify(joined)).toContain("m.room.create");
  });
});

describe("an invite by third-party id", () => {
  it("is not taken up for a user who takes none", async () => {
    await block(bob);
    const roomId = await createRoom(alice);
    const signed = { mxid: bob.userId, token: "t", signatures: {} };
    const body = { mxid: bob.userId, invites: [{ mxid: bob.userId, room_id: roomId, sender: alice.userId, signed }] };
    expectBlocked(await one.request("PUT", "/_matrix/federation/v1/3pid/onbind", { body }));
  });
});
