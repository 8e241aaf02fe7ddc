import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { rulesFor } from "../../shared/matrix/room-version.ts";
import { countersignEvent, publicKeyOf, signJson } from "../../shared/matrix/signing.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { testKeyOf, user } from "../support/room-builder.ts";
import { joinByPeer } from "../support/shared-room.ts";
import { TestPeer } from "../support/test-peer.ts";

const identityServer = trusted.serverName("id.test");
const identityKey = testKeyOf(identityServer);
const dora = user("@dora:peer.test");
const encode = encodeURIComponent;

let federation: Federation;
let server: FederatedServer;
let peer: TestPeer;
let alice: FederatedUser;
let bob: FederatedUser;
let roomId: string;

beforeEach(async () => {
  federation = new Federation();
  server = federation.server("one.test");
  peer = new TestPeer(federation, "peer.test");
  alice = await server.user("alice");
  bob = await server.user("bob");
  await server.user("carol");
  roomId = String((await alice.post("v3/createRoom", { preset: "private_chat" })).body.room_id);
  const offered = await alice.put(`v3/rooms/${encode(roomId)}/state/m.room.third_party_invite/token1`, {
    display_name: "d...@e...",
    key_validity_url: "https://id.test/valid",
    public_key: publicKeyOf(identityKey),
    public_keys: [{ public_key: publicKeyOf(identityKey) }],
  });
  expect(offered.status, offered.text).toBe(200);
});
afterEach(() => federation.close());

/** What the identity server says of who has bound the third-party id. */
function signed(mxid: string, token = "token1", key = identityKey): JsonObject {
  return signJson({ mxid, token }, identityServer, key);
}

async function membership(userId: string): Promise<JsonValue> {
  const state = await alice.get(`v3/rooms/${encode(roomId)}/state/m.room.member/${encode(userId)}`);
  return state.status === 200 ? state.body : null;
}

