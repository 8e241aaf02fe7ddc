import { beforeAll, describe, expect, it } from "vitest";
import type { Endpoint } from "../../shared/endpoint.ts";
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { allEndpoints } from "../../workers/gateway/gateway.ts";
import { expectError, path, useHomeserver } from "../api/homeserver.ts";
import type { Reply, TestUser } from "../support/client.ts";
import {
  bodies,
  expectCleanLogs,
  freeContent,
  pathOf,
  type Scene,
  serverOptions,
  setScene,
  snapshotOf,
} from "./requests.ts";

const server = useHomeserver(serverOptions);
const canary = "between-you-and-me";
const takers = allEndpoints.filter(({ takesBody, auth }) => takesBody && auth !== "serverSignature");
/** A body is looked at only once the server that has signed it is known. */
const takersFromServers = allEndpoints.filter(({ takesBody, auth }) => takesBody && auth === "serverSignature");
let scene: Scene;
let before: Record<string, JsonValue>;

beforeAll(async () => {
  scene = await setScene(server, "");
  before = await snapshotOf(scene);
});

function send(endpoint: Endpoint, raw: string | Uint8Array<ArrayBuffer>): Promise<Reply> {
  const user: TestUser = endpoint.auth === "adminToken" ? scene.admin : scene.alice;
  return user.request(endpoint.method, pathOf(endpoint, scene.params), { raw });
}

const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;

const malformed: readonly [string, string | Uint8Array<ArrayBuffer>, number, string][] = [
  ["that ends early", `{"${canary}":`, 400, "M_NOT_JSON"],
  ["that is plain text", canary, 400, "M_NOT_JSON"],
  ["with two values", `{"${canary}":1}{}`, 400, "M_NOT_JSON"],
  ["that is not UTF-8", Uint8Array.of(0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d), 400, "M_NOT_JSON"],
  ["that nests 65 deep", nested(65), 400, "M_NOT_JSON"],
  ["that nests 10,000 deep", nested(10_000), 400, "M_NOT_JSON"],
  ["that is a list", `["${canary}"]`, 400, "M_BAD_JSON"],
  ["that is a string", `"${canary}"`, 400, "M_BAD_JSON"],
  ["that is a number", "1", 400, "M_BAD_JSON"],
  ["that is null", "null", 400, "M_BAD_JSON"],
  ["with half a surrogate pair in a value", `{"${canary}":"\\ud800"}`, 400, "M_BAD_JSON"],
  ["with half a surrogate pair in a key", `{"${canary}\\udc00":1}`, 400, "M_BAD_JSON"],
  ["with a number that no double holds", `{"${canary}":1e400}`, 400, "M_BAD_JSON"],
  ["of more than 1 MiB", JSON.stringify({ a: canary.padEnd(1_048_576, "x") }), 413, "M_TOO_LARGE"],
];

describe("a body", () => {
  it("is known here for each endpoint that takes one", () => {
    expect(Object.keys(bodies).sort()).toEqual(takers.map(({ operationId }) => operationId).sort());
  });

  it.each(malformed)("%s is refused everywhere", async (_name, raw, status, errcode) => {
    for (const endpoint of takers) {
      const reply = await send(endpoint, raw);
      expect([endpoint.operationId, reply.status, reply.body.errcode]).toEqual([endpoint.operationId, status, errcode]);
      expectError(reply, status, errcode);
    }
  });

  it.each(malformed)("%s is not even read without a server's signature", async (_name, raw) => {
    expect(takersFromServers.length).toBeGreaterThan(5);
    for (const endpoint of takersFromServers) expectError(await send(endpoint, raw), 401, "M_UNAUTHORIZED");
  });
});

/** One value of each type, and what it is called. */
const samples: Readonly<Record<string, JsonValue>> = {
  number: 7,
  string: canary,
  boolean: true,
  list: [canary],
  object: { [canary]: 1 },
};
const typeOf = (value: JsonValue): string => (Array.isArray(value) ? "list" : typeof value);

const wrongFields = takers
  .filter(({ operationId }) => !freeContent.includes(operationId))
  .flatMap((endpoint) =>
    Object.entries(bodies[endpoint.operationId] ?? {}).map(([name, right]) => ({ endpoint, name, right })),
  );

