/** People with matrix-js-sdk clients come, go, are shown out, find rooms and one another, and look after their accounts. */
import { ClientEvent, EventType, Method, Preset, Visibility } from "matrix-js-sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findOrStartHomeserver, type Homeserver } from "./homeserver-process.ts";
import { eventually, eventuallyJoined, logIn, type Person, refusalOf, register, roomOf, textsSeen } from "./person.ts";

/** Lets the same story be told again on a homeserver that keeps its users. */
const run = Date.now().toString(36);
const noteType = "org.example.note";

let server: Homeserver;
let alice: Person;
let bob: Person;
let carol: Person;

beforeAll(async () => {
  ({ homeserver: server } = await findOrStartHomeserver());
  alice = await register(server, `alice-${run}`, { lazyLoadMembers: true });
  bob = await register(server, `bob-${run}`);
  carol = await register(server, `carol-${run}`);
}, 90_000);

afterAll(async () => {
  for (const person of [alice, bob, carol]) person?.client.stopClient();
  await server?.dispose();
});

describe("coming and going", () => {
  let roomId: string;

  beforeAll(async () => {
    roomId = await roomOfAliceAnd([bob]);
  });

  it("shows that somebody left, and lets them return when invited again", async () => {
    await bob.client.leave(roomId);
    await eventually(() => expect(membershipOf(alice, roomId, bob)).toBe("leave"));
    await eventually(() => expect(roomOf(bob, roomId).getMyMembership()).toBe("leave"));
    expect((await refusalOf(bob.client.sendTextMessage(roomId, "still here?"))).errcode).toBe("M_FORBIDDEN");
    expect((await refusalOf(bob.client.joinRoom(roomId))).errcode).toBe("M_FORBIDDEN");
    await alice.client.sendTextMessage(roomId, "he is gone");
    await alice.client.invite(roomId, bob.userId);
    await eventually(() => expect(roomOf(bob, roomId).getMyMembership()).toBe("invite"));
    await bob.client.joinRoom(roomId);
    await eventuallyJoined(bob, roomId);
    await bob.client.sendTextMessage(roomId, "back again");
    await eventually(() => expect(textsSeen(alice, roomId)).toContain("back again"));
  });

  it("turns an invitation down", async () => {
    await alice.client.invite(roomId, carol.userId);
    await eventually(() => expect(roomOf(carol, roomId).getMyMembership()).toBe("invite"));
    await carol.client.leave(roomId);
    await eventually(() => expect(membershipOf(alice, roomId, carol)).toBe("leave"));
    expect((await refusalOf(carol.client.joinRoom(roomId))).errcode).toBe("M_FORBIDDEN");
  });

  it("forgets a room that was left, and only such a room", async () => {
    const other = await roomOfAliceAnd([bob]);
    expect((await refusalOf(bob.client.forget(other, false))).errcode).toBe("M_UNKNOWN");
    await bob.client.leave(other);
    await bob.client.forget(other, false);
    expect((await refusalOf(bob.client.roomState(other))).errcode).toBe("M_FORBIDDEN");
  });

  it("answers a knock by letting the person in", async () => {
    const { room_id: knockable } = await alice.client.createRoom({
      name: "Knock, please",
      initial_state: [{ type: EventType.RoomJoinRules, state_key: "", content: { join_rule: "knock" } }],
    });
    expect((await refusalOf(carol.client.joinRoom(knockable))).errcode).toBe("M_FORBIDDEN");
    await carol.client.knockRoom(knockable, { reason: "it is me", viaServers: [server.serverName] });
    await eventually(() => expect(membershipOf(alice, knockable, carol)).toBe("knock"));
    await eventually(() => expect(roomOf(carol, knockable).getMyMembership()).toBe("knock"));
    await alice.client.invite(knockable, carol.userId);
    await carol.client.joinRoom(knockable);
    await eventuallyJoined(carol, knockable);
  });
});

