import { describe, expect, it } from "vitest";
import { loginAgain } from "../../support/client.ts";
import { expectError, expectOk, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("logout", () => {
  it("ends this session only, at once, and deletes its device", async () => {
    const alice = await server.user("alice");
    const other = await loginAgain(alice);
    expectOk(await alice.post("v3/logout"), {});
    expectError(await alice.get("v3/account/whoami"), 401, "M_UNKNOWN_TOKEN");
    expectError(await alice.post("v3/logout"), 401, "M_UNKNOWN_TOKEN");
    expectOk(await other.get("v3/account/whoami"));
    expectError(await other.get(`v3/devices/${alice.deviceId}`), 404, "M_NOT_FOUND");
  });

  it("needs a session", async () => expectError(await server.anybody().post("v3/logout"), 401, "M_MISSING_TOKEN"));

  it("ends a sync that waits", async () => {
    const bob = await server.user("bob");
    const since = String((await bob.get("v3/sync")).body.next_batch);
    const other = await loginAgain(bob);
    const waiting = bob.get(`v3/sync?since=${since}&timeout=20000`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expectOk(await other.post("v3/logout/all", {}));
    expectError(await waiting, 401, "M_UNKNOWN_TOKEN");
  });
});

describe("logout_all", () => {
  it("ends all sessions", async () => {
    const carol = await server.user("carol");
    const other = await loginAgain(carol);
    expectOk(await carol.post("v3/logout/all"), {});
    for (const session of [carol, other]) expectError(await session.get("v3/sync"), 401, "M_UNKNOWN_TOKEN");
    expect((await (await loginAgain(carol)).get("v3/devices")).body.devices).toHaveLength(1);
  });
});