describe("exchangeThirdPartyInvite", () => {
  function exchange(word: JsonObject, changes: JsonObject = {}) {
    const body = {
      type: "m.room.member",
      room_id: roomId,
      sender: alice.userId,
      state_key: dora,
      content: { membership: "invite", third_party_invite: { display_name: "made up", signed: word } },
      ...changes,
    };
    const path = `/_matrix/federation/v1/exchange_third_party_invite/${encode(roomId)}`;
    return peer.request(server, "PUT", path, body);
  }

  /** The peer signs the invites that it is sent. */
  function sign(): void {
    peer.on(/\/v2\/invite\//, async (request) => {
      const body: JsonValue = await request.json();
      const sent = isObject(body) ? body : {};
      const rules = rulesFor(String(sent.room_version));
      if (rules === null) throw new Error("unknown version");
      return { event: countersignEvent(objectField(sent, "event") ?? {}, rules, peer.name, peer.key) };
    });
  }

  it("invites the user by way of their server", async () => {
    sign();
    const word = signed(dora);
    const answer = await exchange(word);
    expect([answer.status, answer.json], answer.text).toEqual([200, {}]);
    expect(await membership(dora)).toEqual({
      membership: "invite",
      third_party_invite: { display_name: "d...@e...", signed: word },
    });
    const invites = peer.received.filter(({ path }) => path.includes("/invite/"));
    expect(invites).toHaveLength(1);
  });

  it.each<[what: string, word: () => JsonObject, changes?: JsonObject]>([
    ["another key has signed", () => signed(dora, "token1", testKeyOf(trusted.serverName("evil.test")))],
    ["nobody has signed", () => ({ mxid: dora, token: "token1", signatures: {} })],
    ["nobody was invited with the token", () => signed(dora, "token2")],
    ["that is for another user", () => signed("@eve:peer.test")],
    ["that is for a user of another server", () => signed("@eve:evil.test"), { state_key: "@eve:evil.test" }],
    ["that was not sent by the sender", () => signed(dora), { sender: "@bob:one.test" }],
    ["that a user of the asking server is to have sent", () => signed(dora), { sender: "@mallory:peer.test" }],
    ["of another type", () => signed(dora), { type: "m.room.power_levels" }],
    ["of another room", () => signed(dora), { room_id: "!elsewhere:one.test" }],
    ["of another membership", () => signed(dora), { content: { membership: "join" } }],
    ["without what was signed", () => signed(dora), { content: { membership: "invite", third_party_invite: {} } }],
  ])("refuses an invite %s", async (_, word, changes) => {
    sign();
    const answer = await exchange(word(), changes);
    expect([400, 403], answer.text).toContain(answer.status);
    expect(peer.received.filter(({ path }) => path.includes("/invite/"))).toEqual([]);
    expect(await membership(dora)).toBeNull();
  });

  it("makes no invite in the name of a user of another server", async () => {
    sign();
    const levels = { users: { [alice.userId]: 100, "@mallory:peer.test": 100 } };
    const body = { preset: "public_chat", room_version: "11", power_level_content_override: levels };
    roomId = String((await alice.post("v3/createRoom", body)).body.room_id);
    const mallory = user("@mallory:peer.test");
    const built = await joinByPeer({ federation, server, peer, roomId, version: "11" }, mallory);
    const content = { display_name: "d", public_keys: [{ public_key: publicKeyOf(identityKey) }] };
    const { pdu } = built.sendState(mallory, "m.room.third_party_invite", content, "token9");
    const transaction = { origin: peer.name, origin_server_ts: 0, pdus: [pdu], edus: [] };
    await peer.request(server, "PUT", "/_matrix/federation/v1/send/t1", transaction);
    await federation.settle();
    const answer = await exchange(signed(dora, "token9"), { sender: mallory });
    expect([answer.status, answer.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    expect(peer.received.filter(({ path }) => path.includes("/invite/"))).toEqual([]);
  });

  it("knows nothing of a room that we are not in", async () => {
    const path = "/_matrix/federation/v1/exchange_third_party_invite/!elsewhere%3Aone.test";
    const body = {
      type: "m.room.member",
      room_id: "!elsewhere:one.test",
      sender: alice.userId,
      state_key: dora,
      content: { membership: "invite", third_party_invite: { display_name: "x", signed: signed(dora) } },
    };
    const answer = await peer.request(server, "PUT", path, body);
    expect([answer.status, answer.body.errcode]).toEqual([404, "M_NOT_FOUND"]);
  });
});

describe("onBindThirdPartyIdentifier", () => {
  function onBind(mxid: string, invites: readonly JsonObject[]) {
    const address = { medium: "email", address: "bob@example.org" };
    const body = { ...address, mxid, invites: invites.map((invite) => ({ ...address, mxid, ...invite })) };
    return server.request("PUT", "/_matrix/federation/v1/3pid/onbind", { body });
  }

  it("invites the user into a room that we are in", async () => {
    const word = signed(bob.userId);
    const answer = await onBind(bob.userId, [{ room_id: roomId, sender: alice.userId, signed: word }]);
    expect([answer.status, answer.json], answer.text).toEqual([200, {}]);
    expect(await membership(bob.userId)).toEqual({
      membership: "invite",
      third_party_invite: { display_name: "d...@e...", signed: word },
    });
    const rooms = objectField(await bob.sync(), "rooms") ?? {};
    expect(Object.keys(objectField(rooms, "invite") ?? {})).toEqual([roomId]);
  });

  it("asks the server of the sender for an invite into another room", async () => {
    peer.on(/\/exchange_third_party_invite\//, () => ({}));
    const elsewhere = "!elsewhere:peer.test";
    const word = signed(bob.userId);
    const answer = await onBind(bob.userId, [{ room_id: elsewhere, sender: "@mallory:peer.test", signed: word }]);
    expect(answer.status, answer.text).toBe(200);
    expect(peer.received.filter(({ method }) => method === "PUT")).toEqual([
      {
        method: "PUT",
        path: `/_matrix/federation/v1/exchange_third_party_invite/${encode(elsewhere)}`,
        body: {
          type: "m.room.member",
          room_id: elsewhere,
          sender: "@mallory:peer.test",
          state_key: bob.userId,
          content: { membership: "invite", third_party_invite: { display_name: bob.userId, signed: word } },
        },
      },
    ]);
  });

  it("goes on after an invite that comes to nothing, and says so", async () => {
    const good = { room_id: roomId, sender: alice.userId, signed: signed(bob.userId) };
    const answer = await onBind(bob.userId, [{ ...good, signed: signed(bob.userId, "token2") }, good]);
    expect([answer.status, answer.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    expect(await membership(bob.userId)).toMatchObject({ membership: "invite" });
  });

  it.each<[what: string, mxid: string, change: () => JsonObject]>([
    ["of nobody of this server", "@nobody:one.test", () => ({ signed: signed("@nobody:one.test") })],
    ["of a user of another server", dora, () => ({ signed: signed(dora) })],
    ["that another key has signed", "@bob:one.test", () => ({ signed: signed("@bob:one.test", "token1", peer.key) })],
    ["that is for another user", "@bob:one.test", () => ({ signed: signed("@alice:one.test") })],
    [
      "that names another user",
      "@bob:one.test",
      () => ({ mxid: "@carol:one.test", signed: signed("@carol:one.test") }),
    ],
    [
      "that somebody else has sent",
      "@bob:one.test",
      () => ({ sender: "@bob:one.test", signed: signed("@bob:one.test") }),
    ],
  ])("takes up no invite %s", async (_, mxid, change) => {
    const answer = await onBind(mxid, [{ room_id: roomId, sender: alice.userId, ...change() }]);
    expect([400, 403], answer.text).toContain(answer.status);
    expect(await membership(mxid)).toBeNull();
    expect(await membership("@carol:one.test")).toBeNull();
    expect(peer.received).toEqual([]);
  });

  it("leaves a member a member", async () => {
    const invite = { room_id: roomId, sender: alice.userId, signed: signed(bob.userId) };
    expect((await onBind(bob.userId, [invite])).status).toBe(200);
    expect((await bob.post(`v3/rooms/${encode(roomId)}/join`)).status).toBe(200);
    const again = await onBind(bob.userId, [invite]);
    expect([again.status, again.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    expect(await membership(bob.userId)).toMatchObject({ membership: "join" });
  });
});
