import { describe, expect, it } from "vitest";
import { networkOf } from "../../../actors/server/address.ts";
import { serverContext } from "../../../actors/server/context.ts";
import { serverRpc } from "../../../actors/server/rpc.ts";
import { maxUiaSessions, startUia, uiaLifetimeMs } from "../../../actors/server/uia.ts";
import { isSignedBy, rotationGraceMs, signingKeyCacheMs } from "../../../shared/federation-api/keys.ts";
import { trusted } from "../../../shared/ids.ts";
import { objectField, stringField } from "../../../shared/json.ts";
import { publicKeyOf } from "../../../shared/matrix/signing.ts";
import { alice, bob, errcodeOf, register, room, serverName, World } from "../user/world.ts";

const alias = trusted.roomAlias(`#pub:${serverName}`);

describe("getSigningKey", () => {
  it("is made once, of 32 random bytes, and stays", async () => {
    const world = new World();
    const keys = await Promise.all(Array.from({ length: 10 }, () => world.server.getSigningKey()));
    expect(new Set(keys.map((key) => key.seed)).size).toBe(1);
    expect(keys[0]?.keyId).toMatch(/^ed25519:[A-Za-z0-9_]+$/);
    expect(Buffer.from(keys[0]?.seed ?? "", "base64")).toHaveLength(32);
    const reborn = serverRpc(serverContext(world.base(world.serverSql, { ensure: () => undefined }), serverName));
    await expect(reborn.getSigningKey()).resolves.toEqual({ ok: true, value: keys[0] });
    const other = await new World().server.getSigningKey();
    expect(other.seed).not.toBe(keys[0]?.seed);
  });

  it("is nobody else's: an actor of another name refuses to speak and sign for our server", () => {
    const world = new World();
    const other = serverContext(
      world.base(world.serverSql, { ensure: () => undefined }),
      trusted.serverName("elsewhere.test"),
    );
    const rpc = serverRpc(other);
    for (const misplaced of [rpc.getSigningKey, rpc.rotateSigningKey, rpc.getServerKeys]) {
      expect(() => misplaced()).toThrow("elsewhere.test");
    }
  });
});

describe("getServerKeys", () => {
  it("publishes the key, signed by itself, valid for a week", async () => {
    const world = new World();
    const key = await world.server.getSigningKey();
    const keys = await world.server.getServerKeys();
    expect(keys).toMatchObject({
      server_name: serverName,
      verify_keys: { [key.keyId]: { key: publicKeyOf(key) } },
      old_verify_keys: {},
      valid_until_ts: world.clock.now() + 7 * 24 * 3_600_000,
    });
    expect(isSignedBy(keys, serverName, new Map([[key.keyId, publicKeyOf(key)]]))).toBe(true);
    expect(JSON.stringify(keys)).not.toContain(key.seed);
  });

  it("lists keys that signed before", async () => {
    const world = new World();
    const old = await world.server.getSigningKey();
    world.serverSql.run("UPDATE signing_keys SET expired_ts = ?", 5);
    const current = await world.server.getSigningKey();
    expect(current.keyId).not.toBe(old.keyId);
    const keys = await world.server.getServerKeys();
    const entry = objectField(objectField(keys, "old_verify_keys") ?? {}, old.keyId) ?? {};
    expect([stringField(entry, "key"), entry.expired_ts]).toEqual([publicKeyOf(old), 5]);
    await expect(world.server.getVerifyKeys({ keyIds: [old.keyId, "ed25519:none"], validAt: null })).resolves.toEqual({
      [old.keyId]: { key: publicKeyOf(old), validUntilTs: 5, expiredTs: 5 },
    });
  });
});

