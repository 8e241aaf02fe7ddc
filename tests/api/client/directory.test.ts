import { describe, expect, it } from "vitest";
import { makeRoom } from "../../support/client.ts";
import { expectError, expectOk, path, roomOf, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("room aliases", () => {
  it("are made by members, found by anybody, and removed by who made them", async () => {
    const [alice, bob] = [await server.user("alice"), await server.user("bob")];
    const roomId = await roomOf(alice);
    const at = path`v3/directory/room/${"#café/1:localhost"}`;
    expectError(await server.anybody().get(at), 404, "M_NOT_FOUND");
    expectError(await bob.put(at, { room_id: roomId }), 403, "M_FORBIDDEN");
    expectOk(await alice.put(at, { room_id: roomId }), {});
    expectOk(await server.anybody().get(at), { room_id: roomId, servers: ["localhost"] });
    expectOk(await alice.get(path`v3/rooms/${roomId}/aliases`), { aliases: ["#café/1:localhost"] });
    expectError(await bob.get(path`v3/rooms/${roomId}/aliases`), 403, "M_FORBIDDEN");
    const other = await roomOf(alice);
    for (const taken of [roomId, other]) expectError(await alice.put(at, { room_id: taken }), 409, "M_UNKNOWN");
    expectOk(await alice.get(path`v3/rooms/${roomId}/aliases`), { aliases: ["#café/1:localhost"] });
    expectError(await bob.delete(at), 403, "M_FORBIDDEN");
    expectOk(await alice.delete(at), {});
    expectError(await alice.delete(at), 404, "M_NOT_FOUND");
  });

  it("leave the canonical alias with the alias, where who removes it may change that", async () => {
    const [delia, edgar] = [await server.user("delia"), await server.user("edgar")];
    const roomId = await roomOf(delia, edgar);
    const canonical = path`v3/rooms/${roomId}/state/m.room.canonical_alias`;
    const [main, other, third] = ["#main:localhost", "#other:localhost", "#third:localhost"];
    const content = { alias: main, alt_aliases: [other, third], "org.example": 1 };
    for (const alias of [main, other])
      expectOk(await delia.put(path`v3/directory/room/${alias}`, { room_id: roomId }), {});
    expectOk(await edgar.put(path`v3/directory/room/${third}`, { room_id: roomId }), {});
    expect((await delia.put(canonical, content)).status).toBe(200);
    expectOk(await edgar.delete(path`v3/directory/room/${third}`), {});
    expectOk(await delia.get(canonical), content);
    expectOk(await delia.delete(path`v3/directory/room/${main}`), {});
    expectOk(await delia.get(canonical), { alt_aliases: [other, third], "org.example": 1 });
    expectOk(await delia.delete(path`v3/directory/room/${other}`), {});
    expectOk(await delia.get(canonical), { alt_aliases: [third], "org.example": 1 });
  });

  it("are of this server, and of the right form", async () => {
    const carol = await server.user("carol");
    const roomId = await roomOf(carol);
    const request = { room_id: roomId };
    expectError(await carol.put(path`v3/directory/room/${"#a:elsewhere.invalid"}`, request), 400, "M_INVALID_PARAM");
    expectError(await carol.put(path`v3/directory/room/nonsense`, request), 400, "M_INVALID_PARAM");
    expectError(await carol.put(path`v3/directory/room/${"#a:localhost"}`, {}), 400, "M_MISSING_PARAM");
    expectError(await carol.put(path`v3/directory/room/${"#a:localhost"}`, { room_id: "x" }), 400, "M_INVALID_PARAM");
    expectError(await carol.get(path`v3/directory/room/${"#a:elsewhere.invalid"}`), 502, "M_UNKNOWN");
    for (const [length, status] of [
      [244, 200],
      [245, 200],
      [246, 400],
    ] as const) {
      const alias = `#${"a".repeat(length - 1)}:localhost`;
      expect((await carol.put(path`v3/directory/room/${alias}`, request)).status).toBe(status);
    }
  });
});

describe("the public room directory", () => {
  const names = async (query: string) =>
    Object((await server.anybody().get(`v3/publicRooms${query}`)).body).chunk.map(({ name }: { name: string }) => name);

  it("lists published rooms, and follows them", async () => {
    const dora = await server.user("dora");
    const roomId = await makeRoom(dora, { visibility: "public", name: "Garden", topic: "Roses" });
    await makeRoom(dora, { name: "Cellar" });
    await expect.poll(() => names("")).toEqual(["Garden"]);
    expectOk(await dora.put(path`v3/rooms/${roomId}/state/m.room.name`, { name: "Big garden" }));
    await expect.poll(() => names("")).toEqual(["Big garden"]);
    expectOk(await dora.put(path`v3/directory/list/room/${roomId}`, { visibility: "private" }), {});
    await expect.poll(() => names("")).toEqual([]);
    expectOk(await server.anybody().get(path`v3/directory/list/room/${roomId}`), { visibility: "private" });
  });

  it("is searched, and given in pages", async () => {
    const erin = await server.user("erin");
    for (const name of ["Alpha", "Beta", "Gamma"])
      await makeRoom(erin, { visibility: "public", name, preset: "public_chat" });
    await expect.poll(async () => (await names("")).sort()).toEqual(["Alpha", "Beta", "Gamma"]);
    const found = await erin.post("v3/publicRooms", { filter: { generic_search_term: "bet" } });
    expect(Object(found.body).chunk).toMatchObject([{ name: "Beta", num_joined_members: 1, join_rule: "public" }]);
    const first = (await server.anybody().get("v3/publicRooms?limit=2")).body;
    expect(Object(first).chunk).toHaveLength(2);
    const second = (await server.anybody().get(`v3/publicRooms?limit=2&since=${String(first.next_batch)}`)).body;
    expect(Object(second).chunk).toHaveLength(1);
    expect(second.next_batch).toBeUndefined();
    const none = await erin.post("v3/publicRooms", { third_party_instance_id: "irc" });
    expectOk(none, { chunk: [], total_room_count_estimate: 0 });
  });

  it("is changed by those with the power, and asked in the right form", async () => {
    const [frank, gina] = [await server.user("frank"), await server.user("gina")];
    const roomId = await roomOf(frank, gina);
    expectError(await gina.put(path`v3/directory/list/room/${roomId}`, { visibility: "public" }), 403, "M_FORBIDDEN");
    expectError(await frank.put(path`v3/directory/list/room/${roomId}`, { visibility: "x" }), 400, "M_BAD_JSON");
    const unknown = `!${"A".repeat(43)}`;
    expectError(await server.anybody().get(path`v3/directory/list/room/${unknown}`), 404, "M_NOT_FOUND");
    expectError(await server.anybody().get("v3/publicRooms?server=elsewhere.invalid"), 502, "M_UNKNOWN");
    expectError(await server.anybody().get("v3/publicRooms?limit=x"), 400, "M_INVALID_PARAM");
    expectError(await frank.post("v3/publicRooms", { filter: { room_types: "m.space" } }), 400, "M_BAD_JSON");
    expectError(await server.anybody().post("v3/publicRooms", {}), 401, "M_MISSING_TOKEN");
  });
});

describe("searchUserDirectory", () => {
  it("finds those whom one shares a room with, and those in public rooms", async () => {
    const [hal, ida, jon] = [await server.user("hal"), await server.user("idalovesme"), await server.user("idahidden")];
    await roomOf(hal, ida);
    const ids = async () =>
      Object((await hal.post("v3/user_directory/search", { search_term: "ida" })).body).results.map(
        ({ user_id }: { user_id: string }) => user_id,
      );
    await expect.poll(ids).toEqual([ida.userId]);
    expect(await ids()).not.toContain(jon.userId);
    expectError(await hal.post("v3/user_directory/search", {}), 400, "M_MISSING_PARAM");
    expectError(await hal.post("v3/user_directory/search", { search_term: 1 }), 400, "M_BAD_JSON");
    expectError(await server.anybody().post("v3/user_directory/search", { search_term: "a" }), 401, "M_MISSING_TOKEN");
  });
});
