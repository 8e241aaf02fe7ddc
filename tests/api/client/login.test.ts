import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../shared/json.ts";
import { clientOf, loginAgain } from "../../support/client.ts";
import { expectError, expectOk, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();
const login = (body: JsonObject) => server.anybody().post("v3/login", body);
const byName = (user: string, password: string, more: JsonObject = {}) =>
  login({ type: "m.login.password", identifier: { type: "m.id.user", user }, password, ...more });

describe("getLoginFlows", () => {
  it("offers passwords", async () => {
    expectOk(await server.anybody().get("v3/login"), { flows: [{ type: "m.login.password" }] });
    expectOk(await server.anybody().get("/_matrix/client/r0/login"));
  });
});

describe("getLoginFallback", () => {
  it("is a page that runs its own script, sends to this server, and nothing else", async () => {
    for (const path of ["/_matrix/static/client/login/", "/_matrix/static/client/login?device_id=%3Cscript%3E"]) {
      const { status, headers, text } = await server.anybody().get(path);
      expect([status, headers.get("Content-Type")]).toEqual([200, "text/html; charset=utf-8"]);
      expect(headers.get("Content-Security-Policy")).toMatch(
        /^default-src 'none'; style-src 'sha256-\S+'; script-src 'sha256-\S+'; connect-src 'self'; frame-src js:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'$/,
      );
      expect(text).toContain("window.matrixLogin.onLogin(");
      expect(text.match(/<script/g)).toHaveLength(1);
    }
  });
});

describe("login", () => {
  it("takes a user id, a localpart, and the deprecated form", async () => {
    const alice = await server.user("alice");
    for (const user of ["alice", "@alice:localhost", "Alice"]) {
      expect((await byName(user, alice.password)).body).toMatchObject({
        user_id: alice.userId,
        device_id: expect.any(String),
      });
    }
    const old = await login({ type: "m.login.password", user: "alice", password: alice.password });
    expect(old.body.user_id).toBe(alice.userId);
  });

  it("answers a wrong password and an unknown user in the same words", async () => {
    const user = await server.user("bob");
    const wrong = await byName("bob", `${user.password}!`);
    expectError(wrong, 403, "M_FORBIDDEN");
    for (const name of ["nobody", "@bob:elsewhere.org", "not a name", "@bob"]) {
      const unknown = await byName(name, "x");
      expectError(unknown, 403, "M_FORBIDDEN");
      expect(unknown.text).toBe(wrong.text);
    }
    const thirdParty = { type: "m.id.thirdparty", medium: "email", address: "a@b.c" };
    expectError(await login({ type: "m.login.password", identifier: thirdParty, password: "x" }), 403, "M_FORBIDDEN");
  });

  it("refuses unknown types and bodies without what they need", async () => {
    expectError(await login({ type: "m.login.magic" }), 400, "M_UNKNOWN");
    expectError(await login({}), 400, "M_MISSING_PARAM");
    expectError(await login({ type: "m.login.password", user: "bob" }), 400, "M_MISSING_PARAM");
    expectError(await login({ type: 1 }), 400, "M_BAD_JSON");
    expectError(await login({ type: "m.login.password", user: "bob", password: 1 }), 400, "M_BAD_JSON");
  });

  it("ends the device's earlier session when its id is given again", async () => {
    const carol = await server.user("carol");
    const again = await byName("carol", carol.password, { device_id: carol.deviceId });
    expect(again.body.device_id).toBe(carol.deviceId);
    expectError(await carol.get("v3/account/whoami"), 401, "M_UNKNOWN_TOKEN");
    expectOk(await clientOf(server.url, String(again.body.access_token)).get("v3/account/whoami"));
  });

  it("leaves other devices alone", async () => {
    const dora = await server.user("dora");
    const second = await loginAgain(dora);
    expect(second.deviceId).not.toBe(dora.deviceId);
    expectOk(await dora.get("v3/account/whoami"));
    expectOk(await second.get("v3/account/whoami"));
  });
});

describe("access tokens", () => {
  it("are taken in the header and in the query", async () => {
    const erin = await server.user("erin");
    expectOk(await server.anybody().get(`v3/account/whoami?access_token=${erin.accessToken}`));
    expectError(await server.anybody().get("v3/account/whoami"), 401, "M_MISSING_TOKEN");
    expectError(await clientOf(server.url, "nonsense").get("v3/account/whoami"), 401, "M_UNKNOWN_TOKEN");
    const guess = `${erin.accessToken?.slice(0, -8)}AAAAAAAA`;
    expectError(await clientOf(server.url, guess).get("v3/account/whoami"), 401, "M_UNKNOWN_TOKEN");
  });

  it("are in no log", async () => {
    const frank = await server.user("frank");
    await server.anybody().get(`v3/account/whoami?access_token=${frank.accessToken}`);
    await server.anybody().get(`/nowhere/${frank.accessToken}?access_token=${frank.accessToken}`);
    await byName("frank", frank.password);
    await byName("frank", "wrong and secret");
    const logged = server.logs.join("\n");
    expect(logged).toContain("getTokenOwner");
    for (const secret of [frank.accessToken ?? "", frank.password, "wrong and secret"])
      expect(logged).not.toContain(secret);
  });
});
