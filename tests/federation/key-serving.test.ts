import { afterEach, describe, expect, it } from "vitest";
import { minFetchIntervalMs } from "../../actors/server/verify-keys.ts";
import { fetchKeyRing } from "../../shared/federation-api/key-ring.ts";
import { isSignedBy, rotationGraceMs, signingKeyCacheMs } from "../../shared/federation-api/keys.ts";
import { trusted } from "../../shared/ids.ts";
import { isObject, type JsonObject, objectField, parseStoredObject, withFields } from "../../shared/json.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { keysForEvent, keysForRequest } from "../../shared/matrix/key-ring.ts";
import { publicKeyOf, verifyEvent } from "../../shared/matrix/signing.ts";
import { rateLimits } from "../../shared/rate-limit.ts";
import { federationEndpoints } from "../../workers/gateway/federation/index.ts";
import { makeRouter } from "../../workers/gateway/router.ts";
import type { FederatedServer, FederatedUser } from "../support/federation.ts";
import {
  a,
  asked,
  day,
  federation,
  key,
  keyPath,
  peer,
  play,
  published,
  queryPath,
  rowsOf,
  serverNamed,
  sourcesOf,
  start,
  us,
} from "../support/published-keys.ts";
import { rulesOf } from "../support/room-builder.ts";

afterEach(() => federation.close());

