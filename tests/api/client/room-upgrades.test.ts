import { describe, expect, it } from "vitest";
import { supportedRoomVersions } from "../../../shared/matrix/room-version.ts";
import { makeRoom, type TestUser } from "../../support/client.ts";
import { expectError, expectOk, path, say, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("upgradeRoom", () => {
  it("replaces a room by one of another version, with its alias", async () => {
    const [alice, bob] = [await server.user("alice"), await server.user("bob")];
    const fields = { preset: "public_chat", room_version: "6", room_alias_name: "hall", name: "The hall" };
    const roomId = await makeRoom(alice, fields);
    expectOk(await bob.post(path`v3/rooms/${roomId}/join`, {}));
    expectError(await bob.post(path`v3/rooms/${roomId}/upgrade`, { new_version: "12" }), 403, "M_FORBIDDEN");
    expectError(await alice.post(path`v3/rooms/${roomId}/upgrade`, {}), 400, "M_MISSING_PARAM");
    const unknown = await alice.post(path`v3/rooms/${roomId}/upgrade`, { new_version: "99" });
    expectError(unknown, 400, "M_UNSUPPORTED_ROOM_VERSION");

    const upgraded = await alice.post(path`v3/rooms/${roomId}/upgrade`, { new_version: "12" });
    expectOk(upgraded);
    const replacement = String(upgraded.body.replacement_room);
    const stateIn = async (id: string, type: string) => (await alice.get(path`v3/rooms/${id}/state/${type}/`)).body;
    expect(await stateIn(roomId, "m.room.tombstone")).toMatchObject({ replacement_room: replacement });
    const create = { room_version: "12", predecessor: { room_id: roomId } };
    expect(await stateIn(replacement, "m.room.create")).toMatchObject(create);
    expect(await stateIn(replacement, "m.room.name")).toEqual({ name: "The hall" });
    const alias = await bob.get(path`v3/directory/room/${"#hall:localhost"}`);
    expect(alias.body.room_id).toBe(replacement);
    expectOk(await bob.post(path`v3/join/${"#hall:localhost"}`, {}));
    await say(bob, replacement, "moved");
  });

  it("takes a user's tags and direct chats along, for who upgrades and for who follows", async () => {
    const [alice, bob] = [await server.user(), await server.user()];
    const roomId = await makeRoom(alice, { preset: "public_chat" });
    expectOk(await bob.post(path`v3/rooms/${roomId}/join`, {}));
    const tagsOf = (user: TestUser, id: string) => path`v3/user/${user.userId}/rooms/${id}/tags`;
    const direct = (user: TestUser) => path`v3/user/${user.userId}/account_data/m.direct`;
    for (const [user, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      expectOk(await user.put(`${tagsOf(user, roomId)}/m.favourite`, { order: 0.25 }));
      expectOk(await user.put(direct(user), { [other.userId]: [roomId] }));
    }
    const upgraded = await alice.post(path`v3/rooms/${roomId}/upgrade`, { new_version: "12" });
    const replacement = String(upgraded.body.replacement_room);
    const again = await alice.post(path`v3/rooms/${roomId}/upgrade`, { new_version: "12" });
    expectOk(again, { replacement_room: replacement });
    expectOk(await bob.post(path`v3/rooms/${replacement}/join`, {}));
    for (const [user, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const tags = { "m.favourite": { order: 0.25 } };
      await expect.poll(async () => (await user.get(tagsOf(user, replacement))).body).toEqual({ tags });
      await expect
        .poll(async () => (await user.get(direct(user))).body)
        .toEqual({ [other.userId]: [roomId, replacement] });
    }
    const claimed = await makeRoom(alice, { creation_content: { predecessor: { room_id: roomId } } });
    expectOk(await alice.get(tagsOf(alice, claimed)), { tags: {} });
  });
});

describe("createRoom in every version", () => {
  it.each(supportedRoomVersions)("makes and uses a room of version %s", async (version) => {
    const alice = await server.user();
    const roomId = await makeRoom(alice, { room_version: version });
    const eventId = await say(alice, roomId, "hello");
    expectOk(await alice.put(path`v3/rooms/${roomId}/redact/${eventId}/t`, {}));
    const event = await alice.get(path`v3/rooms/${roomId}/event/${eventId}`);
    expect(event.body.content).toEqual({});
  });
});
