/** Invites that other servers bring, and how they end: accepted, turned down, taken back, forgotten. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { field, isObject, type JsonObject, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { pduTextOf } from "../../shared/matrix/pdu-text.ts";
import { countersignEvent, signEvent } from "../../shared/matrix/signing.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { Resident } from "../support/resident.ts";
import { RoomBuilder, testKeyOf } from "../support/room-builder.ts";

let federation: Federation;
let bob: FederatedUser;
let two: FederatedServer;
let built: RoomBuilder;
let resident: Resident;

beforeEach(async () => {
  federation = new Federation();
  two = federation.server("two.test");
  bob = await two.user("bob");
  built = RoomBuilder.open({ joinRule: "invite" });
  resident = new Resident(federation, "example.org", built);
});
afterEach(() => federation.close());

const room = (): string => encodeURIComponent(built.roomId);

/** Brings an invite as the endpoint does that has checked it. */
async function invite(target = bob): Promise<MatrixEvent> {
  const event = built.member(built.creator, "invite", target.userId);
  const strippedState = [
    { type: "m.room.create", state_key: "", sender: built.creator, content: built.create.content },
    { type: "m.room.name", state_key: "", sender: built.creator, content: { name: "Attic" } },
  ];
  const signed = await two.actors.room(built.roomId).receiveInvite({
    origin: resident.peer.name,
    pdu: pduTextOf(event.pdu),
    roomVersion: built.rules.version,
    strippedState,
  });
  const signatures = objectField(JSON.parse(signed), "signatures") ?? {};
  expect(Object.keys(signatures).sort()).toEqual(["example.org", "two.test"]);
  await federation.settle();
  return event;
}

async function placeOf(person: FederatedUser): Promise<{ place: string; section: JsonObject } | null> {
  const rooms = objectField(await person.sync(), "rooms") ?? {};
  for (const [place, sections] of Object.entries(rooms)) {
    const section = isObject(sections) ? objectField(sections, built.roomId) : null;
    if (section !== null) return { place, section };
  }
  return null;
}

function eventsOf(section: JsonObject, part: string): JsonObject[] {
  const events = field(objectField(section, part) ?? {}, "events");
  return Array.isArray(events) ? events.filter(isObject) : [];
}

/** Sends an event as a transaction of another server. */
async function send(event: JsonObject, from = resident.peer, txnId = "t1") {
  const body = { origin: from.name, origin_server_ts: 1, pdus: [event], edus: [] };
  const reply = await from.request(two, "PUT", `/_matrix/federation/v1/send/${txnId}`, body);
  await federation.settle();
  return reply;
}

