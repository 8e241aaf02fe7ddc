import { describe, expect, it } from "vitest";
import { makeRoom, type TestUser } from "../../support/client.ts";
import { expectError, expectOk, path, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

const summary = (user: TestUser, room: string) => user.get(path`v1/room_summary/${room}`);

describe("getRoomSummary", () => {
  it("tells of a room by its id or alias, and what the user is in it", async () => {
    const [alice, bob] = [await server.user(), await server.user()];
    const fields = { preset: "public_chat", room_alias_name: "cheese", name: "CHEESE", topic: "Tasty tasty cheese" };
    const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
    const roomId = await makeRoom(alice, { ...fields, initial_state: [encryption] });
    const told = {
      room_id: roomId,
      name: "CHEESE",
      topic: "Tasty tasty cheese",
      canonical_alias: "#cheese:localhost",
      num_joined_members: 1,
      world_readable: false,
      guest_can_join: false,
      join_rule: "public",
      room_version: "12",
      encryption: "m.megolm.v1.aes-sha2",
    };
    expectOk(await summary(bob, roomId), told);
    expectOk(await summary(bob, "#cheese:localhost"), told);
    // By the paths of the proposal, which clients use where the version of the specification is not declared.
    expectOk(await bob.get(path`/_matrix/client/unstable/im.nheko.summary/summary/${roomId}`), told);
    expectOk(await bob.get(path`/_matrix/client/unstable/im.nheko.summary/rooms/${roomId}/summary`), told);
    expectOk(await summary(alice, roomId), { ...told, membership: "join" });
    expectOk(await alice.post(path`v3/rooms/${roomId}/ban`, { user_id: bob.userId }));
    expectError(await summary(bob, roomId), 404, "M_NOT_FOUND");
  });

  it("tells nobody of a room that they can neither join nor read, nor whether there is one", async () => {
    const [alice, bob] = [await server.user(), await server.user()];
    const roomId = await makeRoom(alice, { name: "Secret" });
    const refused = await summary(bob, roomId);
    expectError(refused, 404, "M_NOT_FOUND");
    expect((await summary(bob, `!${"A".repeat(43)}`)).body).toEqual(refused.body);
    expectOk(await alice.post(path`v3/rooms/${roomId}/invite`, { user_id: bob.userId }));
    expect((await summary(bob, roomId)).body).toMatchObject({ name: "Secret", membership: "invite" });
    expectOk(await bob.post(path`v3/rooms/${roomId}/leave`, {}));
    expectError(await summary(bob, roomId), 404, "M_NOT_FOUND");
    const visibility = path`v3/rooms/${roomId}/state/m.room.history_visibility/`;
    expectOk(await alice.put(visibility, { history_visibility: "world_readable" }));
    expect((await summary(bob, roomId)).body).toMatchObject({ world_readable: true, membership: "leave" });
    expectError(await summary(bob, "nonsense"), 400, "M_INVALID_PARAM");
    expectError(await summary(bob, "#nothing:localhost"), 404, "M_NOT_FOUND");
    expectError(await server.anybody().get(path`v1/room_summary/${roomId}`), 401, "M_MISSING_TOKEN");
  });

  it("names the rooms whose members may join a restricted room, to who is in one of them", async () => {
    const [alice, bob] = [await server.user(), await server.user()];
    const space = await makeRoom(alice, { preset: "public_chat", creation_content: { type: "m.space" } });
    expect((await summary(bob, space)).body).toMatchObject({ room_type: "m.space" });
    const content = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: space }] };
    const initial_state = [{ type: "m.room.join_rules", state_key: "", content }];
    const roomId = await makeRoom(alice, { room_version: "8", initial_state });
    expectError(await summary(bob, roomId), 404, "M_NOT_FOUND");
    expectOk(await bob.post(path`v3/rooms/${space}/join`, {}));
    const told = { join_rule: "restricted", allowed_room_ids: [space] };
    expect((await summary(bob, roomId)).body).toMatchObject(told);
    expect((await summary(alice, space)).body).not.toHaveProperty("allowed_room_ids");
  });
});
