import { describe, expect, it } from "vitest";
import { findCurrentState } from "../../../actors/room/state.ts";
import { trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import {
  alice,
  bob,
  carol,
  createWorld,
  dave,
  membership,
  message,
  refusalOf,
  serverName,
  state,
  type TestRoom,
} from "./world.ts";

const upgrade = (newVersion: string, requester: UserId = alice, additionalCreators: UserId[] = []) => ({
  requester,
  newVersion,
  additionalCreators,
});

function content(room: TestRoom, type: string, stateKey = ""): JsonObject | null {
  return findCurrentState(room.context.store, type, stateKey)?.event.content ?? null;
}

const spam = trusted.userId("@spam:elsewhere.example");
const alias = trusted.roomAlias(`#old:${serverName}`);

describe("upgradeRoom", () => {
  it("refuses who may not send a tombstone, who is not in the room, and versions that nobody knows", async () => {
    const world = createWorld();
    const room = await world.create({ roomVersion: "11", preset: "public_chat" });
    await room.rpc.changeMembership(membership("join", bob));
    expect(await refusalOf(room.rpc.upgradeRoom(upgrade("12", bob)))).toEqual([403, "M_FORBIDDEN"]);
    expect(await refusalOf(room.rpc.upgradeRoom(upgrade("12", carol)))).toEqual([403, "M_FORBIDDEN"]);
    expect(await refusalOf(room.rpc.upgradeRoom(upgrade("13")))).toEqual([400, "M_UNSUPPORTED_ROOM_VERSION"]);
    const none = world.room(trusted.roomId("!none:tessera.test"));
    expect(await refusalOf(none.rpc.upgradeRoom(upgrade("12")))).toEqual([403, "M_FORBIDDEN"]);
  });

  it.each([
    ["1", "12"],
    ["9", "10"],
    ["11", "12"],
    ["12", "12"],
    ["12", "11"],
  ])("transfers all that goes with the room, from version %s to %s", async (from, to) => {
    const world = createWorld();
    const room = await world.create({
      roomVersion: from,
      preset: "public_chat",
      visibility: "public",
      name: "the room",
      topic: "its topic",
      creationContent: { type: "m.space", "m.federate": false },
      initialState: [
        { type: "m.room.server_acl", stateKey: "", content: { allow: ["*"], deny: ["evil.example"] } },
        { type: "m.room.encryption", stateKey: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
        { type: "m.room.avatar", stateKey: "", content: { url: "mxc://a/b" } },
        { type: "m.space.child", stateKey: "!child:a", content: { via: ["a"] } },
        { type: "m.space.child", stateKey: "!gone:a", content: {} },
        { type: "org.example.private", stateKey: "", content: { mine: true } },
      ],
    });
    world.aliases.set(alias, room.roomId);
    await room.rpc.sendEvent(state(alice, "m.room.canonical_alias", { alias }));
    await room.rpc.changeMembership(membership("join", bob));
    await room.rpc.changeMembership({ ...membership("ban", alice, spam), reason: "spam" });
    const levels = { ...content(room, "m.room.power_levels") };
    const oldLast = room.context.store.extremities.forward(1)[0]?.eventId;

    const { roomId } = await room.rpc.upgradeRoom(upgrade(to));
    const fresh = world.room(roomId);
    expect(content(fresh, "m.room.create")).toMatchObject({
      room_version: to,
      type: "m.space",
      "m.federate": false,
    });
    const predecessor = to === "12" ? { room_id: room.roomId } : { room_id: room.roomId, event_id: oldLast };
    expect(content(fresh, "m.room.create")?.predecessor).toEqual(predecessor);
    for (const type of [
      "m.room.server_acl",
      "m.room.encryption",
      "m.room.name",
      "m.room.avatar",
      "m.room.topic",
      "m.room.history_visibility",
      "m.room.join_rules",
    ]) {
      expect([type, content(fresh, type)]).toEqual([type, content(room, type)]);
    }
    // What the old room has by not setting it, against what a private room would begin with.
    expect(content(fresh, "m.room.guest_access")).toEqual({ guest_access: "forbidden" });
    expect(content(fresh, "m.space.child", "!child:a")).toEqual({ via: ["a"] });
    expect(content(fresh, "m.space.child", "!gone:a")).toBeNull();
    expect(content(fresh, "org.example.private")).toBeNull();
    expect(content(fresh, "m.room.member", spam)).toEqual({ membership: "ban", reason: "spam" });
    expect(content(fresh, "m.room.member", bob)).toBeNull();
    expect(content(fresh, "m.room.member", alice)?.membership).toBe("join");
    // Who stood above all levels keeps the highest that the room knows.
    const users = to === "12" ? {} : { [alice]: from === "12" ? 150 : 100 };
    expect(content(fresh, "m.room.power_levels")).toEqual({ ...levels, users });
    // The old room points to it and is closed.
    expect(content(room, "m.room.tombstone")).toMatchObject({ replacement_room: roomId });
    expect(content(room, "m.room.power_levels")).toMatchObject({ events_default: 50, invite: 50 });
    expect(await refusalOf(room.rpc.sendEvent(message(bob, "late")))).toEqual([403, "M_FORBIDDEN"]);
    expect(world.aliases.get(alias)).toBe(roomId);
    expect(content(fresh, "m.room.canonical_alias")).toEqual({ alias });
    expect(content(room, "m.room.canonical_alias")).toEqual({});
    expect(await room.rpc.getDirectoryVisibility()).toBe("private");
    expect(await fresh.rpc.getDirectoryVisibility()).toBe("public");
    await fresh.rpc.changeMembership(membership("join", bob));
    await world.settle();
  });

  it("brings nothing back that was redacted, but for what protects the room", async () => {
    const world = createWorld();
    const room = await world.create({
      roomVersion: "11",
      creationContent: { type: "m.space" },
      name: "Secret name",
      topic: "Secret topic",
      initialState: [
        { type: "m.room.encryption", stateKey: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
        { type: "m.space.child", stateKey: "!secret:a", content: { via: ["a"] } },
      ],
    });
    await room.rpc.changeMembership({ ...membership("ban", alice, spam), reason: "Secret reason" });
    const keys: [string, string][] = [
      ["m.room.name", ""],
      ["m.room.topic", ""],
      ["m.room.encryption", ""],
      ["m.space.child", "!secret:a"],
      ["m.room.member", spam],
    ];
    for (const [type, stateKey] of keys) {
      const redacts = findCurrentState(room.context.store, type, stateKey)?.eventId ?? null;
      await room.rpc.sendEvent({ ...message(alice, ""), type: "m.room.redaction", content: {}, redacts });
    }
    const { roomId } = await room.rpc.upgradeRoom(upgrade("12"));
    const fresh = world.room(roomId);
    for (const type of ["m.room.name", "m.room.topic"]) expect([type, content(fresh, type)]).toEqual([type, null]);
    expect(content(fresh, "m.space.child", "!secret:a")).toBeNull();
    expect(content(fresh, "m.room.member", spam)).toEqual({ membership: "ban" });
    expect(content(fresh, "m.room.encryption")).toEqual({ algorithm: "m.megolm.v1.aes-sha2" });
  });

  it("gives a moderator enough power to transfer, and takes it back", async () => {
    const world = createWorld();
    const users = { [alice]: 100, [bob]: 50 };
    const events = { "m.room.tombstone": 50, "m.room.encryption": 100, "m.room.server_acl": 100 };
    const room = await world.create({
      roomVersion: "10",
      preset: "public_chat",
      powerLevelContentOverride: { users, events },
      initialState: [{ type: "m.room.encryption", stateKey: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    await room.rpc.changeMembership(membership("join", bob));
    const { roomId } = await room.rpc.upgradeRoom(upgrade("11", bob));
    const fresh = world.room(roomId);
    expect(content(fresh, "m.room.encryption")).not.toBeNull();
    expect(content(fresh, "m.room.power_levels")?.users).toEqual(users);
  });

  it("makes creators of those who are named, where the version has them, and of nobody else", async () => {
    const world = createWorld();
    const creationContent = { additional_creators: [carol] };
    const room = await world.create({ roomVersion: "12", preset: "public_chat", creationContent });
    const { roomId } = await room.rpc.upgradeRoom(upgrade("12", alice, [dave]));
    expect(content(world.room(roomId), "m.room.create")?.additional_creators).toEqual([dave]);
    const older = await world.create({ roomVersion: "9", preset: "public_chat" });
    const { roomId: newer } = await older.rpc.upgradeRoom(upgrade("11", alice, [dave]));
    expect(content(world.room(newer), "m.room.create")).not.toHaveProperty("additional_creators");
  });

  it("makes integers of levels that are text", async () => {
    const world = createWorld();
    const room = await world.create({ roomVersion: "9", preset: "public_chat" });
    const levels = { ...content(room, "m.room.power_levels"), ban: "60", kick: " 55 " };
    await room.rpc.sendEvent(state(alice, "m.room.power_levels", levels));
    const { roomId } = await room.rpc.upgradeRoom(upgrade("11"));
    expect(content(world.room(roomId), "m.room.power_levels")).toMatchObject({ ban: 60, kick: 55 });
  });

  it("makes one room for requests that come together", async () => {
    const world = createWorld();
    const room = await world.create({ roomVersion: "11", preset: "public_chat" });
    const answers = await Promise.all([1, 2, 3].map(() => room.rpc.upgradeRoom(upgrade("12"))));
    expect(new Set(answers.map((answer) => answer.roomId)).size).toBe(1);
  });
});
