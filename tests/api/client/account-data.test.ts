import { describe, expect, it } from "vitest";
import { expectError, expectOk, path, roomOf, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("account data", () => {
  it("is stored and read, globally and for a room", async () => {
    const alice = await server.user("alice");
    const roomId = await roomOf(alice);
    const global = path`v3/user/${alice.userId}/account_data/org.example.a`;
    const local = path`v3/user/${alice.userId}/rooms/${roomId}/account_data/org.example.a`;
    for (const [at, content] of [
      [global, { n: 1 }],
      [local, { n: 2.5, deep: { null: null } }],
    ] as const) {
      expectError(await alice.get(at), 404, "M_NOT_FOUND");
      expectOk(await alice.put(at, content), {});
      expectOk(await alice.get(at), content);
    }
  });

  it("is told by sync", async () => {
    const bob = await server.user("bob");
    const since = String((await bob.get("v3/sync")).body.next_batch);
    const waiting = bob.get(`v3/sync?since=${since}&timeout=20000`);
    expectOk(await bob.put(path`v3/user/${bob.userId}/account_data/m.direct`, { "@a:b": ["!x"] }));
    expect((await waiting).body.account_data).toEqual({ events: [{ type: "m.direct", content: { "@a:b": ["!x"] } }] });
  });

  it("is one's own", async () => {
    const carol = await server.user("carol");
    const dora = await server.user("dora");
    const at = path`v3/user/${carol.userId}/account_data/a.b`;
    expectError(await dora.get(at), 403, "M_FORBIDDEN");
    expectError(await dora.put(at, {}), 403, "M_FORBIDDEN");
    expectError(await server.anybody().get(at), 401, "M_MISSING_TOKEN");
    const elsewhere = path`v3/user/${carol.userId}/rooms/nonsense/account_data/a.b`;
    expectError(await carol.put(elsewhere, {}), 400, "M_INVALID_PARAM");
  });

  it("is an object, and not of a type that the server manages", async () => {
    const erin = await server.user("erin");
    const at = (type: string) => path`v3/user/${erin.userId}/account_data/${type}`;
    expectError(await erin.put(at("a.b"), []), 400, "M_BAD_JSON");
    expectError(await erin.request("PUT", at("a.b"), { raw: "{" }), 400, "M_NOT_JSON");
    for (const type of ["m.fully_read", "m.push_rules"]) expectError(await erin.put(at(type), {}), 405, "M_BAD_JSON");
  });

  it("keeps keys that a prototype has", async () => {
    const frank = await server.user("frank");
    const at = path`v3/user/${frank.userId}/account_data/a.b`;
    const raw = '{"__proto__":{"polluted":true},"constructor":{"x":[]}}';
    expectOk(await frank.request("PUT", at, { raw }));
    expect((await frank.get(at)).text).toBe(raw);
    expectError(
      await frank.put(path`v3/user/${frank.userId}/account_data/${"a".repeat(256)}`, {}),
      400,
      "M_INVALID_PARAM",
    );
    expectOk(await frank.put(path`v3/user/${frank.userId}/account_data/__proto__`, { a: 1 }));
    expectOk(await frank.get(path`v3/user/${frank.userId}/account_data/__proto__`), { a: 1 });
  });
});
