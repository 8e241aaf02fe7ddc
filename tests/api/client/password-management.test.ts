import { describe, expect, it } from "vitest";
import { clientOf, loginAgain, type TestUser } from "../../support/client.ts";
import { expectError, expectOk, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();
const proof = (user: TestUser, password = user.password) => ({
  type: "m.login.password",
  identifier: { type: "m.id.user", user: user.userId },
  password,
});

describe("changePassword", () => {
  it("asks for the password, then changes it and ends other sessions", async () => {
    const alice = await server.user("alice");
    const other = await loginAgain(alice);
    const asked = await alice.post("v3/account/password", { new_password: "new secret" });
    expect([asked.status, asked.body.flows]).toEqual([401, [{ stages: ["m.login.password"] }]]);
    const { session = "" } = asked.body;
    const wrong = { new_password: "new secret", auth: { ...proof(alice, "wrong"), session } };
    const refused = await alice.post("v3/account/password", wrong);
    expect([refused.status, refused.body.errcode]).toEqual([401, "M_FORBIDDEN"]);
    expectOk(
      await alice.post("v3/account/password", { new_password: "new secret", auth: { ...proof(alice), session } }),
      {},
    );
    expectOk(await alice.get("v3/account/whoami"));
    expectError(await other.get("v3/account/whoami"), 401, "M_UNKNOWN_TOKEN");
    const login = { type: "m.login.password", user: "alice" };
    expectError(await server.anybody().post("v3/login", { ...login, password: alice.password }), 403, "M_FORBIDDEN");
    expectOk(await server.anybody().post("v3/login", { ...login, password: "new secret" }));
  });

  it("keeps other sessions where it is asked to", async () => {
    const bob = await server.user("bob");
    const other = await loginAgain(bob);
    const request = { new_password: "new", logout_devices: false, auth: proof(bob) };
    expectOk(await bob.post("v3/account/password", request));
    expectOk(await other.get("v3/account/whoami"));
  });

  it("does not let a session prove another request", async () => {
    const carol = await server.user("carol");
    const asked = await carol.post("v3/account/password", { new_password: "one" });
    const auth = { ...proof(carol), session: asked.body.session ?? "" };
    expectError(await carol.post("v3/account/password", { new_password: "two", auth }), 400, "M_UNKNOWN");
    expectError(await carol.post("v3/account/deactivate", { auth }), 400, "M_UNKNOWN");
    expectError(
      await (await loginAgain(carol)).post("v3/account/password", { new_password: "one", auth }),
      400,
      "M_UNKNOWN",
    );
  });

  it("takes nobody else's password", async () => {
    const dora = await server.user("dora");
    const erin = await server.user("erin");
    const reply = await dora.post("v3/account/password", { new_password: "x", auth: proof(erin) });
    expect([reply.status, reply.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
  });

  it("needs a session and a new password", async () => {
    const frank = await server.user("frank");
    expectError(await server.anybody().post("v3/account/password", { new_password: "x" }), 401, "M_MISSING_TOKEN");
    expectError(await frank.post("v3/account/password", { auth: proof(frank) }), 400, "M_MISSING_PARAM");
    expectError(await frank.post("v3/account/password", { new_password: 1 }), 400, "M_BAD_JSON");
  });
});

describe("deactivateAccount", () => {
  it("ends the account for good", async () => {
    const user = await server.user("gone");
    expect((await user.post("v3/account/deactivate", {})).status).toBe(401);
    expectOk(await user.post("v3/account/deactivate", { auth: proof(user) }), { id_server_unbind_result: "success" });
    expectError(await user.get("v3/account/whoami"), 401, "M_UNKNOWN_TOKEN");
    const login = { type: "m.login.password", user: "gone", password: user.password };
    expect((await server.anybody().post("v3/login", login)).status).toBe(403);
    const again = { username: "gone", password: "p", auth: { type: "m.login.dummy" } };
    expectError(await server.anybody().post("v3/register", again), 400, "M_USER_IN_USE");
    expectError(await clientOf(server.url).get("v3/profile/@gone:localhost"), 404, "M_NOT_FOUND");
  });
});