describe("a field", () => {
  it.each(wrongFields)("$endpoint.operationId: $name of a wrong type is refused", async ({ endpoint, name, right }) => {
    for (const [type, value] of Object.entries(samples)) {
      if (type === typeOf(right)) continue;
      const reply = await send(endpoint, JSON.stringify({ ...bodies[endpoint.operationId], [name]: value }));
      expect([type, reply.status]).toEqual([type, 400]);
      expect(["M_BAD_JSON", "M_INVALID_PARAM"]).toContain(reply.body.errcode);
      expect(reply.text).not.toContain(canary);
    }
  });

  it.each<[string, JsonObject]>([
    ["an invitee that is no text", { invite: [7] }],
    ["an invitee that is no user id", { invite: [canary] }],
    ["initial state that is no list of events", { initial_state: [canary] }],
    ["initial state without a type", { initial_state: [{ content: {} }] }],
    ["initial state without content", { initial_state: [{ type: "a.b" }] }],
    ["initial state with a state key that is no text", { initial_state: [{ type: "a.b", state_key: 1, content: {} }] }],
    ["initial state that is no canonical JSON", { initial_state: [{ type: "a.b", content: { a: 0.5 } }] }],
    ["levels that are no levels", { power_level_content_override: { users_default: canary } }],
    ["levels of somebody who is no user", { power_level_content_override: { users: { [canary]: 1 } } }],
    ["creators that are no users", { creation_content: { additional_creators: [canary] } }],
    ["a create event that is no canonical JSON", { creation_content: { a: 0.5 } }],
    ["an alias with a colon", { room_alias_name: `${canary}:x` }],
    ["a room version that does not exist", { room_version: canary }],
    ["a name beyond an event's size", { name: canary.padEnd(65_536, "x") }],
  ])("of createRoom: %s is refused", async (_name, body) => {
    const reply = await scene.alice.post("v3/createRoom", body);
    expect([400, 413]).toContain(reply.status);
    expectError(reply, reply.status, String(reply.body.errcode));
  });
});

