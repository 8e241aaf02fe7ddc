import { describe, expect, it } from "vitest";
import { hashSecret, makeToken, parseAccessToken, parseRefreshToken } from "../../shared/access-token.ts";
import { systemRandom } from "../../shared/clock.ts";
import { fc } from "../support/property.ts";

describe("makeToken", () => {
  it("makes tokens that are parsed back, for any localpart", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }), (localpart) => {
        const { token, secret } = makeToken("access", localpart, systemRandom);
        expect(parseAccessToken(token)).toEqual({ localpart, secret });
        expect(parseRefreshToken(token)).toBeNull();
      }),
    );
    const longest = "a".repeat(255);
    expect(parseAccessToken(makeToken("access", longest, systemRandom).token)?.localpart).toBe(longest);
  });

  it("gives 256 bits of secret, never the same", () => {
    const secrets = Array.from({ length: 10_000 }, () => makeToken("refresh", "alice", systemRandom).secret);
    expect(new Set(secrets).size).toBe(secrets.length);
    expect(Buffer.from(secrets[0] ?? "", "base64url")).toHaveLength(32);
    const bits = secrets
      .flatMap((secret) => [...Buffer.from(secret, "base64url")])
      .reduce((sum, byte) => sum + byte, 0);
    expect(bits / (secrets.length * 32)).toBeCloseTo(127.5, 0);
  });
});

describe("parseAccessToken", () => {
  it("refuses every change of a single character", () => {
    const { token } = makeToken("access", "alice_-b", systemRandom);
    for (let at = 0; at < token.length; at += 1) {
      for (const replacement of ["A", "_", "é", " ", ""]) {
        if (token[at] === replacement) continue;
        expect(parseAccessToken(token.slice(0, at) + replacement + token.slice(at + 1))).toBeNull();
      }
    }
  });

  it.each(["", " ", "tsr_", "tsr___", "Bearer x", "tsr_YQ_x_y", "x".repeat(10_000), "tsrr_YQ"])(
    "refuses %s",
    (text) => {
      expect(parseAccessToken(text)).toBeNull();
      expect(parseRefreshToken(text)).toBeNull();
    },
  );
});

describe("hashSecret", () => {
  it("is SHA-256", () => {
    const hash = Buffer.from(hashSecret("abc")).toString("hex");
    expect(hash).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });
});
