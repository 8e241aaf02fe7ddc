import { describe, expect, it } from "vitest";
import { makeToken } from "../../../shared/access-token.ts";
import type { AuthScheme } from "../../../shared/endpoint.ts";
import { MatrixError } from "../../../shared/errors.ts";
import { authenticator } from "../../../workers/gateway/authenticate.ts";
import { clientAddressOf, parseGatewayConfig } from "../../../workers/gateway/env.ts";
import { fakeServices, ok } from "./services.ts";

const { token } = makeToken("access", "alice", { bytes: (length) => new Uint8Array(length) });

/** What the scheme says of a request: the user id, null, or an errcode. */
async function outcome(
  scheme: AuthScheme,
  headers: Record<string, string>,
  query = "",
  variables = {},
  isAdmin = false,
) {
  const asked: unknown[] = [];
  const authenticate = (input: unknown) => {
    asked.push(input);
    return ok({ userId: "@alice:example.org", deviceId: "D", isAdmin, isGuest: false });
  };
  const services = fakeServices({ user: { authenticate } }, {}, variables);
  const request = new Request("http://x/", { headers });
  try {
    const auth = await authenticator(
      request,
      new URLSearchParams(query),
      services,
    )(scheme, {
      rateLimit: "rc_message",
      readBody: () => Promise.reject(new Error("no body is to be read")),
    });
    return { result: auth === null ? null : "userId" in auth ? auth.userId : auth.origin, asked };
  } catch (thrown) {
    if (!(thrown instanceof MatrixError)) throw thrown;
    return { result: thrown.errcode, status: thrown.status, asked };
  }
}

describe("authenticator", () => {
  const bearer = { Authorization: `Bearer ${token}` };

  it("asks the user's actor about a token of the header, and counts against the limit", async () => {
    const { result, asked } = await outcome("accessToken", bearer);
    expect(result).toBe("@alice:example.org");
    expect(asked).toEqual([{ accessToken: token, rateLimit: "rc_message", clientAddress: null }]);
    expect((await outcome("accessToken", { Authorization: `bearer ${token}` })).result).toBe("@alice:example.org");
  });

  it("takes a token of the query only where it may, and once", async () => {
    expect((await outcome("accessToken", {}, `access_token=${token}`)).result).toBe("@alice:example.org");
    expect((await outcome("accessToken", {}, `access_token=${token}&access_token=${token}`)).result).toBe(
      "M_MISSING_TOKEN",
    );
    const off = await outcome("accessToken", {}, `access_token=${token}`, { QUERY_ACCESS_TOKENS: "off" });
    expect(off.result).toBe("M_MISSING_TOKEN");
  });

  it("says M_MISSING_TOKEN with 401 where there is none", async () => {
    const without: Record<string, string>[] = [
      {},
      { Authorization: "" },
      { Authorization: "Bearer " },
      { Authorization: "Basic abc" },
    ];
    for (const headers of without) {
      expect(await outcome("accessToken", headers)).toEqual({ result: "M_MISSING_TOKEN", status: 401, asked: [] });
    }
  });

  it("drops what was never a token of ours without asking anybody", async () => {
    const wrong = [
      `${token}x`,
      token.slice(0, -1),
      "syt_abc",
      "null",
      "undefined",
      "a".repeat(10_000),
      token.replace("tsr_", "tsrr_"),
    ];
    for (const text of wrong) {
      const headers = { Authorization: `Bearer ${text}` };
      expect(await outcome("accessToken", headers)).toEqual({ result: "M_UNKNOWN_TOKEN", status: 401, asked: [] });
    }
  });

  it("drops a token whose owner cannot be a user here", async () => {
    for (const localpart of ["", "Alice", "a b", "ä", "a".repeat(250)]) {
      const forged = makeToken("access", localpart, { bytes: (length) => new Uint8Array(length) }).token;
      expect((await outcome("accessToken", { Authorization: `Bearer ${forged}` })).asked).toEqual([]);
    }
  });

  it("needs nothing for `none`, and nothing but a good token for `optional`", async () => {
    expect(await outcome("none", bearer)).toEqual({ result: null, asked: [] });
    expect((await outcome("optional", {})).result).toBeNull();
    expect((await outcome("optional", bearer)).result).toBe("@alice:example.org");
    expect((await outcome("optional", { Authorization: "Bearer x" })).result).toBe("M_UNKNOWN_TOKEN");
  });

  it("lets only administrators pass `adminToken`", async () => {
    expect((await outcome("adminToken", bearer)).result).toBe("M_FORBIDDEN");
    expect((await outcome("adminToken", bearer, "", {}, true)).result).toBe("@alice:example.org");
    expect((await outcome("adminToken", {})).result).toBe("M_MISSING_TOKEN");
  });
});

describe("clientAddressOf", () => {
  const headers = new Headers({
    "X-Forwarded-For": "6.6.6.6, 10.0.0.1",
    "CF-Connecting-IP": "1.2.3.4",
    "X-Real-IP": "a".repeat(65),
  });

  it("takes the peer where no header is named, and only there", () => {
    expect(clientAddressOf(headers, null, "203.0.113.9:4711")).toBe("203.0.113.9");
    expect(clientAddressOf(headers, null, "[2001:db8::1]:4711")).toBe("2001:db8::1");
    expect(clientAddressOf(headers, "X-Real-IP", "203.0.113.9:4711")).toBeNull();
  });
  it("knows no client behind a proxy on the same machine that is not named", () => {
    for (const peer of ["127.0.0.1:4711", "[::1]:4711", "[::ffff:127.0.0.1]:4711"]) {
      expect(clientAddressOf(headers, null, peer)).toBeNull();
    }
  });
  it("believes no header unless one is named", () => expect(clientAddressOf(headers, null, null)).toBeNull());
  it("takes the last entry, which is the trusted proxy's own", () => {
    expect(clientAddressOf(headers, "X-Forwarded-For", null)).toBe("10.0.0.1");
    expect(clientAddressOf(headers, "CF-Connecting-IP", null)).toBe("1.2.3.4");
  });
  it("takes nothing absent, and nothing too long", () => {
    expect(clientAddressOf(headers, "X-Client", null)).toBeNull();
    expect(clientAddressOf(headers, "X-Real-IP", null)).toBeNull();
  });
});

describe("parseGatewayConfig", () => {
  it("takes nothing for granted", () => {
    expect(parseGatewayConfig({})).toEqual({ clientAddressHeader: null, support: { contact: null, page: null } });
  });
  it.each([
    ["CLIENT_ADDRESS_HEADER", "X Y"],
    ["SUPPORT_PAGE", "nowhere"],
    ["SUPPORT_CONTACT", "nobody"],
  ])("names %s when it is wrong", (name, value) => {
    expect(() => parseGatewayConfig({ [name]: value })).toThrow(name);
  });
});
