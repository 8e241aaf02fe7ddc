import { describe, expect, it } from "vitest";
import { trusted } from "../../../shared/ids.ts";
import { eventFromPdu } from "../../../shared/matrix/event.ts";
import { rulesFor } from "../../../shared/matrix/room-version.ts";
import { verifyEvent } from "../../../shared/matrix/signing.ts";
import type { CreateRoomRequest } from "../../../shared/rpc/user.ts";
import { alice, bob, errcodeOf, register, serverName, World } from "./world.ts";

const request = (changes: Partial<CreateRoomRequest> = {}): CreateRoomRequest => ({
  roomVersion: null,
  preset: null,
  visibility: "private",
  roomAliasName: null,
  name: null,
  topic: null,
  invite: [],
  isDirect: false,
  creationContent: {},
  initialState: [],
  powerLevelContentOverride: null,
  ...changes,
});

async function withAlice(variables: Readonly<Record<string, string>> = {}): Promise<World> {
  const world = new World(variables);
  await register(world, alice);
  return world;
}

const alias = trusted.roomAlias(`#pub:${serverName}`);

describe("createRoom", () => {
  it("takes the version that the operator chose, where the creator names none", async () => {
    const world = await withAlice({ DEFAULT_ROOM_VERSION: "11" });
    await world.user(alice).rpc.createRoom(request());
    await world.user(alice).rpc.createRoom(request({ roomVersion: "9" }));
    expect(world.rooms.created.map(({ input }) => input.roomVersion)).toEqual(["11", "9"]);
  });

  it("signs the create event, whose hash is the room id of version 12", async () => {
    const world = await withAlice();
    const { roomId } = await world.user(alice).rpc.createRoom(request({ name: "Pub", invite: [bob, bob] }));
    const [made] = world.rooms.created;
    const rules = rulesFor("12");
    if (made === undefined || rules === null) throw new Error("no room");
    expect(made.roomId).toBe(roomId);
    expect(roomId).toMatch(/^![A-Za-z0-9_-]{43}$/);
    expect(eventFromPdu(made.input.createEvent, rules).roomId).toBe(roomId);
    const keys = await world.server.getServerKeys();
    const [keyId, publicKey] = /"(ed25519:[^"]+)":\{"key":"([^"]+)"/.exec(JSON.stringify(keys))?.slice(1) ?? [];
    const verifyKeys = new Map([[keyId ?? "", publicKey ?? ""]]);
    expect(verifyEvent(made.input.createEvent, rules, serverName, verifyKeys)).toBe(true);
    expect(made.input).toMatchObject({ preset: "private_chat", name: "Pub", invite: [bob], roomVersion: "12" });
  });

  it("makes different rooms of equal requests in the same millisecond", async () => {
    const world = await withAlice();
    const made = await Promise.all(Array.from({ length: 20 }, () => world.user(alice).rpc.createRoom(request())));
    world.user(alice).evict();
    made.push(await world.user(alice).rpc.createRoom(request()));
    expect(new Set(made.map(({ roomId }) => roomId)).size).toBe(21);
  });

  it("makes rooms of version 11 under a random id, and public ones with the public preset", async () => {
    const world = await withAlice();
    const { roomId } = await world.user(alice).rpc.createRoom(request({ roomVersion: "11", visibility: "public" }));
    expect(roomId.endsWith(`:${serverName}`)).toBe(true);
    expect(world.rooms.created[0]?.input.preset).toBe("public_chat");
  });

  it.each([
    [{ roomVersion: "13" }, "M_UNSUPPORTED_ROOM_VERSION"],
    [{ roomVersion: "" }, "M_UNSUPPORTED_ROOM_VERSION"],
    [{ roomVersion: "nonsense" }, "M_UNSUPPORTED_ROOM_VERSION"],
    [{ roomAliasName: "with:colon" }, "M_INVALID_PARAM"],
    [{ roomAliasName: "with space" }, "M_INVALID_PARAM"],
    [{ roomAliasName: "" }, "M_INVALID_PARAM"],
    [{ roomAliasName: "a".repeat(256) }, "M_INVALID_PARAM"],
  ])("answers %j with %s and makes nothing", async (changes, expected) => {
    const world = await withAlice();
    expect(await errcodeOf(world.user(alice).rpc.createRoom(request(changes)))).toBe(expected);
    expect(world.rooms.created).toEqual([]);
  });

  it("reserves the alias", async () => {
    const world = await withAlice();
    const { roomId } = await world.user(alice).rpc.createRoom(request({ roomAliasName: "pub" }));
    expect(world.rooms.created[0]?.input.alias).toBe(alias);
    await expect(world.server.getAlias(alias)).resolves.toEqual({ roomId });
    expect(world.user(alice).sql.all("SELECT * FROM obligations")).toEqual([]);
    expect(await errcodeOf(world.user(alice).rpc.createRoom(request({ roomAliasName: "pub" })))).toBe("M_ROOM_IN_USE");
    await world.settled();
    await expect(world.server.getAlias(alias)).resolves.toMatchObject({ roomId });
  });

  it("gives the alias back when the room could not be made", async () => {
    const world = await withAlice();
    const user = world.user(alice);
    for (const when of ["before", "after"] as const) {
      world.faults.push({ method: "room.createRoom", when, times: 1 });
      const attempt = user.rpc.createRoom(request({ roomAliasName: `pub-${when}` }));
      await expect(attempt).rejects.toThrow("lost");
      await world.settled();
      expect(user.sql.all("SELECT * FROM obligations")).toEqual([]);
    }
    const aliasOf = (name: string) => world.server.getAlias(trusted.roomAlias(`#${name}:${serverName}`));
    expect(await errcodeOf(aliasOf("pub-before"))).toBe("M_NOT_FOUND");
    // Only the answer was lost: the room is there, and keeps its alias.
    await expect(aliasOf("pub-after")).resolves.toMatchObject({ roomId: world.rooms.created[0]?.roomId });
  });

  it("gives the alias back also after the death of the instance", async () => {
    const world = await withAlice();
    const user = world.user(alice);
    const roomId = trusted.roomId("!never:made");
    user.context.store.transaction((tx) => tx.obligations.owe("alias", `${roomId} ${alias}`));
    await world.server.createAlias({ alias, roomId, creator: alice });
    user.evict();
    user.context.alarm.ensure(world.clock.now());
    await user.ring();
    expect(await errcodeOf(world.server.getAlias(alias))).toBe("M_NOT_FOUND");
  });
});
