import { afterEach, describe, expect, it } from "vitest";
import { maxBackoffMs, minFetchIntervalMs } from "../../actors/server/verify-keys.ts";
import { fetchKeyRing, type Notary } from "../../shared/federation-api/key-ring.ts";
import { type ServerName, trusted } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { publicKeyOf, signJson } from "../../shared/matrix/signing.ts";
import type { Actors } from "../../shared/rpc/actors.ts";
import type { FederatedServer } from "../support/federation.ts";
import {
  a,
  ask,
  asked,
  b,
  day,
  federation,
  key,
  keyPath,
  notary,
  pduOf,
  peer,
  play,
  playNotary,
  published,
  queryPath,
  serverNamed,
  sourcesOf,
  start,
  us,
} from "../support/published-keys.ts";

afterEach(() => federation.close());

describe("key servers that the operator trusts", () => {
  const notaryKey = key("n", notary);
  const vouched = (response: JsonObject, signer = notaryKey) => signJson(response, notary, signer);

  it("are asked where a server does not answer, and believed", async () => {
    const server = start({ TRUSTED_KEY_SERVERS: notary });
    play(peer, () => null);
    let query: JsonObject = {};
    playNotary(notary, [notaryKey], (what) => {
      query = what;
      return [vouched(published(peer, { keys: [a] }))];
    });
    const validAt = federation.clock.now() - 5;
    expect(await ask(server, { validAt })).toMatchObject({ [a.keyId]: { key: publicKeyOf(a) } });
    expect(query).toEqual({ [peer]: { [a.keyId]: { minimum_valid_until_ts: validAt } } });
    server.evict();
    await ask(server);
    expect(asked(queryPath)).toBe(1);
  });

  it("are not asked needlessly, nor by default", async () => {
    for (const variables of [{ TRUSTED_KEY_SERVERS: notary }, {}]) {
      const server = start(variables);
      playNotary(notary, [notaryKey], () => []);
      play(peer, () => published(peer, { keys: [a] }));
      await ask(server);
      expect(federation.exchanges.filter(({ to }) => to === notary)).toEqual([]);
      play(peer, () => null);
      await federation.advance(maxBackoffMs);
      await ask(server, { keyIds: [b.keyId] });
      expect(asked(queryPath)).toBe(variables.TRUSTED_KEY_SERVERS === undefined ? 0 : 1);
      federation.close();
    }
    start();
  });

  const refused: readonly [string, () => JsonObject[]][] = [
    ["without the key server's signature", () => [published(peer, { keys: [a] })]],
    [
      "with a wrong signature of the key server",
      () => [vouched(published(peer, { keys: [a] }), { ...b, keyId: notaryKey.keyId })],
    ],
    ["without the server's own signature", () => [vouched(published(peer, { keys: [a], signers: [] }))]],
    ["of another server", () => [vouched(published(trusted.serverName("other.test"), { keys: [a] }))]],
    ["changed since", () => [{ ...vouched(published(peer, { keys: [a] })), verify_keys: {} }]],
  ];
  it.each(refused)("are not believed %s", async (_name, answers) => {
    const server = start({ TRUSTED_KEY_SERVERS: notary });
    play(peer, () => null);
    playNotary(notary, [notaryKey], answers);
    expect(await ask(server)).toEqual({});
  });

  it("do not overwrite what is known, nor shorten it", async () => {
    const server = start({ TRUSTED_KEY_SERVERS: notary });
    play(peer, () => published(peer, { keys: [a] }));
    const first = await ask(server);
    play(peer, () => null);
    const spurious = [
      published(peer, { keys: [{ ...b, keyId: a.keyId }] }),
      published(peer, { keys: [a], validForMs: -day }),
      published(peer, { keys: [b], old: [[a, 5]] }),
    ];
    playNotary(notary, [notaryKey], () => spurious.map((response) => vouched(response)));
    await federation.advance(minFetchIntervalMs);
    const now = await ask(server, { keyIds: [a.keyId, b.keyId] });
    expect(now).toMatchObject(first);
    expect(now[b.keyId]?.key).toBe(publicKeyOf(b));
  });

  it("are corrected by the server itself, once it answers", async () => {
    const server = start({ TRUSTED_KEY_SERVERS: notary });
    play(peer, () => null);
    playNotary(notary, [notaryKey], () => [vouched(published(peer, { keys: [{ ...b, keyId: a.keyId }] }))]);
    expect((await ask(server))[a.keyId]?.key).toBe(publicKeyOf(b));
    play(peer, () => published(peer, { keys: [a] }));
    await federation.advance(day + 1);
    expect((await ask(server))[a.keyId]?.key).toBe(publicKeyOf(a));
  });

  it("that disagree: whoever spoke first counts", async () => {
    const second = trusted.serverName("second.test");
    const secondKey = key("s", second);
    const server = start({ TRUSTED_KEY_SERVERS: `${notary},${second}` });
    play(peer, () => null);
    playNotary(notary, [notaryKey], () => [vouched(published(peer, { keys: [a] }))]);
    playNotary(second, [secondKey], () => [
      signJson(published(peer, { keys: [{ ...b, keyId: a.keyId }, key("c")] }), second, secondKey),
    ]);
    const keys = await ask(server, { keyIds: [a.keyId, key("c").keyId] });
    expect(keys[a.keyId]?.key).toBe(publicKeyOf(a));
    expect(Object.keys(keys)).toHaveLength(2);
  });

  it("that vouch for one another do not wait for one another", async () => {
    const second = trusted.serverName("second.test");
    const server = start({ TRUSTED_KEY_SERVERS: `${notary},${second}` });
    const forged = (name: ServerName, signer: ServerName) =>
      signJson(published(name, { keys: [key("x", name)] }), signer, key("x", signer));
    for (const [name, of] of [
      [notary, second],
      [second, notary],
    ] as const) {
      federation.foreign.set(name, (request) =>
        new URL(request.url).pathname === queryPath
          ? Response.json({ server_keys: [forged(of, name)] })
          : new Response("", { status: 500 }),
      );
    }
    const both = [notary, second].map((name) => ask(server, { keyIds: [key("x", name).keyId] }, name));
    expect(await Promise.all(both)).toEqual([{}, {}]);
  });
});

