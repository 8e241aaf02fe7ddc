import { describe, expect, it } from "vitest";
import { supportedRoomVersions } from "../../../shared/matrix/room-version.ts";
import { expectError, expectOk, path, useHomeserver } from "../homeserver.ts";

const server = useHomeserver({
  env: {
    PUBLIC_BASEURL: "https://chat.example.org",
    SUPPORT_CONTACT: "@admin:example.org",
    SUPPORT_PAGE: "https://example.org/help",
  },
});

describe("discovery", () => {
  it("says where the server is", async () => {
    const { get } = server.anybody();
    expectOk(await get("/.well-known/matrix/client"), { "m.homeserver": { base_url: "https://chat.example.org" } });
    expectOk(await get("/.well-known/matrix/server"), { "m.server": "chat.example.org:443" });
    expectOk(await get("/.well-known/matrix/support"), {
      contacts: [{ matrix_id: "@admin:example.org", role: "m.role.admin" }],
      support_page: "https://example.org/help",
    });
    for (const name of ["client", "server", "support"]) {
      const reply = await get(`/.well-known/matrix/${name}`);
      expect(reply.headers.get("Access-Control-Allow-Origin")).toBe("*");
    }
  });

  it("says which versions it speaks, to whoever asks, whatever their token", async () => {
    for (const headers of [{}, { Authorization: "Bearer nonsense" }]) {
      const { body } = await server.anybody().request("GET", "/_matrix/client/versions", { headers });
      expect(body.versions).toEqual(["v1.1", "v1.2"]);
    }
  });

  it("says what it can do", async () => {
    const alice = await server.user("alice");
    const { body } = await alice.get("v3/capabilities");
    expect(body.capabilities).toMatchObject({
      "m.change_password": { enabled: true },
      "m.room_versions": {
        default: "12",
        available: Object.fromEntries(supportedRoomVersions.map((version) => [version, "stable"])),
      },
      "m.profile_fields": { enabled: true },
    });
    expectError(await server.anybody().get("v3/capabilities"), 401, "M_MISSING_TOKEN");
  });

  it("says who asks", async () => {
    const bob = await server.user("bob");
    expectOk(await bob.get("v3/account/whoami"), { user_id: bob.userId, device_id: bob.deviceId, is_guest: false });
  });
});

describe("what a person sees", () => {
  it("is one page, without scripts", async () => {
    const { status, headers, text } = await server.anybody().get("/");
    expect([status, headers.get("Content-Type")]).toEqual([200, "text/html; charset=utf-8"]);
    for (const part of ["localhost", "https://chat.example.org", "Open:"]) expect(text).toContain(part);
    expect(text).not.toContain("<script");
    expect(headers.get("Content-Security-Policy")).toMatch(/^default-src 'none'; style-src 'sha256-/);
    expect((await server.anybody().get("/health")).text).toBe("OK");
  });
});

describe("push rules", () => {
  it("are the default ones, as a whole and one by one", async () => {
    const carol = await server.user("carol");
    const all = await carol.get("v3/pushrules/");
    expect((await carol.get("v3/pushrules")).text).toBe(all.text);
    expectOk(await carol.get("v3/pushrules/global/"), Object(all.body).global);
    const at = path`v3/pushrules/global/override/${".m.rule.master"}`;
    expect((await carol.get(at)).body).toMatchObject({ rule_id: ".m.rule.master", default: true, enabled: false });
    expectOk(await carol.get(`${at}/enabled`), { enabled: false });
    expectOk(await carol.get(`${at}/actions`), { actions: [] });
    for (const name of ["override/nothing", "nothing/.m.rule.master", "__proto__/x", "constructor/name"]) {
      expectError(await carol.get(`v3/pushrules/global/${name}`), 404, "M_NOT_FOUND");
    }
    expectError(await carol.put(at, {}), 405, "M_UNRECOGNIZED");
  });
});

describe("CORS", () => {
  it("lets browsers ask, anything, without running it", async () => {
    for (const url of ["/_matrix/client/v3/createRoom", "/_matrix/client/v3/nothing", "/.well-known/matrix/client"]) {
      const reply = await server.anybody().request("OPTIONS", url);
      expect(reply.status).toBe(204);
      expect(reply.headers.get("Access-Control-Allow-Origin")).toBe("*");
      expect(reply.headers.get("Access-Control-Allow-Headers")).toContain("Authorization");
    }
  });

  it("is on refusals of every kind", async () => {
    expectError(await server.anybody().get("/nothing"), 404, "M_UNRECOGNIZED");
    expectError(await server.anybody().delete("v3/login"), 405, "M_UNRECOGNIZED");
    expectError(await server.anybody().request("POST", "v3/login", { raw: "{" }), 400, "M_NOT_JSON");
    expectError(await server.anybody().get("v3/profile/%ff"), 400, "M_INVALID_PARAM");
  });
});
