import { describe, expect, it } from "vitest";
import { parseAccessToken } from "../../../shared/access-token.ts";
import { MatrixError } from "../../../shared/errors.ts";
import type { SessionTokens, UserAuth } from "../../../shared/rpc/user.ts";
import { alice, device, errcodeOf, newSession, password, register, registration, World } from "./world.ts";

const authenticate = (world: World, accessToken: string): Promise<UserAuth> =>
  world.user(alice).rpc.authenticate({ accessToken, rateLimit: null, clientAddress: "192.0.2.1" });

const refreshable = (world: World): Promise<SessionTokens> => register(world, alice, newSession("FIRST", true));

function refreshTokenOf(tokens: SessionTokens): string {
  if (tokens.refreshToken === null) throw new Error("no refresh token");
  return tokens.refreshToken;
}

function countTokens(world: World): number {
  const query = "SELECT (SELECT COUNT(*) FROM access_tokens) + (SELECT COUNT(*) FROM refresh_tokens) AS count";
  return world.user(alice).sql.one<{ count: number }>(query)?.count ?? 0;
}

async function errorOf(promise: Promise<unknown>): Promise<MatrixError> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof MatrixError) return thrown;
    throw thrown;
  }
  throw new Error("it was not refused");
}

describe("loginWithPassword", () => {
  it("opens a session on a new device", async () => {
    const world = new World();
    await register(world, alice);
    const tokens = await world.user(alice).rpc.loginWithPassword({ password, session: newSession() });
    expect(tokens.deviceId).toMatch(/^[A-Z]{10}$/);
    expect(tokens).toMatchObject({ userId: alice, refreshToken: null, expiresInMs: null });
    await expect(authenticate(world, tokens.accessToken)).resolves.toEqual({
      userId: alice,
      deviceId: tokens.deviceId,
      isAdmin: false,
      isGuest: false,
    });
    await expect(world.user(alice).rpc.getDevices()).resolves.toHaveLength(2);
  });

  it("invalidates the tokens that a device had, and keeps the device", async () => {
    const world = new World();
    const first = await register(world, alice);
    await world.user(alice).rpc.updateDevice(device("FIRST"), "phone");
    const second = await world.user(alice).rpc.loginWithPassword({ password, session: newSession("FIRST") });
    expect(await errcodeOf(authenticate(world, first.accessToken))).toBe("M_UNKNOWN_TOKEN");
    await expect(authenticate(world, second.accessToken)).resolves.toMatchObject({ deviceId: "FIRST" });
    await expect(world.user(alice).rpc.getDevice(device("FIRST"))).resolves.toMatchObject({ display_name: "phone" });
  });

  it("gives an unknown user and a wrong password the same answer", async () => {
    const world = new World();
    const login = { password: "wrong", session: newSession() };
    const unknown = await errorOf(world.user(alice).rpc.loginWithPassword(login));
    await register(world, alice);
    const wrong = await errorOf(world.user(alice).rpc.loginWithPassword(login));
    expect([unknown.status, unknown.errcode, unknown.message]).toEqual([wrong.status, wrong.errcode, wrong.message]);
    expect(wrong.errcode).toBe("M_FORBIDDEN");
  });

  it("tells passwords apart behind the length that they have in UTF-16 units", async () => {
    const world = new World();
    await world.user(alice).rpc.register(registration({ password: "пароль-длинный-1" }));
    const login = (tried: string) =>
      world.user(alice).rpc.loginWithPassword({ password: tried, session: newSession() });
    expect(await errcodeOf(login("пароль-длинный-2"))).toBe("M_FORBIDDEN");
    expect(await errcodeOf(login("пароль-д"))).toBe("M_FORBIDDEN");
    expect(await errcodeOf(login("пароль-длинный-1"))).toBe("none");
  });

  it("limits failed attempts and logins of one account", async () => {
    const world = new World({ RATE_LIMITS: "on" });
    await register(world, alice);
    const login = (tried: string) =>
      world.user(alice).rpc.loginWithPassword({ password: tried, session: newSession() });
    for (let i = 0; i < 3; i += 1) expect(await errcodeOf(login("wrong"))).toBe("M_FORBIDDEN");
    expect(await errcodeOf(login(password))).toBe("M_LIMIT_EXCEEDED");
    world.clock.advance(60_000);
    for (let i = 0; i < 5; i += 1) expect(await errcodeOf(login(password))).toBe("none");
    expect(await errcodeOf(login(password))).toBe("M_LIMIT_EXCEEDED");
  });

  it("counts failed attempts also when they come all at once", async () => {
    const world = new World({ RATE_LIMITS: "on" });
    await register(world, alice);
    const attempts = Array.from({ length: 50 }, () => errcodeOf(world.user(alice).rpc.checkPassword("wrong")));
    const outcomes = await Promise.all(attempts);
    expect(outcomes.filter((outcome) => outcome === "M_FORBIDDEN")).toHaveLength(3);
    expect(outcomes.filter((outcome) => outcome === "M_LIMIT_EXCEEDED")).toHaveLength(47);
  });

  it("drops the device unseen for longest beyond 200", async () => {
    const world = new World();
    await register(world, alice);
    const login = () => world.user(alice).rpc.loginWithPassword({ password, session: newSession() });
    for (let i = 0; i < 199; i += 1) {
      world.clock.advance(1);
      await login();
    }
    await expect(world.user(alice).rpc.getDevice(device("FIRST"))).resolves.toBeDefined();
    await login();
    expect(await errcodeOf(world.user(alice).rpc.getDevice(device("FIRST")))).toBe("M_NOT_FOUND");
    await expect(world.user(alice).rpc.getDevices()).resolves.toHaveLength(200);
  });

  it("accepts device ids of 255 bytes and not of 256", async () => {
    const world = new World();
    await register(world, alice);
    const login = (id: string) => world.user(alice).rpc.loginWithPassword({ password, session: newSession(id) });
    expect(await errcodeOf(login("d".repeat(254)))).toBe("none");
    expect(await errcodeOf(login("d".repeat(255)))).toBe("none");
    expect(await errcodeOf(login("d".repeat(256)))).toBe("M_INVALID_PARAM");
    expect(await errcodeOf(login(""))).toBe("M_INVALID_PARAM");
  });
});