describe("rotateSigningKey", () => {
  it("lets the old key sign as long as rooms may remember it, and no longer", async () => {
    const world = new World();
    const old = await world.server.getSigningKey();
    const now = world.clock.now();
    const rotated = await world.server.rotateSigningKey();
    const current = await world.server.getSigningKey();
    expect(rotated).toEqual({ keyId: current.keyId, oldKeyId: old.keyId, oldExpiresTs: now + rotationGraceMs });
    expect(current.seed).not.toBe(old.seed);
    expect(rotationGraceMs).toBeGreaterThanOrEqual(2 * signingKeyCacheMs);
    const both = [current, old].map((key) => key.keyId).sort();
    const published = async () => {
      const keys = await world.server.getServerKeys();
      const signers = Object.keys(objectField(objectField(keys, "signatures") ?? {}, serverName) ?? {});
      const listed = ["verify_keys", "old_verify_keys"].map((name) =>
        Object.keys(objectField(keys, name) ?? {}).sort(),
      );
      return [...listed, signers.sort()];
    };
    expect(await published()).toEqual([both, [], both]);
    world.clock.advance(rotationGraceMs - 1);
    expect(await published()).toEqual([both, [], both]);
    world.clock.advance(1);
    expect(await published()).toEqual([[current.keyId], [old.keyId], [current.keyId]]);
    const keys = await world.server.getServerKeys();
    expect(keys.old_verify_keys).toEqual({
      [old.keyId]: { key: publicKeyOf(old), expired_ts: now + rotationGraceMs },
    });
    const known = await world.server.getVerifyKeys({ keyIds: [], validAt: null });
    expect(Object.keys(known).sort()).toEqual(both);
    expect(known[old.keyId]?.expiredTs).toBe(now + rotationGraceMs);
    expect(known[current.keyId]?.expiredTs).toBeNull();
  });
});

describe("registration tokens", () => {
  const create = (
    world: World,
    token: string | null,
    usesAllowed: number | null = null,
    expiryTime: number | null = null,
  ) => world.server.createRegistrationToken({ token, usesAllowed, expiryTime });

  it("are made, listed and deleted", async () => {
    const world = new World();
    const made = await create(world, null, 3);
    expect(made).toMatchObject({ usesAllowed: 3, completed: 0, expiryTime: null });
    expect(made.token).toMatch(/^[A-Za-z0-9._~-]{16}$/);
    await expect(world.server.getRegistrationTokens()).resolves.toEqual([made]);
    await world.server.deleteRegistrationToken(made.token);
    expect(await errcodeOf(world.server.getRegistrationToken(made.token))).toBe("M_NOT_FOUND");
    expect(await errcodeOf(world.server.deleteRegistrationToken(made.token))).toBe("M_NOT_FOUND");
  });

  it("follow their grammar and have sensible limits", async () => {
    const world = new World();
    expect(await errcodeOf(create(world, "t".repeat(63)))).toBe("none");
    expect(await errcodeOf(create(world, "t".repeat(64)))).toBe("none");
    expect(await errcodeOf(create(world, "t".repeat(65)))).toBe("M_INVALID_PARAM");
    expect(await errcodeOf(create(world, "t".repeat(64)))).toBe("M_INVALID_PARAM");
    for (const token of ["", "a b", "a/b", "ä"]) expect(await errcodeOf(create(world, token))).toBe("M_INVALID_PARAM");
    for (const uses of [-1, 0.5, 2 ** 53]) expect(await errcodeOf(create(world, null, uses))).toBe("M_INVALID_PARAM");
    expect(await errcodeOf(create(world, null, null, world.clock.now() - 1))).toBe("M_INVALID_PARAM");
  });

  it("end with their uses and at their time", async () => {
    const world = new World({ REGISTRATION: "token" });
    const admit = (userId: typeof alice, registrationToken: string) =>
      errcodeOf(world.server.admitRegistration({ userId, registrationToken, bySharedSecret: false }));
    await create(world, "one", 1);
    await create(world, "none", 0);
    await create(world, "timed", null, world.clock.now() + 1000);
    expect(await admit(alice, "none")).toBe("M_FORBIDDEN");
    expect(await admit(alice, "one")).toBe("none");
    await expect(world.server.isRegistrationTokenValid("one")).resolves.toBe(false);
    expect(await admit(bob, "one")).toBe("M_FORBIDDEN");
    expect(await admit(alice, "one")).toBe("none");
    await expect(world.server.getRegistrationToken("one")).resolves.toMatchObject({ completed: 1 });
    world.clock.advance(999);
    await expect(world.server.isRegistrationTokenValid("timed")).resolves.toBe(true);
    world.clock.advance(1);
    await expect(world.server.isRegistrationTokenValid("timed")).resolves.toBe(false);
    await expect(world.server.isRegistrationTokenValid("unknown")).resolves.toBe(false);
  });

  it("have nonces for the shared secret that live a minute and work once", async () => {
    const world = new World();
    const [first, second] = [
      await world.server.createRegistrationNonce(),
      await world.server.createRegistrationNonce(),
    ];
    await expect(world.server.useRegistrationNonce(first)).resolves.toBe(true);
    await expect(world.server.useRegistrationNonce(first)).resolves.toBe(false);
    await expect(world.server.useRegistrationNonce("unknown")).resolves.toBe(false);
    world.clock.advance(60_001);
    await expect(world.server.useRegistrationNonce(second)).resolves.toBe(false);
    await world.server.createRegistrationNonce();
    expect(world.serverSql.all("SELECT * FROM registration_nonces")).toHaveLength(1);
  });
});

