import { describe, expect, it } from "vitest";
import { trusted } from "../../../shared/ids.ts";
import {
  alice,
  bob,
  device,
  errcodeOf,
  newSession,
  password,
  register,
  registration,
  room,
  serverName,
  World,
} from "./world.ts";

const named = (localpart: string) => trusted.userId(`@${localpart}:${serverName}`);
const joined = (name: string) => ({ roomId: room(name), head: 1, membership: "join", membershipPosition: 1 }) as const;

describe("register", () => {
  it("makes an account, a session and a row of the user directory", async () => {
    const world = new World();
    const session = await register(world, alice);
    expect(session).toMatchObject({ userId: alice, deviceId: "FIRST" });
    await expect(world.user(alice).rpc.getProfile()).resolves.toEqual({ displayname: "alice" });
    await expect(world.user(alice).rpc.exists()).resolves.toBe(true);
    const rows = world.directory.prepare("SELECT user_id, display_name, is_active FROM directory_users").all();
    expect(rows).toEqual([{ user_id: alice, display_name: "alice", is_active: 1 }]);
  });

  it("opens no session when none is wanted", async () => {
    const world = new World();
    const made = await world.user(alice).rpc.register(registration({ session: null }));
    expect(made).toEqual({ userId: alice, session: null });
    await expect(world.user(alice).rpc.getDevices()).resolves.toEqual([]);
  });

  it("lets exactly one of many registrations of a name win", async () => {
    const world = new World({ REGISTRATION: "token" });
    await world.server.createRegistrationToken({ token: "once", usesAllowed: 1, expiryTime: null });
    await world.server.createRegistrationToken({ token: "other", usesAllowed: 1, expiryTime: null });
    const attempts = Array.from({ length: 20 }, (_, index) =>
      errcodeOf(
        world.user(alice).rpc.register(registration({ registrationToken: index % 2 === 0 ? "once" : "other" })),
      ),
    );
    const outcomes = await Promise.all(attempts);
    expect(outcomes.filter((outcome) => outcome === "none")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "M_USER_IN_USE")).toHaveLength(19);
    await expect(world.server.getRegistrationToken("once")).resolves.toMatchObject({ completed: 1 });
    await expect(world.server.getRegistrationToken("other")).resolves.toMatchObject({ completed: 0 });
  });

  it("makes one user of a hundred parallel uses of a token for one", async () => {
    const world = new World({ REGISTRATION: "token" });
    await world.server.createRegistrationToken({ token: "once", usesAllowed: 1, expiryTime: null });
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        errcodeOf(world.user(named(`user${index}`)).rpc.register(registration({ registrationToken: "once" }))),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === "none")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "M_FORBIDDEN")).toHaveLength(99);
  });

  it("can be repeated after the server's answer was lost, without using the token twice", async () => {
    const world = new World({ REGISTRATION: "token" });
    await world.server.createRegistrationToken({ token: "once", usesAllowed: 1, expiryTime: null });
    world.faults.push({ method: "server.admitRegistration", when: "after", times: 1 });
    const attempt = () => world.user(alice).rpc.register(registration({ registrationToken: "once" }));
    await expect(attempt()).rejects.toThrow("lost");
    await expect(world.user(alice).rpc.exists()).resolves.toBe(false);
    await expect(attempt()).resolves.toMatchObject({ userId: alice });
    await expect(world.server.getRegistrationToken("once")).resolves.toMatchObject({ completed: 1 });
  });

  it("refuses without a token, and altogether when closed; the shared secret opens both", async () => {
    for (const mode of ["token", "closed"]) {
      const world = new World({ REGISTRATION: mode });
      expect(await errcodeOf(world.user(alice).rpc.register(registration()))).toBe("M_FORBIDDEN");
      const bySecret = registration({ bySharedSecret: true, isAdmin: true });
      await expect(world.user(alice).rpc.register(bySecret)).resolves.toMatchObject({ userId: alice });
    }
  });

  it.each([
    ["Alice", "M_INVALID_USERNAME"],
    ["al ice", "M_INVALID_USERNAME"],
    ["älice", "M_INVALID_USERNAME"],
    ["_alice", "M_INVALID_USERNAME"],
    ["12345", "M_INVALID_USERNAME"],
    ["irc_bridge_x", "M_EXCLUSIVE"],
    ["12345a", "none"],
    ["a.b_c=d-e/f+g", "none"],
  ])("answers the name %s with %s", async (localpart, expected) => {
    const exclusive = { namespaces: { users: [{ exclusive: true, regex: "@irc_.*" }] } };
    const world = new World({ APPSERVICES: JSON.stringify([exclusive]) });
    expect(await errcodeOf(world.user(named(localpart)).rpc.assertAvailable())).toBe(expected);
    expect(await errcodeOf(world.user(named(localpart)).rpc.register(registration()))).toBe(expected);
  });

  it("accepts user ids of 255 bytes and not of 256", async () => {
    const world = new World();
    const fixed = `@:${serverName}`.length;
    for (const [length, expected] of [
      [254, "none"],
      [255, "none"],
      [256, "M_INVALID_USERNAME"],
    ] as const) {
      const user = world.user(named("a".repeat(length - fixed)));
      expect(await errcodeOf(user.rpc.register(registration()))).toBe(expected);
    }
  });

  it("accepts passwords of 512 characters, not of 513, not empty ones, not lone surrogates", async () => {
    const world = new World();
    const attempt = (tried: string, name: string) =>
      errcodeOf(world.user(named(name)).rpc.register(registration({ password: tried })));
    expect(await attempt("p".repeat(511), "a")).toBe("none");
    expect(await attempt("p".repeat(512), "b")).toBe("none");
    expect(await attempt("p".repeat(513), "c")).toBe("M_INVALID_PARAM");
    expect(await attempt("", "d")).toBe("M_WEAK_PASSWORD");
    expect(await attempt("\ud800", "e")).toBe("M_INVALID_PARAM");
  });
});

