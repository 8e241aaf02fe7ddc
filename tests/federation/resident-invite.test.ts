import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import { field, type JsonObject, type JsonValue, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu } from "../../shared/matrix/event.ts";
import { parseExactly } from "../../shared/matrix/exact-numbers.ts";
import { pduTextOf } from "../../shared/matrix/pdu-text.ts";
import { countersignEvent, publicKeyOf, signEvent, signJson, verifyEvent } from "../../shared/matrix/signing.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { InvitingPeer, mallory } from "../support/inviting-peer.ts";
import { rulesOf, testKeyOf, user } from "../support/room-builder.ts";
import { TestPeer } from "../support/test-peer.ts";

let federation: Federation;
let server: FederatedServer;
let alice: FederatedUser;

beforeEach(async () => {
  federation = new Federation();
  server = federation.server("one.test");
  alice = await server.user("alice");
});
afterEach(() => federation.close());

async function invitesOf(person: FederatedUser): Promise<JsonObject> {
  const synced = await person.sync();
  return objectField(objectField(synced, "rooms") ?? {}, "invite") ?? {};
}

async function ourKeys(): Promise<Map<string, string>> {
  const key = await server.actors.server(server.config.serverName).getSigningKey();
  return new Map([[key.keyId, publicKeyOf(key)]]);
}

const list = (value: JsonValue | undefined): JsonObject[] => [value ?? []].flat() as JsonObject[];