describe("authenticate", () => {
  it("refuses what is no token, another user's token and a token whose secret is wrong", async () => {
    const world = new World();
    const { accessToken } = await register(world, alice);
    const secret = parseAccessToken(accessToken)?.secret ?? "";
    const forged = accessToken.replace(secret, `${secret[0] === "A" ? "B" : "A"}${secret.slice(1)}`);
    for (const token of ["", " ", "null", "tsr_", forged, `${accessToken}x`]) {
      expect(await errcodeOf(authenticate(world, token))).toBe("M_UNKNOWN_TOKEN");
    }
  });

  it("writes nothing, but when the device was last seen once an hour", async () => {
    const world = new World();
    const { accessToken } = await register(world, alice);
    const { sql } = world.user(alice);
    const writesOf = async (): Promise<number> => {
      const before = sql.usage.rowsWritten;
      await authenticate(world, accessToken);
      return sql.usage.rowsWritten - before;
    };
    expect(await writesOf()).toBe(0);
    world.clock.advance(60 * 60 * 1000 - 1);
    expect(await writesOf()).toBe(0);
    world.clock.advance(1);
    expect(await writesOf()).toBe(1);
    expect(await writesOf()).toBe(0);
    await expect(world.user(alice).rpc.getDevice(device("FIRST"))).resolves.toMatchObject({
      last_seen_ip: "192.0.2.1",
      last_seen_ts: world.clock.now(),
    });
  });

  it("counts requests against the user's rate limit", async () => {
    const world = new World({ RATE_LIMITS: "on" });
    const { accessToken } = await register(world, alice);
    const send = () =>
      world.user(alice).rpc.authenticate({ accessToken, rateLimit: "rc_message", clientAddress: null });
    for (let i = 0; i < 10; i += 1) await send();
    const refused = await errorOf(send());
    expect(refused).toMatchObject({ status: 429, errcode: "M_LIMIT_EXCEEDED", extra: { retry_after_ms: 5000 } });
    world.clock.advance(5000);
    await expect(send()).resolves.toBeDefined();
  });

  it("ends with logout, at once and for that device only", async () => {
    const world = new World();
    const first = await register(world, alice);
    const second = await world.user(alice).rpc.loginWithPassword({ password, session: newSession("SECOND") });
    const held = world.user(alice).hold(device("FIRST"));
    await world.user(alice).rpc.logout(device("FIRST"));
    expect(await errcodeOf(authenticate(world, first.accessToken))).toBe("M_UNKNOWN_TOKEN");
    expect(held.told).toHaveLength(1);
    await expect(authenticate(world, second.accessToken)).resolves.toBeDefined();
    await world.user(alice).rpc.logoutAll();
    expect(await errcodeOf(authenticate(world, second.accessToken))).toBe("M_UNKNOWN_TOKEN");
    await expect(world.user(alice).rpc.getDevices()).resolves.toEqual([]);
  });
});

