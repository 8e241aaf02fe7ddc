/** What is said in a room between a server's asking to join it and its joining: it must not be lost on that server. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { type JsonObject, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { signEvent } from "../../shared/matrix/signing.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { ReceivingPeer } from "../support/receiving-peer.ts";
import { rulesOf, user } from "../support/room-builder.ts";

const encode = encodeURIComponent;
const bob = user("@bob:peer.test");
const rules = rulesOf("11");

let federation: Federation;
let server: FederatedServer;
let alice: FederatedUser;
let peer: ReceivingPeer;

beforeEach(async () => {
  federation = new Federation();
  server = federation.server("one.test");
  alice = await server.user("alice");
  peer = new ReceivingPeer(federation, "peer.test");
});
afterEach(() => federation.close());

async function createRoom(visibility = "shared"): Promise<string> {
  const content = { history_visibility: visibility };
  const initialState = [{ type: "m.room.history_visibility", state_key: "", content }];
  const body = { preset: "public_chat", room_version: "11", initial_state: initialState };
  return String((await alice.post("v3/createRoom", body)).body.room_id);
}

async function makeJoin(roomId: string): Promise<JsonObject> {
  const path = `/_matrix/federation/v1/make_join/${encode(roomId)}/${encode(bob)}?ver=11`;
  const made = await peer.request(server, "GET", path);
  expect(made.status, made.text).toBe(200);
  return objectField(made.body, "event") ?? {};
}

async function sendJoin(roomId: string, template: JsonObject): Promise<MatrixEvent> {
  const pdu = withFields(template, { origin_server_ts: federation.clock.now() });
  const event = eventFromPdu(signEvent(pdu, rules, peer.name, peer.key), rules);
  const path = `/_matrix/federation/v2/send_join/${encode(roomId)}/${encode(event.eventId)}`;
  const sent = await peer.request(server, "PUT", path, event.pdu);
  expect(sent.status, sent.text).toBe(200);
  await federation.settle();
  await federation.advance(60_000);
  return event;
}

async function say(roomId: string, body: string): Promise<string> {
  const sent = await alice.put(`v3/rooms/${encode(roomId)}/send/m.room.message/${body}`, { body });
  expect(sent.status, sent.text).toBe(200);
  return String(sent.body.event_id);
}

const receivedIds = () => peer.pdus().map((pdu) => eventFromPdu(pdu, rules).eventId);

it("what was said meanwhile is sent to the server once it has joined", async () => {
  const roomId = await createRoom();
  await say(roomId, "before");
  const template = await makeJoin(roomId);
  const meanwhile = [await say(roomId, "meanwhile"), await say(roomId, "and-then")];
  await sendJoin(roomId, template);
  expect(receivedIds()).toEqual(meanwhile);
  const after = await say(roomId, "after");
  await federation.settle();
  expect(receivedIds()).toEqual([...meanwhile, after]);
});

it("what the server's users may not see is not sent", async () => {
  const roomId = await createRoom("joined");
  const template = await makeJoin(roomId);
  await say(roomId, "meanwhile");
  await sendJoin(roomId, template);
  expect(receivedIds()).toEqual([]);
});

it("a join that follows what is long past brings no history with it", async () => {
  const roomId = await createRoom();
  const template = await makeJoin(roomId);
  for (let index = 0; index < 60; index += 1) await say(roomId, `m${index}`);
  await sendJoin(roomId, template);
  expect(receivedIds()).toEqual([]);
});

it("what is for the server since it was in the room for the first time is sent once", async () => {
  const roomId = await createRoom();
  const template = await makeJoin(roomId);
  await sendJoin(roomId, template);
  let isAway = true;
  peer.respond = () => (isAway ? Response.json({}, { status: 503 }) : null);
  const said = await say(roomId, "once");
  const kick = await alice.post(`v3/rooms/${encode(roomId)}/kick`, { user_id: bob });
  expect(kick.status, kick.text).toBe(200);
  // The join names what came before that.
  await sendJoin(roomId, template);
  const failed = peer.transactions.length;
  isAway = false;
  await federation.advance(2 * 60 * 60_000);
  const ids = peer.transactions
    .slice(failed)
    .flatMap(({ pdus }) => pdus.map((pdu) => eventFromPdu(pdu, rules).eventId));
  expect(ids.filter((eventId) => eventId === said)).toEqual([said]);
});
