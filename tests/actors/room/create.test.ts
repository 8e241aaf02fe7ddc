import { describe, expect, it } from "vitest";
import { findCurrentState } from "../../../actors/room/state.ts";
import { trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { eventFromPdu } from "../../../shared/matrix/event.ts";
import { hasValidContentHash } from "../../../shared/matrix/hashes.ts";
import { rulesFor } from "../../../shared/matrix/room-version.ts";
import { maxInitialState, maxInvitees } from "../../../shared/room-creation.ts";
import { alice, bob, carol, createWorld, refusalOf, serverName, storedEvents, type TestRoom, user } from "./world.ts";

function content(room: TestRoom, type: string, stateKey = ""): JsonObject | null {
  return findCurrentState(room.context.store, type, stateKey)?.event.content ?? null;
}

describe("createRoom", () => {
  it("applies the events in the spec's order", async () => {
    const world = createWorld();
    const room = await world.create({
      preset: "public_chat",
      alias: trusted.roomAlias(`#pub:${serverName}`),
      initialState: [
        { type: "m.room.encryption", stateKey: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
        { type: "m.room.history_visibility", stateKey: "", content: { history_visibility: "joined" } },
      ],
      name: "The Pub",
      topic: "All about happy hour",
      invite: [bob, carol, bob],
    });
    expect(storedEvents(room)).toEqual([
      ["m.room.create", ""],
      ["m.room.member", alice],
      ["m.room.power_levels", ""],
      ["m.room.canonical_alias", ""],
      ["m.room.join_rules", ""],
      ["m.room.encryption", ""],
      ["m.room.history_visibility", ""],
      ["m.room.name", ""],
      ["m.room.topic", ""],
      ["m.room.member", bob],
      ["m.room.member", carol],
    ]);
    expect(content(room, "m.room.topic")).toEqual({
      topic: "All about happy hour",
      "m.topic": { "m.text": [{ body: "All about happy hour" }] },
    });
  });

  it.each([
    ["private_chat", { join_rule: "invite" }, { guest_access: "can_join" }],
    ["trusted_private_chat", { join_rule: "invite" }, { guest_access: "can_join" }],
    // "If this event is absent, servers should act as if it is present and has the guest_access value `forbidden`."
    ["public_chat", { join_rule: "public" }, null],
  ] as const)("sets the state of the preset %s", async (preset, joinRules, guestAccess) => {
    const room = await createWorld().create({ preset });
    expect(content(room, "m.room.join_rules")).toEqual(joinRules);
    expect(content(room, "m.room.guest_access")).toEqual(guestAccess);
    expect(content(room, "m.room.history_visibility")).toEqual({ history_visibility: "shared" });
  });

  it("stores events whose graph, hashes and ids hold, in room versions 11 and 12", async () => {
    for (const roomVersion of ["11", "12"]) {
      const room = await createWorld().create({ roomVersion, name: "A" });
      const rules = rulesFor(roomVersion);
      if (rules === null) throw new Error("unknown version");
      const rows = room.sql.all<{ event_id: string; json: string }>(
        "SELECT event_id, json FROM events ORDER BY event_nid",
      );
      let previous: string[] = [];
      for (const [index, row] of rows.entries()) {
        const pdu: JsonObject = JSON.parse(row.json);
        const event = eventFromPdu(pdu, rules);
        expect(event.eventId).toBe(row.event_id);
        expect(hasValidContentHash(pdu, rules)).toBe(true);
        expect(event.roomId).toBe(room.roomId);
        expect(event.depth).toBe(index + 1);
        expect(event.prevEvents).toEqual(previous);
        previous = [row.event_id];
      }
      expect(room.roomId.includes(":")).toBe(roomVersion === "11");
      expect(room.context.store.extremities.forward(10).map((end) => end.eventId)).toEqual(previous);
    }
  });

  it("makes invitees of a trusted private chat creators from room version 12, and gives them 100 before", async () => {
    const world = createWorld();
    const v12 = await world.create({ preset: "trusted_private_chat", invite: [bob] });
    expect(content(v12, "m.room.create")).toMatchObject({ additional_creators: [bob] });
    expect(content(v12, "m.room.power_levels")).toMatchObject({ users: {} });
    const v11 = await world.create({ preset: "trusted_private_chat", invite: [bob], roomVersion: "11" });
    expect(content(v11, "m.room.power_levels")).toMatchObject({ users: { [alice]: 100, [bob]: 100 } });
  });

  it("marks invites as direct and gives members their profiles", async () => {
    const world = createWorld();
    world.profiles.set(alice, { displayname: "Alice", avatar_url: "mxc://a/b", other: 1 });
    world.profiles.set(bob, { displayname: "Bob" });
    const room = await world.create({ invite: [bob], isDirect: true });
    expect(content(room, "m.room.member", alice)).toEqual({
      membership: "join",
      displayname: "Alice",
      avatar_url: "mxc://a/b",
    });
    expect(content(room, "m.room.member", bob)).toEqual({ membership: "invite", displayname: "Bob", is_direct: true });
  });

  it("overrides power levels and takes those of initial_state in place of its own", async () => {
    const world = createWorld();
    const overridden = await world.create({ powerLevelContentOverride: { events_default: 30 } });
    expect(content(overridden, "m.room.power_levels")).toMatchObject({ events_default: 30, state_default: 50 });
    const given = { type: "m.room.power_levels", stateKey: "", content: { users: {}, ban: 77 } };
    const replaced = await world.create({ initialState: [given] });
    expect(content(replaced, "m.room.power_levels")).toEqual({ users: {}, ban: 77 });
    expect(storedEvents(replaced).filter(([type]) => type === "m.room.power_levels")).toHaveLength(1);
  });

  it("counts members and wakes creator and invitees before it answers", async () => {
    const world = createWorld();
    const room = await world.create({ invite: [bob] });
    expect(room.context.store.room.get()).toMatchObject({ joinedMembers: 1, invitedMembers: 1, isPublished: false });
    const told = world.wakes.map(({ userId, wake }) => [userId, wake.membership]);
    expect(told).toContainEqual([alice, "join"]);
    expect(told).toContainEqual([bob, "invite"]);
    await world.settle();
    expect(world.noted).toContain(room.roomId);
    expect(room.context.store.room.get().isNoted).toBe(true);
  });

  it("publishes a room of public visibility", async () => {
    const room = await createWorld().create({ visibility: "public", preset: "public_chat" });
    expect(await room.rpc.getDirectoryVisibility()).toBe("public");
  });

  it("stores nothing when the wanted state is invalid", async () => {
    const world = createWorld();
    const cases: [Parameters<typeof world.create>[0], [number, string]][] = [
      [{ roomVersion: "11", powerLevelContentOverride: { users: {} }, name: "x" }, [400, "M_INVALID_ROOM_STATE"]],
      [{ powerLevelContentOverride: { users: { [alice]: 100 } } }, [400, "M_INVALID_ROOM_STATE"]],
      [{ initialState: [{ type: "m.room.create", stateKey: "", content: {} }] }, [400, "M_INVALID_ROOM_STATE"]],
      [{ initialState: [{ type: "m.x", stateKey: "", content: { float: 1.5 } }] }, [400, "M_BAD_JSON"]],
      [{ initialState: [{ type: "m.x", stateKey: "k".repeat(256), content: {} }] }, [413, "M_TOO_LARGE"]],
      [{ topic: "x".repeat(70_000) }, [413, "M_TOO_LARGE"]],
      [{ invite: [alice] }, [403, "M_FORBIDDEN"]],
      [{ roomVersion: "99" }, [400, "M_UNSUPPORTED_ROOM_VERSION"]],
      [{ creationContent: { additional_creators: ["bob"] } }, [400, "M_INVALID_PARAM"]],
    ];
    for (const [wish, refusal] of cases) {
      expect([wish, await refusalOf(world.create(wish))]).toEqual([wish, refusal]);
    }
    await world.settle();
    expect(world.wakes).toEqual([]);
    expect(world.noted.size).toBe(0);
  });

  it("leaves users of other servers to be invited by way of those, once there is a room", async () => {
    const room = await createWorld().create({
      preset: "trusted_private_chat",
      invite: [bob, trusted.userId("@eve:elsewhere.test")],
    });
    const invited = room.context.store.memberships.withMembership("invite", "", 10).map(({ userId }) => userId);
    expect(invited).toEqual([bob]);
  });

  it("bounds invitees and initial state", async () => {
    const world = createWorld();
    const invitees = (count: number) => Array.from({ length: count }, (_, index) => user(`u${index}`));
    for (const count of [maxInvitees - 1, maxInvitees]) {
      expect(await refusalOf(world.create({ invite: invitees(count) }))).toBeNull();
    }
    const tooMany = { invite: invitees(maxInvitees + 1) };
    expect(await refusalOf(world.create(tooMany))).toEqual([400, "M_INVALID_PARAM"]);
    const events = (count: number) =>
      Array.from({ length: count }, (_, index) => ({ type: "m.x", stateKey: `${index}`, content: {} }));
    for (const count of [maxInitialState - 1, maxInitialState]) {
      expect(await refusalOf(world.create({ initialState: events(count) }))).toBeNull();
    }
    const tooLong = { initialState: events(maxInitialState + 1) };
    expect(await refusalOf(world.create(tooLong))).toEqual([400, "M_INVALID_PARAM"]);
  });

  it("is safe to repeat", async () => {
    const world = createWorld();
    const room = await world.create();
    const [row] = room.sql.all<{ json: string }>("SELECT json FROM events WHERE type = 'm.room.create'");
    const createEvent: JsonObject = JSON.parse(row?.json ?? "");
    const before = storedEvents(room).length;
    const again = await room.rpc.createRoom({
      creator: alice,
      createEvent,
      roomVersion: "12",
      preset: "private_chat",
      visibility: "private",
      alias: null,
      name: "another",
      topic: null,
      invite: [],
      isDirect: false,
      initialState: [],
      powerLevelContentOverride: null,
    });
    expect(again).toEqual({ roomId: room.roomId });
    expect(storedEvents(room)).toHaveLength(before);
  });

  it("keeps keys that are names of prototypes", async () => {
    const room = await createWorld().create({
      initialState: [{ type: "__proto__", stateKey: "constructor", content: JSON.parse('{"__proto__": {"a": 1}}') }],
    });
    expect(JSON.stringify(content(room, "__proto__", "constructor"))).toBe('{"__proto__":{"a":1}}');
    expect(user("x")).toBe("@x:tessera.test");
  });
});
