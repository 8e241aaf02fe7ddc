/**
 * R1, R2 and R3 of SECURITY.md: what comes in by the endpoints for joins, leaves, knocks and invites is that and nothing
 * else, of its sender's own doing, and signed.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isObject, type JsonObject, type JsonValue, objectField, stringField, withFields } from "../../shared/json.ts";
import { eventIdOf } from "../../shared/matrix/event-id.ts";
import { countersignEvent, publicKeyOf, type SigningKey, signEvent, verifyEvent } from "../../shared/matrix/signing.ts";
import { type FederatedReply, type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { InvitingPeer, mallory } from "../support/inviting-peer.ts";
import { rulesOf } from "../support/room-builder.ts";
import { shareRoom } from "../support/shared-room.ts";
import { type PeerRequestOptions, TestPeer } from "../support/test-peer.ts";

const version = "11";
const rules = rulesOf(version);
const encode = encodeURIComponent;

/** An endpoint that takes a member event, and what is sent there when all is well. */
interface Door {
  readonly roomId: string;
  /** Neither hashed nor signed. */
  readonly honest: JsonObject;
  send(pdu: JsonObject, at?: Place, options?: PeerRequestOptions): Promise<FederatedReply>;
}

/** What the path names, where it is not the event's own. */
interface Place {
  readonly roomId?: string;
  readonly eventId?: string;
}

let federation: Federation;
let server: FederatedServer;
let alice: FederatedUser;
let peer: TestPeer;
let other: TestPeer;

beforeEach(async () => {
  federation = new Federation();
  server = federation.server("one.test");
  alice = await server.user("alice");
  other = new TestPeer(federation, "other.test");
});
afterEach(() => federation.close());

function sign(pdu: JsonObject, by: TestPeer = peer, key: SigningKey = by.key): JsonObject {
  return signEvent(withFields(pdu, { signatures: undefined, hashes: undefined }), rules, by.name, key);
}

/** Whatever is wrong with the event. */
function idOf(pdu: JsonObject): string {
  return eventIdOf(pdu, rules) ?? "$nothing";
}

/** The path of an endpoint, for an event whose id may be wrong. */
function pathOf(start: string, roomId: string, pdu: JsonObject, at: Place): string {
  return `/_matrix/federation/${start}/${encode(at.roomId ?? roomId)}/${encode(at.eventId ?? idOf(pdu))}`;
}

/** A room of ours, and the template that it has for a user of the peer's. */
async function handshake(membership: "join" | "leave" | "knock", start: string): Promise<Door> {
  peer = new TestPeer(federation, "peer.test");
  const joinRule = membership === "knock" ? "knock" : "public";
  const rule = { type: "m.room.join_rules", state_key: "", content: { join_rule: joinRule } };
  // With all power: what is refused is not so for want of it.
  const levels = { users: { [alice.userId]: 100, [mallory]: 100 } };
  const body = { room_version: version, initial_state: [rule], power_level_content_override: levels };
  const created = await alice.post("v3/createRoom", body);
  const roomId = String(created.body.room_id);
  const make = async (kind: string): Promise<JsonObject> => {
    const path = `/_matrix/federation/v1/make_${kind}/${encode(roomId)}/${encode(mallory)}`;
    const made = await peer.request(server, "GET", kind === "leave" ? path : `${path}?ver=${version}`);
    return withFields(objectField(made.body, "event") ?? {}, { origin_server_ts: federation.clock.now() });
  };
  if (membership === "leave") {
    const join = sign(await make("join"));
    const joined = await peer.request(server, "PUT", pathOf("v2/send_join", roomId, join, {}), join);
    expect(joined.status, joined.text).toBe(200);
  }
  const honest = await make(membership);
  return {
    roomId,
    honest,
    send: (pdu, at = {}, options = {}) => peer.request(server, "PUT", pathOf(start, roomId, pdu, at), pdu, options),
  };
}

