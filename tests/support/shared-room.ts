/** A room of one of our servers that a played server is in, too: what tests of received events start from. */
import { type EventId, trusted, type UserId } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent, storedEvent } from "../../shared/matrix/event.ts";
import { signEvent } from "../../shared/matrix/signing.ts";
import type { FederatedReply, FederatedServer, FederatedUser, Federation } from "./federation.ts";
import { RoomBuilder, rulesOf, user } from "./room-builder.ts";
import { TestPeer } from "./test-peer.ts";

/** One public room of `alice` on our server, which `bob` of the peer has joined. */
export interface SharedRoom {
  readonly federation: Federation;
  readonly server: FederatedServer;
  readonly peer: TestPeer;
  readonly alice: FederatedUser;
  readonly bob: UserId;
  readonly roomId: string;
  /** The room as the peer sees it: its events follow bob's join. */
  readonly built: RoomBuilder;
}

/** Makes a room at `one.test` in which `@bob:peer.test` is. */
export async function shareRoom(federation: Federation, version = "12", body: JsonObject = {}): Promise<SharedRoom> {
  const server = federation.server("one.test");
  const peer = new TestPeer(federation, "peer.test");
  const alice = await server.user("alice");
  const created = await alice.post("v3/createRoom", { preset: "public_chat", room_version: version, ...body });
  if (created.status !== 200) throw new Error(`no room: ${created.text}`);
  const roomId = String(created.body.room_id);
  const bob = user("@bob:peer.test");
  const built = await joinByPeer({ federation, server, peer, roomId, version }, bob);
  await federation.settle();
  return { federation, server, peer, alice, bob, roomId, built };
}

/** Joins a user of a played server by the handshake, and gives the room as that server sees it. */
export async function joinByPeer(
  at: { federation: Federation; server: FederatedServer; peer: TestPeer; roomId: string; version: string },
  joiner: UserId,
): Promise<RoomBuilder> {
  const { federation, server, peer, roomId, version } = at;
  const rules = rulesOf(version);
  const room = encodeURIComponent(roomId);
  const make = `/_matrix/federation/v1/make_join/${room}/${encodeURIComponent(joiner)}?ver=${version}`;
  const made = await peer.request(server, "GET", make);
  const chosenId = rules.eventIdFormat === "serverChosen" ? { event_id: `$join${joiner.slice(1)}` } : {};
  const changes = { ...chosenId, origin_server_ts: federation.clock.now() };
  const template = withFields(objectField(made.body, "event") ?? {}, changes);
  const join = eventFromPdu(signEvent(template, rules, peer.name, peer.key), rules);
  const send = `/_matrix/federation/v2/send_join/${room}/${encodeURIComponent(join.eventId)}`;
  const sent = await peer.request(server, "PUT", send, join.pdu);
  if (sent.status !== 200) throw new Error(`no join: ${sent.text}`);
  const state = listOf(sent.body.state).map((pdu) => eventFromPdu(pdu, rules));
  return RoomBuilder.continuing(version, [...state, join], [join]);
}

function listOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

let transactions = 0;

/** Sends a transaction. Every call has an id of its own unless one is given. */
export function send(
  { server, peer }: Pick<SharedRoom, "server" | "peer">,
  content: { pdus?: readonly (MatrixEvent | JsonObject)[]; edus?: readonly JsonObject[]; txnId?: string },
): Promise<FederatedReply> {
  transactions += 1;
  const txnId = content.txnId ?? `txn${transactions}`;
  const pdus = (content.pdus ?? []).map((event) => (isEvent(event) ? event.pdu : event));
  const body = { origin: peer.name, origin_server_ts: 1, pdus, edus: [...(content.edus ?? [])] };
  return peer.request(server, "PUT", `/_matrix/federation/v1/send/${txnId}`, body);
}

function isEvent(event: MatrixEvent | JsonObject): event is MatrixEvent {
  return "pdu" in event && "eventId" in event;
}

/** What became of an event at our server: its status, or null where it is not there. */
export function statusOf({ server, roomId }: SharedRoom, eventId: EventId): string | null {
  const query = "SELECT status FROM events WHERE event_id = ?";
  return server.sql("room", roomId).one<{ status: string }>(query, eventId)?.status ?? null;
}

/** An event as our server has it. */
export function eventAt({ server, roomId, built }: SharedRoom, eventId: string): MatrixEvent {
  const row = server.sql("room", roomId).one<{ json: string }>("SELECT json FROM events WHERE event_id = ?", eventId);
  if (row === null) throw new Error(`${eventId} is not there`);
  return storedEvent(trusted.eventId(eventId), row.json, built.rules);
}

/** The bodies of the messages that a user has been given, oldest first. */
export async function messagesSeen(person: FederatedUser, roomId: string): Promise<string[]> {
  const reply = await person.get(`v3/rooms/${encodeURIComponent(roomId)}/messages?dir=f&limit=200`);
  return listOf(reply.body.chunk)
    .filter((event) => event.type === "m.room.message")
    .map((event) => String(objectField(event, "content")?.body));
}