describe("an invite by another server", () => {
  it.each(["3", "6", "10", "11", "12"])("is signed and shown, in room version %s", async (version) => {
    const inviting = new InvitingPeer(federation, server, { version });
    const invite = inviting.invite(alice.userId, { reason: "come in" });

    const answer = await inviting.send(invite);

    expect(answer.status, answer.text).toBe(200);
    const event = objectField(answer.body, "event") ?? {};
    expect(withFields(event, { signatures: null })).toEqual(withFields(invite.pdu, { signatures: null }));
    const rules = rulesOf(version);
    expect(verifyEvent(event, rules, server.config.serverName, await ourKeys())).toBe(true);
    expect(Object.keys(objectField(event, "signatures") ?? {}).sort()).toEqual(["one.test", "peer.test"]);
    const shown = objectField(await invitesOf(alice), inviting.room.roomId) ?? {};
    const state = list(field(objectField(shown, "invite_state") ?? {}, "events"));
    expect(state.map(({ type }) => type)).toEqual([
      "m.room.create",
      "m.room.name",
      "m.room.join_rules",
      "m.room.member",
      "m.room.member",
    ]);
    for (const stripped of state) expect(Object.keys(stripped)).toEqual(["type", "state_key", "sender", "content"]);
  });

  it.each(["1", "2"])("comes by the older endpoint, too, in room version %s", async (version) => {
    const inviting = new InvitingPeer(federation, server, { version });
    const invite = inviting.invite(alice.userId);
    const answer = await inviting.sendV1(invite);
    expect(answer.status, answer.text).toBe(200);
    const [status, body] = list(answer.json);
    expect(status).toBe(200);
    const event = objectField(body ?? {}, "event") ?? {};
    expect(verifyEvent(event, rulesOf("1"), server.config.serverName, await ourKeys())).toBe(true);
    expect(event.unsigned).toBeUndefined();
    expect(Object.keys(await invitesOf(alice))).toEqual([inviting.room.roomId]);
  });

  it("keeps numbers that no double holds, in an old room", async () => {
    const inviting = new InvitingPeer(federation, server, { version: "5" });
    const invite = inviting.invite(alice.userId, { n: parseExactly("9007199254740993") });
    const answer = await inviting.send(invite);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.text).toContain('"n":9007199254740993');
  });

  it("is answered a second time as the first, and shown once", async () => {
    const inviting = new InvitingPeer(federation, server);
    const invite = inviting.invite(alice.userId);
    const first = await inviting.send(invite);
    await invitesOf(alice);
    expect((await inviting.send(invite)).text).toBe(first.text);
    expect(await invitesOf(alice)).toEqual({});
  });

  it("is refused in a room version that is not known", async () => {
    const inviting = new InvitingPeer(federation, server);
    const answer = await inviting.send(inviting.invite(alice.userId), { roomVersion: "99" });
    expect([answer.status, answer.body.errcode]).toEqual([400, "M_INCOMPATIBLE_ROOM_VERSION"]);
    const without = await inviting.send(inviting.invite(alice.userId), { roomVersion: undefined });
    expect([without.status, without.body.errcode]).toEqual([400, "M_MISSING_PARAM"]);
  });

  it("is refused for nobody, and for who has gone", async () => {
    const inviting = new InvitingPeer(federation, server);
    const nobody = await inviting.send(inviting.invite("@nobody:one.test"));
    expect([nobody.status, nobody.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    await server.actors.user(user(alice.userId)).deactivate(false);
    const gone = await inviting.send(inviting.invite(alice.userId));
    expect([gone.status, gone.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
  });

  it("counts against what a user may get", async () => {
    const strict = federation.server("strict.test", { RATE_LIMITS: "on" });
    const bob = "@bob:strict.test";
    const registered = await strict.actors.user(user(bob)).register({
      password: null,
      displayName: null,
      isAdmin: false,
      registrationToken: null,
      bySharedSecret: false,
      session: null,
    });
    expect(registered.userId).toBe(bob);
    const statuses: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      const inviting = new InvitingPeer(federation, strict, { creationContent: { n: i } });
      statuses.push((await inviting.send(inviting.invite(bob), {})).status);
    }
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429]);
  });

  it("is refused when its hash was changed", async () => {
    const inviting = new InvitingPeer(federation, server);
    const pdu = withFields(inviting.invite(alice.userId).pdu, { hashes: { sha256: "A".repeat(43) } });
    const rules = inviting.room.rules;
    const event = eventFromPdu(countersignEvent(pdu, rules, inviting.peer.name, inviting.peer.key), rules);
    const answer = await inviting.send(event);
    expect([answer.status, answer.body.errcode]).toEqual([400, "M_INVALID_PARAM"]);
  });

  it("by third-party id is signed by who sends it, though the rules do not ask for that", async () => {
    const inviting = new InvitingPeer(federation, server);
    const signed = { mxid: alice.userId, token: "t", signatures: {} };
    const { pdu, eventId } = inviting.invite(alice.userId, { third_party_invite: { display_name: "a", signed } });
    const unsigned = await inviting.sendPdu(withFields(pdu, { signatures: {} }), { eventId });
    expect([unsigned.status, unsigned.body.errcode]).toEqual([400, "M_INVALID_PARAM"]);
    expect((await inviting.sendPdu(pdu, { eventId })).status).toBe(200);
  });

  it("is looked at by the room once more, which signs nothing else", async () => {
    const inviting = new InvitingPeer(federation, server);
    const { roomId, rules } = inviting.room;
    const member = { sender: mallory, type: "m.room.member", stateKey: alice.userId };
    for (const membership of ["join", "leave", "ban", "knock"]) {
      const pdu = pduTextOf(inviting.room.make({ ...member, content: { membership } }).pdu);
      const input = { origin: inviting.peer.name, pdu, roomVersion: rules.version, strippedState: [] };
      await expect(server.actors.room(roomId).receiveInvite(input)).rejects.toMatchObject({
        errcode: "M_INVALID_PARAM",
      });
    }
  });

  it("of an ignored user is signed, but not shown", async () => {
    const ignored = { ignored_users: { [mallory]: {} } };
    const path = `v3/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`;
    expect((await alice.put(path, ignored)).status).toBe(200);
    const inviting = new InvitingPeer(federation, server);
    expect((await inviting.send(inviting.invite(alice.userId))).status).toBe(200);
    expect(await invitesOf(alice)).toEqual({});
  });

  it("is refused from a server that the room has shut out, where we are in it", async () => {
    const acl = { allow: ["*"], deny: ["peer.test"] };
    const created = await alice.post("v3/createRoom", {
      room_version: "11",
      preset: "public_chat",
      initial_state: [{ type: "m.room.server_acl", state_key: "", content: acl }],
    });
    const bob = await server.user("bob");
    const peer = new TestPeer(federation, "peer.test");
    const roomId = String(created.body.room_id);
    const rules = rulesOf("11");
    const invite = {
      type: "m.room.member",
      room_id: roomId,
      sender: mallory,
      state_key: bob.userId,
      content: { membership: "invite" },
      origin_server_ts: federation.clock.now(),
      depth: 7,
      prev_events: ["$somewhere"],
      auth_events: [],
    };
    const event = eventFromPdu(signEvent(invite, rules, peer.name, peer.key), rules);
    const path = `/_matrix/federation/v2/invite/${encodeURIComponent(roomId)}/${encodeURIComponent(event.eventId)}`;
    const body = { room_version: "11", event: event.pdu, invite_room_state: [] };
    const answer = await peer.request(server, "PUT", path, body);
    expect([answer.status, answer.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
  });
});

describe("the state that comes with an invite", () => {
  it.each<[what: string, state: JsonValue | undefined]>([
    ["is missing", undefined],
    ["is null", null],
    ["is text", "create"],
    ["is a list of odd things", [null, 1, "x", [], {}, { type: 1 }, { type: "m.room.name" }]],
    ["is of stripped events", [{ type: "m.room.name", state_key: "", sender: mallory, content: { name: "Attic" } }]],
  ])("%s: no matter, in an older room", async (_, state) => {
    const inviting = new InvitingPeer(federation, server, { version: "11" });
    const answer = await inviting.send(inviting.invite(alice.userId), { state });
    expect(answer.status, answer.text).toBe(200);
    expect(Object.keys(await invitesOf(alice))).toEqual([inviting.room.roomId]);
  });

  const evil: [what: string, change: (state: JsonObject[]) => JsonValue | undefined][] = [
    ["is missing", () => undefined],
    ["is no list", () => ({})],
    ["has no create event", (state) => state.slice(1)],
    [
      "has stripped events",
      (state) =>
        state.map(({ type, state_key, sender, content }) => ({ type, state_key, sender, content }) as JsonObject),
    ],
    ["has what is no event", (state) => [...state, "x"]],
    ["has an event twenty times too often", (state) => Array.from({ length: 20 }, () => state).flat()],
    ["has the create event of another room", (state) => [otherCreate(), ...state.slice(1)]],
    ["has an event of another format", (state) => [...state, signedAnew({ ...state[1], depth: -1 })]],
    ["has an event of another room", (state) => [...state, otherName()]],
    [
      "has an event that was changed",
      (state) => state.map((pdu) => (pdu.type === "m.room.name" ? { ...pdu, sender: "@eve:peer.test" } : pdu)),
    ],
    [
      "has an event without signatures",
      (state) => state.map((pdu) => (pdu.type === "m.room.name" ? { ...pdu, signatures: {} } : pdu)),
    ],
    [
      "has a create event without signatures",
      (state) => state.map((pdu) => (pdu.type === "m.room.create" ? { ...pdu, signatures: {} } : pdu)),
    ],
  ];

  let inviting: InvitingPeer;
  let other: InvitingPeer;
  beforeEach(() => {
    inviting = new InvitingPeer(federation, server);
    other = new InvitingPeer(federation, server, { creationContent: { other: true } });
  });
  const otherCreate = (): JsonObject => other.room.create.pdu;
  const signedAnew = (pdu: JsonObject): JsonObject =>
    signEvent(withFields(pdu, { signatures: undefined }), inviting.room.rules, inviting.peer.name, inviting.peer.key);
  const otherName = (): JsonObject => other.state()[1] ?? {};

  it.each(evil)("%s: refused in room version 12, and nothing is stored", async (_, change) => {
    const answer = await inviting.send(inviting.invite(alice.userId), { state: change(inviting.state()) });
    expect([answer.status, answer.body.errcode]).toEqual([400, "M_INVALID_PARAM"]);
    expect(answer.text).not.toContain("signatures");
    expect(await invitesOf(alice)).toEqual({});
  });

  it("is left out as far as its senders' keys cannot be had", async () => {
    inviting.room.join(user("@gone:gone.test"));
    inviting.room.sendState(user("@gone:gone.test"), "m.room.topic", { topic: "made up" });
    const answer = await inviting.send(inviting.invite(alice.userId));
    expect(answer.status, answer.text).toBe(200);
    const shown = JSON.stringify(await invitesOf(alice));
    expect(shown).toContain("Attic");
    expect(shown).not.toContain("made up");
  });

  it("is refused with a create event whose sender's keys cannot be had", async () => {
    const gone = new InvitingPeer(federation, server, { creator: user("@gone:gone.test") });
    gone.room.join(mallory);
    const answer = await gone.send(gone.invite(alice.userId));
    expect([answer.status, answer.body.errcode]).toEqual([400, "M_INVALID_PARAM"]);
  });

  it("may be vouched for by the server that invites, where its senders' are gone", async () => {
    const goneServer = trusted.serverName("gone.test");
    const gone = new InvitingPeer(federation, server, { creator: user("@gone:gone.test") });
    gone.room.join(mallory);
    const keys = signJson(
      {
        server_name: goneServer,
        verify_keys: { "ed25519:test": { key: publicKeyOf(testKeyOf(goneServer)) } },
        old_verify_keys: {},
        valid_until_ts: federation.clock.now() + 86_400_000,
      },
      goneServer,
      testKeyOf(goneServer),
    );
    const { peer } = gone;
    peer.on(/\/key\/v2\/query/, () => ({ server_keys: [signJson(keys, peer.name, peer.key)] }));
    const answer = await gone.send(gone.invite(alice.userId));
    expect(answer.status, answer.text).toBe(200);
    expect(JSON.stringify(await invitesOf(alice))).toContain("m.room.create");
  });

  it("shows of a redacted event what is left of it", async () => {
    const state = inviting.state().map((pdu) => (pdu.type === "m.room.name" ? { ...pdu, content: {} } : pdu));
    const answer = await inviting.send(inviting.invite(alice.userId), { state });
    expect(answer.status, answer.text).toBe(200);
    expect(JSON.stringify(await invitesOf(alice))).not.toContain("Attic");
  });

  it("is cut where it is too large, but for the create event", async () => {
    for (const type of ["m.room.topic", "m.room.avatar"]) {
      inviting.room.sendState(mallory, type, { text: "x".repeat(50_000) });
    }
    const [create, ...others] = inviting.state();
    const answer = await inviting.send(inviting.invite(alice.userId), { state: [...others, create ?? null] });
    expect(answer.status, answer.text).toBe(200);
    const shown = JSON.stringify(await invitesOf(alice));
    expect(shown).toContain("m.room.create");
    expect(shown.length).toBeLessThan(70_000);
  });
});
