import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { field, type JsonObject, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { signEvent } from "../../shared/matrix/signing.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { rulesOf, user } from "../support/room-builder.ts";
import { TestPeer } from "../support/test-peer.ts";

const encode = encodeURIComponent;
const bob = user("@bob:peer.test");

let federation: Federation;
let server: FederatedServer;
let alice: FederatedUser;
let peer: TestPeer;

beforeEach(async () => {
  federation = new Federation();
  server = federation.server("one.test");
  peer = new TestPeer(federation, "peer.test");
  alice = await server.user("alice");
});
afterEach(() => federation.close());

async function createRoom(joinRule: string, version: string): Promise<string> {
  const rule = { type: "m.room.join_rules", state_key: "", content: { join_rule: joinRule } };
  const body = { room_version: version, name: "Attic", initial_state: [rule] };
  const created = await alice.post("v3/createRoom", body);
  expect(created.status, created.text).toBe(200);
  return String(created.body.room_id);
}

function make(roomId: string, versions: readonly string[]) {
  const query = versions.map((version) => `ver=${version}`).join("&");
  const path = `/_matrix/federation/v1/make_knock/${encode(roomId)}/${encode(bob)}?${query}`;
  return peer.request(server, "GET", path);
}

async function knockOn(roomId: string, version: string): Promise<MatrixEvent> {
  const made = await make(roomId, [version]);
  expect(made.status, made.text).toBe(200);
  const template = withFields(objectField(made.body, "event") ?? {}, { origin_server_ts: federation.clock.now() });
  return eventFromPdu(signEvent(template, rulesOf(version), peer.name, peer.key), rulesOf(version));
}

function send(roomId: string, event: MatrixEvent) {
  const path = `/_matrix/federation/v1/send_knock/${encode(roomId)}/${encode(event.eventId)}`;
  return peer.request(server, "PUT", path, event.pdu);
}

describe("a knock by a user of another server", () => {
  it.each([
    ["7", "knock"],
    ["10", "knock_restricted"],
    ["12", "knock"],
  ])("is heard, and answered with what room it is, in room version %s (%s)", async (version, joinRule) => {
    const roomId = await createRoom(joinRule, version);
    await alice.sync();
    const knock = await knockOn(roomId, version);
    const answer = await send(roomId, knock);
    expect(answer.status, answer.text).toBe(200);
    const state = [field(answer.body, "knock_room_state") ?? []].flat() as JsonObject[];
    expect(state.map(({ type }) => type)).toEqual(["m.room.create", "m.room.name", "m.room.join_rules"]);
    for (const pdu of state) expect(eventFromPdu(pdu, rulesOf(version)).roomId).toBe(roomId);
    expect(JSON.stringify(await alice.sync())).toContain(knock.eventId);
    expect((await send(roomId, knock)).text).toBe(answer.text);
  });

  it("is not told what was redacted", async () => {
    const roomId = await createRoom("knock", "12");
    const path = `v3/rooms/${encode(roomId)}`;
    const topic = await alice.put(`${path}/state/m.room.topic`, { topic: "Secret" });
    const redacted = await alice.put(`${path}/redact/${encode(String(topic.body.event_id))}/t1`, {});
    expect(redacted.status, redacted.text).toBe(200);
    const answer = await send(roomId, await knockOn(roomId, "12"));
    expect(answer.status, answer.text).toBe(200);
    expect(answer.text).toContain("m.room.topic");
    expect(answer.text).not.toContain("Secret");
  });

  it("is answered as before when it comes again, whatever has become of it and of the room", async () => {
    const roomId = await createRoom("knock", "12");
    const knock = await knockOn(roomId, "12");
    const answer = await send(roomId, knock);
    expect(answer.text).toContain("Attic");
    const path = `v3/rooms/${encode(roomId)}`;
    for (const [type, content] of [
      ["m.room.name", { name: "Not for them" }],
      ["m.room.topic", { topic: "Not for them, either" }],
    ] as const) {
      expect((await alice.put(`${path}/state/${type}`, content)).status).toBe(200);
    }
    expect((await send(roomId, knock)).text).toBe(answer.text);
    expect((await alice.post(`${path}/ban`, { user_id: bob })).status).toBe(200);
    expect((await send(roomId, knock)).text).not.toContain("Not for them");
  });

  it.each([
    ["public", "12"],
    ["invite", "12"],
    ["knock", "6"],
  ])("is refused where the join rule is %s, in room version %s", async (joinRule, version) => {
    const roomId = await createRoom(joinRule, version);
    const made = await make(roomId, [version]);
    expect([made.status, made.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
  });

  it("is refused for a room version that the server does not know", async () => {
    const roomId = await createRoom("knock", "12");
    const made = await make(roomId, ["7", "8"]);
    expect([made.status, made.body.errcode]).toEqual([400, "M_INCOMPATIBLE_ROOM_VERSION"]);
    expect(made.body.room_version).toBe("12");
  });

  it("is offered to nobody who does not say which room versions they know", async () => {
    const answer = await make(await createRoom("knock", "12"), []);
    expect([answer.status, answer.body.errcode]).toEqual([400, "M_MISSING_PARAM"]);
  });

  it("is refused to who is banned, and says nothing of the room", async () => {
    const roomId = await createRoom("knock", "12");
    const knock = await knockOn(roomId, "12");
    expect((await alice.post(`v3/rooms/${encode(roomId)}/ban`, { user_id: bob })).status).toBe(200);
    expect((await make(roomId, ["12"])).status).toBe(403);
    const answer = await send(roomId, knock);
    expect([answer.status, answer.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    expect(answer.text).not.toContain("Attic");
  });
});