describe("an invite into a room that this server is not in", () => {
  it("is shown with the state that came with it, once", async () => {
    await bob.sync();
    await invite();
    const shown = await placeOf(bob);
    expect(shown?.place).toBe("invite");
    const state = eventsOf(shown?.section ?? {}, "invite_state");
    expect(state.map(({ type }) => type)).toEqual(["m.room.create", "m.room.name", "m.room.member"]);
    expect(state.at(-1)).toEqual({
      type: "m.room.member",
      sender: built.creator,
      state_key: bob.userId,
      content: { membership: "invite" },
    });
    expect(await placeOf(bob)).toBeNull();
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    for (const path of ["state", "messages?dir=b", "members"]) {
      expect((await bob.get(`v3/rooms/${room()}/${path}`)).status).toBe(403);
    }
  });

  it("reaches a user whose actor could not be told at once", async () => {
    await bob.sync();
    const user = two.actors.user;
    Reflect.set(two.actors, "user", () => ({ roomAdvanced: () => Promise.reject(new Error("away")) }));
    await invite();
    Reflect.set(two.actors, "user", user);
    two.evict();
    expect(await placeOf(bob)).toBeNull();
    await federation.advance(60_000);
    expect((await placeOf(bob))?.place).toBe("invite");
  });

  it("does not come from whom the user ignores", async () => {
    const ignored = { ignored_users: { [built.creator]: {} } };
    await bob.put(`v3/user/${bob.userId}/account_data/m.ignored_user_list`, ignored);
    await invite();
    expect(await placeOf(bob)).toBeNull();
  });

  it("is accepted by way of the server that brought it", async () => {
    await bob.sync();
    await invite();
    const joined = await bob.post(`v3/rooms/${room()}/join`);
    expect(joined.status, joined.text).toBe(200);
    await federation.settle();
    expect((await placeOf(bob))?.place).toBe("join");
    expect(two.sql("room", built.roomId).all("SELECT * FROM outside_memberships")).toEqual([]);
  });

  it("is turned down by way of the server that brought it", async () => {
    await bob.sync();
    const invited = await invite();
    expect((await placeOf(bob))?.place).toBe("invite");
    const left = await bob.post(`v3/rooms/${room()}/leave`, { reason: "busy" });
    expect(left.status, left.text).toBe(200);
    const [taken] = resident.taken;
    expect(taken?.content).toEqual({ membership: "leave", reason: "busy" });
    expect(taken?.prevEvents).toEqual([invited.eventId]);
    const shown = await placeOf(bob);
    expect(shown?.place).toBe("leave");
    expect(eventsOf(shown?.section ?? {}, "timeline")).toMatchObject([{ event_id: taken?.eventId }]);
    expect((await bob.post(`v3/rooms/${room()}/leave`)).status).toBe(200);
    expect(resident.taken).toHaveLength(1);
  });

  it("is gone from all devices when it was turned down and forgotten, and may come again", async () => {
    await bob.sync();
    await invite();
    const since = String((await bob.sync()).next_batch);
    const told = async (query: string): Promise<JsonObject> =>
      objectField((await bob.get(`v3/sync?timeout=0&${query}`)).body, "rooms") ?? {};
    expect((await bob.post(`v3/rooms/${room()}/leave`)).status).toBe(200);
    for (let repeat = 0; repeat < 2; repeat += 1) {
      expect((await bob.post(`v3/rooms/${room()}/forget`)).status).toBe(200);
    }
    for (const query of [`since=${since}`, `since=${since}&full_state=true&use_state_after=true`]) {
      const section = objectField(objectField(await told(query), "leave") ?? {}, built.roomId) ?? {};
      expect(eventsOf(section, "timeline")).toMatchObject([{ content: { membership: "leave" } }]);
      expect(eventsOf(section, "state_after")).toHaveLength(query.includes("state_after") ? 1 : 0);
    }
    expect((await placeOf(bob))?.place).toBe("leave");
    expect(await placeOf(bob)).toBeNull();
    const filter = encodeURIComponent(JSON.stringify({ room: { include_leave: true } }));
    expect(await told(`filter=${filter}`)).toEqual({});
    built.member(built.creator, "leave", bob.userId);
    await invite();
    expect((await placeOf(bob))?.place).toBe("invite");
    expect((await bob.post(`v3/rooms/${room()}/leave`)).status).toBe(200);
    two.onCall = (method, call) => (method === "roomForgotten" ? Promise.reject(new Error("away")) : call());
    expect((await bob.post(`v3/rooms/${room()}/forget`)).status).toBe(500);
    expect(await told(`filter=${filter}`)).toEqual({});
  });

  it("is not forgotten before it is turned down", async () => {
    await invite();
    const forgotten = await bob.post(`v3/rooms/${room()}/forget`);
    expect([forgotten.status, forgotten.body.errcode]).toEqual([400, "M_UNKNOWN"]);
  });

  it.each([
    ["is away", () => new Response("", { status: 502 })],
    ["refuses", () => Response.json({ errcode: "M_FORBIDDEN", error: "no" }, { status: 403 })],
    ["offers something else", () => Response.json({ event: { type: "m.room.power_levels" } })],
  ])("is turned down by ourselves when that server %s", async (_, answer) => {
    await bob.sync();
    await invite();
    resident.peer.on(/make_leave/, answer);
    expect((await bob.post(`v3/rooms/${room()}/leave`)).status).toBe(200);
    expect(resident.taken).toEqual([]);
    const shown = await placeOf(bob);
    expect(shown?.place).toBe("leave");
    expect(eventsOf(shown?.section ?? {}, "timeline")).toMatchObject([{ content: { membership: "leave" } }]);
  });

  it("may come again after it was turned down, and be accepted then", async () => {
    await bob.sync();
    await invite();
    await bob.post(`v3/rooms/${room()}/leave`);
    for (const left of resident.taken) built.append(left);
    await bob.sync();
    await invite();
    expect((await placeOf(bob))?.place).toBe("invite");
    expect((await bob.post(`v3/rooms/${room()}/join`)).status).toBe(200);
  });

  it("is left when the account is deactivated", async () => {
    await invite();
    await bob.post("v3/account/deactivate", {
      auth: { type: "m.login.password", identifier: { type: "m.id.user", user: "bob" }, password: "a good password" },
    });
    await federation.advance(60_000);
    expect(resident.taken.map(({ content }) => content.membership)).toEqual(["leave"]);
  });
});

