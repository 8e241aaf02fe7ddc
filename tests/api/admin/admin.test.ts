import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../shared/json.ts";
import { clientOf, makeRoom, text } from "../../support/client.ts";
import { expectError, expectOk, useHomeserver } from "../homeserver.ts";

const secret = "hush";
const server = useHomeserver({ env: { REGISTRATION: "token", REGISTRATION_SHARED_SECRET: secret } });
const registerPath = "/_synapse/admin/v1/register";
const tokensPath = "/_synapse/admin/v1/registration_tokens";

const nonce = async () => text(await server.anybody().get(registerPath), "nonce");
const macOf = (key: string, ...fields: string[]) => createHmac("sha1", key).update(fields.join("\0")).digest("hex");

async function makeUser(username: string, isAdmin: boolean, more: JsonObject = {}) {
  const fresh = await nonce();
  const password = "secret";
  const mac = macOf(secret, fresh, username, password, isAdmin ? "admin" : "notadmin");
  return await server.anybody().post(registerPath, { nonce: fresh, username, password, admin: isAdmin, mac, ...more });
}

async function admin(username: string) {
  return clientOf(server.url, text(await makeUser(username, true), "access_token"));
}

describe("registerBySharedSecret", () => {
  it("makes accounts, whatever the registration mode", async () => {
    const reply = await makeUser("alice", false, { displayname: "Alice A." });
    expect(reply.body).toEqual({
      user_id: "@alice:localhost",
      home_server: "localhost",
      access_token: expect.any(String),
      device_id: expect.any(String),
    });
    expect((await server.anybody().get("v3/profile/@alice:localhost")).body).toMatchObject({ displayname: "Alice A." });
    expectError(await makeUser("alice", false), 400, "M_USER_IN_USE");
    expectError(await makeUser("not valid", false), 400, "M_INVALID_USERNAME");
  });

  it("asks for a fresh nonce and the right MAC over all that it covers", async () => {
    const fresh = await nonce();
    const request = { nonce: fresh, username: "bob", password: "p", admin: false };
    const mac = macOf(secret, fresh, "bob", "p", "notadmin");
    expectError(await server.anybody().post(registerPath, { ...request, admin: true, mac }), 403, "M_FORBIDDEN");
    // The try above has used the nonce up.
    expectError(await server.anybody().post(registerPath, { ...request, mac }), 400, "M_UNKNOWN");
    for (const wrong of ["", "zz", mac.slice(2), macOf("other", fresh, "bob", "p", "notadmin")]) {
      const again = { ...request, nonce: await nonce(), mac: wrong };
      expectError(await server.anybody().post(registerPath, again), 403, "M_FORBIDDEN");
    }
    expectError(await server.anybody().post(registerPath, { ...request, nonce: "made up", mac }), 400, "M_UNKNOWN");
    expectError(await server.anybody().post(registerPath, {}), 400, "M_MISSING_PARAM");
    const nul = { nonce: await nonce(), username: "bob\0p", password: "p", mac };
    expectError(await server.anybody().post(registerPath, nul), 400, "M_INVALID_PARAM");
  });
});

describe("registration tokens", () => {
  it("are made, listed, used and removed", async () => {
    const root = await admin("root");
    const made = await root.post(`${tokensPath}/new`, { token: "one-use", uses_allowed: 1 });
    const token = { token: "one-use", uses_allowed: 1, pending: 0, completed: 0, expiry_time: null };
    expectOk(made, token);
    expectOk(await root.get(`${tokensPath}/one-use`), token);
    expectOk(await root.get(tokensPath), { registration_tokens: [token] });
    const validity = () => server.anybody().get("v1/register/m.login.registration_token/validity?token=one-use");
    expectOk(await validity(), { valid: true });
    const auth = { type: "m.login.registration_token", token: "one-use" };
    const replies = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        server.anybody().post("v3/register", { username: `guest${index}`, password: "p", auth }),
      ),
    );
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
    expectOk(await validity(), { valid: false });
    expectOk(await root.get(`${tokensPath}?valid=true`), { registration_tokens: [] });
    expectOk(await root.get(`${tokensPath}?valid=false`), { registration_tokens: [{ ...token, completed: 1 }] });
    expectOk(await root.delete(`${tokensPath}/one-use`), {});
    expectError(await root.get(`${tokensPath}/one-use`), 404, "M_NOT_FOUND");
    expectError(await root.delete(`${tokensPath}/one-use`), 404, "M_NOT_FOUND");
  });

  it("are changed, each limit by itself", async () => {
    const root = await admin("root4");
    expectOk(await root.post(`${tokensPath}/new`, { token: "changing", uses_allowed: 3 }));
    const update = (body: JsonObject) => root.put(`${tokensPath}/changing`, body);
    const later = Date.now() + 100_000;
    expect((await update({ expiry_time: later })).body).toMatchObject({ uses_allowed: 3, expiry_time: later });
    expect((await update({ uses_allowed: null })).body).toMatchObject({ uses_allowed: null, expiry_time: later });
    expect((await update({})).body).toMatchObject({ uses_allowed: null, expiry_time: later });
    expectOk(await update({ uses_allowed: 0 }));
    const validity = "v1/register/m.login.registration_token/validity?token=changing";
    expectOk(await server.anybody().get(validity), { valid: false });
    expectError(await update({ expiry_time: 1 }), 400, "M_INVALID_PARAM");
    expectError(await root.put(`${tokensPath}/unknown`, {}), 404, "M_NOT_FOUND");
  });

  it("get a random name of the wanted length, and hold to their form", async () => {
    const root = await admin("root2");
    expect(text(await root.post(`${tokensPath}/new`, {}), "token")).toMatch(/^[A-Za-z0-9_-]{16}$/);
    expect(text(await root.post(`${tokensPath}/new`, { length: 64 }), "token")).toHaveLength(64);
    for (const wrong of [
      { length: 65 },
      { length: 0 },
      { token: "a b" },
      { token: "a".repeat(65) },
      { uses_allowed: -1 },
      { expiry_time: 1 },
    ]) {
      expectError(await root.post(`${tokensPath}/new`, wrong), 400, "M_INVALID_PARAM");
    }
    expectError(await root.post(`${tokensPath}/new`, { uses_allowed: "many" }), 400, "M_BAD_JSON");
  });
});