describe("user-interactive authentication", () => {
  it("records stages for what the session was begun for, and for nothing else", async () => {
    const world = new World();
    const { session } = await world.server.startUia("delete A by alice");
    const complete = (binding: string) => world.server.completeUiaStage({ session, binding, stage: "m.login.dummy" });
    expect(await errcodeOf(complete("delete B by alice"))).toBe("M_UNKNOWN");
    await expect(world.server.getUia(session)).resolves.toEqual({ completed: [], params: {} });
    await expect(complete("delete A by alice")).resolves.toEqual({ completed: ["m.login.dummy"] });
    await expect(complete("delete A by alice")).resolves.toEqual({ completed: ["m.login.dummy"] });
    await world.server.setUiaParam(session, "__proto__", "x");
    await world.server.setUiaParam(session, "registration_token", "t");
    const { params } = await world.server.getUia(session);
    expect(JSON.stringify(params)).toBe('{"__proto__":"x","registration_token":"t"}');
  });

  it("knows no session that expired or never was", async () => {
    const world = new World();
    const { session } = await world.server.startUia("b");
    world.clock.advance(uiaLifetimeMs);
    await expect(world.server.getUia(session)).resolves.toBeDefined();
    world.clock.advance(1);
    expect(await errcodeOf(world.server.getUia(session))).toBe("M_UNKNOWN");
    const late = { session, binding: "b", stage: "m.login.dummy" };
    expect(await errcodeOf(world.server.completeUiaStage(late))).toBe("M_UNKNOWN");
    expect(await errcodeOf(world.server.setUiaParam("never", "a", "b"))).toBe("M_UNKNOWN");
    await world.server.startUia("c");
    expect(world.serverSql.all("SELECT * FROM uia_sessions")).toHaveLength(1);
  });

  it("keeps a bounded number of sessions, the newest", () => {
    const world = new World();
    const context = serverContext(world.base(world.serverSql, { ensure: () => undefined }), serverName);
    for (let i = 0; i < maxUiaSessions + 5; i += 1) startUia(context, `${i}`);
    const row = world.serverSql.one<{ count: number; oldest: string }>(
      "SELECT COUNT(*) AS count, (SELECT binding FROM uia_sessions ORDER BY session_nid LIMIT 1) AS oldest FROM uia_sessions",
    );
    expect(row).toEqual({ count: maxUiaSessions, oldest: "5" });
  });
});

