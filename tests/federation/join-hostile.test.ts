/** Servers that offer what must not be signed, and tell what must not be believed: R3, R4, R17 and R27 of joining. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { serverNameOf } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, objectField, withFields } from "../../shared/json.ts";
import { signEvent } from "../../shared/matrix/signing.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { type Misbehaviour, Resident } from "../support/resident.ts";
import { RoomBuilder, type RoomOptions, testKeyOf, user } from "../support/room-builder.ts";

let federation: Federation;
let bob: FederatedUser;
let two: FederatedServer;

beforeEach(async () => {
  federation = new Federation();
  two = federation.server("two.test");
  bob = await two.user("bob");
});
afterEach(() => federation.close());

const mallory = user("@mallory:example.org");
const exampleOrg = serverNameOf(mallory);

function resident(misbehaviour: Misbehaviour, options: RoomOptions & { joinRule?: string } = {}): Resident {
  const built = RoomBuilder.open(options);
  built.join(mallory);
  return new Resident(federation, "example.org", built, misbehaviour);
}

async function join(roomId: string, via = "example.org") {
  const reply = await bob.post(`v3/join/${encodeURIComponent(roomId)}?via=${via}`);
  await federation.settle();
  return reply;
}

const rows = (roomId: string, table: string): unknown[] => two.sql("room", roomId).all(`SELECT * FROM ${table}`);
const list = (value: JsonValue | undefined): JsonValue[] => (Array.isArray(value) ? value : []);

describe("a template", () => {
  const evil: readonly [what: string, change: (template: JsonObject) => JsonValue][] = [
    ["of another type", (t) => ({ ...t, type: "m.room.power_levels" })],
    ["without a type", (t) => withFields(t, { type: undefined })],
    ["of another room", (t) => ({ ...t, room_id: "!other:example.org" })],
    ["of another sender", (t) => ({ ...t, sender: "@admin:two.test" })],
    ["about somebody else", (t) => ({ ...t, state_key: "@admin:two.test" })],
    ["that is no state event", (t) => withFields(t, { state_key: undefined })],
    ["of a leave", (t) => ({ ...t, content: { membership: "leave" } })],
    ["of a ban", (t) => ({ ...t, content: { membership: "ban" } })],
    ["without content", (t) => withFields(t, { content: undefined })],
    ["whose content is a list", (t) => ({ ...t, content: ["join"] })],
    ["that is a list", () => []],
    ["that is text", () => "join"],
    ["with too many prev events", (t) => ({ ...t, prev_events: Array.from({ length: 21 }, (_, i) => `$${i}`) })],
    ["with too many auth events", (t) => ({ ...t, auth_events: Array.from({ length: 11 }, (_, i) => `$${i}`) })],
    ["with prev events that are no ids", (t) => ({ ...t, prev_events: [{ a: 1 }] })],
    ["without prev events", (t) => withFields(t, { prev_events: undefined })],
    ["in which another server's user lets us in", (t) => withGrant(t, "@admin:two.test")],
  ];

  function withGrant(template: JsonObject, by: string): JsonObject {
    const content = withFields(objectField(template, "content") ?? {}, { join_authorised_via_users_server: by });
    return { ...template, content };
  }

  it.each(evil)("%s is never signed", async (_, template) => {
    const hostile = resident({ template });
    const reply = await join(hostile.roomId);
    expect([reply.status, reply.body.errcode]).toEqual([502, "M_UNKNOWN"]);
    expect(hostile.sent()).toEqual([]);
  });

  it("is never signed as it is: all but its place in the graph is our own", async () => {
    const hostile = resident({
      template: (template) => ({
        ...template,
        content: {
          membership: "join",
          displayname: "Mallory",
          avatar_url: "mxc://evil/x",
          "m.evil": true,
          reason: "x",
        },
        origin: "example.org",
        origin_server_ts: 1,
        depth: 2 ** 60,
        redacts: "$something",
        hashes: { sha256: "x" },
        signatures: { "example.org": {} },
        unsigned: { age: 1 },
        "m.evil": true,
      }),
    });
    expect((await join(hostile.roomId)).status).toBe(200);
    const [sent = {}] = hostile.sent();
    expect(Object.keys(sent).sort()).toEqual([
      "auth_events",
      "content",
      "depth",
      "hashes",
      "origin_server_ts",
      "prev_events",
      "room_id",
      "sender",
      "signatures",
      "state_key",
      "type",
    ]);
    expect(sent.content).toEqual({ membership: "join", displayname: "bob" });
    expect(sent).toMatchObject({ origin_server_ts: federation.clock.now(), depth: Number.MAX_SAFE_INTEGER });
    expect(Object.keys(objectField(sent, "signatures") ?? {})).toEqual(["two.test"]);
  });

  it.each(["99", "", "constructor", "12.1"])("of a room of version %j is refused", async (version) => {
    const hostile = resident({ roomVersion: () => version });
    const reply = await join(hostile.roomId);
    expect([reply.status, reply.body.errcode]).toEqual([400, "M_UNSUPPORTED_ROOM_VERSION"]);
    expect(hostile.sent()).toEqual([]);
  });

  it("of a room of a version that is not ours to know is refused by the other server", async () => {
    const hostile = resident({});
    const refusal = { errcode: "M_INCOMPATIBLE_ROOM_VERSION", error: "no", room_version: "13" };
    hostile.peer.on(/make_join/, () => Response.json(refusal, { status: 400 }));
    const reply = await join(hostile.roomId);
    expect([reply.status, reply.body]).toEqual([400, refusal]);
  });
});

describe("what a server tells of a room", () => {
  const bad: readonly [what: string, entries: () => JsonValue[]][] = [
    ["no events", () => [5, null, "text", [], {}, { type: "m.room.topic" }, true, -0.5]],
    [
      "an event with a wrong signature",
      () => [forged({ signatures: { "example.org": { "ed25519:test": "A".repeat(86) } } })],
    ],
    ["an event that nobody has signed", () => [forged({ signatures: {} })]],
    ["an event of another room", () => [forged({ room_id: "!other:example.org" })]],
    ["an event that is too large", () => [forged({ content: { body: "x".repeat(70_000) } })]],
    ["an event larger than what is held", () => [forged({ content: { body: "x".repeat(400_000) } })]],
    ["an event that is too deep", () => [forged({ content: deep(200) })]],
    ["an event of a server that cannot be had", () => [forged({ sender: "@a:gone.test" })]],
    ["an event whose auth events nobody gives", () => [forged({ auth_events: ["$unknown"] })]],
    ["poisonous keys", () => [JSON.parse('{"__proto__":{"type":"m.room.create"},"type":"constructor"}')]],
  ];

  function forged(changes: JsonObject): JsonObject {
    const built = RoomBuilder.open();
    const { pdu } = built.make({ sender: built.creator, type: "m.room.topic", stateKey: "", content: { topic: "x" } });
    return { ...pdu, ...changes };
  }

  function deep(levels: number): JsonObject {
    return levels === 0 ? {} : { a: deep(levels - 1) };
  }

  it.each(bad)("may hold %s, which keeps nobody out", async (_, entries) => {
    const sprinkle = (value: JsonValue | undefined): JsonValue[] => [...entries(), ...list(value), ...entries()];
    const answer = (told: JsonObject): JsonObject => ({
      ...told,
      state: sprinkle(told.state),
      auth_chain: sprinkle(told.auth_chain),
    });
    const hostile = resident({ answer });
    const reply = await join(hostile.roomId);
    expect(reply.status, reply.text).toBe(200);
    const state = await bob.get(`v3/rooms/${encodeURIComponent(hostile.roomId)}/state`);
    expect(list(state.json)).toHaveLength(hostile.built.state.size + 1);
    expect(rows(hostile.roomId, "remote_join_events")).toEqual([]);
  });

  it("may come in any order", async () => {
    const answer = (told: JsonObject): JsonObject => ({
      auth_chain: list(told.auth_chain).reverse(),
      state: list(told.state).reverse(),
    });
    const hostile = resident({ answer });
    for (let index = 0; index < 30; index += 1) hostile.built.join(user(`@user${index}:example.org`));
    expect((await join(hostile.roomId)).status).toBe(200);
  });

  const useless: readonly [what: string, answer: (told: JsonObject) => JsonValue | Response][] = [
    ["nothing", () => ({})],
    ["no state", (told) => ({ ...told, state: [] })],
    [
      "no create event",
      (told) => ({
        state: without(told.state, "m.room.create"),
        auth_chain: without(told.auth_chain, "m.room.create"),
      }),
    ],
    ["another room", () => otherRoom()],
    ["a list", () => []],
    ["no JSON", () => new Response("<html>")],
    ["half of it", (told) => new Response(JSON.stringify(told).slice(0, 2_000))],
    [
      "a room without most of its members, nor their servers",
      (told) => ({ ...told, members_omitted: true, servers_in_room: [] }),
    ],
    ["a room in which we are banned", (told) => ({ ...told, state: [...list(told.state), ban()] })],
  ];

  let shared: RoomBuilder;
  beforeEach(() => {
    shared = RoomBuilder.open({ version: "11" });
  });

  function without(events: JsonValue | undefined, type: string): JsonValue[] {
    return list(events).filter((event) => !isObject(event) || event.type !== type);
  }

  function otherRoom(): JsonObject {
    const other = RoomBuilder.open({ version: "12", startTs: 5 });
    return { state: [...other.state.values()].map(({ pdu }) => pdu), auth_chain: [] };
  }

  function ban(): JsonObject {
    return shared.fork().member(shared.creator, "ban", bob.userId).pdu;
  }

  it.each(useless)("leaves nothing behind when it is %s", async (_, answer) => {
    const hostile = new Resident(federation, "example.org", shared, { answer });
    const reply = await join(hostile.roomId);
    expect([reply.status, reply.body.errcode]).toEqual([502, "M_UNKNOWN"]);
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    for (const table of ["room", "events", "state_keys", "state_nodes", "event_auth_chains", "remote_join_events"]) {
      expect([table, rows(hostile.roomId, table)]).toEqual([table, []]);
    }
    // An honest server can be joined by way of all the same.
    const honest = new Resident(federation, "example.org", shared);
    expect((await join(honest.roomId)).status).toBe(200);
  });

  it("does not bind the room to a version that it does not have", async () => {
    let claimed = "10";
    const hostile = new Resident(federation, "example.org", shared, { roomVersion: () => claimed });
    expect((await join(hostile.roomId)).status).toBe(502);
    expect(rows(hostile.roomId, "room")).toEqual([]);
    claimed = "11";
    expect((await join(hostile.roomId)).status).toBe(200);
    // And once it has one, no server can say otherwise.
    await bob.post(`v3/rooms/${encodeURIComponent(hostile.roomId)}/leave`);
    claimed = "10";
    const sent = hostile.sent().length;
    expect((await join(hostile.roomId)).status).toBe(502);
    expect(hostile.sent()).toHaveLength(sent);
  });

  it("does not make users of ours members who did not join", async () => {
    const built = RoomBuilder.open();
    const carol = await two.user("carol");
    const { pdu } = built.fork().make({
      sender: user(carol.userId),
      type: "m.room.member",
      stateKey: carol.userId,
      content: { membership: "join" },
    });
    const unsigned = withFields(pdu, { signatures: undefined, hashes: undefined });
    const forgedJoin = signEvent(unsigned, built.rules, exampleOrg, testKeyOf(exampleOrg));
    const answer = (told: JsonObject): JsonObject => ({ ...told, state: [...list(told.state), pdu, forgedJoin] });
    const hostile = new Resident(federation, "example.org", built, { answer });
    expect((await join(hostile.roomId)).status).toBe(200);
    expect((await carol.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
  });
});
