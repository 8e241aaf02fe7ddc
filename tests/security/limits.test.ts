import { beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import { expectError, expectOk, path, roomOf, useHomeserver } from "../api/homeserver.ts";
import { type Reply, type TestUser, text } from "../support/client.ts";

const server = useHomeserver();
let user: TestUser;
let roomId: string;
beforeAll(async () => {
  user = await server.user("alice");
  roomId = await roomOf(user);
});

/** One less than the limit, the limit, one more; and whether that is allowed. */
const around = (limit: number): [number, boolean][] => [
  [limit - 1, true],
  [limit, true],
  [limit + 1, false],
];

/** Expects success where it is allowed, else this refusal. */
function expectWithin(isAllowed: boolean, reply: Reply, status: number, errcode: string): void {
  if (isAllowed) expectOk(reply);
  else expectError(reply, status, errcode);
}

/** `count` numbers that are four times as long once they are stored: 22 bytes each, with the comma. */
const swelling = (count: number): string => Array(count).fill("1e20").join(",");
const lengthOf = (json: string): number => JSON.stringify(JSON.parse(json)).length;

/** A JSON object whose stored form has so many bytes, and which is much shorter before. */
function swellingTo(bytes: number): string {
  const of = (padding: number) => `{"a":[${swelling(Math.floor(bytes / 30))}],"b":"${"x".repeat(padding)}"}`;
  return of(bytes - lengthOf(of(0)));
}

/** Nothing but nesting. */
const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;

const accountData = (type: string) => path`v3/user/${user.userId}/account_data/${type}`;
let txn = 0;
const nextTxn = () => {
  txn += 1;
  return `txn${txn}`;
};
const send = (raw: string) => user.request("PUT", path`v3/rooms/${roomId}/send/a.b/${nextTxn()}`, { raw });

describe("a body", () => {
  it.each(around(1_048_576))("of %i bytes: %s", async (bytes, isAllowed) => {
    const raw = JSON.stringify({ a: "x".repeat(bytes - '{"a":""}'.length) });
    expectWithin(isAllowed, await user.request("PUT", accountData("a.body"), { raw }), 413, "M_TOO_LARGE");
  });

  it.each(around(64))("that nests %i deep: %s", async (depth, isAllowed) => {
    const raw = nested(depth);
    expectWithin(isAllowed, await user.request("PUT", accountData("a.deep"), { raw }), 400, "M_NOT_JSON");
  });

  it("holds no number that would silently become null", async () => {
    for (const number of ["1e308", "-1e308", `${"1".repeat(308)}`, "1e-400", '"1e400"', "1E+0308"]) {
      expectOk(await user.request("PUT", accountData("a.number"), { raw: `{"a":${number}}` }));
      expect((await user.get(accountData("a.number"))).text).not.toContain("null");
    }
    for (const number of ["1e309", "-1e309", "1".repeat(310), `${"1".repeat(250)}e99`, "1E+0309"]) {
      const reply = await user.request("PUT", accountData("a.number"), { raw: `{"a":{"b":[${number}]}}` });
      expectError(reply, 400, "M_BAD_JSON");
    }
  });
});

describe("an event", () => {
  it.each(around(63))("with content that nests %i deep, itself around it: %s", async (depth, isAllowed) => {
    expectWithin(isAllowed, await send(nested(depth)), 400, "M_BAD_JSON");
  });

  it.each(around(2 ** 53 - 1))("with the integer %i, and the negative one: %s", async (number, isAllowed) => {
    expectWithin(isAllowed, await send(`{"a":${number}}`), 400, "M_BAD_JSON");
    expectWithin(isAllowed, await send(`{"a":[{"b":-${number}}]}`), 400, "M_BAD_JSON");
  });

  it("may be made too large by a reason, whoever gives it", async () => {
    const reason = "x".repeat(65_536);
    const bob = await server.user();
    const room = (action: string) => path`v3/rooms/${roomId}/${action}`;
    for (const action of ["invite", "ban", "unban", "kick"]) {
      if (action === "kick") expectOk(await bob.post(room("join"), {}));
      expectError(await user.post(room(action), { user_id: bob.userId, reason }), 413, "M_TOO_LARGE");
      expectOk(await user.post(room(action), { user_id: bob.userId, reason: reason.slice(0, 60_000) }));
    }
    expectError(await bob.post(room("join"), { reason }), 413, "M_TOO_LARGE");
    expectOk(await bob.post(room("join"), { reason: "hello" }));
    expectError(await bob.post(room("leave"), { reason }), 413, "M_TOO_LARGE");
    const eventId = text(await send("{}"), "event_id");
    const redact = path`v3/rooms/${roomId}/redact/${eventId}/${nextTxn()}`;
    expectError(await user.put(redact, { reason }), 413, "M_TOO_LARGE");
    expect((await user.get(path`v3/rooms/${roomId}/event/${eventId}`)).text).not.toContain("redacted_because");
  });
});

describe("a transaction id", () => {
  it.each(around(255))("of %i bytes: %s", async (bytes, isAllowed) => {
    const eventId = text(await send("{}"), "event_id");
    for (const txnId of ["t".repeat(bytes), `${"é".repeat(100)}${"t".repeat(bytes - 200)}`]) {
      const room = path`v3/rooms/${roomId}`;
      const sent = await user.put(`${room}/send/a.b/${encodeURIComponent(txnId)}`, {});
      expectWithin(isAllowed, sent, 400, "M_INVALID_PARAM");
      const redacted = await user.put(`${room}/redact/${encodeURIComponent(eventId)}/${encodeURIComponent(txnId)}`, {});
      expectWithin(isAllowed, redacted, 400, "M_INVALID_PARAM");
      const messages = { [user.userId]: { "*": {} } };
      expectWithin(isAllowed, await user.put(path`v3/sendToDevice/a.b/${txnId}`, { messages }), 400, "M_INVALID_PARAM");
    }
  });
});

describe("a device", () => {
  it.each(around(255))("with an id of %i bytes: %s", async (bytes, isAllowed) => {
    for (const deviceId of ["d".repeat(bytes), `${"é".repeat(100)}${"d".repeat(bytes - 200)}`]) {
      const request = { type: "m.login.password", user: "alice", password: user.password, device_id: deviceId };
      const reply = await server.anybody().post("v3/login", request);
      expectWithin(isAllowed, reply, 400, "M_INVALID_PARAM");
      expectWithin(isAllowed, await user.get(path`v3/devices/${deviceId}`), 400, "M_INVALID_PARAM");
      // A challenge is the answer to a good request.
      const deleted = await user.post("v3/delete_devices", { devices: [deviceId] });
      expect(deleted.status).toBe(isAllowed ? 401 : 400);
    }
  });

  it.each(around(100))("with a name of %i characters: %s", async (length, isAllowed) => {
    const name = "é".repeat(length);
    const session = { initial_device_display_name: name };
    const login = { type: "m.login.password", user: "alice", password: user.password, ...session };
    expectWithin(isAllowed, await server.anybody().post("v3/login", login), 400, "M_INVALID_PARAM");
    const register = { username: `name${length}`, auth: { type: "m.login.dummy" }, password: "password", ...session };
    expectWithin(isAllowed, await server.anybody().post("v3/register", register), 400, "M_INVALID_PARAM");
    const at = path`v3/devices/${user.deviceId}`;
    expectWithin(isAllowed, await user.put(at, { display_name: name }), 400, "M_INVALID_PARAM");
  });

  it.each(around(1000))("is one of %i that one request may delete: %s", async (count, isAllowed) => {
    const devices = Array.from({ length: count }, (_, index) => `D${index}`);
    expect((await user.post("v3/delete_devices", { devices })).status).toBe(isAllowed ? 401 : 400);
  });
});

describe("an identifier in a path or body", () => {
  const nameOf = (sigil: string, bytes: number) => `${sigil}${"a".repeat(bytes - 1 - ":localhost".length)}:localhost`;

  it.each(around(255))("of %i bytes: %s", async (bytes, isAllowed) => {
    const errcodes = (reply: Reply, errcode: string) =>
      expect(reply.body.errcode).toBe(isAllowed ? errcode : "M_INVALID_PARAM");
    const userId = nameOf("@", bytes);
    errcodes(await user.get(path`v3/profile/${userId}`), "M_NOT_FOUND");
    errcodes(await user.get(path`v3/rooms/${nameOf("!", bytes)}/state`), "M_FORBIDDEN");
    errcodes(await user.get(path`v3/directory/room/${nameOf("#", bytes)}`), "M_NOT_FOUND");
    errcodes(await user.get(path`v3/rooms/${roomId}/event/${`$${"a".repeat(bytes - 1)}`}`), "M_NOT_FOUND");
    const invite = await user.post(path`v3/rooms/${roomId}/invite`, { user_id: userId });
    expectWithin(isAllowed, invite, 400, "M_INVALID_PARAM");
    const made = await user.post("v3/createRoom", { invite: [userId] });
    expectWithin(isAllowed, made, 400, "M_INVALID_PARAM");
    const levels = { power_level_content_override: { users: { [userId]: 50 } } };
    expectWithin(isAllowed, await user.post("v3/createRoom", levels), 400, "M_INVALID_ROOM_STATE");
    const messages = { [userId]: { "*": {} } };
    const sent = await user.put(path`v3/sendToDevice/a.b/${nextTxn()}`, { messages });
    expectWithin(isAllowed, sent, 400, "M_INVALID_PARAM");
  });

  it.each([31, 32, 33, 100_000])("as a room version of %i characters is one that nobody knows", async (length) => {
    const reply = await user.post("v3/createRoom", { room_version: "1".repeat(length) });
    expectError(reply, 400, "M_UNSUPPORTED_ROOM_VERSION");
  });
});

describe("account data", () => {
  it.each(around(1_048_576))("of %i bytes as it is stored: %s", async (bytes, isAllowed) => {
    const raw = swellingTo(bytes);
    expect([lengthOf(raw), raw.length < bytes / 2]).toEqual([bytes, true]);
    expectWithin(isAllowed, await user.request("PUT", accountData("a.swelling"), { raw }), 413, "M_TOO_LARGE");
    const ofRoom = path`v3/user/${user.userId}/rooms/${roomId}/account_data/a.swelling`;
    expectWithin(isAllowed, await user.request("PUT", ofRoom, { raw }), 413, "M_TOO_LARGE");
  });

  it.each(around(1_048_576))("of all tags of a room, %i bytes together: %s", async (bytes, isAllowed) => {
    const tags = path`v3/user/${user.userId}/rooms/${roomId}/tags`;
    const half: JsonObject = { a: "x".repeat(500_000) };
    expectOk(await user.put(`${tags}/u.one`, half));
    expectOk(await user.delete(`${tags}/u.two`));
    const without = JSON.stringify({ tags: { "u.one": half, "u.two": { a: "" } } }).length;
    const other = { a: "x".repeat(bytes - without) };
    expectWithin(isAllowed, await user.put(`${tags}/u.two`, other), 413, "M_TOO_LARGE");
    expectOk(await user.delete(`${tags}/u.one`));
  });
});

describe("messages to one user's devices", () => {
  it.each(around(1_048_576))("of %i bytes together: %s", async (bytes, isAllowed) => {
    const each = swellingTo(65_000);
    const of = (padding: number) => {
      const devices = Array.from({ length: 16 }, (_, index) => `"D${index}":${each}`);
      return `{${devices.join(",")},"D":{"a":"${"x".repeat(padding)}"}}`;
    };
    const messages = of(bytes - lengthOf(of(0)));
    expect(lengthOf(messages)).toBe(bytes);
    const raw = `{"messages":{"${user.userId}":${messages}}}`;
    const reply = await user.request("PUT", path`v3/sendToDevice/a.b/${nextTxn()}`, { raw });
    expectWithin(isAllowed, reply, 413, "M_TOO_LARGE");
  });
});

describe("a filter in a query", () => {
  const encoded = (filter: string) => encodeURIComponent(filter);
  const reads = async (filter: string): Promise<Reply[]> => {
    const eventId = text(await send("{}"), "event_id");
    const room = path`v3/rooms/${roomId}`;
    return [
      await user.get(`v3/sync?filter=${encoded(filter)}`),
      await user.get(`${room}/messages?dir=b&filter=${encoded(filter)}`),
      await user.get(`${room}/context/${encodeURIComponent(eventId)}?filter=${encoded(filter)}`),
    ];
  };

  it.each(around(64))("that nests %i deep: %s", async (depth, isAllowed) => {
    for (const reply of await reads(nested(depth))) expectWithin(isAllowed, reply, 400, "M_INVALID_PARAM");
    for (const reply of await reads(`{"room":${nested(depth - 1)}}`)) {
      expectWithin(isAllowed, reply, 400, "M_INVALID_PARAM");
    }
  });

  it.each([5_000, 20_000])("that nests %i deep is refused, too", async (depth) => {
    const filter = `{"a":${"[".repeat(depth)}`;
    for (const reply of await reads(filter)) expectError(reply, 400, "M_INVALID_PARAM");
  });

  it("holds no half of a surrogate pair, and no number that no double holds", async () => {
    for (const filter of ['{"types":["\\ud800"]}', '{"limit":1e400}', '{"a":']) {
      for (const reply of await reads(filter)) expectError(reply, 400, "M_INVALID_PARAM");
    }
  });
});

describe("lists and numbers", () => {
  it.each(around(100))("of a search for rooms: %i types: %s", async (count, isAllowed) => {
    const filter = { room_types: Array.from({ length: count }, (_, index) => `type${index}`) };
    expectWithin(isAllowed, await user.post("v3/publicRooms", { filter }), 400, "M_INVALID_PARAM");
  });

  it.each(around(999_999_999_999_999))("of a query: a limit of %i: %s", async (limit, isAllowed) => {
    for (const at of [`v3/publicRooms?limit=${limit}`, `${path`v3/rooms/${roomId}/messages`}?dir=b&limit=${limit}`]) {
      expectWithin(isAllowed, await user.get(at), 400, "M_INVALID_PARAM");
    }
  });
});