describe("changePassword", () => {
  it("replaces the password and ends the other sessions only", async () => {
    const world = new World();
    const first = await register(world, alice);
    const { rpc } = world.user(alice);
    const second = await rpc.loginWithPassword({ password, session: newSession("SECOND") });
    await rpc.changePassword({ newPassword: "another", logoutDevices: true, keepDevice: device("FIRST") });
    const check = (accessToken: string) =>
      errcodeOf(rpc.authenticate({ accessToken, rateLimit: null, clientAddress: null }));
    expect(await check(first.accessToken)).toBe("none");
    expect(await check(second.accessToken)).toBe("M_UNKNOWN_TOKEN");
    expect(await errcodeOf(rpc.checkPassword(password))).toBe("M_FORBIDDEN");
    expect(await errcodeOf(rpc.checkPassword("another"))).toBe("none");
  });

  it("keeps the sessions when asked to", async () => {
    const world = new World();
    await register(world, alice);
    const { rpc } = world.user(alice);
    await rpc.changePassword({ newPassword: "another", logoutDevices: false, keepDevice: null });
    await expect(rpc.getDevices()).resolves.toHaveLength(1);
  });
});

describe("deactivate", () => {
  it("ends sessions, password, profile and directory entry, and keeps the name taken", async () => {
    const world = new World();
    const { accessToken } = await register(world, alice);
    const { rpc } = world.user(alice);
    await rpc.deactivate(false);
    await world.settled();
    const auth = { accessToken, rateLimit: null, clientAddress: null };
    expect(await errcodeOf(rpc.authenticate(auth))).toBe("M_UNKNOWN_TOKEN");
    expect(await errcodeOf(rpc.loginWithPassword({ password, session: newSession() }))).toBe("M_FORBIDDEN");
    expect(await errcodeOf(rpc.getProfile())).toBe("M_NOT_FOUND");
    expect(await errcodeOf(rpc.assertAvailable())).toBe("M_USER_IN_USE");
    await expect(rpc.exists()).resolves.toBe(false);
    expect(world.directory.prepare("SELECT is_active FROM directory_users").all()).toEqual([{ is_active: 0 }]);
  });

  it("leaves every room, however often that fails and whatever dies in between", async () => {
    const world = new World();
    await register(world, alice);
    const user = world.user(alice);
    for (const name of ["one", "two", "three"]) await user.rpc.roomAdvanced(joined(name));
    world.faults.push({ method: "room.changeMembership", when: "before", times: 4 });
    await user.rpc.deactivate(false);
    await world.settled();
    user.evict();
    await user.ring();
    await user.ring();
    const left = world.rooms.membershipChanges.map(({ roomId, input }) => [roomId, input.action, input.target]);
    expect(left.sort()).toEqual(["one", "three", "two"].map((name) => [room(name), "leave", alice]));
    expect(user.sql.all("SELECT * FROM obligations")).toEqual([]);
  });

  it("erases account data only when asked to", async () => {
    const world = new World();
    for (const [userId, isErased] of [
      [alice, false],
      [bob, true],
    ] as const) {
      await register(world, userId);
      await world.user(userId).rpc.setAccountData(null, "m.direct", {});
      await world.user(userId).rpc.deactivate(isErased);
      const rows = world.user(userId).sql.all("SELECT type FROM account_data");
      expect(rows).toHaveLength(isErased ? 0 : 1);
    }
  });
});

describe("devices", () => {
  it("are renamed, deleted, and forgotten with all that is theirs", async () => {
    const world = new World();
    await register(world, alice);
    const { rpc, sql } = world.user(alice);
    expect(await errcodeOf(rpc.updateDevice(device("OTHER"), "x"))).toBe("M_NOT_FOUND");
    await rpc.updateDevice(device("FIRST"), "d".repeat(100));
    expect(await errcodeOf(rpc.updateDevice(device("FIRST"), "d".repeat(101)))).toBe("M_INVALID_PARAM");
    await rpc.updateDevice(device("FIRST"), null);
    await expect(rpc.getDevice(device("FIRST"))).resolves.toMatchObject({ display_name: "d".repeat(100) });
    await rpc.deleteDevices([device("FIRST"), device("OTHER")]);
    for (const table of ["devices", "access_tokens", "refresh_tokens", "to_device_inbox"]) {
      expect(sql.all(`SELECT * FROM ${table}`)).toEqual([]);
    }
  });
});
