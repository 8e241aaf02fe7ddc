import { createHmac } from "node:crypto";
import { expect } from "vitest";
import type { Endpoint } from "../../shared/endpoint.ts";
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { expectOk, path, say, type TestServer } from "../api/homeserver.ts";
import { makeRoom, type TestUser, text } from "../support/client.ts";

/** What the servers of these tests are started with: all their endpoints are open. */
export const sharedSecret = "the secret of a test";
export const serverOptions = { env: { REGISTRATION_SHARED_SECRET: sharedSecret } };

/** People, a room and what is in it; every path's parameters name something that exists. */
export interface Scene {
  /** Made the room. */
  readonly alice: TestUser;
  /** A member without power. */
  readonly bob: TestUser;
  /** Never was in the room. */
  readonly carol: TestUser;
  readonly admin: TestUser;
  readonly roomId: string;
  readonly eventId: string;
  /** Of a path's parameters, by name; those of alice where they are somebody's. */
  readonly params: Readonly<Record<string, string>>;
}

/** Sets a scene. @param prefix of the people's names */
export async function setScene(server: TestServer, prefix: string): Promise<Scene> {
  const [alice, bob, carol] = await Promise.all(["alice", "bob", "carol"].map((name) => server.user(prefix + name)));
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error("nobody came");
  const admin = await registerAdmin(server, `${prefix}admin`);
  const roomId = await makeRoom(alice, { invite: [bob.userId], name: "Scene", room_alias_name: `${prefix}scene` });
  expectOk(await bob.post(path`v3/rooms/${roomId}/join`, {}));
  const eventId = await say(alice, roomId, "hello");
  const token = text(await admin.post("/_synapse/admin/v1/registration_tokens/new", {}), "token");
  const params = {
    roomId,
    eventId,
    token,
    roomIdOrAlias: roomId,
    userId: alice.userId,
    deviceId: alice.deviceId,
    roomAlias: `#${prefix}scene:localhost`,
    eventType: "a.b",
    stateKey: "key",
    txnId: "txn",
    type: "a.b",
    tag: "u.tag",
    keyName: "displayname",
    filterId: "1",
    kind: "override",
    ruleId: ".m.rule.master",
    receiptType: "m.read",
    authType: "m.login.registration_token",
  };
  return { alice, bob, carol, admin, roomId, eventId, params };
}

/** Registers an administrator of a server with {@link sharedSecret}. */
export async function registerAdmin(
  server: Pick<TestServer, "anybody" | "login">,
  username: string,
): Promise<TestUser> {
  const at = "/_synapse/admin/v1/register";
  const nonce = text(await server.anybody().get(at), "nonce");
  const password = "an admin's password";
  const covered = [nonce, username, password, "admin"].join("\0");
  const mac = createHmac("sha1", sharedSecret).update(covered).digest("hex");
  expectOk(await server.anybody().post(at, { nonce, username, password, admin: true, mac }));
  return server.login(username, password);
}

/** The path of an endpoint with its parameters encoded in it. */
export function pathOf(endpoint: Endpoint, params: Readonly<Record<string, string>>): string {
  return endpoint.path.replace(/:(\w+)/g, (_, name: string) => {
    const value = params[name];
    if (value === undefined) throw new Error(`${endpoint.operationId}: what is a ${name}?`);
    return encodeURIComponent(value);
  });
}

/** Content of a client's own choosing: whatever object it is, is right. */
export const freeContent = ["sendMessage", "setAccountData", "setAccountDataPerRoom", "setRoomStateWithKey"];

const uia = { auth: {} };
const membership = { user_id: "@somebody:localhost", reason: "because" };
const ownMembership = { reason: "because", third_party_signed: {} };
const session = { device_id: "DEVICE", initial_device_display_name: "Phone", refresh_token: false };
const marker = `$${"A".repeat(43)}`;

