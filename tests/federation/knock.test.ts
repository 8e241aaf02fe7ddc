import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isObject, type JsonObject, objectField } from "../../shared/json.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";

let federation: Federation;
let alice: FederatedUser;
let bob: FederatedUser;
let two: FederatedServer;
let roomId: string;

beforeEach(async () => {
  federation = new Federation();
  two = federation.server("two.test");
  alice = await federation.server("one.test").user("alice");
  bob = await two.user("bob");
  roomId = await createRoom("12");
});
afterEach(() => federation.close());

async function createRoom(version: string, joinRule = "knock"): Promise<string> {
  const made = await alice.post("v3/createRoom", {
    room_version: version,
    preset: "private_chat",
    name: "Attic",
    initial_state: [{ type: "m.room.join_rules", state_key: "", content: { join_rule: joinRule } }],
  });
  expect(made.status, made.text).toBe(200);
  return String(made.body.room_id);
}

async function knock(person = bob, room = roomId) {
  const reply = await person.post(`v3/knock/${encodeURIComponent(room)}?via=one.test`, { reason: "please" });
  await federation.settle();
  return reply;
}

async function sectionOf(person: FederatedUser, place: string, room = roomId): Promise<JsonObject | null> {
  const rooms = objectField(await person.sync(), "rooms") ?? {};
  const sections = rooms[place];
  return sections !== undefined && isObject(sections) ? objectField(sections, room) : null;
}

const own = () => encodeURIComponent(roomId);

describe("knockRoom, by way of another server", () => {
  it.each(["7", "10", "11", "12"])("is seen in the room and shown with its state, in version %s", async (version) => {
    const room = await createRoom(version);
    await bob.sync();
    const knocked = await knock(bob, room);
    expect(knocked.text).toBe(JSON.stringify({ room_id: room }));
    const shown = JSON.stringify(await sectionOf(bob, "knock", room));
    for (const part of ["m.room.create", "Attic", '"membership":"knock"', "please"]) expect(shown).toContain(part);
    const member = await alice.get(`v3/rooms/${encodeURIComponent(room)}/state/m.room.member/${bob.userId}`);
    expect(member.body).toEqual({ membership: "knock", displayname: "bob", reason: "please" });
  });

  it("is refused where the room does not allow it, by what its server says", async () => {
    const room = await createRoom("12", "invite");
    const refused = await knock(bob, room);
    expect([refused.status, refused.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    const nowhere = await knock(bob, `!${"a".repeat(43)}`);
    expect([nowhere.status, nowhere.body.errcode]).toEqual([502, "M_UNKNOWN"]);
  });

  it("is taken back by leaving", async () => {
    await bob.sync();
    await knock();
    await bob.sync();
    expect((await bob.post(`v3/rooms/${own()}/leave`)).status).toBe(200);
    await federation.settle();
    const member = await alice.get(`v3/rooms/${own()}/state/m.room.member/${bob.userId}`);
    expect(member.body.membership).toBe("leave");
    expect(await sectionOf(bob, "leave")).not.toBeNull();
    expect((await knock()).status).toBe(200);
    expect(await sectionOf(bob, "knock")).not.toBeNull();
  });

  it("is turned down by a kick", async () => {
    await knock();
    await bob.sync();
    expect((await alice.post(`v3/rooms/${own()}/kick`, { user_id: bob.userId, reason: "no" })).status).toBe(200);
    await federation.settle();
    const shown = JSON.stringify(await sectionOf(bob, "leave"));
    expect(shown).toContain('"reason":"no"');
  });
});