async function invitation(start: "v1/invite" | "v2/invite"): Promise<Door> {
  const inviting = new InvitingPeer(federation, server, { version });
  peer = inviting.peer;
  const { roomId } = inviting.room;
  return {
    roomId,
    honest: inviting.invite(alice.userId).pdu,
    send: (pdu, at = {}, options = {}) => {
      const body = start === "v1/invite" ? pdu : { event: pdu, room_version: version, invite_room_state: [] };
      return peer.request(server, "PUT", pathOf(start, roomId, pdu, at), body, options);
    },
  };
}

const doors: readonly [name: string, membership: string, open: () => Promise<Door>][] = [
  ["sendJoinV1", "join", () => handshake("join", "v1/send_join")],
  ["sendJoinV2", "join", () => handshake("join", "v2/send_join")],
  ["sendLeaveV1", "leave", () => handshake("leave", "v1/send_leave")],
  ["sendLeaveV2", "leave", () => handshake("leave", "v2/send_leave")],
  ["sendKnock", "knock", () => handshake("knock", "v1/send_knock")],
  ["sendInviteV2", "invite", () => invitation("v2/invite")],
];

/** All that the room's actor has of events, in any state. */
function storedOf(roomId: string): unknown[] {
  const sql = server.sql("room", roomId);
  return ["events", "outside_memberships"].flatMap((table) => sql.all(`SELECT * FROM ${table}`));
}

async function expectRefused(door: Door, send: () => Promise<FederatedReply>): Promise<void> {
  const before = storedOf(door.roomId);
  const answer = await send();
  await federation.settle();
  expect([400, 403], answer.text).toContain(answer.status);
  expect(answer.text).not.toContain("signatures");
  expect(storedOf(door.roomId)).toEqual(before);
}

const memberships = ["join", "leave", "knock", "invite", "ban", "nothing"];

describe.each(doors)("%s", (_name, membership, open) => {
  let door: Door;
  beforeEach(async () => {
    door = await open();
  });

  it("takes what is honest", async () => {
    const answer = await door.send(sign(door.honest));
    expect(answer.status, answer.text).toBe(200);
  });

  it.each<[what: string, signatures: (pdu: JsonObject) => JsonObject]>([
    ["not signed", (pdu) => withFields(sign(pdu), { signatures: {} })],
    ["signed by another server", (pdu) => sign(pdu, other)],
    ["signed with another server's key", (pdu) => sign(pdu, peer, { keyId: peer.key.keyId, seed: other.key.seed })],
    ["signed with a key that is not published", (pdu) => sign(pdu, peer, { keyId: "ed25519:x", seed: peer.key.seed })],
    ["signed otherwise", (pdu) => withFields(sign(pdu), { signatures: signaturesOf(sign({ ...pdu, depth: 999 })) })],
    ["changed after it was signed", (pdu) => withFields(sign(pdu), { depth: 999 })],
  ])("refuses an event that is %s", async (_what, signatures) => {
    await expectRefused(door, () => door.send(signatures(door.honest)));
  });

  it.each<[what: string, changes: Record<string, JsonValue | undefined>]>([
    ["of another room", { room_id: "!elsewhere:one.test" }],
    ["of another type", { type: "m.room.topic" }],
    ["about another user of its server", { state_key: "@carol:peer.test" }],
    ["about somebody of a third server", { state_key: "@carol:other.test" }],
    ["without a state key", { state_key: undefined }],
    ["by somebody of a third server", { sender: "@carol:other.test" }],
    ["by somebody of a third server about itself", { sender: "@carol:other.test", state_key: "@carol:other.test" }],
    ["by one of us", { sender: "@alice:one.test" }],
    ["by one of us about itself", { sender: "@alice:one.test", state_key: "@alice:one.test" }],
    ["without content", { content: undefined }],
    ["without a membership", { content: {} }],
    ["of a membership that is a list", { content: { membership: [membership] } }],
    ["with a number that no version has", { content: { membership, n: 2 ** 60 } }],
    ["that is too large", { content: { membership, reason: "x".repeat(66_000) } }],
    ["that authorizes itself with too many", { auth_events: Array.from({ length: 11 }, (_, n) => `$${n}`) }],
  ])("refuses an event %s", async (_what, changes) => {
    const pdu = withFields(door.honest, changes);
    // By all whose word could be asked for: it is not for want of one that it is refused.
    await expectRefused(door, () =>
      door.send(tooOdd(pdu) ?? countersignEvent(sign(pdu), rules, other.name, other.key)),
    );
  });

  it.each(memberships.filter((one) => one !== membership))("refuses the membership %s", async (one) => {
    await expectRefused(door, () => door.send(sign({ ...door.honest, content: { membership: one } })));
  });

  it("refuses an event that the path does not name", async () => {
    const pdu = sign(door.honest);
    await expectRefused(door, () => door.send(pdu, { eventId: idOf({ ...pdu, depth: 999 }) }));
    const elsewhere = await door.send(pdu, { roomId: "!elsewhere:one.test" });
    expect([400, 403, 404]).toContain(elsewhere.status);
    expect(elsewhere.text).not.toContain("signatures");
    expect(storedOf("!elsewhere:one.test")).toEqual([]);
  });

  it("refuses a request that its server has not signed", async () => {
    const pdu = sign(door.honest);
    const before = storedOf(door.roomId);
    for (const options of [{ authorization: null }, { key: other.key }, { key: { ...peer.key, keyId: "ed25519:x" } }]) {
      const answer = await door.send(pdu, {}, options);
      expect([answer.status, answer.body.errcode]).toEqual([401, "M_UNAUTHORIZED"]);
    }
    expect(storedOf(door.roomId)).toEqual(before);
  });
});

