import { describe, expect, it } from "vitest";
import { supportedRoomVersions } from "../../../shared/matrix/room-version.ts";
import { makeRoom } from "../../support/client.ts";
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
