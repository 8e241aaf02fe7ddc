/** Two homeservers as `npm start` runs them, over TLS: what is done in one process elsewhere must also hold on the wire. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type FederatedHomeserver, startFederatedHomeservers } from "../support/federated-homeservers.ts";

let servers: FederatedHomeserver[];

beforeAll(async () => {
  servers = await startFederatedHomeservers(2, { env: { REGISTRATION: "open", RATE_LIMITS: "off" } });
}, 120_000);
afterAll(() => Promise.all((servers ?? []).map((server) => server.stop())));

interface Person {
  readonly userId: string;
  request(method: string, path: string, body?: object): Promise<{ status: number; text: string }>;
}

async function person(index: number, name: string): Promise<Person> {
  const server = servers[index];
  if (server === undefined) throw new Error("no such server");
  const call = async (method: string, path: string, body: object | undefined, token: string | null) => {
    const headers: Record<string, string> = token === null ? {} : { Authorization: `Bearer ${token}` };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const response = await fetch(`${server.baseUrl}/_matrix/client/${path}`, init);
    return { status: response.status, text: await response.text() };
  };
  const body = { username: name, password: "a good password", auth: { type: "m.login.dummy" } };
  const registered = await call("POST", "v3/register", body, null);
  const { user_id: userId, access_token: token } = JSON.parse(registered.text);
  return { userId, request: (method, path, content) => call(method, path, content, token) };
}

it("join, invite, knock and leave across servers", async () => {
  const alice = await person(0, "alice");
  const bob = await person(1, "bob");
  const via = servers[0]?.federationPort;
  const made = await alice.request("POST", "v3/createRoom", { preset: "public_chat", name: "Attic" });
  const roomId: string = JSON.parse(made.text).room_id;
  const joined = await bob.request("POST", `v3/join/${encodeURIComponent(roomId)}?via=localhost:${via}`, {});
  expect(joined.status, joined.text).toBe(200);
  const name = await bob.request("GET", `v3/rooms/${encodeURIComponent(roomId)}/state/m.room.name`);
  expect(name.text).toBe('{"name":"Attic"}');
  const members = await alice.request("GET", `v3/rooms/${encodeURIComponent(roomId)}/joined_members`);
  expect(members.text).toContain(bob.userId);

  const direct = await alice.request("POST", "v3/createRoom", { preset: "private_chat", invite: [bob.userId] });
  const inviting: string = JSON.parse(direct.text).room_id;
  const shownInvite = await bob.request("GET", "v3/sync");
  expect(shownInvite.text).toContain("invite_state");
  const accepted = await bob.request("POST", `v3/rooms/${encodeURIComponent(inviting)}/join`, {});
  expect(accepted.status, accepted.text).toBe(200);

  const rules = { type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } };
  const other = await alice.request("POST", "v3/createRoom", { preset: "private_chat", initial_state: [rules] });
  const knockable: string = JSON.parse(other.text).room_id;
  const knocked = await bob.request("POST", `v3/knock/${encodeURIComponent(knockable)}?via=localhost:${via}`, {});
  expect(knocked.status, knocked.text).toBe(200);
  const shown = await bob.request("GET", "v3/sync");
  expect(shown.text).toContain("knock_state");
  const left = await bob.request("POST", `v3/rooms/${encodeURIComponent(knockable)}/leave`, {});
  expect(left.status, left.text).toBe(200);
}, 60_000);