function signaturesOf(pdu: JsonObject): JsonObject {
  return objectField(pdu, "signatures") ?? {};
}

/** What nobody can sign, because it is not canonical JSON, with the signatures of something else. */
function tooOdd(pdu: JsonObject): JsonObject | null {
  const isOdd = objectField(pdu, "content")?.n !== undefined;
  return isOdd ? withFields(pdu, { hashes: { sha256: "x".repeat(43) }, signatures: { [peer.name]: {} } }) : null;
}

describe("an event that the room does not allow", () => {
  it("is refused without a trace", async () => {
    const door = await handshake("join", "v2/send_join");
    const closed = await alice.put(`v3/rooms/${encode(door.roomId)}/state/m.room.join_rules`, { join_rule: "invite" });
    expect(closed.status, closed.text).toBe(200);
    await expectRefused(door, () => door.send(sign(door.honest)));
  });
});

describe("a join that came as an event before, and was not let in", () => {
  it("is not let in by asking once more, and brings nothing of the room", async () => {
    const two = new Federation();
    const shared = await shareRoom(two, version);
    peer = shared.peer;
    const { roomId, built, server } = shared;
    const closed = await shared.alice.put(`v3/rooms/${encode(roomId)}/state/m.room.join_rules`, {
      join_rule: "invite",
    });
    expect(closed.status).toBe(200);
    // After events of the time when everybody could come in: the graph allows it, the present does not.
    const content = { membership: "join" };
    const late = built.make({ sender: mallory, type: "m.room.member", stateKey: mallory, content }).pdu;
    const transaction = { origin: peer.name, origin_server_ts: two.clock.now(), pdus: [late], edus: [] };
    await peer.request(server, "PUT", "/_matrix/federation/v1/send/t1", transaction);
    await two.settle();
    const known = server.sql("room", roomId).all("SELECT status FROM events WHERE event_id = ?", idOf(late));
    expect(known).toEqual([{ status: "soft_failed" }]);

    const answer = await peer.request(server, "PUT", pathOf("v2/send_join", roomId, late, {}), late);

    expect([answer.status, answer.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    expect(answer.text).not.toContain("signatures");
    two.close();
  });
});

describe("2,000 invites that were tampered with", () => {
  it("get no signature of ours on anything but an invite for one of us, by one of the server that sends it", async () => {
    const inviting = new InvitingPeer(federation, server, { version });
    peer = inviting.peer;
    const key = await server.actors.server(server.config.serverName).getSigningKey();
    const ours = new Map([[key.keyId, publicKeyOf(key)]]);
    const { below } = seeded(7);
    const tamper = tamperer(below);
    let signed = 0;
    for (let round = 0; round < 2_000; round += 1) {
      const honest = inviting.invite(alice.userId).pdu;
      const { pdu, eventId } = tamper(honest);
      const roomId = below(20) === 0 ? "!elsewhere:peer.test" : inviting.room.roomId;
      const answer = await inviting.sendPdu(pdu, { roomId, eventId });
      expect(answer.status, `${JSON.stringify(pdu)} → ${answer.text}`).toBeLessThan(500);
      if (answer.status !== 200) {
        expect(answer.text).not.toContain("ed25519");
        continue;
      }
      signed += 1;
      const event = objectField(answer.body, "event") ?? {};
      expect(verifyEvent(event, rules, server.config.serverName, ours)).toBe(true);
      expect(verifyEvent(event, rules, peer.name, new Map([[peer.key.keyId, publicKeyOf(peer.key)]]))).toBe(true);
      const { type, room_id, state_key, content } = event;
      expect({ type, room_id, state_key }).toEqual({
        type: "m.room.member",
        room_id: inviting.room.roomId,
        state_key: alice.userId,
      });
      expect(isObject(content ?? null) && objectField(event, "content")?.membership).toBe("invite");
      expect(stringField(event, "sender")?.endsWith(":peer.test")).toBe(true);
    }
    // Some of what is changed is nobody's business.
    expect(signed).toBeGreaterThan(100);
    expect(signed).toBeLessThan(1_500);
  }, 120_000);
});

/** A generator of numbers that are the same each time. */
function seeded(seed: number): { below: (bound: number) => number } {
  let state = seed;
  const below = (bound: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  return { below };
}

const values: readonly (JsonValue | undefined)[] = [
  undefined,
  null,
  0,
  -1,
  1.5,
  2 ** 60,
  "",
  "x",
  "m.room.message",
  "m.room.power_levels",
  "m.room.create",
  "m.room.member",
  "invite",
  "join",
  "ban",
  "leave",
  "@alice:one.test",
  "@nobody:one.test",
  "@mallory:peer.test",
  "@carol:peer.test",
  "@carol:other.test",
  "!elsewhere:peer.test",
  "$event",
  [],
  ["$event"],
  [[]],
  {},
  { membership: "invite" },
  { membership: "join" },
  { membership: "leave" },
  { membership: ["invite"] },
  { membership: "invite", third_party_invite: {} },
  { membership: "invite", third_party_invite: { signed: { mxid: "@alice:one.test", token: "t", signatures: {} } } },
  { membership: "invite", join_authorised_via_users_server: "@alice:one.test" },
  { users: { "@mallory:peer.test": 100 } },
];
const fields = [
  ...["type", "state_key", "sender", "content", "room_id", "origin_server_ts", "depth", "prev_events", "auth_events"],
  ...["redacts", "unsigned", "event_id", "origin", "membership", "__proto__"],
];

/** Changes some of an event, and signs it anew, mostly. */
function tamperer(below: (bound: number) => number): (pdu: JsonObject) => { pdu: JsonObject; eventId: string } {
  const one = <Value>(list: readonly Value[]): Value | undefined => list[below(list.length)];
  return (honest) => {
    let pdu = honest;
    for (let changes = below(3); changes >= 0; changes -= 1) {
      const name = one(fields) ?? "type";
      const content = objectField(pdu, "content") ?? {};
      const isInside = below(4) === 0;
      const changed = isInside
        ? { content: withFields(content, { [one(["membership", "reason", "third_party_invite"]) ?? ""]: one(values) }) }
        : { [name]: one(values) };
      pdu = withFields(pdu, changed);
    }
    try {
      const unsigned = withFields(pdu, { unsigned: undefined });
      const resigned = below(8) === 0 ? unsigned : sign(unsigned);
      return { pdu: resigned, eventId: below(10) === 0 ? "$another" : idOf(resigned) };
    } catch {
      // It cannot be signed, not being canonical JSON.
      return { pdu, eventId: "$odd" };
    }
  };
}
