import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { endpoint } from "../../shared/endpoint.ts";
import type { Variables } from "../../shared/env.ts";
import { authorizationHeader, type SignedRequest } from "../../shared/federation-api/x-matrix.ts";
import { trusted } from "../../shared/ids.ts";
import { type JsonObject, type JsonValue, maxSignedJsonDepth } from "../../shared/json.ts";
import { parseExactly } from "../../shared/matrix/exact-numbers.ts";
import { pduTextOf } from "../../shared/matrix/pdu-text.ts";
import { publicKeyOf, type SigningKey, signJson } from "../../shared/matrix/signing.ts";
import { anyObject } from "../../shared/validate.ts";
import { makeRouter } from "../../workers/gateway/router.ts";
import { type FederatedServer, Federation } from "../support/federation.ts";
import { away, day, OutboundScene } from "../support/outbound-scene.ts";
import { testKeyOf } from "../support/room-builder.ts";

const us = trusted.serverName("one.test");
const hostile = trusted.serverName("hostile.test");
const other = trusted.serverName("other.test");
const week = 7 * 24 * 3_600_000;

/** Endpoints that say what they were given. */
const route = makeRouter([
  endpoint(
    {
      operationId: "look",
      method: "GET",
      path: "/_matrix/federation/v1/look/:what",
      auth: "serverSignature",
      query: v.object({ a: v.optional(v.string()) }),
    },
    ({ auth, params, query }) => ({ origin: auth.origin, what: params.what, a: query.a ?? null }),
  ),
  endpoint(
    {
      operationId: "put",
      method: "PUT",
      path: "/_matrix/federation/v1/put/:what",
      auth: "serverSignature",
      body: anyObject,
      maxBodyBytes: 100_000,
    },
    ({ auth, body }) => ({ origin: auth.origin, text: pduTextOf(body) }),
  ),
  endpoint(
    { operationId: "post", method: "POST", path: "/_matrix/federation/v1/post", auth: "serverSignature" },
    ({ auth }) => ({ origin: auth.origin }),
  ),
]);

/** A federation in which the test itself plays two servers, whose keys it publishes. */
function world(variables: Variables = {}) {
  const federation = new Federation();
  const server = federation.server(us, variables);
  for (const name of [hostile, other]) {
    const { keyId } = testKeyOf(name);
    const keys: JsonObject = {
      server_name: name,
      verify_keys: { [keyId]: { key: publicKeyOf(testKeyOf(name)) } },
      valid_until_ts: federation.clock.now() + week,
    };
    federation.foreign.set(name, (request) =>
      request.url.endsWith("/_matrix/key/v2/server")
        ? Response.json(signJson(keys, name, testKeyOf(name)))
        : new Response("", { status: 404 }),
    );
  }
  return { federation, server };
}

interface Sent {
  readonly method?: string;
  readonly uri?: string;
  readonly body?: string | null;
  readonly authorization?: string | null;
}

async function send(server: FederatedServer, { method = "GET", uri = lookUri, body = null, authorization }: Sent) {
  const headers = new Headers();
  if (authorization != null) headers.set("Authorization", authorization);
  const request = new Request(`https://${us}${uri}`, { method, headers, body });
  const response = await route(request, server.services(request));
  const answer: JsonValue = await response.json();
  return { status: response.status, answer };
}

const lookUri = "/_matrix/federation/v1/look/%21here%3Aone.test?a=b%20c&a=";
const request: SignedRequest = { origin: hostile, destination: us, method: "GET", uri: lookUri, content: null };
const signed = (changes: Partial<SignedRequest> = {}, key: SigningKey = testKeyOf(hostile)) =>
  authorizationHeader({ ...request, ...changes }, key);
const unauthorized = { status: 401, answer: { errcode: "M_UNAUTHORIZED", error: expect.any(String) } };