/** A body for each endpoint that takes one, with every field that it knows, each of its right type. */
export const bodies: Readonly<Record<string, JsonObject>> = {
  ...Object.fromEntries(freeContent.map((operationId) => [operationId, { body: "text" }])),
  setTyping: { typing: true, timeout: 1000 },
  postReceipt: { thread_id: "main" },
  setReadMarker: { "m.fully_read": marker, "m.read": marker, "m.read.private": marker },
  deactivateAccount: { erase: false, ...uia },
  ban: membership,
  unban: membership,
  kick: membership,
  inviteUser: { ...membership, medium: "email" },
  joinRoom: ownMembership,
  joinRoomById: ownMembership,
  knockRoom: ownMembership,
  leaveRoom: ownMembership,
  createRoom: {
    visibility: "private",
    room_alias_name: "alias",
    name: "Name",
    topic: "Topic",
    invite: [],
    invite_3pid: [],
    room_version: "12",
    creation_content: {},
    initial_state: [],
    preset: "private_chat",
    is_direct: false,
    power_level_content_override: {},
  },
  deleteDevice: uia,
  deleteDevices: { devices: ["DEVICE"], ...uia },
  updateDevice: { display_name: "Phone" },
  upgradeRoom: { new_version: "12", additional_creators: [] },
  setRoomAlias: { room_id: "!a:localhost" },
  defineFilter: { event_fields: [], event_format: "client", presence: {}, account_data: {}, room: {} },
  queryPublicRooms: { limit: 1, since: "x", filter: {}, third_party_instance_id: "irc" },
  setRoomVisibilityOnDirectory: { visibility: "private" },
  login: { type: "m.login.password", identifier: {}, user: "somebody", password: "password", ...session },
  changePassword: { new_password: "password", logout_devices: false, ...uia },
  setProfileField: { displayname: "Name" },
  redactEvent: { reason: "because" },
  refresh: { refresh_token: "token" },
  register: { username: "newcomer", password: "password", inhibit_login: false, ...session, ...uia },
  setRoomTag: { order: 0.5 },
  sendToDevice: { messages: {} },
  onBindThirdPartyIdentifier: { mxid: "@somebody:localhost", invites: [] },
  bulkPerspectivesKeyQuery: { server_keys: {} },
  searchUserDirectory: { search_term: "term", limit: 1 },
  proveByFallback: { token: "token" },
  registerBySharedSecret: {
    nonce: "nonce",
    username: "newcomer",
    password: "password",
    displayname: "Name",
    admin: false,
    user_type: "bot",
    mac: "mac",
  },
  createRegistrationToken: { token: "token", uses_allowed: 1, expiry_time: 1, length: 1 },
  updateRegistrationToken: { uses_allowed: 1, expiry_time: 1 },
};

/** All that requests of alice could have changed: her account, and the room as she sees it. */
export async function snapshotOf({ alice, roomId, params }: Scene): Promise<Record<string, JsonValue>> {
  const sync = (await alice.get("v3/sync?full_state=true")).body;
  const pages = {
    devices: "v3/devices",
    rooms: "v3/joined_rooms",
    profile: path`v3/profile/${alice.userId}`,
    state: path`v3/rooms/${roomId}/state`,
    history: `${path`v3/rooms/${roomId}/messages`}?dir=b&limit=1000`,
    aliases: path`v3/rooms/${roomId}/aliases`,
    alias: path`v3/directory/room/${params.roomAlias ?? ""}`,
    listed: path`v3/directory/list/room/${roomId}`,
    tags: path`v3/user/${alice.userId}/rooms/${roomId}/tags`,
  };
  const snapshot: Record<string, JsonValue> = {
    accountData: sync.account_data ?? null,
    joined: sync.rooms ?? null,
  };
  for (const [name, at] of Object.entries(pages)) {
    const reply = await alice.get(at);
    expectOk(reply);
    snapshot[name] = withoutAge(reply.json);
  }
  snapshot.joined = withoutAge(snapshot.joined ?? null);
  return snapshot;
}

/** What time alone changes is left out. */
function withoutAge(value: JsonValue): JsonValue {
  return JSON.parse(JSON.stringify(value, (key, entry: JsonValue) => (key === "age" ? undefined : entry)));
}

/** Expects a server that has come to no harm: nothing of a bug in the log, and nothing of what was said. */
export function expectCleanLogs(logs: readonly string[], ...secrets: readonly string[]): void {
  expect(logs.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  const all = logs.join("\n");
  for (const secret of secrets) expect(all).not.toContain(secret);
}
