import { describe, expect, it } from "vitest";
import { clientOf } from "../../support/client.ts";
import { expectError, expectOk, path, useHomeserver } from "../homeserver.ts";

const dummy = { type: "m.login.dummy" };

describe("register", () => {
  const server = useHomeserver();

  it("asks for authentication first, and never succeeds without", async () => {
    const reply = await server.anybody().post("v3/register", { username: "first", password: "p" });
    expect(reply.status).toBe(401);
    expect(reply.body).toEqual({ flows: [{ stages: ["m.login.dummy"] }], params: {}, session: expect.any(String) });
    expect(reply.headers.get("Access-Control-Allow-Origin")).toBe("*");
  });

  it("makes an account and a session", async () => {
    const begun = await server.anybody().post("v3/register", {});
    const { session = "" } = begun.body;
    const reply = await server.anybody().post("v3/register", {
      username: "alice",
      password: "secret of alice",
      device_id: "PHONE",
      initial_device_display_name: "phone",
      auth: { ...dummy, session },
    });
    expectOk(reply);
    expect(reply.body).toEqual({ user_id: "@alice:localhost", device_id: "PHONE", access_token: expect.any(String) });
    const alice = clientOf(server.url, String(reply.body.access_token));
    expectOk(await alice.get("v3/account/whoami"), {
      user_id: "@alice:localhost",
      device_id: "PHONE",
      is_guest: false,
    });
    expect((await alice.get("v3/devices/PHONE")).body.display_name).toBe("phone");
  });

  it("gives no session where none is wanted, and a refresh token where one is understood", async () => {
    const quiet = { username: "quiet", password: "p", inhibit_login: true, auth: dummy };
    expectOk(await server.anybody().post("v3/register", quiet), { user_id: "@quiet:localhost" });
    const modern = { username: "modern", password: "p", refresh_token: true, auth: dummy };
    const reply = await server.anybody().post("v3/register", modern);
    expect(reply.body).toMatchObject({ refresh_token: expect.any(String), expires_in_ms: expect.any(Number) });
  });

  it("makes a name where none is given, and puts capitals down", async () => {
    const unnamed = await server.anybody().post("v3/register", { password: "p", auth: dummy });
    expect(unnamed.body.user_id).toMatch(/^@[a-z2-7]{10}:localhost$/);
    const capital = await server.anybody().post("v3/register", { username: "Carol", password: "p", auth: dummy });
    expect(capital.body.user_id).toBe("@carol:localhost");
  });

  it("refuses a name that is taken, before and after authentication", async () => {
    await server.user("taken");
    for (const auth of [null, dummy]) {
      expectError(
        await server.anybody().post("v3/register", { username: "taken", password: "p", auth }),
        400,
        "M_USER_IN_USE",
      );
    }
  });

  it("refuses names that the grammar does not have, and names that are too long", async () => {
    for (const username of ["", "a b", "ä", "a:b", "@a:localhost", "a".repeat(245)]) {
      expectError(
        await server.anybody().post("v3/register", { username, password: "p", auth: dummy }),
        400,
        "M_INVALID_USERNAME",
      );
    }
    expectOk(await server.anybody().post("v3/register", { username: "a".repeat(244), password: "p", auth: dummy }));
  });

  it("refuses guests, unknown kinds and wrong types", async () => {
    const { post } = server.anybody();
    expectError(await post("v3/register?kind=guest", {}), 403, "M_GUEST_ACCESS_FORBIDDEN");
    expectError(await post("v3/register?kind=king", {}), 400, "M_INVALID_PARAM");
    for (const wrong of [
      { username: 1 },
      { password: [] },
      { auth: "x" },
      { inhibit_login: "yes" },
      { device_id: {} },
    ]) {
      expectError(await post("v3/register", wrong), 400, "M_BAD_JSON");
    }
  });

  it("lets one name be registered once, however many ask at the same time", async () => {
    const request = { username: "race", password: "p", auth: dummy };
    const replies = await Promise.all(Array.from({ length: 8 }, () => server.anybody().post("v3/register", request)));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(replies.filter(({ body }) => body.errcode === "M_USER_IN_USE")).toHaveLength(7);
  });
});

describe("checkUsernameAvailability", () => {
  const server = useHomeserver();

  it("says whether a name is free", async () => {
    await server.user("taken");
    const available = (name: string) =>
      server.anybody().get(`v3/register/available?username=${encodeURIComponent(name)}`);
    expectOk(await available("free"), { available: true });
    expectError(await available("taken"), 400, "M_USER_IN_USE");
    expectError(await available("not free"), 400, "M_INVALID_USERNAME");
    expectError(await server.anybody().get("v3/register/available"), 400, "M_MISSING_PARAM");
  });
});

describe("registration by token", () => {
  const server = useHomeserver({ env: { REGISTRATION: "token", REGISTRATION_SHARED_SECRET: "hush" } });

  it("knows no token that nobody made", async () => {
    const validity = (token: string) =>
      server.anybody().get(path`v1/register/m.login.registration_token/validity?token=${token}`);
    expectOk(await validity("nonsense"), { valid: false });
    expectError(await server.anybody().get("v1/register/m.login.registration_token/validity"), 400, "M_MISSING_PARAM");
    const reply = await server.anybody().post("v3/register", { username: "a", password: "p" });
    expect(reply.body.flows).toEqual([{ stages: ["m.login.registration_token"] }]);
    const auth = { type: "m.login.registration_token", token: "nonsense", session: reply.body.session ?? "" };
    const refused = await server.anybody().post("v3/register", { username: "a", password: "p", auth });
    expect([refused.status, refused.body.errcode]).toEqual([401, "M_UNAUTHORIZED"]);
    expect((await server.anybody().post("v3/register", { username: "a", password: "p", auth: dummy })).status).toBe(
      401,
    );
  });
});

describe("closed registration", () => {
  const server = useHomeserver({ env: { REGISTRATION: "closed" } });

  it("lets nobody in", async () => {
    const { post, get } = server.anybody();
    expectError(await post("v3/register", { username: "a", password: "p", auth: dummy }), 403, "M_FORBIDDEN");
    expectError(await get("v3/register/available?username=a"), 403, "M_FORBIDDEN");
    expectError(await get("v1/register/m.login.registration_token/validity?token=a"), 403, "M_FORBIDDEN");
  });
});