describe("what is not there, or not allowed", () => {
  const nobody = "@nobody:localhost";
  const nowhere = `!${"A".repeat(43)}`;
  const nothing = `$${"A".repeat(43)}`;
  const stranger = (): TestUser => scene.carol;
  const member = (): TestUser => scene.bob;
  const own = { membership: "join" };

  it.each<[string, () => TestUser, string, (scene: Scene) => string, JsonObject | undefined, number, string]>([
    ["a message to no room", stranger, "PUT", () => path`v3/rooms/${nowhere}/send/a.b/1`, {}, 403, "M_FORBIDDEN"],
    ["a join of no room", stranger, "POST", () => path`v3/rooms/${nowhere}/join`, {}, 404, "M_NOT_FOUND"],
    [
      "an alias of no room",
      stranger,
      "PUT",
      () => "v3/directory/room/%23x:localhost",
      { room_id: nowhere },
      403,
      "M_FORBIDDEN",
    ],
    ["a message of a stranger", stranger, "PUT", (s) => path`v3/rooms/${s.roomId}/send/a.b/1`, {}, 403, "M_FORBIDDEN"],
    ["state of a stranger", stranger, "PUT", (s) => path`v3/rooms/${s.roomId}/state/a.b/c`, {}, 403, "M_FORBIDDEN"],
    [
      "a stranger's typing",
      stranger,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/typing/${s.carol.userId}`,
      { typing: true },
      403,
      "M_FORBIDDEN",
    ],
    [
      "a stranger's receipt",
      stranger,
      "POST",
      (s) => path`v3/rooms/${s.roomId}/receipt/m.read/${s.eventId}`,
      {},
      403,
      "M_FORBIDDEN",
    ],
    [
      "a stranger's redaction",
      stranger,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/redact/${s.eventId}/1`,
      {},
      403,
      "M_FORBIDDEN",
    ],
    ["a stranger's join", stranger, "POST", (s) => path`v3/rooms/${s.roomId}/join`, {}, 403, "M_FORBIDDEN"],
    [
      "a stranger's invite",
      stranger,
      "POST",
      (s) => path`v3/rooms/${s.roomId}/invite`,
      { user_id: nobody },
      403,
      "M_FORBIDDEN",
    ],
    ["a stranger's knock", stranger, "POST", (s) => path`v3/knock/${s.roomId}`, {}, 403, "M_FORBIDDEN"],
    [
      "a member's kick",
      member,
      "POST",
      (s) => path`v3/rooms/${s.roomId}/kick`,
      { user_id: "@alice:localhost" },
      403,
      "M_FORBIDDEN",
    ],
    [
      "a member's ban",
      member,
      "POST",
      (s) => path`v3/rooms/${s.roomId}/ban`,
      { user_id: "@alice:localhost" },
      403,
      "M_FORBIDDEN",
    ],
    [
      "a member's new name",
      member,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/state/m.room.name`,
      { name: canary },
      403,
      "M_FORBIDDEN",
    ],
    [
      "a member's new levels",
      member,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/state/m.room.power_levels`,
      {},
      403,
      "M_FORBIDDEN",
    ],
    [
      "a second beginning",
      member,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/state/m.room.create`,
      {},
      400,
      "M_INVALID_PARAM",
    ],
    [
      "another's membership",
      member,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/state/m.room.member/${nobody}`,
      own,
      403,
      "M_FORBIDDEN",
    ],
    [
      "a member without a key",
      member,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/send/m.room.member/1`,
      own,
      403,
      "M_FORBIDDEN",
    ],
    [
      "another's state",
      member,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/state/a.b/${s.alice.userId}`,
      {},
      403,
      "M_FORBIDDEN",
    ],
    [
      "another's listing",
      member,
      "PUT",
      (s) => path`v3/directory/list/room/${s.roomId}`,
      { visibility: "public" },
      403,
      "M_FORBIDDEN",
    ],
    [
      "another's typing",
      member,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/typing/${s.alice.userId}`,
      { typing: true },
      403,
      "M_FORBIDDEN",
    ],
    [
      "another's account data",
      member,
      "PUT",
      (s) => path`v3/user/${s.alice.userId}/account_data/a.b`,
      {},
      403,
      "M_FORBIDDEN",
    ],
    [
      "another's profile",
      member,
      "PUT",
      (s) => path`v3/profile/${s.alice.userId}/displayname`,
      { displayname: canary },
      403,
      "M_FORBIDDEN",
    ],
    [
      "another's tag",
      member,
      "PUT",
      (s) => path`v3/user/${s.alice.userId}/rooms/${s.roomId}/tags/a`,
      {},
      403,
      "M_FORBIDDEN",
    ],
    ["another's filter", member, "POST", (s) => path`v3/user/${s.alice.userId}/filter`, {}, 403, "M_FORBIDDEN"],
    [
      "another's device",
      member,
      "PUT",
      (s) => path`v3/devices/${s.alice.deviceId}`,
      { display_name: canary },
      404,
      "M_NOT_FOUND",
    ],
    [
      "a receipt of nothing",
      member,
      "POST",
      (s) => path`v3/rooms/${s.roomId}/receipt/m.read/${nothing}`,
      {},
      404,
      "M_NOT_FOUND",
    ],
    [
      "a marker at nothing",
      member,
      "POST",
      (s) => path`v3/rooms/${s.roomId}/read_markers`,
      { "m.fully_read": nothing },
      404,
      "M_NOT_FOUND",
    ],
    [
      "a redaction of nothing",
      member,
      "PUT",
      (s) => path`v3/rooms/${s.roomId}/redact/${nothing}/1`,
      {},
      404,
      "M_NOT_FOUND",
    ],
    ["the profile of nobody", member, "GET", () => path`v3/profile/${nobody}`, undefined, 404, "M_NOT_FOUND"],
    [
      "the admin's tokens",
      member,
      "GET",
      () => "/_synapse/admin/v1/registration_tokens",
      undefined,
      403,
      "M_FORBIDDEN",
    ],
    [
      "a user of elsewhere",
      member,
      "POST",
      (s) => path`v3/rooms/${s.roomId}/invite`,
      { user_id: "@a:elsewhere.invalid" },
      502,
      "M_UNKNOWN",
    ],
  ])("%s is refused", async (_name, who, method, at, body, status, errcode) => {
    const reply = await who().request(method, at(scene), body === undefined ? {} : { body });
    expectError(reply, status, errcode);
  });
});

// After all of the above.
describe("what was refused", () => {
  it("has changed nothing", async () => {
    expect(await snapshotOf(scene)).toEqual(before);
    expect((await scene.carol.get("v3/joined_rooms")).body).toEqual({ joined_rooms: [] });
    expect((await server.anybody().get("v3/register/available?username=newcomer")).body).toEqual({ available: true });
  });

  it("has left nothing of its content in the log, nor any error", () => {
    expect(server.logs.length).toBeGreaterThan(500);
    expectCleanLogs(server.logs, canary, scene.alice.accessToken ?? canary);
  });
});