describe("keeping order", () => {
  let roomId: string;

  beforeAll(async () => {
    roomId = await roomOfAliceAnd([bob, carol]);
  });

  it("shows a person out, who may come back when invited", async () => {
    await alice.client.kick(roomId, carol.userId, "too loud");
    await eventually(() => {
      const room = roomOf(carol, roomId);
      expect(room.getMyMembership()).toBe("leave");
      expect(room.getMember(carol.userId)?.events.member?.getContent()).toMatchObject({ reason: "too loud" });
    });
    await alice.client.invite(roomId, carol.userId);
    await carol.client.joinRoom(roomId);
    await eventuallyJoined(carol, roomId);
  });

  it("bans a person until the ban is lifted", async () => {
    await alice.client.ban(roomId, carol.userId, "too loud again");
    await eventually(() => expect(roomOf(carol, roomId).getMyMembership()).toBe("ban"));
    await eventually(() => expect(membershipOf(bob, roomId, carol)).toBe("ban"));
    // Servers differ in the error code: the person is forbidden to, and the room is in no state for it.
    expect((await refusalOf(carol.client.joinRoom(roomId))).httpStatus).toBe(403);
    expect((await refusalOf(alice.client.invite(roomId, carol.userId))).httpStatus).toBe(403);
    await alice.client.unban(roomId, carol.userId);
    await alice.client.invite(roomId, carol.userId);
    await carol.client.joinRoom(roomId);
    await eventuallyJoined(carol, roomId);
  });

  it("refuses what a person has no power to do, and allows it once they have", async () => {
    expect((await refusalOf(bob.client.kick(roomId, carol.userId))).errcode).toBe("M_FORBIDDEN");
    expect((await refusalOf(bob.client.setRoomName(roomId, "Bob's"))).errcode).toBe("M_FORBIDDEN");
    await alice.client.setPowerLevel(roomId, bob.userId, 50);
    await bob.client.setRoomName(roomId, "Bob's");
    await eventually(() => expect(roomOf(alice, roomId).name).toBe("Bob's"));
    expect((await refusalOf(bob.client.kick(roomId, alice.userId))).errcode).toBe("M_FORBIDDEN");
    await bob.client.kick(roomId, carol.userId);
    await eventually(() => expect(roomOf(carol, roomId).getMyMembership()).toBe("leave"));
  });
});

describe("being found", () => {
  it("lists a public room, which people join by its alias", async () => {
    const name = `Allotments ${run}`;
    const alias = `#allotments-${run}:${server.serverName}`;
    const { room_id: roomId } = await alice.client.createRoom({
      preset: Preset.PublicChat,
      visibility: Visibility.Public,
      room_alias_name: `allotments-${run}`,
      name,
    });
    expect(await carol.client.getRoomIdForAlias(alias)).toMatchObject({ room_id: roomId });
    await eventually(async () => {
      const found = await carol.client.publicRooms({ filter: { generic_search_term: name } });
      expect(found.chunk).toEqual([
        expect.objectContaining({ room_id: roomId, name, canonical_alias: alias, num_joined_members: 1 }),
      ]);
    });
    await carol.client.joinRoom(alias);
    await eventuallyJoined(carol, roomId);
    const second = `#beans-${run}:${server.serverName}`;
    await alice.client.createAlias(second, roomId);
    expect((await alice.client.getLocalAliases(roomId)).aliases.sort()).toEqual([alias, second].sort());
    await alice.client.deleteAlias(second);
    expect((await refusalOf(carol.client.getRoomIdForAlias(second))).errcode).toBe("M_NOT_FOUND");
    await alice.client.setRoomDirectoryVisibility(roomId, Visibility.Private);
    await eventually(async () => {
      const found = await carol.client.publicRooms({ filter: { generic_search_term: name } });
      expect(found.chunk).toEqual([]);
    });
  });

  it("finds a person in the user directory", async () => {
    await roomOfAliceAnd([bob]);
    await eventually(async () => {
      const { results } = await alice.client.searchUserDirectory({ term: `bob-${run}` });
      expect(results.map(({ user_id }) => user_id)).toContain(bob.userId);
    });
  });

  it("shows a new name to everybody in the room", async () => {
    const roomId = await roomOfAliceAnd([bob]);
    await bob.client.setDisplayName("Robert the Bruce");
    await bob.client.setAvatarUrl("mxc://localhost/robert");
    await eventually(() => {
      const seen = roomOf(alice, roomId).getMember(bob.userId);
      expect(seen?.name).toBe("Robert the Bruce");
      expect(seen?.getMxcAvatarUrl()).toBe("mxc://localhost/robert");
    });
    expect(await alice.client.getProfileInfo(bob.userId)).toMatchObject({
      displayname: "Robert the Bruce",
      avatar_url: "mxc://localhost/robert",
    });
  });
});