describe("key rotation", () => {
  it("leaves every event good that was signed before, meanwhile and after", async () => {
    const one = start();
    const two = federation.server("two.test");
    const alice = await one.user("alice");
    const { body: made } = await alice.post("v3/createRoom", { room_version: "11" });
    const roomId = String(made.room_id);
    const admin = () => one.actors.server(us).rotateSigningKey();
    const send = async (name: string) => {
      const path = `v3/rooms/${roomId}/send/m.room.message/${name}`;
      expect((await alice.put(path, { msgtype: "m.text", body: name })).status).toBe(200);
    };
    const old = await one.actors.server(us).getSigningKey();
    await send("before");
    // The other server learns the first key, and believes it for days.
    await two.actors.server(us).getVerifyKeys({ keyIds: [old.keyId], validAt: federation.clock.now() });
    await federation.advance(minFetchIntervalMs);
    await admin();
    await send("at once, by a room that remembers the old key");
    await federation.advance(signingKeyCacheMs);
    await send("when it has forgotten it");
    await federation.advance(3 * signingKeyCacheMs);
    await send("when the old one is given up");
    const rows = one.sql("room", roomId).all<{ json: string }>("SELECT json FROM events ORDER BY event_nid");
    const pdus = rows.map(({ json }) => parseStoredObject(json));
    const rules = rulesOf("11");
    const keyIds = pdus.map((pdu) => Object.keys(objectField(objectField(pdu, "signatures") ?? {}, us) ?? {})[0]);
    const current = await one.actors.server(us).getSigningKey();
    expect(keyIds.slice(-4)).toEqual([old.keyId, old.keyId, current.keyId, current.keyId]);
    for (const evicted of [false, true]) {
      if (evicted) two.sql("server", us).run("DELETE FROM verify_keys");
      const ring = await fetchKeyRing(sourcesOf(two), pdus);
      const verified = pdus.map((pdu) => {
        const keys = keysForEvent(ring, us, Number(pdu.origin_server_ts));
        return keys !== null && verifyEvent(pdu, rules, us, keys);
      });
      expect(verified).toEqual(pdus.map(() => true));
      await federation.advance(minFetchIntervalMs);
    }
    // Whoever has stolen the old key cannot use it for what is dated later.
    const late = await two.actors.server(us).getVerifyKeys({ keyIds: [old.keyId], validAt: null });
    expect(keysForEvent({ [us]: late }, us, federation.clock.now())?.size).toBe(0);
  });

  describe("while somebody sends", () => {
    const invite = (person: FederatedUser, roomId: string) =>
      person.post(`v3/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: `@bob:${us}` });

    async function roomOf(one: FederatedServer): Promise<{ alice: FederatedUser; roomId: string }> {
      const alice = await one.user("alice");
      await one.user("bob");
      return { alice, roomId: String((await alice.post("v3/createRoom")).body.room_id) };
    }

    /** The operator replaces the key, and the clock is set, both while a call is under way. */
    function rotateDuring(one: FederatedServer, wanted: string): void {
      one.onCall = async (method, call) => {
        const value = await call();
        if (method !== wanted) return value;
        one.onCall = (_method, next) => next();
        await one.actors.server(us).rotateSigningKey();
        federation.tick(rotationGraceMs + 1);
        return value;
      };
    }

    async function newestKeyOf(one: FederatedServer, roomId: string): Promise<string | undefined> {
      const query = "SELECT json FROM events ORDER BY event_nid DESC LIMIT 1";
      const pdu = parseStoredObject(one.sql("room", roomId).one<{ json: string }>(query)?.json ?? "");
      return Object.keys(objectField(objectField(pdu, "signatures") ?? {}, us) ?? {})[0];
    }

    it("signs nothing with a key that was given up during a call", async () => {
      const one = start();
      const { alice, roomId } = await roomOf(one);
      rotateDuring(one, "getMemberProfile");
      expect((await invite(alice, roomId)).status).toBe(200);
      expect(await newestKeyOf(one, roomId)).toBe((await one.actors.server(us).getSigningKey()).keyId);
    });

    it("asks for the key once more where it was given up since it was asked for", async () => {
      const one = start();
      const { alice, roomId } = await roomOf(one);
      one.evict("room", roomId);
      rotateDuring(one, "getSigningKey");
      expect((await invite(alice, roomId)).status).toBe(200);
      expect(await newestKeyOf(one, roomId)).toBe((await one.actors.server(us).getSigningKey()).keyId);
    });

    it("asks for the key anew where the clock was set back", async () => {
      const one = start();
      const { alice, roomId } = await roomOf(one);
      federation.tick(-4 * rotationGraceMs);
      await one.actors.server(us).rotateSigningKey();
      federation.tick(rotationGraceMs + 1);
      expect((await invite(alice, roomId)).status).toBe(200);
      expect(await newestKeyOf(one, roomId)).toBe((await one.actors.server(us).getSigningKey()).keyId);
    });
  });

  it("is the administrator's, and requests are signed with the new key within minutes", async () => {
    const one = start();
    const two = federation.server("two.test");
    const alice = await one.user("alice");
    const path = "/_tessera/admin/v1/signing_key/rotate";
    expect((await one.request("POST", path, { body: {} })).body.errcode).toBe("M_MISSING_TOKEN");
    expect((await one.request("POST", path, { body: {}, token: alice.token })).body.errcode).toBe("M_FORBIDDEN");
    const { keyId } = await one.actors.server(us).rotateSigningKey();
    await federation.advance(2 * signingKeyCacheMs);
    const request = { destination: trusted.serverName("two.test"), method: "POST", path: queryPath } as const;
    const asked = { ...request, content: '{"server_keys":{}}', isSigned: true, timeoutMs: 1_000, maxBytes: 10_000 };
    expect(await one.egress.request(asked)).toMatchObject({ status: 200 });
    const keys = await two.actors.server(us).getVerifyKeys({ keyIds: [], validAt: federation.clock.now() });
    expect(keysForRequest(keys, federation.clock.now()).has(keyId)).toBe(true);
  });
});

describe("getServerKey", () => {
  it("proves each key that is in use, also under the path that older servers ask", async () => {
    const server = start();
    await server.actors.server(us).rotateSigningKey();
    for (const path of [keyPath, `${keyPath}/ed25519:x`, `${keyPath}/`]) {
      const { status, body } = await server.request("GET", path);
      const keys = Object.entries(objectField(body, "verify_keys") ?? {});
      expect([path, status, keys.length]).toEqual([path, 200, 2]);
      for (const [keyId, entry] of keys) {
        const publicKey = isObject(entry) ? String(entry.key) : "";
        expect(isSignedBy(body, us, new Map([[keyId, publicKey]]))).toBe(true);
      }
    }
  });
});

describe("getServerKey's answer", () => {
  it("without its signatures is what was signed, byte for byte", async () => {
    const server = start();
    await server.actors.server(us).rotateSigningKey();
    const { body } = await server.request("GET", keyPath);
    const signed = withFields(body, { signatures: undefined });
    expect(JSON.stringify(signed)).toBe(canonicalJson(signed));
  });
});

describe("keys of others that are asked of us", () => {
  const query = (server: FederatedServer, body: JsonObject) => server.request("POST", queryPath, { body });
  const listOf = (body: JsonObject): JsonObject[] =>
    Array.isArray(body.server_keys) ? body.server_keys.filter(isObject) : [];

  it("bear the other's signature and ours", async () => {
    const server = start();
    const changes = { "org.example.number": 1 };
    play(peer, () => published(peer, { keys: [a], changes }));
    const own = await server.actors.server(us).getSigningKey();
    const answers = [
      await server.request("GET", `${queryPath}/${peer}`),
      await server.request("GET", `${queryPath}/${peer}/${a.keyId}`),
      await query(server, { server_keys: { [peer]: {} } }),
      await query(server, { server_keys: { [peer]: { [a.keyId]: {} } } }),
      await query(server, { server_keys: { [peer]: { [a.keyId]: { minimum_valid_until_ts: 5 } } } }),
    ];
    for (const { status, body } of answers) {
      const [keys = {}, ...others] = listOf(body);
      expect([status, others]).toEqual([200, []]);
      expect(keys).toMatchObject({ server_name: peer, ...changes });
      expect(isSignedBy(keys, peer, new Map([[a.keyId, publicKeyOf(a)]]))).toBe(true);
      expect(isSignedBy(keys, us, new Map([[own.keyId, publicKeyOf(own)]]))).toBe(true);
    }
    expect(asked()).toBe(1);
  });

  it("are those of the last answer where a server is gone, and nothing where it never answered", async () => {
    const server = start();
    play(peer, () => published(peer, { keys: [a] }));
    await query(server, { server_keys: { [peer]: {} } });
    play(peer, () => null);
    await federation.advance(2 * day);
    const wanted = { [a.keyId]: { minimum_valid_until_ts: federation.clock.now() } };
    const { body } = await query(server, { server_keys: { [peer]: wanted, "gone.test": {} } });
    expect(listOf(body).map(({ server_name }) => server_name)).toEqual([peer]);
    expect(await query(server, { server_keys: {} })).toMatchObject({ status: 200, body: { server_keys: [] } });
    expect(rowsOf(server, trusted.serverName("gone.test"))).toBe(0);
  });

  it("are newer where they must be valid for longer", async () => {
    const server = start();
    play(peer, () => published(peer, { keys: [a] }));
    const until = async (minimum: number) => {
      const wanted = { [a.keyId]: { minimum_valid_until_ts: minimum } };
      const { body } = await query(server, { server_keys: { [peer]: wanted } });
      return Number(listOf(body)[0]?.valid_until_ts) - federation.clock.now();
    };
    expect(await until(federation.clock.now() + day)).toBe(day);
    await federation.advance(day / 2);
    expect(await until(federation.clock.now() + day / 2)).toBe(day / 2);
    expect(await until(federation.clock.now() + day)).toBe(day);
  });

  it("include those of this server itself", async () => {
    const server = start();
    const { body } = await query(server, { server_keys: { [us]: {} } });
    expect(listOf(body)).toMatchObject([{ server_name: us }]);
    expect(federation.exchanges).toEqual([]);
  });

  it("are fetched of a hundred servers at most, fifty at a time, and of none that is denied", async () => {
    const server = start({ FEDERATION_DOMAIN_DENY: serverNamed(0) });
    let [running, most, attempts] = [0, 0, 0];
    federation.beforeExchange = async (_from, _to, path) => {
      if (path !== keyPath) return;
      attempts += 1;
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    };
    const names = Array.from({ length: 150 }, (_, index) => serverNamed(index));
    for (const name of names) play(name, () => published(name, { keys: [key("a", name)] }));
    const all = { "not a name": {}, ...Object.fromEntries(names.map((name) => [name, {}])) };
    const { body } = await query(server, { server_keys: all });
    expect(attempts).toBe(99);
    // Nor is anything kept, or woken up, for one that is denied.
    expect(server.hosts()).toHaveLength(1 + 99);
    expect(listOf(body)).toHaveLength(99);
    expect(most).toBeLessThanOrEqual(50);
  });

  it("are refused to an address that asks too often", async () => {
    const server = start({ RATE_LIMITS: "on" });
    const route = makeRouter(federationEndpoints);
    const statusFor = async (clientAddress: string) => {
      const request = new Request(`https://${us}${queryPath}`, { method: "POST", body: '{"server_keys":{}}' });
      return (await route(request, { ...server.services(request), clientAddress })).status;
    };
    const { burst } = rateLimits.rc_key_query;
    for (let i = 0; i < burst; i += 1) expect(await statusFor("192.0.2.1")).toBe(200);
    expect([await statusFor("192.0.2.1"), await statusFor("192.0.2.2")]).toEqual([429, 200]);
  });

  it("are refused where the question is none", async () => {
    const server = start();
    const errcodeOf = async (body: JsonObject) => (await query(server, body)).body.errcode;
    expect(await errcodeOf({})).toBe("M_MISSING_PARAM");
    for (const wrong of [
      [],
      5,
      { [peer]: [] },
      { [peer]: { k: 5 } },
      { [peer]: { k: { minimum_valid_until_ts: "1" } } },
    ]) {
      expect([wrong, await errcodeOf({ server_keys: wrong })]).toEqual([wrong, "M_BAD_JSON"]);
    }
    expect((await server.request("GET", `${queryPath}/not%20a%20name`)).body.errcode).toBe("M_INVALID_PARAM");
    expect(federation.exchanges).toEqual([]);
  });
});
