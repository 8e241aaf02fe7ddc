import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { endpoint, Page } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { isObject, type JsonObject } from "../../../shared/json.ts";
import { anyBody, queryInteger, queryList } from "../../../shared/validate.ts";
import { makeRouter } from "../../../workers/gateway/router.ts";
import { type FakeServices, fakeServices, ok } from "./services.ts";

let runs = 0;
const path = "/_matrix/client/v3/rooms/:roomId/things/:key";
const endpoints = [
  endpoint(
    {
      operationId: "getThing",
      method: "GET",
      path,
      aliases: ["/_matrix/client/v3/rooms/:roomId/things"],
      auth: "none",
    },
    ({ params }) => {
      runs += 1;
      return { ...params };
    },
  ),
  endpoint({ operationId: "putThing", method: "PUT", path, auth: "none", body: anyBody }, ({ body }) => ({ body })),
  endpoint(
    {
      operationId: "query",
      method: "GET",
      path: "/query",
      auth: "none",
      query: v.object({ limit: v.optional(queryInteger(50)), via: v.optional(queryList), need: v.string() }),
    },
    ({ query }) => ({ limit: query.limit ?? null, via: query.via ?? null, need: query.need }),
  ),
  endpoint(
    {
      operationId: "small",
      method: "POST",
      path: "/small",
      auth: "none",
      body: v.object({ n: v.optional(v.number()) }),
      maxBodyBytes: 16,
      allowsEmptyBody: true,
    },
    ({ body }) => ({ n: body.n ?? null }),
  ),
  endpoint({ operationId: "limited", method: "GET", path: "/limited", auth: "none" }, () => {
    throw errors.limitExceeded(1500);
  }),
  endpoint({ operationId: "broken", method: "GET", path: "/broken", auth: "none" }, () => {
    throw new Error("secret detail");
  }),
  endpoint({ operationId: "overloaded", method: "GET", path: "/overloaded", auth: "none" }, () => {
    throw Object.assign(new Error("too much"), { overloaded: true });
  }),
  endpoint(
    { operationId: "page", method: "GET", path: "/", auth: "none" },
    () => new Page("text/plain", "hello", { "X-A": "b" }),
  ),
  endpoint({ operationId: "mine", method: "POST", path: "/mine", auth: "accessToken", body: anyBody }, ({ auth }) => ({
    user: auth.userId,
  })),
];
const route = makeRouter(endpoints);

async function ask(method: string, url: string, init: RequestInit = {}, services: FakeServices = fakeServices()) {
  const response = await route(new Request(`http://x${url}`, { method, ...init }), services);
  const text = await response.text();
  const parsed: unknown = text.startsWith("{") ? JSON.parse(text) : {};
  const body: JsonObject = isObject(parsed) ? parsed : {};
  return { status: response.status, headers: response.headers, body, text, logged: services.logged };
}

describe("makeRouter", () => {
  it("answers 404 M_UNRECOGNIZED for an unknown path", async () => {
    const reply = await ask("GET", "/_matrix/client/v3/nothing");
    expect([reply.status, reply.body.errcode]).toEqual([404, "M_UNRECOGNIZED"]);
  });

  it("answers 405 M_UNRECOGNIZED, and names the methods, for a known path under another method", async () => {
    const reply = await ask("DELETE", "/_matrix/client/v3/rooms/!a:b/things/x");
    expect([reply.status, reply.body.errcode]).toEqual([405, "M_UNRECOGNIZED"]);
    expect(reply.headers.get("Allow")).toBe("GET, PUT, OPTIONS");
  });

  it("answers OPTIONS for every path without running anything", async () => {
    const before = runs;
    for (const url of ["/_matrix/client/v3/rooms/!a:b/things/x", "/unknown"]) {
      const reply = await ask("OPTIONS", url);
      expect([reply.status, reply.text]).toEqual([204, ""]);
      expect(reply.headers.get("Access-Control-Allow-Methods")).toBe("GET, POST, PUT, DELETE, OPTIONS");
      expect(reply.headers.get("Access-Control-Allow-Headers")).toBe("X-Requested-With, Content-Type, Authorization");
    }
    expect(runs).toBe(before);
  });

  it("sends CORS headers with every answer, errors included", async () => {
    for (const url of ["/", "/unknown", "/broken", "/limited", "/query"]) {
      const reply = await ask("GET", url);
      expect(reply.headers.get("Access-Control-Allow-Origin"), url).toBe("*");
    }
  });

  it("gives a parameter that an alias lacks as the empty string, with or without a trailing slash", async () => {
    for (const url of ["/_matrix/client/v3/rooms/!a:b/things", "/_matrix/client/v3/rooms/!a:b/things/"]) {
      expect((await ask("GET", url)).body).toEqual({ roomId: "!a:b", key: "" });
    }
  });
});