describe("fetchKeyRing", () => {
  it("asks each of many unknown servers once, not all at the same time", async () => {
    const server = start();
    let [running, most] = [0, 0];
    const asks = new Map<string, number>();
    for (let i = 0; i < 300; i += 1) {
      const name = serverNamed(i);
      play(name, () => (i % 3 === 0 ? null : published(name, { keys: [key("a", name)] })));
    }
    federation.beforeExchange = async (_from, to, path) => {
      if (path !== keyPath) return;
      asks.set(to, (asks.get(to) ?? 0) + 1);
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    };
    const pdus = Array.from({ length: 1_000 }, (_, index) => pduOf(serverNamed(index % 300)));
    const ring = await fetchKeyRing(sourcesOf(server), pdus);
    expect(Object.keys(ring)).toHaveLength(200);
    expect([asks.size, Math.max(...asks.values())]).toEqual([300, 1]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(50);
    await fetchKeyRing(sourcesOf(server), pdus);
    expect(Math.max(...asks.values())).toBe(1);
  });

  it("has our own keys, and those of whoever authorizes a join; none of a server that is denied", async () => {
    const denied = trusted.serverName("denied.test");
    const server = start({ FEDERATION_DOMAIN_DENY: denied });
    const own = await server.actors.server(us).getSigningKey();
    for (const name of [peer, denied]) play(name, () => published(name, { keys: [key("a", name)] }));
    const join: JsonObject = {
      ...pduOf(us),
      content: { join_authorised_via_users_server: `@x:${peer}` },
      signatures: { [us]: { [own.keyId]: "AAAA" }, [peer]: { "ed25519:a": "AAAA" } },
    };
    const ring = await fetchKeyRing(sourcesOf(server), [join, pduOf(denied)]);
    expect(Object.keys(ring).sort()).toEqual([us, peer]);
    expect(ring[us]?.[own.keyId]?.key).toBe(publicKeyOf(own));
  });

  it("asks for a bounded number of the keys that an event claims to be signed with", async () => {
    const server = start();
    play(peer, () => published(peer, { keys: [a] }));
    const ids = ["ed25519:a", ...Array.from({ length: 700 }, (_, index) => `ed25519:k${index}`)];
    const { actors, config } = server;
    const counts: number[] = [];
    const counting: Actors = {
      ...actors,
      server: (name) => ({
        ...actors.server(name),
        getVerifyKeys: (wanted) => {
          counts.push(wanted.keyIds.length);
          return actors.server(name).getVerifyKeys(wanted);
        },
      }),
    };
    const ring = await fetchKeyRing({ actors: counting, config }, [pduOf(peer, ids)]);
    expect(Object.keys(ring[peer] ?? {})).toEqual(["ed25519:a"]);
    expect([counts, asked()]).toEqual([[50], 1]);
  });

  describe("through the server of a room that is joined", () => {
    const notaryKey = key("n", notary);
    const told = (name: ServerName, signed = key("a", name)) =>
      signJson(published(name, { keys: [signed] }), notary, notaryKey);
    const notaryOf = ({ egress }: FederatedServer): Notary => ({
      serverName: notary,
      request: (input) => egress.request(input),
      nowMs: federation.clock.now(),
    });

    it("takes keys of servers that are gone, for these events only", async () => {
      const server = start();
      play(peer, () => null);
      const here = serverNamed(1);
      play(here, () => published(here, { keys: [key("a", here)] }));
      const forged = { ...key("b", here), keyId: "ed25519:a" };
      playNotary(notary, [notaryKey], () => [told(peer), told(here, forged)]);
      const ring = await fetchKeyRing(sourcesOf(server), [pduOf(peer), pduOf(here)], notaryOf(server));
      expect(ring[peer]?.["ed25519:a"]?.key).toBe(publicKeyOf(a));
      expect(ring[here]?.["ed25519:a"]?.key).toBe(publicKeyOf(key("a", here)));
      expect(await ask(server)).toEqual({});
      expect(await fetchKeyRing(sourcesOf(server), [pduOf(peer)])).toEqual({});
    });

    it("asks about a hundred servers at a time, and stops when it does not answer", async () => {
      const server = start();
      const queries: number[] = [];
      playNotary(notary, [notaryKey], (query) => {
        queries.push(Object.keys(query).length);
        return Object.keys(query).map((name) => told(trusted.serverName(name)));
      });
      const pdus = Array.from({ length: 230 }, (_, index) => pduOf(serverNamed(index)));
      const ring = await fetchKeyRing(sourcesOf(server), pdus, notaryOf(server));
      expect(queries).toEqual([100, 100, 30]);
      expect(Object.keys(ring)).toHaveLength(230);
      play(notary, () => null);
      let attempts = 0;
      federation.beforeExchange = (_from, to) => {
        if (to === notary) attempts += 1;
      };
      expect(await fetchKeyRing(sourcesOf(server), pdus, notaryOf(server))).toEqual({});
      expect(attempts).toBe(1);
    });

    it("believes only what both have signed, and was asked for", async () => {
      const server = start();
      const answers = [
        published(peer, { keys: [a] }),
        signJson(published(peer, { keys: [a], signers: [] }), notary, notaryKey),
        signJson(published(peer, { keys: [a] }), notary, { ...b, keyId: notaryKey.keyId }),
        signJson(published(peer, { keys: [b] }), notary, notaryKey),
        told(serverNamed(5)),
        { server_name: 5 },
      ];
      playNotary(notary, [notaryKey], () => answers);
      const ring = await fetchKeyRing(sourcesOf(server), [pduOf(peer)], notaryOf(server));
      expect(ring[peer] ?? {}).toEqual({});
      expect(Object.keys(ring)).not.toContain(serverNamed(5));
    });
  });
});
