import { describe, expect, it } from "vitest";
import { expectError, expectOk, path, roomOf, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("room tags", () => {
  it("are set, listed, told by sync and removed", async () => {
    const alice = await server.user("alice");
    const roomId = await roomOf(alice);
    const tags = path`v3/user/${alice.userId}/rooms/${roomId}/tags`;
    expectOk(await alice.get(tags), { tags: {} });
    const since = String((await alice.get("v3/sync")).body.next_batch);
    expectOk(await alice.put(`${tags}/m.favourite`, { order: 0.25, "a.b": "kept" }), {});
    expectOk(await alice.put(`${tags}/${encodeURIComponent("u.Wörk/x")}`, {}), {});
    const both = { "m.favourite": { order: 0.25, "a.b": "kept" }, "u.Wörk/x": {} };
    expectOk(await alice.get(tags), { tags: both });
    const { rooms } = (await alice.get(`v3/sync?since=${since}`)).body;
    expect(rooms).toMatchObject({
      join: { [roomId]: { account_data: { events: [{ type: "m.tag", content: { tags: both } }] } } },
    });
    expectOk(await alice.delete(`${tags}/m.favourite`), {});
    expectOk(await alice.delete(`${tags}/m.favourite`), {});
    expectOk(await alice.get(tags), { tags: { "u.Wörk/x": {} } });
  });

  it("do not overwrite one another", async () => {
    const bob = await server.user("bob");
    const roomId = await roomOf(bob);
    const names = Array.from({ length: 12 }, (_, index) => `u.tag${index}`);
    await Promise.all(names.map((name) => bob.put(path`v3/user/${bob.userId}/rooms/${roomId}/tags/${name}`, {})));
    const { tags } = (await bob.get(path`v3/user/${bob.userId}/rooms/${roomId}/tags`)).body;
    expect(Object.keys(Object(tags)).sort()).toEqual(names.sort());
  });

  it("have names of at most 255 bytes, and an order from 0 to 1", async () => {
    const carol = await server.user("carol");
    const roomId = await roomOf(carol);
    const put = (tag: string, body: { order?: number | string }) =>
      carol.put(path`v3/user/${carol.userId}/rooms/${roomId}/tags/${tag}`, body);
    expectOk(await put("u".repeat(254), {}));
    expectOk(await put("u".repeat(255), {}));
    expectError(await put("u".repeat(256), {}), 400, "M_INVALID_PARAM");
    expectError(await put("ü".repeat(128), {}), 400, "M_INVALID_PARAM");
    expectOk(await put("u.a", { order: 1 }));
    expectError(await put("u.a", { order: 1.01 }), 400, "M_INVALID_PARAM");
    expectError(await put("u.a", { order: "first" }), 400, "M_BAD_JSON");
    const dora = await server.user("dora");
    expectError(await dora.get(path`v3/user/${carol.userId}/rooms/${roomId}/tags`), 403, "M_FORBIDDEN");
  });
});