describe("an invite that is taken back", () => {
  it.each(["leave", "ban"])("by a %s of its server is gone", async (membership) => {
    await bob.sync();
    await invite();
    await bob.sync();
    const kick = built.member(built.creator, membership, bob.userId);
    expect((await send(kick.pdu)).body).toEqual({ pdus: { [kick.eventId]: {} } });
    const shown = await placeOf(bob);
    expect(shown?.place).toBe("leave");
    expect(eventsOf(shown?.section ?? {}, "timeline")).toMatchObject([{ event_id: kick.eventId }]);
    expect((await bob.post(`v3/rooms/${room()}/forget`)).status).toBe(200);
  });

  const forged: readonly [what: string, change: (kick: MatrixEvent) => JsonObject][] = [
    ["is not signed", ({ pdu }) => ({ ...pdu, signatures: {} })],
    ["is signed wrongly", ({ pdu }) => ({ ...pdu, signatures: { "example.org": { "ed25519:test": "A".repeat(86) } } })],
    ["is of another server's user", ({ pdu }) => resigned(pdu, { sender: "@eve:third.test" })],
    ["is of another user than invited", ({ pdu }) => resigned(pdu, { sender: "@mod:example.org" })],
    ["is changed", ({ pdu }) => ({ ...pdu, content: { membership: "leave", reason: "changed" } })],
    ["is of another server", ({ pdu }) => resigned(pdu, { sender: "@eve:evil.test" }, "evil.test")],
    ["is for another room", ({ pdu }) => resigned(pdu, { room_id: "!other:example.org" })],
    ["is no consequence of the invite", ({ pdu }) => resigned(pdu, { auth_events: [built.create.eventId] })],
    ["is another event", ({ pdu }) => resigned(pdu, { type: "m.room.topic" })],
    ["makes the user a member", ({ pdu }) => resigned(pdu, { content: { membership: "join" } })],
  ];

  function resigned(pdu: JsonObject, changes: JsonObject, signer = "example.org"): JsonObject {
    const changed = withFields(pdu, { ...changes, signatures: undefined, hashes: undefined });
    const server = resident.peer.name;
    return signer === server
      ? signEvent(changed, built.rules, server, testKeyOf(server))
      : countersignEvent(signEvent(changed, built.rules, evil.name, evil.key), built.rules, evil.name, evil.key);
  }

  let evil: Resident["peer"];
  beforeEach(() => {
    evil = new Resident(federation, "evil.test", RoomBuilder.open()).peer;
  });

  it.each(forged)("stays when what takes it back %s", async (_, change) => {
    await invite();
    await bob.sync();
    const kick = built.fork().member(built.creator, "leave", bob.userId);
    const pdu = change(kick);
    await send(pdu, String(pdu.sender).endsWith("evil.test") ? evil : resident.peer);
    expect(await placeOf(bob)).toBeNull();
    expect((await bob.post(`v3/rooms/${room()}/forget`)).status).toBe(400);
  });

  it("is not given to users who were never invited", async () => {
    await bob.sync();
    const event = eventFromPdu(built.fork().member(built.creator, "ban", bob.userId).pdu, built.rules);
    await send(event.pdu);
    expect(await placeOf(bob)).toBeNull();
    expect(two.sql("room", built.roomId).all("SELECT * FROM outside_memberships")).toEqual([]);
  });
});
