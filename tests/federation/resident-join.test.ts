import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { UserId } from "../../shared/ids.ts";
import { field, type JsonObject, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { rulesFor } from "../../shared/matrix/room-version.ts";
import { signEvent } from "../../shared/matrix/signing.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { rulesOf, user } from "../support/room-builder.ts";
import { TestPeer } from "../support/test-peer.ts";

const bob = user("@bob:peer.test");

describe("a join by a user of another server", () => {
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

  async function createRoom(body: JsonObject): Promise<string> {
    const reply = await alice.post("v3/createRoom", body);
    expect(reply.status, reply.text).toBe(200);
    return String(reply.body.room_id);
  }

  function make(kind: string, roomId: string, userId: UserId = bob, query = "?ver=10&ver=11&ver=12") {
    const path = `/_matrix/federation/v1/make_${kind}/${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}${query}`;
    return peer.request(server, "GET", path);
  }

  /** The template, signed as an honest server would. */
  function signed(template: JsonObject, version: string, changes: JsonObject = {}): MatrixEvent {
    const rules = rulesOf(version);
    const pdu = withFields(template, { ...changes, origin_server_ts: federation.clock.now() });
    return eventFromPdu(signEvent(pdu, rules, peer.name, peer.key), rules);
  }

  function send(kind: string, roomId: string, event: MatrixEvent, suffix = "") {
    const path = `/_matrix/federation/v2/send_${kind}/${encodeURIComponent(roomId)}/${encodeURIComponent(event.eventId)}`;
    return peer.request(server, "PUT", path + suffix, event.pdu);
  }

  it.each(["6", "9", "10", "11", "12"])("is offered, taken and seen, in room version %s", async (version) => {
    const roomId = await createRoom({ preset: "public_chat", room_version: version, name: "Attic" });
    await alice.sync();
    const made = await make("join", roomId, bob, `?ver=${version}`);
    expect(made.status, made.text).toBe(200);
    expect(made.body.room_version).toBe(version);
    const template = objectField(made.body, "event") ?? {};
    expect(template).toMatchObject({
      type: "m.room.member",
      sender: bob,
      state_key: bob,
      content: { membership: "join" },
    });
    const event = signed(template, version);

    const answer = await send("join", roomId, event);

    expect(answer.status, answer.text).toBe(200);
    const state = [field(answer.body, "state")].flat() as JsonObject[];
    expect(state.map((pdu) => pdu.type)).toContain("m.room.create");
    expect(state.map((pdu) => pdu.type)).toContain("m.room.power_levels");
    expect(answer.body.members_omitted).toBe(false);
    expect(answer.body.servers_in_room).toEqual(["one.test"]);
    const ids = new Set([...state, ...([field(answer.body, "auth_chain")].flat() as JsonObject[])].map(idOf(version)));
    for (const pdu of state) for (const id of eventFromPdu(pdu, rulesOf(version)).authEvents) expect(ids).toContain(id);
    const synced = await alice.sync();
    expect(JSON.stringify(synced)).toContain(event.eventId);
  });

  it("is not offered for a version that the server does not know", async () => {
    const roomId = await createRoom({ preset: "public_chat", room_version: "12" });
    const made = await make("join", roomId, bob, "?ver=9");
    expect(made.status).toBe(400);
    expect(made.body).toMatchObject({ errcode: "M_INCOMPATIBLE_ROOM_VERSION", room_version: "12" });
  });

  it("is refused in a room that is by invitation, and in an unknown one", async () => {
    const roomId = await createRoom({ preset: "private_chat" });
    expect((await make("join", roomId)).status).toBe(403);
    expect((await make("join", "!nothing:one.test")).status).toBe(404);
  });

  it("is refused for a user of a third server", async () => {
    const roomId = await createRoom({ preset: "public_chat" });
    expect((await make("join", roomId, user("@carol:third.test"))).status).toBe(403);
  });

  it("leaves out members where that is asked for", async () => {
    const roomId = await createRoom({ preset: "public_chat", room_version: "12", name: "Attic" });
    for (const name of ["carol", "dave"]) {
      const member = await server.user(name);
      expect((await member.post(`v3/rooms/${encodeURIComponent(roomId)}/join`)).status).toBe(200);
    }
    // Few are told all the same.
    for (let index = 0; index < 20; index += 1) {
      const banned = { user_id: `@banned${index}:one.test` };
      expect((await alice.post(`v3/rooms/${encodeURIComponent(roomId)}/ban`, banned)).status).toBe(200);
    }
    const made = await make("join", roomId);
    const event = signed(objectField(made.body, "event") ?? {}, "12");
    const answer = await send("join", roomId, event, "?omit_members=true");
    expect(answer.status, answer.text).toBe(200);
    expect(answer.body.members_omitted).toBe(true);
    const state = [field(answer.body, "state")].flat() as JsonObject[];
    expect(state.filter((pdu) => pdu.type === "m.room.member")).toEqual([]);
    const chain = [field(answer.body, "auth_chain")].flat() as JsonObject[];
    expect(chain.map((pdu) => pdu.state_key)).toContain(alice.userId);
  });

  it.each([
    ["v2", "", true],
    ["v1", "", true],
    ["v2", "?omit_members=true", false],
  ] as const)("is answered with whole auth chains by %s%s: %s", async (version, query, isWhole) => {
    const roomId = await createRoom({ preset: "public_chat", room_version: "12" });
    const event = signed(objectField((await make("join", roomId)).body, "event") ?? {}, "12");
    const path = `/_matrix/federation/${version}/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent(event.eventId)}`;
    const reply = await peer.request(server, "PUT", path + query, event.pdu);
    const answer = Array.isArray(reply.json) ? reply.json[1] : reply.json;
    const listed = (name: string) => [field(answer as JsonObject, name)].flat() as JsonObject[];
    const events = listed("state").map((pdu) => eventFromPdu(pdu, rulesOf("12")));
    const chain = listed("auth_chain").map(idOf("12"));
    expect(new Set(chain).size).toBe(chain.length);
    if (isWhole) {
      // Also those that are in the state: who does not ask for less is given "All events in the auth chain".
      const authorizing = new Set([...event.authEvents, ...events.flatMap(({ authEvents }) => authEvents)]);
      expect([...chain].sort()).toEqual([...authorizing].sort());
      expect(authorizing.size).toBeGreaterThan(1);
    } else {
      expect(chain).toEqual([]);
    }
  });

  it("answers a repeat as the first time", async () => {
    const roomId = await createRoom({ preset: "public_chat" });
    const event = signed(objectField((await make("join", roomId)).body, "event") ?? {}, "12");
    const first = await send("join", roomId, event);
    expect(first.status, first.text).toBe(200);
    expect((await send("join", roomId, event)).text).toBe(first.text);
  });

  it("answers in the older form, too", async () => {
    const roomId = await createRoom({ preset: "public_chat" });
    const event = signed(objectField((await make("join", roomId)).body, "event") ?? {}, "12");
    const path = `/_matrix/federation/v1/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent(event.eventId)}`;
    const answer = await peer.request(server, "PUT", path, event.pdu);
    expect(answer.json).toEqual([200, expect.objectContaining({ origin: "one.test" })]);
  });

  it("is let in by one of us where the join rule asks for members of another room", async () => {
    const door = await createRoom({ preset: "public_chat" });
    const rule = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: door }] };
    const roomId = await createRoom({
      initial_state: [{ type: "m.room.join_rules", state_key: "", content: rule }],
    });
    expect((await make("join", roomId)).status).toBe(403);
    const atDoor = signed(objectField((await make("join", door)).body, "event") ?? {}, "12");
    expect((await send("join", door, atDoor)).status).toBe(200);

    const made = await make("join", roomId);
    expect(made.status, made.text).toBe(200);
    const template = objectField(made.body, "event") ?? {};
    expect(template.content).toMatchObject({ join_authorised_via_users_server: alice.userId });
    const answer = await send("join", roomId, signed(template, "12"));
    expect(answer.status, answer.text).toBe(200);
    const signatures = objectField(objectField(answer.body, "event") ?? {}, "signatures") ?? {};
    expect(Object.keys(signatures).sort()).toEqual(["one.test", "peer.test"]);
  });

  it.each([
    ["no condition", [], [403, "M_FORBIDDEN"]],
    ["a condition that is not known", [{ type: "org.example.token" }], [400, "M_UNABLE_TO_AUTHORISE_JOIN"]],
  ])("is refused where the join rule names %s", async (_, allow, expected) => {
    const content = { join_rule: "knock_restricted", allow };
    const roomId = await createRoom({ initial_state: [{ type: "m.room.join_rules", state_key: "", content }] });
    const made = await make("join", roomId);
    expect([made.status, made.body.errcode]).toEqual(expected);
  });

  it("is left to other servers where some of the rooms that the join rule names are not known here", async () => {
    const door = await createRoom({ preset: "public_chat" });
    const elsewhere = `!${"e".repeat(43)}`;
    const conditions = (rooms: string[]) => rooms.map((room_id) => ({ type: "m.room_membership", room_id }));
    const attempt = async (rooms: string[]) => {
      const content = { join_rule: "restricted", allow: conditions(rooms) };
      const roomId = await createRoom({ initial_state: [{ type: "m.room.join_rules", state_key: "", content }] });
      const made = await make("join", roomId);
      return [made.status, made.body.errcode];
    };
    expect(await attempt([door, elsewhere])).toEqual([400, "M_UNABLE_TO_AUTHORISE_JOIN"]);
    expect(await attempt([elsewhere, door])).toEqual([400, "M_UNABLE_TO_AUTHORISE_JOIN"]);
    expect(await attempt([door])).toEqual([403, "M_FORBIDDEN"]);
    // Of very many rooms, some are not asked.
    const doors: string[] = [];
    for (let index = 0; index < 21; index += 1) doors.push(await createRoom({ preset: "public_chat" }));
    expect(await attempt(doors)).toEqual([400, "M_UNABLE_TO_AUTHORISE_JOIN"]);
  });

  it("is not signed by us for somebody who meets no condition, whatever the event says", async () => {
    const door = await createRoom({ preset: "public_chat" });
    for (const allow of [[{ type: "m.room_membership", room_id: door }], []]) {
      const roomId = await createRoom({
        initial_state: [{ type: "m.room.join_rules", state_key: "", content: { join_rule: "restricted", allow } }],
      });
      const other = await createRoom({ preset: "public_chat" });
      const template = objectField((await make("join", other)).body, "event") ?? {};
      const state = (await alice.get(`v3/rooms/${encodeURIComponent(roomId)}/state`)).json as JsonObject[];
      const last = state.find((event) => event.type === "m.room.join_rules");
      const authTypes = ["m.room.power_levels", "m.room.join_rules"];
      const authEvents = state
        .filter((event) => authTypes.includes(String(event.type)))
        .map((event) => String(event.event_id));
      const aliceMember = state.find((event) => event.state_key === alice.userId)?.event_id;
      const event = signed(template, "12", {
        room_id: roomId,
        prev_events: [String(last?.event_id)],
        auth_events: [...authEvents, String(aliceMember)],
        content: { membership: "join", join_authorised_via_users_server: alice.userId },
      });
      const answer = await send("join", roomId, event);
      expect([400, 403], answer.text).toContain(answer.status);
      expect(answer.text).not.toContain("signatures");
    }
  });

  it("is taken back by leaving", async () => {
    const roomId = await createRoom({ preset: "public_chat" });
    const join = signed(objectField((await make("join", roomId)).body, "event") ?? {}, "12");
    expect((await send("join", roomId, join)).status).toBe(200);
    const leave = signed(objectField((await make("leave", roomId, bob, "")).body, "event") ?? {}, "12");
    const answer = await send("leave", roomId, leave);
    expect(answer.json).toEqual({});
    const member = await alice.get(
      `v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(bob)}`,
    );
    expect(member.body.membership).toBe("leave");
  });

  it("may be asked for by knocking", async () => {
    const roomId = await createRoom({
      name: "Attic",
      initial_state: [{ type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } }],
    });
    const knock = signed(objectField((await make("knock", roomId)).body, "event") ?? {}, "12");
    const path = `/_matrix/federation/v1/send_knock/${encodeURIComponent(roomId)}/${encodeURIComponent(knock.eventId)}`;
    const answer = await peer.request(server, "PUT", path, knock.pdu);
    expect(answer.status, answer.text).toBe(200);
    const state = [field(answer.body, "knock_room_state")].flat() as JsonObject[];
    expect(state.map((pdu) => pdu.type).slice(0, 2)).toEqual(["m.room.create", "m.room.name"]);
    expect(state.every((pdu) => "signatures" in pdu)).toBe(true);
  });
});

function idOf(version: string): (pdu: JsonObject) => string {
  const rules = rulesFor(version);
  if (rules === null) throw new Error("unknown version");
  return (pdu) => eventFromPdu(pdu, rules).eventId;
}