describe("refresh", () => {
  it("soft-logs out when the access token has expired, and gives a new pair", async () => {
    const world = new World();
    const first = await refreshable(world);
    expect(first.expiresInMs).toBe(3_600_000);
    world.clock.advance(3_600_000 - 1);
    await expect(authenticate(world, first.accessToken)).resolves.toBeDefined();
    world.clock.advance(1);
    const refused = await errorOf(authenticate(world, first.accessToken));
    expect(refused).toMatchObject({ status: 401, errcode: "M_UNKNOWN_TOKEN", extra: { soft_logout: true } });
    const second = await world.user(alice).rpc.refresh(refreshTokenOf(first));
    await expect(authenticate(world, second.accessToken)).resolves.toMatchObject({ deviceId: "FIRST" });
  });

  it("can be repeated with the old token until the new pair is used", async () => {
    const world = new World();
    const first = await refreshable(world);
    await world.user(alice).rpc.refresh(refreshTokenOf(first));
    world.clock.advance(24 * 3_600_000);
    const repeated = await world.user(alice).rpc.refresh(refreshTokenOf(first));
    await expect(authenticate(world, repeated.accessToken)).resolves.toBeDefined();
  });

  it.each(["access token", "refresh token"])("spends the old token when the new %s is used", async (used) => {
    const world = new World();
    const first = await refreshable(world);
    const second = await world.user(alice).rpc.refresh(refreshTokenOf(first));
    let newest = second;
    if (used === "access token") await authenticate(world, second.accessToken);
    else newest = await world.user(alice).rpc.refresh(refreshTokenOf(second));

    // Within the grace, two tabs of one client may both have held it.
    world.clock.advance(60_000);
    expect(await errcodeOf(world.user(alice).rpc.refresh(refreshTokenOf(first)))).toBe("none");
    await expect(authenticate(world, newest.accessToken)).resolves.toBeDefined();
    world.clock.advance(1);
    expect(await errcodeOf(world.user(alice).rpc.refresh(refreshTokenOf(first)))).toBe("M_UNKNOWN_TOKEN");
  });

  it("ends every token of the device when a spent token comes back, and keeps the device", async () => {
    const world = new World();
    const first = await refreshable(world);
    const second = await world.user(alice).rpc.refresh(refreshTokenOf(first));
    await authenticate(world, second.accessToken);
    world.clock.advance(60_001);
    const refused = await errorOf(world.user(alice).rpc.refresh(refreshTokenOf(first)));
    expect(refused.extra).toEqual({ soft_logout: true });
    expect(await errcodeOf(authenticate(world, second.accessToken))).toBe("M_UNKNOWN_TOKEN");
    expect(await errcodeOf(world.user(alice).rpc.refresh(refreshTokenOf(second)))).toBe("M_UNKNOWN_TOKEN");
    await expect(world.user(alice).rpc.getDevices()).resolves.toHaveLength(1);
  });

  it("leaves one line of descent alive in a thousand races", async () => {
    const world = new World();
    let current = await refreshable(world);
    let loser = current;
    for (let i = 0; i < 1000; i += 1) {
      const [a, b] = await Promise.all([1, 2].map(() => world.user(alice).rpc.refresh(refreshTokenOf(current))));
      if (a === undefined || b === undefined) throw new Error("no pairs");
      [current, loser] = i % 2 === 0 ? [a, b] : [b, a];
      await authenticate(world, current.accessToken);
      world.clock.advance(60_001);
    }
    expect(await errcodeOf(authenticate(world, loser.accessToken))).toBe("M_UNKNOWN_TOKEN");
    expect(await errcodeOf(world.user(alice).rpc.refresh(refreshTokenOf(loser)))).toBe("M_UNKNOWN_TOKEN");
    await expect(authenticate(world, current.accessToken)).resolves.toBeDefined();
    expect(countTokens(world)).toBeLessThanOrEqual(2 * (1000 + 60));
  });

  it("keeps at most eight unused pairs of one refresh token", async () => {
    const world = new World();
    const first = await refreshable(world);
    for (let i = 0; i < 50; i += 1) {
      world.clock.advance(1);
      await world.user(alice).rpc.refresh(refreshTokenOf(first));
    }
    expect(countTokens(world)).toBe(2 + 2 * 8);
  });

  it("forgets spent tokens after a week", async () => {
    const world = new World();
    let current = await refreshable(world);
    for (let i = 0; i < 40; i += 1) {
      current = await world.user(alice).rpc.refresh(refreshTokenOf(current));
      world.clock.advance(24 * 3_600_000);
    }
    expect(countTokens(world)).toBeLessThan(25);
  });

  it("refuses an access token, and authenticate a refresh token", async () => {
    const world = new World();
    const first = await refreshable(world);
    expect(await errcodeOf(world.user(alice).rpc.refresh(first.accessToken))).toBe("M_UNKNOWN_TOKEN");
    expect(await errcodeOf(authenticate(world, refreshTokenOf(first)))).toBe("M_UNKNOWN_TOKEN");
  });
});

describe("the database", () => {
  it("holds no password, token or secret", async () => {
    const world = new World();
    const tokens = await refreshable(world);
    const second = await world.user(alice).rpc.refresh(refreshTokenOf(tokens));
    const secrets = [tokens.accessToken, refreshTokenOf(tokens), second.accessToken, password];
    secrets.push(...secrets.slice(0, 3).map((token) => token.slice(-50, -7)));
    for (const sql of [world.user(alice).sql, world.serverSql]) {
      const tables = sql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'");
      for (const { name } of tables) {
        const dump = JSON.stringify(sql.all(`SELECT * FROM ${name}`), (_key, value: unknown) =>
          value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value,
        );
        for (const secret of secrets) expect(dump).not.toContain(secret);
      }
    }
    expect(JSON.stringify(world.logged)).not.toContain(password);
  });
});