describe("handle", () => {
  it("percent-decodes parameters, once", async () => {
    const reply = await ask("GET", "/_matrix/client/v3/rooms/%21a%3Ab/things/%252F%2F%C3%A9");
    expect(reply.body).toEqual({ roomId: "!a:b", key: "%2F/é" });
  });

  it.each(["%", "%zz", "%ff", "%ed%a0%80"])("refuses %s in a path as M_INVALID_PARAM", async (encoded) => {
    const reply = await ask("GET", `/_matrix/client/v3/rooms/!a:b/things/${encoded}`);
    expect([reply.status, reply.body.errcode]).toEqual([400, "M_INVALID_PARAM"]);
  });

  it("refuses an identifier that is not of its grammar", async () => {
    const reply = await ask("GET", "/_matrix/client/v3/rooms/nonsense/things/x");
    expect([reply.status, reply.body.errcode]).toEqual([400, "M_INVALID_PARAM"]);
  });

  it("checks the query, and cuts large limits", async () => {
    expect((await ask("GET", "/query?need=a&limit=999&via=x&via=y")).body).toEqual({
      limit: 50,
      via: ["x", "y"],
      need: "a",
    });
    expect((await ask("GET", "/query?need=a&via=x&__proto__=1&constructor=2")).body).toEqual({
      limit: null,
      via: ["x"],
      need: "a",
    });
    expect((await ask("GET", "/query")).body.errcode).toBe("M_MISSING_PARAM");
    for (const query of ["limit=-1", "limit=1.5", "limit=a", "limit=", "need=b"]) {
      expect((await ask("GET", `/query?need=a&${query}`)).body.errcode, query).toBe("M_INVALID_PARAM");
    }
  });

  it("says when to come back with status 429", async () => {
    const reply = await ask("GET", "/limited");
    expect(reply.status).toBe(429);
    expect(reply.headers.get("Retry-After")).toBe("2");
    expect(reply.body).toMatchObject({ errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 1500 });
    expect((await ask("GET", "/overloaded")).status).toBe(429);
  });

  it("tells a client nothing of a bug, and the log what it was", async () => {
    const reply = await ask("GET", "/broken");
    expect([reply.status, reply.body]).toEqual([500, { errcode: "M_UNKNOWN", error: "Internal server error" }]);
    expect(reply.logged).toContainEqual({
      level: "error",
      message: "request failed",
      operation: "broken",
      error: "Error: secret detail",
    });
  });

  it("logs one line a request, without token, query, path or body", async () => {
    const init = { headers: { Authorization: "Bearer hush" }, body: '{"secret":"hush"}' };
    const { logged } = await ask("PUT", "/_matrix/client/v3/rooms/!hush:b/things/hush?access_token=hush", init);
    expect(logged).toEqual([
      { level: "info", message: "request", operation: "putThing", method: "PUT", route: path, status: 200, ms: 0 },
    ]);
    for (const url of ["/hush?access_token=hush", "/query?hush=hush&limit=hush"]) {
      expect(JSON.stringify((await ask("GET", url, { headers: init.headers })).logged)).not.toContain("hush");
    }
  });

  it("answers pages with their own type and headers", async () => {
    const reply = await ask("GET", "/");
    expect([reply.text, reply.headers.get("Content-Type"), reply.headers.get("X-A")]).toEqual([
      "hello",
      "text/plain",
      "b",
    ]);
  });
});

