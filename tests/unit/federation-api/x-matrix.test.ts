import { describe, expect, it } from "vitest";
import {
  authorizationHeader,
  parseAuthorization,
  type SignedRequest,
  verifyRequest,
} from "../../../shared/federation-api/x-matrix.ts";
import { trusted } from "../../../shared/ids.ts";
import { publicKeyOf } from "../../../shared/matrix/signing.ts";
import { testKeyOf } from "../../support/room-builder.ts";

const origin = trusted.serverName("a.example:8448");
const plain = { origin, destination: "b.example", keyId: "ed25519:1", signature: "Zm9v" };

describe("parseAuthorization", () => {
  const accepted: readonly [string, string][] = [
    ["as servers send it", 'X-Matrix origin="a.example:8448",destination="b.example",key="ed25519:1",sig="Zm9v"'],
    ["without quotes, colons included", "X-Matrix origin=a.example:8448,destination=b.example,key=ed25519:1,sig=Zm9v"],
    ["in any order and case", 'x-matrix SIG="Zm9v",Key="ed25519:1",DESTINATION=b.example,oRiGiN="a.example:8448"'],
    [
      "with space and tabs around commas, and several spaces after the scheme",
      'X-Matrix   origin="a.example:8448" ,\tdestination="b.example"\t, key="ed25519:1",  sig="Zm9v"',
    ],
    ["with space around =", 'X-Matrix origin = "a.example:8448",destination= b.example,key ="ed25519:1",sig="Zm9v"'],
    [
      "with escaped characters in quotes",
      String.raw`X-Matrix origin="\a.ex\ample:8448",destination="b.example",key="ed25519:\1",sig="Zm9v"`,
    ],
    [
      "with parameters that nobody knows",
      'X-Matrix origin="a.example:8448",x="a, b=\\"c\\"",destination="b.example",key="ed25519:1",sig="Zm9v",y=1',
    ],
  ];
  it.each(accepted)("takes it %s", (_name, header) => {
    expect(parseAuthorization(header)).toEqual([plain]);
  });

  it("takes it without destination, as older servers send it", () => {
    const header = 'X-Matrix origin=a.example:8448,key="ed25519:1",sig="Zm9v"';
    expect(parseAuthorization(header)).toEqual([{ ...plain, destination: null }]);
  });

  it("takes several headers, which arrive as one", () => {
    const headers = new Headers();
    for (const key of ["ed25519:1", "ed25519:2"]) {
      headers.append("Authorization", `X-Matrix origin="${origin}",destination="b.example",key="${key}",sig="Zm9v"`);
    }
    const both = parseAuthorization(headers.get("Authorization") ?? "");
    expect(both).toEqual([plain, { ...plain, keyId: "ed25519:2" }]);
  });

  const refused: readonly string[] = [
    "",
    "X-Matrix",
    "X-Matrix ",
    "X-Matrix  ,",
    "Bearer abc",
    'X-Matrixorigin="a",key="ed25519:1",sig="b"',
    'X-Matrix\torigin="a",key="ed25519:1",sig="b"',
    'origin="a",key="ed25519:1",sig="b"',
    'X-Matrix origin="a",key="ed25519:1",sig="b",',
    'X-Matrix origin="a",,key="ed25519:1",sig="b"',
    'X-Matrix origin="a" key="ed25519:1" sig="b"',
    'X-Matrix origin="a";key="ed25519:1";sig="b"',
    'X-Matrix origin="a"x,key="ed25519:1",sig="b"',
    'X-Matrix origin="a,key="ed25519:1",sig="b"',
    'X-Matrix origin="a",key="ed25519:1",sig="b\\',
    'X-Matrix origin="a",key="ed25519:1",sig="b\\"',
    "X-Matrix origin=a/b,key=ed25519:1,sig=b",
    "X-Matrix origin=a,key=ed25519:1,sig=b=",
    "X-Matrix origin=,key=ed25519:1,sig=b",
    "X-Matrix =a,key=ed25519:1,sig=b",
    'X-Matrix origin="",key="ed25519:1",sig="b"',
    'X-Matrix origin="a b",key="ed25519:1",sig="b"',
    'X-Matrix origin="@a:b",key="ed25519:1",sig="b"',
    'X-Matrix origin="a",key="ed25519:1",sig="b",sig="b"',
    'X-Matrix origin="a",key="ed25519:1",sig="b", X-Matrix origin="a",key="ed25519:1"',
    'X-Matrix origin="a",key="ed25519:1",sig="b", Bearer abc',
  ];
  it.each(refused)("refuses %s", (header) => {
    expect(parseAuthorization(header)).toBeNull();
  });

  it("takes no longer for what is made to take long", () => {
    const started = performance.now();
    for (const part of ['\\"', "a=b,", 'a="', "X-Matrix a=", " \t", "=,"]) {
      expect(parseAuthorization(`X-Matrix origin="${part.repeat(20_000)}`)).toBeNull();
      expect(parseAuthorization(`X-Matrix ${part.repeat(20_000)}`)).toBeNull();
    }
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

describe("verifyRequest", () => {
  const key = testKeyOf(origin);
  const request: SignedRequest = {
    origin,
    destination: trusted.serverName("b.example"),
    method: "PUT",
    uri: "/_matrix/x?y=%20",
    content: { b: [1, "ü"], a: null },
  };
  const signatures = parseAuthorization(authorizationHeader(request, key)) ?? [];
  const keys = new Map([[key.keyId, publicKeyOf(key)]]);

  it("takes what authorizationHeader makes, whatever the order of the body's keys", () => {
    expect(verifyRequest(request, signatures, keys)).toBe(true);
    expect(verifyRequest({ ...request, content: { a: null, b: [1, "ü"] } }, signatures, keys)).toBe(true);
  });

  it("binds each part of the request", () => {
    const changes: readonly Partial<SignedRequest>[] = [
      { origin: trusted.serverName("c.example") },
      { destination: trusted.serverName("c.example") },
      { method: "POST" },
      { uri: "/_matrix/x?y=+" },
      { content: { a: null, b: [1, "u"] } },
      { content: null },
    ];
    for (const change of changes) expect(verifyRequest({ ...request, ...change }, signatures, keys)).toBe(false);
  });

  it("tells no body from one that is empty", () => {
    const bare = { ...request, content: null };
    const ofBare = parseAuthorization(authorizationHeader(bare, key)) ?? [];
    expect(verifyRequest(bare, ofBare, keys)).toBe(true);
    expect(verifyRequest({ ...request, content: {} }, ofBare, keys)).toBe(false);
  });

  it("takes nothing without a signature, or a key", () => {
    expect(verifyRequest(request, [], keys)).toBe(false);
    expect(verifyRequest(request, signatures, new Map())).toBe(false);
  });
});
