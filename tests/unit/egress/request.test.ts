import { describe, expect, it } from "vitest";
import { parseAuthorization, verifyRequest } from "../../../shared/federation-api/x-matrix.ts";
import { trusted } from "../../../shared/ids.ts";
import { parseSignedJson } from "../../../shared/json-text.ts";
import { publicKeyOf } from "../../../shared/matrix/signing.ts";
import { openPeer } from "../../../workers/egress/request.ts";
import { type Answer, EgressWorld, keyPath } from "./world.ts";

const own = trusted.serverName("own.test");
const peer = trusted.serverName("peer.test:8448");

const answering = (answer: Answer, path = "*") => new EgressWorld({ hosts: { "peer.test:8448": { [path]: answer } } });
const unreachable = { kind: "unreachable", reason: expect.any(String) };

/** A body that comes in parts; `null` at the end: it never ends. */
function body(parts: readonly (string | null)[], onCancel?: () => void): ReadableStream<Uint8Array> {
  const left = [...parts];
  return new ReadableStream({
    pull(controller) {
      const part = left.shift();
      if (part === undefined) controller.close();
      else if (part === null) return new Promise(() => undefined);
      else controller.enqueue(new TextEncoder().encode(part));
      return undefined;
    },
    cancel: () => onCancel?.(),
  });
}

describe("request", () => {
  it("gives the whole answer, whatever its status", async () => {
    const text = '{"errcode":"M_NOT_FOUND","error":"Nö"}';
    const world = answering(() => new Response(body([text.slice(0, 36), text.slice(36)]), { status: 404 }));
    expect(await world.request(peer)).toEqual({ kind: "answered", status: 404, text });
  });

  it("follows no redirect", async () => {
    const world = answering(() => new Response(null, { status: 302, headers: { Location: "https://other.test/" } }));
    expect(await world.request(peer)).toEqual({ kind: "answered", status: 302, text: "" });
    expect(world.attempts).toHaveLength(1);
  });

  it("takes an answer of just the length that is allowed, and no longer one", async () => {
    const world = answering(() => new Response("x".repeat(100)));
    expect(await world.request(peer, { maxBytes: 100 })).toMatchObject({ kind: "answered" });
    expect(await world.request(peer, { maxBytes: 99 })).toEqual(unreachable);
  });

  it("cancels an answer that is too long or takes too long", async () => {
    const cancelled: string[] = [];
    const long = answering(() => new Response(body(["x".repeat(2000), null], () => void cancelled.push("long"))));
    const slow = answering(() => new Response(body(["x", null], () => void cancelled.push("slow"))));
    expect(await long.request(peer)).toEqual(unreachable);
    expect(await slow.request(peer, { timeoutMs: 50 })).toEqual(unreachable);
    expect(cancelled).toEqual(["long", "slow"]);
  });

  it("gives up on a server that does not answer", async () => {
    const world = answering(() => new Promise(() => undefined));
    expect(await world.request(peer, { timeoutMs: 50 })).toEqual(unreachable);
  });

  it("spends one deadline on discovery and request together", async () => {
    const never = () => new Promise<Response>(() => undefined);
    const world = new EgressWorld({ hosts: { "a.test:443": { "*": never }, "a.test:8448": { "*": never } } });
    const begun = performance.now();
    expect(await world.request("a.test", { timeoutMs: 200 })).toEqual(unreachable);
    expect(performance.now() - begun).toBeLessThan(1000);
  });

  it("is not signed unless that is asked, and says what it carries", async () => {
    const world = answering(() => Response.json({}));
    await world.request(peer, { content: "{}", method: "POST" });
    expect(world.attempts[0]).toMatchObject({ body: "{}", headers: { "Content-Type": "application/json" } });
    expect(world.attempts[0]?.headers).not.toHaveProperty("Authorization");
    await world.request(peer);
    expect(world.attempts[1]?.headers).not.toHaveProperty("Content-Type");
  });

  it.each([null, '{"pdus":[{"depth":9223372036854775807,"x":1.0,"é":"\\u00e9"}]}'])(
    "is signed over method, path, destination and content: %s",
    async (content) => {
      const world = answering(() => Response.json({}));
      const path = "/_matrix/federation/v1/send/a%2Fb?x=%20y";
      await world.request(peer, { isSigned: true, method: "PUT", path, content });
      const signatures = parseAuthorization(world.attempts[0]?.headers.Authorization ?? "") ?? [];
      expect(signatures).toMatchObject([{ origin: own, destination: peer }]);
      const key = await world.server.actors.server(own).getSigningKey();
      const keys = new Map([[key.keyId, publicKeyOf(key)]]);
      const parsed = content === null ? null : parseSignedJson(content);
      const request = { origin: own, destination: peer, method: "PUT", uri: path, content: parsed };
      expect(verifyRequest(request, signatures, keys)).toBe(true);
      expect(verifyRequest({ ...request, uri: `${path}z` }, signatures, keys)).toBe(false);
    },
  );

  it("asks for the signing key once a minute", async () => {
    const world = answering(() => Response.json({}));
    let asked = 0;
    const actors = { ...world.egress.actors };
    const countingServer = (name: typeof own) => {
      if (name === own) asked += 1;
      return actors.server(name);
    };
    const counting = {
      ...world.egress,
      actors: { ...actors, server: countingServer },
    };
    const request = {
      destination: peer,
      method: "GET",
      path: keyPath,
      content: null,
      isSigned: true,
      timeoutMs: 1000,
      maxBytes: 1000,
    } as const;
    for (const _ of [1, 2, 3]) await openPeer(counting, request);
    expect(asked).toBe(1);
    await world.later(2);
    await openPeer(counting, request);
    expect(asked).toBe(2);
  });
});

describe("openPeer", () => {
  const request = {
    destination: peer,
    method: "GET",
    path: keyPath,
    content: null,
    isSigned: false,
    timeoutMs: 500,
    maxBytes: 1000,
  } as const;

  it("gives the body while it comes, and fails it where it becomes too long", async () => {
    const world = answering(() => new Response(body(["one", "x".repeat(1000), null])));
    const opened = await openPeer(world.egress, request);
    if (opened.kind !== "answered") throw new Error("not answered");
    const reader = opened.body.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("one");
    await expect(reader.read()).rejects.toThrow("longer than 1000 bytes");
  });

  it("fails a body that is not over in time, between two parts too", { timeout: 2000 }, async () => {
    const world = answering(() => new Response(body(["one", null])));
    const opened = await openPeer(world.egress, { ...request, timeoutMs: 50 });
    if (opened.kind !== "answered") throw new Error("not answered");
    const reader = opened.body.getReader();
    await reader.read();
    await expect(reader.read()).rejects.toThrow("no end after 50 ms");
  });

  it("reads nothing before it is asked for, and passes a cancellation on", async () => {
    const seen: string[] = [];
    const lazy = new ReadableStream<Uint8Array>(
      { pull: () => void seen.push("pulled"), cancel: () => void seen.push("cancelled") },
      { highWaterMark: 0 },
    );
    const world = answering(() => new Response(lazy));
    const opened = await openPeer(world.egress, request);
    if (opened.kind !== "answered") throw new Error("not answered");
    expect(seen).toEqual([]);
    await opened.body.cancel();
    expect(seen).toEqual(["cancelled"]);
  });
});