describe("a person's own things", () => {
  it("brings account data to the person's other devices", async () => {
    const roomId = await roomOfAliceAnd([]);
    const phone = await logIn(server, alice);
    const put = (path: string): Promise<unknown> =>
      alice.client.http.authedRequest(
        Method.Put,
        `/user/${encodeURIComponent(alice.userId)}${path}/account_data/${noteType}`,
        undefined,
        { text: `note${path.length}` },
      );
    await put("");
    await put(`/rooms/${encodeURIComponent(roomId)}`);
    await eventually(() => {
      expect(phone.client.store.getAccountData(noteType)?.getContent()).toEqual({ text: "note0" });
      expect(roomOf(phone, roomId).getAccountData(noteType)?.getContent().text).toMatch(/^note/);
    });
    await phone.client.logout(true);
  });

  it("carries a message from device to device", async () => {
    const received = new Promise<{ type: string; sender: string | undefined; content: unknown }>((resolve) => {
      bob.client.once(ClientEvent.ToDeviceEvent, (event) =>
        resolve({ type: event.getType(), sender: event.getSender(), content: event.getContent() }),
      );
    });
    const deviceId = String(bob.client.getDeviceId());
    await alice.client.sendToDevice(noteType, new Map([[bob.userId, new Map([[deviceId, { psst: "hello" }]])]]));
    expect(await received).toEqual({ type: noteType, sender: alice.userId, content: { psst: "hello" } });
  });

  it("shows the person's devices and removes one with the password", async () => {
    const phone = await logIn(server, bob);
    const phoneId = String(phone.client.getDeviceId());
    phone.client.stopClient();
    await bob.client.setDeviceDetails(phoneId, { display_name: "lost phone" });
    const listed = (await bob.client.getDevices()).devices.find(({ device_id }) => device_id === phoneId);
    expect(listed?.display_name).toBe("lost phone");
    const asked = await refusalOf(bob.client.deleteDevice(phoneId));
    expect(asked.httpStatus).toBe(401);
    await bob.client.deleteDevice(phoneId, {
      type: "m.login.password",
      identifier: { type: "m.id.user", user: bob.userId },
      password: bob.password,
      session: String(asked.data.session),
    });
    expect((await refusalOf(phone.client.whoami())).errcode).toBe("M_UNKNOWN_TOKEN");
    expect(await bob.client.whoami()).toMatchObject({ user_id: bob.userId });
  });

  it("ends a session at logout, and only that one", async () => {
    const phone = await logIn(server, carol);
    await phone.client.logout(true);
    expect(await refusalOf(phone.client.whoami())).toMatchObject({ errcode: "M_UNKNOWN_TOKEN", httpStatus: 401 });
    expect(await carol.client.whoami()).toMatchObject({ user_id: carol.userId });
  });
});

/** A new private room of Alice's, which the others have joined; returns when all of them see it. */
async function roomOfAliceAnd(others: readonly Person[]): Promise<string> {
  const { room_id: roomId } = await alice.client.createRoom({
    preset: Preset.PrivateChat,
    name: "Shed",
    invite: others.map(({ userId }) => userId),
  });
  await eventuallyJoined(alice, roomId);
  for (const person of others) {
    await person.client.joinRoom(roomId);
    await eventuallyJoined(person, roomId);
    await eventually(() => expect(membershipOf(alice, roomId, person)).toBe("join"));
  }
  return roomId;
}

function membershipOf(viewer: Person, roomId: string, person: Person): string | undefined {
  return roomOf(viewer, roomId).getMember(person.userId)?.membership;
}
