import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../shared/json.ts";
import { maxInitialState, maxInvitees } from "../../../shared/room-creation.ts";
import { makeRoom, type TestUser } from "../../support/client.ts";
import { expectError, expectOk, path, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

/** The content of a state event, or the errcode where there is none. */
const stateOf = async (user: TestUser, roomId: string, type: string, stateKey = "") =>
  (await user.get(path`v3/rooms/${roomId}/state/${type}/${stateKey}`)).body;

describe("createRoom", () => {
  it("makes a room of version 12 by default, whose id is the create event's hash", async () => {
    const alice = await server.user("alice");
    const roomId = await makeRoom(alice);
    expect(roomId).toMatch(/^![A-Za-z0-9_-]{43}$/);
    expect(await stateOf(alice, roomId, "m.room.create")).toMatchObject({ room_version: "12" });
    expect(await stateOf(alice, roomId, "m.room.member", alice.userId)).toMatchObject({ membership: "join" });
    expectOk(await alice.get("v3/joined_rooms"), { joined_rooms: [roomId] });
  });

  it("does what its fields say", async () => {
    const bob = await server.user("bob");
    const carol = await server.user("carol");
    const roomId = await makeRoom(bob, {
      visibility: "public",
      room_alias_name: "lounge",
      name: "The lounge",
      topic: "All and nothing",
      invite: [carol.userId],
      is_direct: true,
      room_version: "11",
      creation_content: { "m.federate": false, type: "org.example.lounge" },
      initial_state: [
        { type: "m.room.history_visibility", content: { history_visibility: "world_readable" } },
        { type: "org.example.thing", state_key: "a/b", content: { n: 1 } },
      ],
      preset: "private_chat",
      power_level_content_override: { events_default: 7 },
    });
    expect(roomId).toMatch(/^![^:]+:localhost$/);
    const create = { room_version: "11", "m.federate": false, type: "org.example.lounge" };
    expect(await stateOf(bob, roomId, "m.room.create")).toMatchObject(create);
    expect(await stateOf(bob, roomId, "m.room.name")).toEqual({ name: "The lounge" });
    expect(await stateOf(bob, roomId, "m.room.topic")).toMatchObject({ topic: "All and nothing" });
    expect(await stateOf(bob, roomId, "m.room.canonical_alias")).toEqual({ alias: "#lounge:localhost" });
    expect(await stateOf(bob, roomId, "m.room.join_rules")).toMatchObject({ join_rule: "invite" });
    expect(await stateOf(bob, roomId, "m.room.history_visibility")).toEqual({ history_visibility: "world_readable" });
    expect(await stateOf(bob, roomId, "org.example.thing", "a/b")).toEqual({ n: 1 });
    expect(await stateOf(bob, roomId, "m.room.power_levels")).toMatchObject({ events_default: 7 });
    const invite = await stateOf(bob, roomId, "m.room.member", carol.userId);
    expect(invite).toMatchObject({ membership: "invite", is_direct: true });
    expect((await server.anybody().get(path`v3/directory/room/${"#lounge:localhost"}`)).body.room_id).toBe(roomId);
    expectOk(await server.anybody().get(path`v3/directory/list/room/${roomId}`), { visibility: "public" });
  });

  it.each([
    ["private_chat", "invite", "shared", "can_join"],
    ["trusted_private_chat", "invite", "shared", "can_join"],
    ["public_chat", "public", "shared", "forbidden"],
  ])("sets what the preset %s says", async (preset, joinRule, visibility, guests) => {
    const user = await server.user(`preset_${preset}`);
    const roomId = await makeRoom(user, { preset });
    expect(await stateOf(user, roomId, "m.room.join_rules")).toMatchObject({ join_rule: joinRule });
    expect(await stateOf(user, roomId, "m.room.history_visibility")).toEqual({ history_visibility: visibility });
    expect(await stateOf(user, roomId, "m.room.guest_access")).toEqual(
      guests === "forbidden" ? expect.anything() : { guest_access: guests },
    );
  });

  it("refuses what it cannot do", async () => {
    const dora = await server.user("dora");
    const refuse = async (body: JsonObject, status: number, errcode: string) =>
      expectError(await dora.post("v3/createRoom", body), status, errcode);
    await makeRoom(dora, { room_alias_name: "mine" });
    await refuse({ room_alias_name: "mine" }, 400, "M_ROOM_IN_USE");
    await refuse({ room_version: "999" }, 400, "M_UNSUPPORTED_ROOM_VERSION");
    await refuse({ room_version: 11 }, 400, "M_BAD_JSON");
    await refuse({ preset: "chaos" }, 400, "M_BAD_JSON");
    await refuse({ visibility: "secret" }, 400, "M_BAD_JSON");
    await refuse({ invite: "dora" }, 400, "M_BAD_JSON");
    await refuse({ invite: ["dora"] }, 400, "M_INVALID_PARAM");
    await refuse(
      { invite: Array.from({ length: maxInvitees + 1 }, (_, n) => `@u${n}:localhost`) },
      400,
      "M_INVALID_PARAM",
    );
    const event = { type: "org.example", content: {} };
    await refuse({ initial_state: Array.from({ length: maxInitialState + 1 }, () => event) }, 400, "M_INVALID_PARAM");
    await refuse({ initial_state: [{ content: {} }] }, 400, "M_MISSING_PARAM");
    await refuse({ initial_state: [{ type: "a", content: 1 }] }, 400, "M_BAD_JSON");
    await refuse({ creation_content: [] }, 400, "M_BAD_JSON");
    await refuse({ invite_3pid: [{ medium: "email" }] }, 400, "M_UNKNOWN");
    expectError(await server.anybody().post("v3/createRoom", {}), 401, "M_MISSING_TOKEN");
    expectError(await dora.request("POST", "v3/createRoom", { raw: "" }), 400, "M_NOT_JSON");
    expectOk(await dora.get("v3/joined_rooms"));
    expect((await dora.get("v3/joined_rooms")).body.joined_rooms).toHaveLength(1);
  });
});