describe("serverSignature", () => {
  it("proves the server that has signed the request", async () => {
    const { server, federation } = world();
    const uri = "/_matrix/federation/v1/look/%21here%3Aone.test?a=b%20c";
    const answer = await send(server, { uri, authorization: signed({ uri }) });
    expect(answer).toEqual({ status: 200, answer: { origin: hostile, what: "!here:one.test", a: "b c" } });
    await send(server, { uri, authorization: signed({ uri }) });
    expect(federation.exchanges.filter(({ path }) => path === "/_matrix/key/v2/server")).toHaveLength(1);
  });

  it("reads path and query as they came", async () => {
    const { server } = world();
    for (const uri of [
      "/_matrix/federation/v1/look/a%2fb",
      "/_matrix/federation/v1/look/a%2Fb",
      "/_matrix/federation/v1/look/%61",
      "/_matrix/federation/v1/look/o'brien~!*()",
      "/_matrix/federation/v1/look/a?",
      "/_matrix/federation/v1/look/a?a=%27+x&&b",
      "/_matrix/federation/v1/look/a/?a=b",
    ]) {
      expect([uri, (await send(server, { uri, authorization: signed({ uri }) })).status]).toEqual([uri, 200]);
    }
  });

  it("takes a request of an older server, which does not say whom it means, but signs it", async () => {
    const { server } = world();
    const uri = "/_matrix/federation/v1/look/a";
    const [whole, without] = [signed({ uri }), signed({ uri }).replace(`destination="${us}",`, "")];
    expect(without).not.toBe(whole);
    expect((await send(server, { uri, authorization: without })).status).toBe(200);
    const meant = signed({ uri, destination: other }).replace(`destination="${other}",`, "");
    expect(await send(server, { uri, authorization: meant })).toEqual(unauthorized);
  });

  const uri = "/_matrix/federation/v1/look/a";
  const good = signed({ uri });
  const otherKey = { ...testKeyOf(other), keyId: "ed25519:other" };
  const refused: readonly [string, string | null][] = [
    ["no signature", null],
    ["another scheme", "Bearer abc"],
    ["nothing but the scheme", "X-Matrix "],
    ["a signature by another key under the same id", signed({ uri }, testKeyOf(other))],
    ["a key id that the server does not have", good.replace("ed25519:test", "ed25519:none")],
    ["a key of another algorithm", good.replace("ed25519:test", "rsa:test")],
    [
      "another server's signature in this one's name",
      signed({ uri, origin: other }).replace("other.test", "hostile.test"),
    ],
    ["another server's name over this one's signature", good.replace("hostile.test", "other.test")],
    ["a signature cut short", good.replace(/..("$|"$)/, '"')],
    ["a signature with a bit changed", good.replace(/sig="(.)/, (_all, first) => `sig="${first === "A" ? "B" : "A"}`)],
    ["a signature that is no base64", good.replace(/sig="[^"]*"/, 'sig="%%"')],
    ["a replay to another path", signed({ uri: "/_matrix/federation/v1/look/b" })],
    ["a replay with another query", signed({ uri: `${uri}?a=b` })],
    ["a replay to another spelling of the path", signed({ uri: "/_matrix/federation/v1/look/%61" })],
    ["a replay with another method", signed({ uri, method: "POST" })],
    ["a body that was signed and is not there", signed({ uri, content: {} })],
    ["a destination that is somebody else", signed({ uri, destination: other })],
    ["a destination that is not the one that was signed", good.replace(`"${us}"`, `"${other}"`)],
    ["a destination in other letters", signed({ uri, destination: trusted.serverName("ONE.test") })],
    ["no origin", good.replace(`origin="${hostile}",`, "")],
    ["no key", good.replace(/key="[^"]*",/, "")],
    ["no signature parameter", good.replace(/,sig="[^"]*"/, "")],
    ["an origin twice", `${good},origin="${hostile}"`],
    ["an origin twice, in other letters", `${good},ORIGIN="${other}"`],
    ["a signature twice", `${good},sig="AAAA"`],
    ["a destination twice", `${good},destination="${us}"`],
    ["an origin that is no server name", good.replace(hostile, "hostile test")],
    ["an origin with a path", good.replace(hostile, "hostile.test/x")],
    ["our own name", signed({ uri, origin: us })],
    ["a second signature that is wrong", `${good}, ${signed({ uri: "/x" })}`],
    ["signatures of two servers", `${good}, ${signed({ uri, origin: other }, testKeyOf(other))}`],
    ["a signature of another server with another key", `${good}, ${signed({ uri, origin: other }, otherKey)}`],
    ["a quote that is not closed", good.slice(0, -1)],
    ["text after a value", `${good} x`],
    ["something before the scheme", `Basic abc, ${good}`],
    ["eleven signatures", Array.from({ length: 11 }, () => good).join(", ")],
  ];
  it.each(refused)("refuses %s", async (_name, authorization) => {
    const { server } = world();
    expect(await send(server, { uri, authorization })).toEqual(unauthorized);
  });

  it("refuses a key that is no longer valid, or was given up, however well it is known", async () => {
    const { server, federation } = world();
    const validAt = federation.clock.now();
    await server.actors.server(hostile).getVerifyKeys({ keyIds: ["ed25519:test"], validAt });
    federation.foreign.delete(hostile);
    await federation.advance(week);
    expect((await send(server, { uri, authorization: good })).status).toBe(200);
    await federation.advance(1);
    expect(await send(server, { uri, authorization: good })).toEqual(unauthorized);
    server.sql("server", hostile).run("UPDATE verify_keys SET valid_until_ts = valid_until_ts + 9");
    expect((await send(server, { uri, authorization: good })).status).toBe(200);
    server.sql("server", hostile).run("UPDATE verify_keys SET expired_ts = valid_until_ts");
    expect(await send(server, { uri, authorization: good })).toEqual(unauthorized);
  });

  it("refuses a signature of which no key can be had", async () => {
    const { server, federation } = world();
    federation.foreign.delete(hostile);
    expect(await send(server, { uri, authorization: good })).toEqual(unauthorized);
  });

  it("binds the body, whose numbers are kept as they were written", async () => {
    const { server } = world();
    const put = "/_matrix/federation/v1/put/x";
    const text = '{"depth":9223372036854775807,"rate":1.0,"small":[-0.10,1e2]}';
    const authorization = signed({ method: "PUT", uri: put, content: parseExactly(text) });
    const sent = { method: "PUT", uri: put, authorization };
    expect(await send(server, { ...sent, body: ` ${text}\n` })).toEqual({
      status: 200,
      answer: { origin: hostile, text: '{"depth":9223372036854775807,"rate":1.0,"small":[-0.10,100]}' },
    });
    const lost = text.replace("775807", "775808");
    expect(await send(server, { ...sent, body: lost })).toEqual(unauthorized);
    expect(await send(server, { ...sent, body: text.replace("1.0", "1") })).toEqual(unauthorized);
    expect((await send(server, { ...sent, body: "" })).answer).toMatchObject({ errcode: "M_NOT_JSON" });
    expect((await send(server, { ...sent, body: "{" })).answer).toMatchObject({ errcode: "M_NOT_JSON" });
    expect((await send(server, { ...sent, body: '{"a":"\\ud800"}' })).answer).toMatchObject({ errcode: "M_BAD_JSON" });
  });

  it("binds the body of an endpoint that has no use for one", async () => {
    const { server } = world();
    const post = "/_matrix/federation/v1/post";
    const authorization = signed({ method: "POST", uri: post, content: { a: 1 } });
    expect((await send(server, { method: "POST", uri: post, authorization, body: '{"a":1}' })).status).toBe(200);
    expect(await send(server, { method: "POST", uri: post, authorization, body: '{"a":2}' })).toEqual(unauthorized);
  });

  it("takes a body that is nested more deeply than an event may be, to a bound", async () => {
    const { server } = world();
    const put = "/_matrix/federation/v1/put/x";
    const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;
    const ask = (text: string, content: JsonValue) =>
      send(server, {
        method: "PUT",
        uri: put,
        body: text,
        authorization: signed({ method: "PUT", uri: put, content }),
      });
    for (const depth of [64, 65, maxSignedJsonDepth]) {
      const text = nested(depth);
      expect((await ask(text, JSON.parse(text))).status).toBe(200);
    }
    expect((await ask(nested(maxSignedJsonDepth + 1), null)).answer).toMatchObject({ errcode: "M_NOT_JSON" });
    expect((await ask("[".repeat(99_000), null)).answer).toMatchObject({ errcode: "M_NOT_JSON" });
  });

  it("reads no body of a server whose keys it does not have, nor one that is too large", async () => {
    const { server } = world();
    const put = "/_matrix/federation/v1/put/x";
    const body = "{".repeat(100_001);
    const unsigned = await send(server, { method: "PUT", uri: put, body });
    expect(unsigned).toEqual(unauthorized);
    const authorization = signed({ method: "PUT", uri: put });
    expect((await send(server, { method: "PUT", uri: put, body, authorization })).status).toBe(413);
    const unknown = signed({ method: "PUT", uri: put }, { ...testKeyOf(hostile), keyId: "ed25519:unknown" });
    expect(await send(server, { method: "PUT", uri: put, body, authorization: unknown })).toEqual(unauthorized);
  });

  it("refuses servers that the operator denies, before asking anything of them", async () => {
    const forbidden = { status: 403, answer: { errcode: "M_FORBIDDEN", error: expect.any(String) } };
    for (const variables of [{ FEDERATION_DOMAIN_DENY: hostile }, { FEDERATION_DOMAIN_ALLOW: other }]) {
      const { server, federation } = world(variables);
      expect(await send(server, { uri, authorization: good })).toEqual(forbidden);
      expect(federation.exchanges).toEqual([]);
    }
    const { server } = world({ FEDERATION_DOMAIN_ALLOW: hostile });
    expect((await send(server, { uri, authorization: good })).status).toBe(200);
  });

  it("knows no such endpoint where federation is off", async () => {
    const { server, federation } = world({ FEDERATION: "off" });
    const answer = await send(server, { uri, authorization: good });
    expect(answer).toMatchObject({ status: 404, answer: { errcode: "M_UNRECOGNIZED" } });
    expect(federation.exchanges).toEqual([]);
  });

  it("is a sign of life only once it is proven", async () => {
    const scene = await OutboundScene.open();
    const peer = scene.peer("two.test");
    const roomId = await scene.room(peer);
    peer.respond = away;
    await scene.say(roomId, "while you were away");
    await scene.federation.advance(day);
    peer.transactions.length = 0;
    peer.respond = () => null;
    const origin = trusted.serverName(peer.name);
    const asked = { origin, destination: us, method: "GET", uri, content: null };
    const authorization = authorizationHeader(asked, peer.key);
    expect(await send(scene.server, { uri: `${uri}b`, authorization })).toEqual(unauthorized);
    await scene.federation.settle();
    expect(peer.transactions).toEqual([]);
    expect((await send(scene.server, { uri, authorization })).status).toBe(200);
    await scene.federation.settle();
    expect(peer.bodies()).toEqual(["while you were away"]);
    scene.close();
  });

  it("takes two of our own servers that ask one another", async () => {
    const federation = new Federation();
    const [one, two] = [federation.server(us), federation.server("two.test")];
    federation.foreign.set(us, (asked) =>
      asked.url.includes("/look/") ? route(asked, one.services(asked)) : one.fetch(asked),
    );
    const asked = { destination: us, method: "GET", path: uri, content: null, isSigned: true } as const;
    const answer = await two.egress.request({ ...asked, timeoutMs: 1_000, maxBytes: 1_000 });
    expect(answer).toMatchObject({ kind: "answered", status: 200, text: expect.stringContaining("two.test") });
    federation.close();
  });
});
