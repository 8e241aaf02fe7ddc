import { describe, expect, it } from "vitest";
import { clientOf, text } from "../../support/client.ts";
import { expectError, expectOk, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();
const refresh = (token: string) => server.anybody().post("v3/refresh", { refresh_token: token });

describe("refresh", () => {
  it("gives new tokens, and gives them again when the answer was lost", async () => {
    const request = { username: "alice", password: "p", refresh_token: true, auth: { type: "m.login.dummy" } };
    const first = await server.anybody().post("v3/register", request);
    const second = await refresh(text(first, "refresh_token"));
    expectOk(second);
    expect(second.body).toMatchObject({ refresh_token: expect.any(String), expires_in_ms: expect.any(Number) });
    // The answer may have been lost.
    const third = await refresh(text(first, "refresh_token"));
    expectOk(third);
    expectOk(await clientOf(server.url, text(third, "access_token")).get("v3/account/whoami"));
  });

  it("refuses what is no refresh token", async () => {
    const bob = await server.user("bob");
    for (const token of ["", "nonsense", bob.accessToken ?? ""])
      expectError(await refresh(token), 401, "M_UNKNOWN_TOKEN");
    expectError(await server.anybody().post("v3/refresh", {}), 400, "M_MISSING_PARAM");
    expectError(await server.anybody().post("v3/refresh", { refresh_token: 5 }), 400, "M_BAD_JSON");
  });
});
