import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isObject, type JsonValue, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { countersignEvent, signEvent } from "../../shared/matrix/signing.ts";
import { Federation } from "../support/federation.ts";
import { rulesOf, user } from "../support/room-builder.ts";
import { type SharedRoom, shareRoom } from "../support/shared-room.ts";

const encode = encodeURIComponent;
const version = "12";
const rules = rulesOf(version);
const carol = user("@carol:peer.test");

let federation: Federation;
let shared: SharedRoom;

beforeEach(async () => {
  federation = new Federation();
  shared = await shareRoom(federation, version, { preset: "public_chat" });
});
afterEach(() => federation.close());

function make(userId: string) {
  const path = `/_matrix/federation/v1/make_leave/${encode(shared.roomId)}/${encode(userId)}`;
  return shared.peer.request(shared.server, "GET", path);
}

async function leaveOf(userId: string): Promise<MatrixEvent> {
  const made = await make(userId);
  expect(made.status, made.text).toBe(200);
  expect(made.body.room_version).toBe(version);
  const template = withFields(objectField(made.body, "event") ?? {}, { origin_server_ts: federation.clock.now() });
  return eventFromPdu(signEvent(template, rules, shared.peer.name, shared.peer.key), rules);
}

async function send(event: MatrixEvent, endpointVersion = "v2") {
  const path = `/_matrix/federation/${endpointVersion}/send_leave/${encode(shared.roomId)}/${encode(event.eventId)}`;
  const answer = await shared.peer.request(shared.server, "PUT", path, event.pdu);
  await federation.settle();
  return answer;
}

async function membership(userId: string): Promise<JsonValue | undefined> {
  const path = `v3/rooms/${encode(shared.roomId)}/state/m.room.member/${encode(userId)}`;
  return (await shared.alice.get(path)).body.membership;
}

describe("a leave by a user of another server", () => {
  it.each<[version: string, answer: JsonValue]>([
    ["v1", [200, {}]],
    ["v2", {}],
  ])("is taken by the endpoint of %s, and seen", async (endpointVersion, expected) => {
    await shared.alice.sync();
    const leave = await leaveOf(shared.bob);
    const answer = await send(leave, endpointVersion);
    expect([answer.status, answer.json]).toEqual([200, expected]);
    expect(await membership(shared.bob)).toBe("leave");
    expect(JSON.stringify(await shared.alice.sync())).toContain(leave.eventId);
  });

  it("is told to the other servers in the room", async () => {
    const dave = await federation.server("two.test").user("dave");
    expect((await dave.post(`v3/join/${encode(shared.roomId)}?via=one.test`)).status).toBe(200);
    await federation.advance(60_000);
    await dave.sync();
    const leave = await leaveOf(shared.bob);
    expect((await send(leave)).status).toBe(200);
    await federation.advance(60_000);
    expect(JSON.stringify(await dave.sync())).toContain(leave.eventId);
  });

  it("turns down an invite", async () => {
    shared.peer.on(/\/v2\/invite\//, async (request) => {
      const body: JsonValue = await request.json();
      const event = objectField(isObject(body) ? body : {}, "event") ?? {};
      return { event: countersignEvent(event, rules, shared.peer.name, shared.peer.key) };
    });
    const invited = await shared.alice.post(`v3/rooms/${encode(shared.roomId)}/invite`, { user_id: carol });
    expect(invited.status, invited.text).toBe(200);
    expect((await send(await leaveOf(carol))).status).toBe(200);
    expect(await membership(carol)).toBe("leave");
  });

  it("is answered a second time as the first", async () => {
    const leave = await leaveOf(shared.bob);
    expect((await send(leave)).json).toEqual({});
    expect((await send(leave)).json).toEqual({});
  });

  it("is not offered to who is not in the room, nor for others", async () => {
    expect((await make(carol)).status).toBe(403);
    expect((await make(shared.alice.userId)).status).toBe(403);
    const elsewhere = `/_matrix/federation/v1/make_leave/${encode("!nothing:one.test")}/${encode(shared.bob)}`;
    expect((await shared.peer.request(shared.server, "GET", elsewhere)).status).toBe(404);
  });

  it("is not offered, nor taken, from a server that the room has shut out", async () => {
    const leave = await leaveOf(shared.bob);
    const acl = { allow: ["*"], deny: ["peer.test"] };
    const set = await shared.alice.put(`v3/rooms/${encode(shared.roomId)}/state/m.room.server_acl`, acl);
    expect(set.status, set.text).toBe(200);
    expect((await make(shared.bob)).status).toBe(403);
    expect((await send(leave)).status).toBe(403);
    expect(await membership(shared.bob)).toBe("join");
  });
});
