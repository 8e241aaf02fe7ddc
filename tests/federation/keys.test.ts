import { afterEach, describe, expect, it } from "vitest";
import {
  firstBackoffMs,
  maxBackoffMs,
  maxKnownKeys,
  minExtendIntervalMs,
  minFetchIntervalMs,
  strangerBackoffMs,
} from "../../actors/server/verify-keys.ts";
import { maxValidityMs } from "../../shared/federation-api/keys.ts";
import { trusted } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { keysForEvent, keysForRequest } from "../../shared/matrix/key-ring.ts";
import { publicKeyOf, signJson } from "../../shared/matrix/signing.ts";
import {
  a,
  ask,
  asked,
  b,
  countAttempts,
  day,
  federation,
  key,
  keyPath,
  notary,
  peer,
  play,
  playNotary,
  published,
  rowsOf,
  start,
} from "../support/published-keys.ts";
import { rulesOf } from "../support/room-builder.ts";

afterEach(() => federation.close());

describe("getVerifyKeys", () => {
  it("fetches the keys of a server once, however many ask, and keeps them", async () => {
    const server = start();
    play(peer, () => published(peer, { keys: [a], old: [[b, 5]] }));
    const all = await Promise.all(Array.from({ length: 20 }, () => ask(server)));
    const known = { key: publicKeyOf(a), validUntilTs: federation.clock.now() + day, expiredTs: null };
    expect(all.every((keys) => JSON.stringify(keys) === JSON.stringify({ [a.keyId]: known }))).toBe(true);
    server.evict();
    expect(await ask(server, { keyIds: [] })).toEqual({
      [a.keyId]: known,
      [b.keyId]: { key: publicKeyOf(b), validUntilTs: 5, expiredTs: 5 },
    });
    expect(asked()).toBe(1);
    expect(federation.exchanges.find(({ path }) => path === keyPath)?.method).toBe("GET");
  });

  it("trusts a key for seven days at most, and fetches it anew when it is no longer valid", async () => {
    const server = start();
    const key8days = () => published(peer, { keys: [a], validForMs: 8 * day });
    play(peer, key8days);
    const until = federation.clock.now() + maxValidityMs;
    expect((await ask(server))[a.keyId]?.validUntilTs).toBe(until);
    await federation.advance(maxValidityMs);
    expect((await ask(server))[a.keyId]?.validUntilTs).toBe(until);
    await federation.advance(1);
    expect((await ask(server))[a.keyId]?.validUntilTs).toBe(federation.clock.now() + maxValidityMs);
    expect(asked()).toBe(2);
  });

  it("fetches for a key that is not known, though not more often than every few seconds", async () => {
    const server = start();
    let keys = [a];
    play(peer, () => published(peer, { keys }));
    await ask(server);
    keys = [a, b];
    const both = { keyIds: [a.keyId, b.keyId] };
    await federation.advance(minFetchIntervalMs - 1);
    expect(Object.keys(await ask(server, both))).toEqual([a.keyId]);
    await federation.advance(1);
    expect(Object.keys(await ask(server, both)).sort()).toEqual([a.keyId, b.keyId]);
    for (let i = 0; i < 10; i += 1) await ask(server, { keyIds: [`ed25519:none${i}`] });
    expect(asked()).toBe(2);
  });

  it("does not ask again and again because an event is dated in the future", async () => {
    const server = start();
    play(peer, () => published(peer, { keys: [a] }));
    const future = { validAt: Number.MAX_SAFE_INTEGER };
    for (let i = 0; i < 5; i += 1) {
      expect(Object.keys(await ask(server, future))).toEqual([a.keyId]);
      await federation.advance(minFetchIntervalMs);
    }
    expect(asked()).toBe(1);
    await federation.advance(minExtendIntervalMs);
    await ask(server, future);
    expect(asked()).toBe(2);
  });

  it("waits longer with each failure, after a restart too, and then hears the server again", async () => {
    const server = start();
    let isUp = false;
    play(peer, () => (isUp ? published(peer, { keys: [a] }) : null));
    const attempts = countAttempts();
    for (let failures = 1; failures <= 14; failures += 1) {
      expect(await ask(server)).toEqual({});
      server.evict();
      expect(attempts()).toBe(failures);
      const wait = Math.min(firstBackoffMs * 2 ** (failures - 1), maxBackoffMs);
      await federation.advance(wait - 1);
      await ask(server);
      expect(attempts()).toBe(failures);
      await federation.advance(1);
    }
    isUp = true;
    expect(Object.keys(await ask(server))).toEqual([a.keyId]);
  });

  it("leaves nothing behind of what strangers say of servers that do not answer, and tries those again soon", async () => {
    const server = start();
    let isUp = false;
    play(peer, () => (isUp ? published(peer, { keys: [a] }) : null));
    const attempts = countAttempts();
    for (let i = 0; i < 5; i += 1) await ask(server, { isForStranger: true });
    expect(attempts()).toBe(1);
    expect(rowsOf(server, peer)).toBe(0);
    // What strangers cause does not keep us from asking for a reason of our own.
    await ask(server);
    expect(attempts()).toBe(2);
    isUp = true;
    await federation.advance(strangerBackoffMs - 1);
    expect(await ask(server, { isForStranger: true })).toEqual({});
    await federation.advance(1);
    expect(Object.keys(await ask(server, { isForStranger: true }))).toEqual([a.keyId]);
  });

  it("shares a fetch that a stranger has caused, and goes on where that asked too few", async () => {
    const server = start({ TRUSTED_KEY_SERVERS: notary });
    const notaryKey = key("n", notary);
    play(peer, () => null);
    playNotary(notary, [notaryKey], () => [signJson(published(peer, { keys: [a] }), notary, notaryKey)]);
    const [stranger, own] = await Promise.all([ask(server, { isForStranger: true }), ask(server)]);
    expect([Object.keys(stranger), Object.keys(own)]).toEqual([[], [a.keyId]]);
  });

  it("asks nobody who may not be talked to", async () => {
    const server = start({ FEDERATION_DOMAIN_DENY: peer });
    play(peer, () => published(peer, { keys: [a] }));
    expect(await ask(server)).toEqual({});
    expect(federation.exchanges).toEqual([]);
    expect(rowsOf(server, peer)).toBe(0);
  });

  const invalid: readonly [string, () => unknown][] = [
    ["of another server", () => published(trusted.serverName("other.test"), { keys: [a] })],
    ["in the name of another", () => published(peer, { keys: [a], changes: { server_name: "other.test" } })],
    ["without a signature", () => published(peer, { keys: [a], signers: [] })],
    [
      "without a signature, not even for keys that were given up",
      () => published(peer, { old: [[b, 5]], signers: [] }),
    ],
    ["signed by a key that is not in it", () => published(peer, { keys: [a], signers: [b] })],
    ["changed after it was signed", () => ({ ...published(peer, { keys: [a] }), valid_until_ts: 9 })],
    ["without an end of validity", () => published(peer, { keys: [a], changes: { valid_until_ts: "soon" } })],
    ["without keys", () => published(peer, { keys: [], signers: [a] })],
    ["that is no object", () => [published(peer, { keys: [a] })]],
    ["longer than 64 KiB", () => published(peer, { keys: [a], changes: { padding: "x".repeat(65_536) } })],
    ["nested without end", () => JSON.parse(`${"[".repeat(5_000)}${"]".repeat(5_000)}`)],
  ];
  it.each(invalid)("takes no answer %s", async (_name, answer) => {
    const server = start();
    federation.foreign.set(peer, () => Response.json(answer()));
    expect(await ask(server, { keyIds: [] })).toEqual({});
  });

  it("takes only those keys for current that have signed: nobody can publish another's as theirs", async () => {
    const server = start();
    play(peer, () => published(peer, { keys: [a, b], signers: [a] }));
    expect(Object.keys(await ask(server, { keyIds: [] }))).toEqual([a.keyId]);
  });

  it("takes no key whose private half everybody knows", async () => {
    const server = start();
    const banned = "l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og";
    const old_verify_keys = { "ed25519:x": { key: `${banned}=`, expired_ts: 5 } };
    play(peer, () => published(peer, { keys: [a], changes: { old_verify_keys } }));
    expect(Object.keys(await ask(server, { keyIds: [] }))).toEqual([a.keyId]);
    // It may have been stored before it was known to be bad.
    server.sql("server", peer).run("UPDATE verify_keys SET public_key = ?", banned);
    expect(await ask(server, { keyIds: [] })).toEqual({});
  });

  it("lets a key id stand for its bytes for good", async () => {
    const server = start();
    let keys = [a];
    play(peer, () => published(peer, { keys }));
    await ask(server);
    keys = [{ ...b, keyId: a.keyId }, key("c")];
    await federation.advance(minFetchIntervalMs);
    const now = await ask(server, { keyIds: [a.keyId, key("c").keyId] });
    expect(now[a.keyId]?.key).toBe(publicKeyOf(a));
    expect(now[key("c").keyId]?.key).toBe(publicKeyOf(key("c")));
    expect(server.logged.filter(({ message }) => message === "key id with another key")).toHaveLength(1);
  });

  it("keeps what it knows when a fetch fails, or tells less", async () => {
    const server = start();
    let answer: JsonObject | null = published(peer, { keys: [a] });
    play(peer, () => answer);
    const first = await ask(server);
    answer = null;
    await federation.advance(day + 1);
    expect(await ask(server)).toEqual(first);
    answer = published(peer, { keys: [a], validForMs: -3 * day });
    await federation.advance(minFetchIntervalMs);
    expect(await ask(server)).toEqual(first);
    answer = published(peer, { keys: [b] });
    await federation.advance(maxBackoffMs);
    expect(await ask(server, { keyIds: [a.keyId, b.keyId] })).toMatchObject(first);
  });

  it("gives a key up when its server does", async () => {
    const server = start();
    play(peer, () => published(peer, { keys: [a] }));
    await ask(server);
    const given = federation.clock.now();
    play(peer, () => published(peer, { keys: [b], old: [[a, given]] }));
    await federation.advance(minFetchIntervalMs);
    const keys = await ask(server, { keyIds: [a.keyId, b.keyId] });
    expect(keys[a.keyId]?.expiredTs).toBe(given);
    expect([...keysForRequest(keys, federation.clock.now()).keys()]).toEqual([b.keyId]);
  });

  it("lets no key that is given up in the future count for longer than one in use", async () => {
    const server = start();
    play(peer, () => published(peer, { keys: [a], old: [[b, Number.MAX_SAFE_INTEGER]] }));
    const keys = await ask(server, { keyIds: [b.keyId] });
    expect(keys[b.keyId]?.expiredTs).toBe(federation.clock.now() + maxValidityMs);
  });

  it("keeps a bounded number of a server's keys, and those of its last answer", async () => {
    const server = start();
    let round = 0;
    const keysOf = (index: number) => Array.from({ length: 60 }, (_, i) => key(`r${index}k${i}`));
    play(peer, () => published(peer, { keys: keysOf(round) }));
    for (round = 0; round < 5; round += 1) {
      await ask(server, { keyIds: [key(`r${round}k0`).keyId] });
      await federation.advance(minFetchIntervalMs);
    }
    const known = await ask(server, { keyIds: [], validAt: null });
    expect(Object.keys(known)).toHaveLength(maxKnownKeys);
    expect(keysOf(4).every(({ keyId }) => Object.hasOwn(known, keyId))).toBe(true);
    const rows = server.sql("server", peer).all("SELECT response_nid FROM key_responses");
    expect(rows.length).toBeLessThanOrEqual(4);
  });
});