describe("the operator's endpoints", () => {
  const endpoints = [
    ["GET", tokensPath],
    ["POST", `${tokensPath}/new`],
    ["GET", `${tokensPath}/x`],
    ["PUT", `${tokensPath}/x`],
    ["DELETE", `${tokensPath}/x`],
    ["POST", "/_tessera/admin/v1/rebuild_directory"],
  ] as const;

  it.each(endpoints)("%s %s is for administrators", async (method, url) => {
    const name = `user${endpoints.findIndex((entry) => entry[0] === method && entry[1] === url)}`;
    const user = clientOf(server.url, text(await makeUser(name, false), "access_token"));
    const body = method === "POST" || method === "PUT" ? { body: {} } : {};
    expectError(await server.anybody().request(method, url, body), 401, "M_MISSING_TOKEN");
    expectError(await user.request(method, url, body), 403, "M_FORBIDDEN");
  });

  it("write the directory anew", async () => {
    const root = await admin("root3");
    expectOk(await root.post("/_tessera/admin/v1/rebuild_directory"), {
      rooms: expect.any(Number),
      users: expect.any(Number),
    });
  });

  it("keep nobody waiting while they write the directory anew", { timeout: 60_000 }, async () => {
    const root = await admin("rebuilder");
    for (let made = 0; made < 48; made += 8) await Promise.all(Array.from({ length: 8 }, () => makeRoom(root)));
    let isDone = false;
    const rebuilt = root.post("/_tessera/admin/v1/rebuild_directory").finally(() => {
      isDone = true;
    });
    let answered = 0;
    for (; !isDone; answered += 1) await server.anybody().get("/_matrix/client/versions");
    expectOk(await rebuilt);
    // One is on its way while the rebuilding begins, and one while it ends.
    expect(answered).toBeGreaterThan(2);
  });

  it("have no meter unless it is asked for", async () => {
    expectError(await server.anybody().get("/_tessera/meter"), 404, "M_UNRECOGNIZED");
  });
});

describe("the page for a client that does not know registration tokens", () => {
  const get = (path: string) => server.anybody().get(path);
  const post = (path: string, body: JsonObject) => server.anybody().post(path, body);
  const pageOf = (session: string, stage = "m.login.registration_token") =>
    `v3/auth/${stage}/fallback/web?session=${encodeURIComponent(session)}`;

  it("proves the token, after which the client repeats its request with the session alone", async () => {
    const root = await admin("usher");
    expectOk(await root.post(`${tokensPath}/new`, { token: "by-page", uses_allowed: 1 }));
    const request = { username: "paged", password: "p" };
    const session = text(await post("v3/register", request), "session");
    const page = await get(pageOf(session));
    expect([page.status, page.headers.get("Content-Type")]).toEqual([200, "text/html; charset=utf-8"]);
    expect(page.text).toContain("window.onAuthDone()");
    expectError(await post(pageOf(session), { token: "wrong" }), 401, "M_UNAUTHORIZED");
    expect((await post("v3/register", { ...request, auth: { session } })).status).toBe(401);
    expectOk(await post(pageOf(session), { token: "by-page" }), {});
    expect((await post("v3/register", { ...request, auth: { session } })).body).toMatchObject({
      device_id: expect.any(String),
    });
    expect((await root.get(`${tokensPath}/by-page`)).body).toMatchObject({ completed: 1 });
  });

  it("is there for that stage and for sessions that have begun, and proves nothing else", async () => {
    const root = await admin("porter");
    expectOk(await root.post(`${tokensPath}/new`, { token: "for-all" }));
    expectError(await get(pageOf("made up")), 400, "M_UNKNOWN");
    expectError(await post(pageOf("made up"), { token: "for-all" }), 400, "M_UNKNOWN");
    const other = await root.post("v3/delete_devices", { devices: ["X"] });
    const session = text(other, "session");
    expectError(await get(pageOf(session, "m.login.password")), 404, "M_NOT_FOUND");
    expectOk(await post(pageOf(session), { token: "for-all" }), {});
    const repeated = await root.post("v3/delete_devices", { devices: ["X"], auth: { session } });
    expect([repeated.status, repeated.body.flows]).toEqual([401, [{ stages: ["m.login.password"] }]]);
  });
});

describe("a server without a shared secret", () => {
  const closed = useHomeserver({ env: { REGISTRATION: "closed", METER: "on" } });

  it("makes nobody by it", async () => {
    const reply = await closed.anybody().get(registerPath);
    if (reply.status !== 200) expectError(reply, 400, "M_UNKNOWN");
  });

  it("shows the meter where it is on", async () => {
    expect((await closed.anybody().get("/_tessera/meter")).body).toMatchObject({ rpcCalls: expect.any(Number) });
  });
});