describe("a request's body", () => {
  const put = (body: BodyInit) => ask("PUT", "/_matrix/client/v3/rooms/!a:b/things/x", { method: "PUT", body });
  const errcodeOf = async (body: BodyInit) => (await put(body)).body.errcode;
  const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;

  it("is M_NOT_JSON when it is no JSON, not UTF-8, or empty", async () => {
    for (const body of ["", "{", "{'a':1}", "nope", '{"a":1}x', new Uint8Array([0x22, 0xff, 0x22]), "\uFEFF{}"]) {
      expect(await errcodeOf(body)).toBe("M_NOT_JSON");
    }
  });

  it("is M_BAD_JSON when it is no object", async () => {
    for (const body of ["[]", '"a"', "1", "null", "true"]) expect(await errcodeOf(body)).toBe("M_BAD_JSON");
  });

  it("may nest 64 deep, and no deeper", async () => {
    expect((await put(nested(63))).status).toBe(200);
    expect((await put(nested(64))).status).toBe(200);
    expect(await errcodeOf(nested(65))).toBe("M_NOT_JSON");
    expect(await errcodeOf(nested(100_000))).toBe("M_NOT_JSON");
    expect(await errcodeOf("[".repeat(1_000_000))).toBe("M_NOT_JSON");
  });

  it("counts nesting outside of strings only", async () => {
    expect((await put(JSON.stringify({ a: "[{".repeat(500), b: '\\"[['.repeat(200) }))).status).toBe(200);
  });

  it("is refused with a lone surrogate in a value or a key", async () => {
    for (const body of ['{"a":"\\ud800"}', '{"\\udc00":1}', '{"a":[{"b":"x\\uDBFFy"}]}']) {
      expect(await errcodeOf(body)).toBe("M_BAD_JSON");
    }
    expect((await put('{"a":"\\ud83d\\ude00"}')).body).toEqual({ body: { a: "😀" } });
  });

  it("keeps keys that a prototype has", async () => {
    const text = '{"__proto__":{"x":1},"constructor":2,"toString":3}';
    expect((await put(text)).text).toBe(`{"body":${text}}`);
    expect(Object.hasOwn(Object.prototype, "x")).toBe(false);
  });

  it("may have exactly as many bytes as the limit says, declared or streamed", async () => {
    const post = (body: BodyInit, init: RequestInit = {}) => ask("POST", "/small", { body, ...init });
    // `duplex` is asked for by Node, and not among the types of a Worker.
    const streaming: RequestInit = Object.assign({ method: "POST" }, { duplex: "half" });
    const streamed = (text: string) =>
      new ReadableStream({
        start(controller) {
          for (const byte of new TextEncoder().encode(text)) controller.enqueue(Uint8Array.of(byte));
          controller.close();
        },
      });
    for (const [length, status] of [
      [15, 200],
      [16, 200],
      [17, 413],
    ] as const) {
      const body = `{"n":1}`.padEnd(length);
      expect((await post(body, { headers: { "Content-Length": String(length) } })).status).toBe(status);
      const reply = await post(streamed(body), streaming);
      expect(reply.status).toBe(status);
      if (status === 413) expect(reply.body.errcode).toBe("M_TOO_LARGE");
    }
  });

  it("may be empty where the endpoint allows it", async () => {
    expect((await ask("POST", "/small", { body: "" })).body).toEqual({ n: null });
    expect((await ask("POST", "/small")).body).toEqual({ n: null });
  });

  it("is not read of somebody who is not authenticated", async () => {
    const request = new Request("http://x/mine", { method: "POST", body: "{" });
    const response = await route(request, fakeServices());
    expect([response.status, request.bodyUsed]).toEqual([401, false]);
  });

  it("is read of somebody who is", async () => {
    const { makeToken } = await import("../../../shared/access-token.ts");
    const services = fakeServices({ user: { authenticate: () => ok({ userId: "@a:example.org" }) } });
    const { token } = makeToken("access", "a", services.random);
    const reply = await ask("POST", "/mine", { body: "{}", headers: { Authorization: `Bearer ${token}` } }, services);
    expect(reply.body).toEqual({ user: "@a:example.org" });
  });
});
