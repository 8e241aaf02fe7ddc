import { lookup } from "node:dns/promises";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundleWorker } from "../../workers/selfhost/bundle.ts";
import {
  type FederatedHomeserver,
  startFederatedHomeserver,
  startFederatedHomeservers,
} from "../support/federated-homeservers.ts";
import type { Homeserver } from "../support/homeserver.ts";
import { type HostileServer, startHostileServer, startResolver } from "./hostile-server.ts";

const bundle = bundleWorker(join(import.meta.dirname, "egress-probe.ts"));

const version = {
  method: "GET",
  path: "/_matrix/federation/v1/version",
  content: null,
  isSigned: true,
  timeoutMs: 5000,
  maxBytes: 10_000,
};

async function ask(homeserver: Homeserver, destination: string, request: object = {}): Promise<unknown> {
  // Else a server that is hostile five times in a row would be left alone.
  const body = JSON.stringify({ ...version, isForStranger: true, destination, ...request });
  const response = await fetch(`${homeserver.baseUrl}/egress`, { method: "POST", body });
  if (!response.ok) throw new Error(`status ${response.status}: ${await response.text()}`);
  return response.json();
}

const unreachable = { kind: "unreachable", reason: expect.any(String) };

describe("two homeservers over TLS", () => {
  let servers: FederatedHomeserver[] = [];
  beforeAll(async () => {
    servers = await startFederatedHomeservers(2, { bundle });
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));

  it("reach one another by their names, from start to start", async () => {
    const [one, two] = servers;
    if (one === undefined || two === undefined) throw new Error("no servers");
    const good = { kind: "answered", status: 200, text: expect.stringContaining("Tessera") };
    expect([await ask(one, two.serverName), await ask(two, one.serverName)]).toEqual([good, good]);
    await two.restart();
    expect(await ask(one, two.serverName)).toEqual(good);
  });

  it("believe what the other has signed, whose keys its actor fetches", async () => {
    const [one, two] = servers;
    if (one === undefined || two === undefined) throw new Error("no servers");
    const content = JSON.stringify({ origin: one.serverName, origin_server_ts: Date.now(), pdus: [], edus: [] });
    const transaction = { method: "PUT", path: "/_matrix/federation/v1/send/1", content };
    expect(await ask(one, two.serverName, transaction)).toEqual({ kind: "answered", status: 200, text: '{"pdus":{}}' });
    const unsigned = await ask(one, two.serverName, { ...transaction, isSigned: false });
    expect(unsigned).toMatchObject({ kind: "answered", status: 401 });
  });

  it("do not talk to themselves", async () => {
    const [one] = servers;
    if (one === undefined) throw new Error("no servers");
    expect(await ask(one, one.serverName)).toEqual(unreachable);
  });
});

describe("a hostile server", () => {
  let hostile: HostileServer;
  let resolver: Awaited<ReturnType<typeof startResolver>>;
  let homeserver: FederatedHomeserver;
  beforeAll(async () => {
    hostile = await startHostileServer();
    resolver = await startResolver({
      "_matrix-fed._tcp.hs2": { host: "localhost", port: hostile.port },
      "_matrix._tcp.hs3": { host: "localhost", port: hostile.port },
    });
    const env = { DNS_OVER_HTTPS: `https://localhost:${resolver.port}/dns-query` };
    homeserver = await startFederatedHomeserver({ bundle, env });
  });
  afterAll(async () => {
    await homeserver?.stop();
    resolver?.close();
    hostile?.close();
  });

  const good = { kind: "answered", status: 200, text: '{"good":true}' };
  const path = (name: string) => ({ path: `/_matrix/test/${name}`, timeoutMs: 1500, maxBytes: 10_000 });
  /** By `fetch`, and over a socket: a SRV record leads to another host than the certificate's. */
  const ways = { fetch: () => `localhost:${hostile.port}`, socket: () => "hs2" };

  const table: readonly (readonly [name: string, expected: object])[] = [
    ["good", good],
    ["chunked", good],
    ["until-close", good],
    // Where both are there, the chunks count (RFC 9112, section 6.3): workerd reads on, we do not.
    ["smuggled", expect.toSatisfy((answer) => answer.kind === "unreachable" || answer.text === "{}")],
    ["missing", { kind: "answered", status: 404, text: "" }],
    ["redirect?https%3A%2F%2Flocalhost%2F", { kind: "answered", status: 302, text: "" }],
    ...["silent", "drip-head", "drip-body", "endless", "bomb", "long-head", "cut-short", "cut-head", "nonsense"].map(
      (name) => [name, unreachable] as const,
    ),
    ...["two-lengths", "reset"].map((name) => [name, unreachable] as const),
  ];
  for (const [way, destination] of Object.entries(ways)) {
    it.each(table)(`is survived over ${way}: %s`, async (name, expected) => {
      const begun = performance.now();
      expect(await ask(homeserver, destination(), path(name))).toEqual(expected);
      expect(performance.now() - begun).toBeLessThan(4000);
    });
  }

  it("does not keep connections open that nobody waits for any more", async () => {
    await expect.poll(() => hostile.connections(), { timeout: 10_000 }).toBeLessThanOrEqual(2);
  });

  it("is told the name that the certificate is for", async () => {
    expect(await ask(homeserver, "hs2", path("host"))).toMatchObject({ text: '{"host":"hs2"}' });
    const byPort = await ask(homeserver, `localhost:${hostile.port}`, path("host"));
    expect(byPort).toMatchObject({ text: `{"host":"localhost:${hostile.port}"}` });
  });

  it("is not reached under a name that its certificate does not have", async () => {
    expect(await ask(homeserver, "hs3", path("good"))).toEqual(unreachable);
    expect(resolver.asked).toEqual(expect.arrayContaining(["_matrix-fed._tcp.hs3", "_matrix._tcp.hs3"]));
  });
});

describe("private addresses", () => {
  let hits = 0;
  const canary = createServer((socket) => {
    hits += 1;
    socket.destroy();
  });
  let names: string[] = [];
  beforeAll(async () => {
    await new Promise<void>((resolve) => canary.listen(0, "::", resolve));
    const address = canary.address();
    const port = address === null || typeof address === "string" ? 0 : address.port;
    // A name that only a resolver can tell is private; which one there is depends on the machine.
    const found = await lookup(hostname()).catch(() => null);
    const ownName = found !== null && /^(127|10|192\.168)\./.test(found.address) ? [hostname()] : [];
    const hosts = [
      "127.0.0.1",
      "[::1]",
      "[::ffff:127.0.0.1]",
      "0.0.0.0",
      "[::]",
      "localhost",
      "127.1",
      "2130706433",
      ...ownName,
    ];
    names = hosts.map((host) => `${host}:${port}`);
  });
  afterAll(() => void canary.close());

  async function askAll(allowed: "true" | "false"): Promise<unknown[]> {
    const homeserver = await startFederatedHomeserver({ bundle, env: { FEDERATION_ALLOW_PRIVATE_NETWORK: allowed } });
    try {
      const answers: unknown[] = [];
      for (const name of names) answers.push(await ask(homeserver, name));
      return answers;
    } finally {
      await homeserver.stop();
    }
  }

  it("are not connected to, by whatever name", async () => {
    expect(await askAll("false")).toEqual(names.map(() => unreachable));
    expect(hits).toBe(0);
  });

  it("are connected to when that is allowed", async () => {
    await askAll("true");
    expect(hits).toBeGreaterThanOrEqual(4);
  });
});