describe("validity of keys", () => {
  const at = { before: -1, at: 0, after: 1 } as const;
  type When = keyof typeof at;
  const cells: readonly ["verify" | "old", When, { v4: boolean; v6: boolean; request: boolean }][] = [
    ["verify", "before", { v4: true, v6: true, request: true }],
    ["verify", "at", { v4: true, v6: true, request: true }],
    ["verify", "after", { v4: true, v6: false, request: false }],
    ["old", "before", { v4: true, v6: true, request: false }],
    ["old", "at", { v4: true, v6: true, request: false }],
    ["old", "after", { v4: true, v6: false, request: false }],
  ];
  it.each(cells)("of a %s key %s its end", async (kind, when, expected) => {
    const server = start();
    const end = federation.clock.now() + day;
    play(peer, () => published(peer, kind === "verify" ? { keys: [a] } : { keys: [b], old: [[a, end]] }));
    await ask(server);
    play(peer, () => null);
    await federation.advance(day + at[when]);
    const now = federation.clock.now();
    const ring = { [peer]: await ask(server, { validAt: now }) };
    const requiresValidity = { v4: rulesOf("4").enforcesKeyValidity, v6: rulesOf("6").enforcesKeyValidity };
    const counts = (isRequired: boolean) => keysForEvent(ring, peer, isRequired ? now : null)?.has(a.keyId);
    expect({
      v4: counts(requiresValidity.v4),
      v6: counts(requiresValidity.v6),
      request: keysForRequest(ring[peer] ?? {}, now).has(a.keyId),
    }).toEqual(expected);
  });
});
