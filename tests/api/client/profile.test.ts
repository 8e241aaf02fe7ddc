import { describe, expect, it } from "vitest";
import { expectError, expectOk, path, roomOf, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("profile", () => {
  it("is set field by field, and read by anybody", async () => {
    const alice = await server.user("alice");
    const at = (field: string) => path`v3/profile/${alice.userId}/${field}`;
    expectOk(await alice.put(at("displayname"), { displayname: "Alice" }), {});
    expectOk(await alice.put(at("avatar_url"), { avatar_url: "mxc://localhost/abc" }), {});
    expectOk(await alice.put(at("m.tz"), { "m.tz": "Europe/Berlin" }), {});
    expectOk(await alice.put(at("org.example.pronouns"), { "org.example.pronouns": ["she"] }), {});
    const profile = {
      displayname: "Alice",
      avatar_url: "mxc://localhost/abc",
      "m.tz": "Europe/Berlin",
      "org.example.pronouns": ["she"],
    };
    expectOk(await server.anybody().get(path`v3/profile/${alice.userId}`), profile);
    expectOk(await server.anybody().get(at("displayname")), { displayname: "Alice" });
    expectOk(await alice.delete(at("m.tz")), {});
    expectError(await alice.get(at("m.tz")), 404, "M_NOT_FOUND");
    expectOk(await alice.delete(at("m.tz")), {});
  });

  it("is one's own to change", async () => {
    const bob = await server.user("bob");
    const carol = await server.user("carol");
    const at = path`v3/profile/${bob.userId}/displayname`;
    expectError(await carol.put(at, { displayname: "x" }), 403, "M_FORBIDDEN");
    expectError(await carol.delete(at), 403, "M_FORBIDDEN");
    expectError(await server.anybody().put(at, { displayname: "x" }), 401, "M_MISSING_TOKEN");
    expectError(await bob.put(at, {}), 400, "M_MISSING_PARAM");
  });

  it("has limits", async () => {
    const dora = await server.user("dora");
    const at = (field: string) => path`v3/profile/${dora.userId}/${field}`;
    for (const [length, status] of [
      [255, 200],
      [256, 200],
      [257, 400],
    ] as const) {
      expect((await dora.put(at("displayname"), { displayname: "x".repeat(length) })).status).toBe(status);
    }
    const key = (length: number) => `a.${"b".repeat(length - 2)}`;
    expectOk(await dora.put(at(key(255)), { [key(255)]: 1 }));
    expectError(await dora.put(at(key(256)), { [key(256)]: 1 }), 400, "M_KEY_TOO_LARGE");
    expectError(await dora.put(at("a.b"), { "a.b": "x".repeat(65_536) }), 400, "M_PROFILE_TOO_LARGE");
  });

  it("is not known of strangers", async () => {
    expectError(await server.anybody().get("v3/profile/@nobody:localhost"), 404, "M_NOT_FOUND");
    expectError(await server.anybody().get("v3/profile/@alice:elsewhere.invalid"), 502, "M_UNKNOWN");
    expectError(await server.anybody().get("v3/profile/nonsense"), 400, "M_INVALID_PARAM");
    for (const name of ["__proto__", "constructor"]) {
      const alice = await server.anybody().get(path`v3/profile/@alice:localhost/${name}`);
      expectError(alice, 404, "M_NOT_FOUND");
    }
  });

  it("goes into the rooms that one is in", async () => {
    const erin = await server.user("erin");
    const roomId = await roomOf(erin);
    expectOk(await erin.put(path`v3/profile/${erin.userId}/displayname`, { displayname: "Erin E." }));
    await expect
      .poll(async () => (await erin.get(path`v3/rooms/${roomId}/state/m.room.member/${erin.userId}`)).body)
      .toMatchObject({ membership: "join", displayname: "Erin E." });
  });
});