describe("aliases", () => {
  it("point at one room, and are made once", async () => {
    const world = new World();
    await world.server.createAlias({ alias, roomId: room("one"), creator: alice });
    for (const again of ["one", "two"].map(room)) {
      const attempt = world.server.createAlias({ alias, roomId: again, creator: alice });
      expect(await errcodeOf(attempt)).toBe("M_ROOM_IN_USE");
    }
    await expect(world.server.getAlias(alias)).resolves.toEqual({ roomId: room("one") });
    await expect(world.server.getAliasesOf(room("one"))).resolves.toEqual([alias]);
    await expect(world.server.getAliasesOf(room("two"))).resolves.toEqual([]);
  });

  it("are removed by who made them or may manage the room's", async () => {
    const world = new World();
    const remove = (requester: typeof alice, mayManage: boolean) =>
      errcodeOf(world.server.deleteAlias({ alias, requester, mayManage }));
    expect(await remove(alice, true)).toBe("M_NOT_FOUND");
    await world.server.createAlias({ alias, roomId: room("one"), creator: alice });
    expect(await remove(bob, false)).toBe("M_FORBIDDEN");
    expect(await remove(bob, true)).toBe("none");
    await world.server.createAlias({ alias, roomId: room("one"), creator: alice });
    expect(await remove(alice, false)).toBe("none");
    expect(await errcodeOf(world.server.getAlias(alias))).toBe("M_NOT_FOUND");
  });

  it("of other servers or of an application service cannot be made", async () => {
    const exclusive = { namespaces: { aliases: [{ exclusive: true, regex: "#pub:.*" }] } };
    const world = new World({ APPSERVICES: JSON.stringify([exclusive]) });
    const attempt = (text: string) =>
      errcodeOf(world.server.createAlias({ alias: trusted.roomAlias(text), roomId: room("one"), creator: alice }));
    expect(await attempt(alias)).toBe("M_EXCLUSIVE");
    expect(await attempt("#pub2:elsewhere.test")).toBe("M_INVALID_PARAM");
    expect(await attempt(`#other:${serverName}`)).toBe("none");
  });
});

describe("limitAddress", () => {
  it("counts each address and each limit for itself", async () => {
    const world = new World({ RATE_LIMITS: "on" });
    const count = (address: string) => errcodeOf(world.server.limitAddress("rc_registration", address));
    for (let i = 0; i < 3; i += 1) expect(await count("192.0.2.1")).toBe("none");
    expect(await count("192.0.2.1")).toBe("M_LIMIT_EXCEEDED");
    expect(await count("192.0.2.2")).toBe("none");
    expect(await errcodeOf(world.server.limitAddress("rc_login.address", "192.0.2.1"))).toBe("none");
  });
});

describe("networkOf", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["not:an address", "not:an address"],
  ])("counts %s for %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe("rebuildDirectory", () => {
  it("visits every room and user, and passes over those that fail", async () => {
    const world = new World();
    for (const userId of [alice, bob]) await register(world, userId);
    const names = Array.from({ length: 40 }, (_, index) => `room${index}`);
    for (const name of names) await world.server.noteRoom(room(name));
    for (const name of names) await world.server.noteRoom(room(name));
    world.directory.exec("DELETE FROM directory_users");
    world.faults.push({ method: "room.rebuildDirectory", when: "before", times: 1 });
    await expect(world.server.rebuildDirectory()).resolves.toEqual({ rooms: 39, users: 2 });
    expect(new Set(world.rooms.rebuilt).size).toBe(39);
    expect(world.directory.prepare("SELECT user_id FROM directory_users").all()).toHaveLength(2);
    expect(world.logged.filter(({ message }) => message === "copy not rebuilt")).toHaveLength(1);
  });
});

describe("row budgets", () => {
  it("holds for what anonymous callers can make the server write", async () => {
    const world = new World({ REGISTRATION: "token" });
    await world.server.createRegistrationToken({ token: "t", usesAllowed: null, expiryTime: null });
    const cost = async (body: () => Promise<unknown>): Promise<number> => {
      const before = world.serverSql.usage.rowsWritten;
      await body();
      return world.serverSql.usage.rowsWritten - before;
    };
    // A row and its index.
    expect(await cost(() => world.server.startUia("b"))).toBeLessThanOrEqual(2);
    expect(await cost(() => world.server.createRegistrationNonce())).toBeLessThanOrEqual(2);
    expect(await cost(() => world.server.isRegistrationTokenValid("t"))).toBe(0);
    const admit = { userId: alice, registrationToken: "t", bySharedSecret: false };
    expect(await cost(() => world.server.admitRegistration(admit))).toBe(3);
    expect(await cost(() => world.server.admitRegistration(admit))).toBe(0);
  });
});
