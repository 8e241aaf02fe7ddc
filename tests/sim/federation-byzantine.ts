/**
 * A server that keeps no rule: it is in the room with a key of its own, and sends forged events, forks, two truths to two
 * servers, events on old or unknown ones, and nonsense where it is asked something.
 */
import { authorizationHeader } from "../../shared/federation-api/x-matrix.ts";
import { type EventId, type RoomId, type ServerName, trusted, type UserId } from "../../shared/ids.ts";
import { field, isObject, type JsonObject, type JsonValue, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { publicKeyOf, type SigningKey, signEvent, signJson } from "../../shared/matrix/signing.ts";
import { HonestAnswers } from "../support/honest-answers.ts";
import { type NewEvent, RoomBuilder, rulesOf, testKeyOf } from "../support/room-builder.ts";
import { SimulatedFault } from "./faults.ts";
import type { HttpAnswer, Network } from "./federation-network.ts";
import type { Random } from "./random.ts";

/** As deep as an event can claim to be. */
const deepest = Number.MAX_SAFE_INTEGER;
/** How many of the newest events it builds upon. */
const keptHeads = 6;

interface Membership {
  readonly roomId: RoomId;
  readonly built: RoomBuilder;
  readonly answers: HonestAnswers;
  /** Its join, on which it can always build. */
  readonly join: EventId;
  /** Events that came lately. */
  heads: EventId[];
}

export class ByzantineServer {
  readonly name: ServerName;
  readonly userId: UserId;
  /** True: it answers nobody any more. */
  isDead = false;
  readonly #network: Network;
  readonly #random: Random;
  readonly #key: SigningKey;
  /** How often it answers what it is asked. */
  readonly #honesty: number;
  #room: Membership | null = null;
  #counter = 0;

  constructor(network: Network, name: string, random: Random) {
    this.#network = network;
    this.#random = random;
    this.name = trusted.serverName(name);
    this.userId = trusted.userId(`@mallory:${name}`);
    this.#key = testKeyOf(this.name);
    this.#honesty = random.pick([0, 0.5, 0.9]);
    network.foreign.set(name, (request) => this.#answer(request));
  }

  get key(): { name: ServerName; keyId: string } {
    return { name: this.name, keyId: this.#key.keyId };
  }

  /** Joins a room by one of the servers in it. */
  async join(roomId: RoomId, via: string, version: string): Promise<void> {
    const rules = rulesOf(version);
    const room = encodeURIComponent(roomId);
    const make = `/_matrix/federation/v1/make_join/${room}/${encodeURIComponent(this.userId)}?ver=${version}`;
    const made = await this.#ask(via, "GET", make);
    const template = withFields(objectField(made.body, "event") ?? {}, {
      origin_server_ts: this.#network.scheduler.clock.now(),
    });
    const join = eventFromPdu(signEvent(template, rules, this.name, this.#key), rules);
    const send = `/_matrix/federation/v2/send_join/${room}/${encodeURIComponent(join.eventId)}`;
    const sent = await this.#ask(via, "PUT", send, join.pdu);
    if (sent.status !== 200) throw new Error(`no join: ${JSON.stringify(sent.body)}`);
    const state = listOf(sent.body.state).map((pdu) => eventFromPdu(pdu, rules));
    const built = RoomBuilder.continuing(version, [...state, join], [join]);
    this.#room = { roomId, built, answers: new HonestAnswers(built), join: join.eventId, heads: [join.eventId] };
  }

  /** Does one bad, or sometimes good, thing. */
  async misbehave(servers: readonly string[]): Promise<void> {
    const room = this.#room;
    if (room === null || this.isDead) return;
    const deed = this.#random.pick(this.#deeds);
    await deed(room, servers);
  }

  get #deeds(): readonly ((room: Membership, servers: readonly string[]) => Promise<void>)[] {
    return [
      (room, servers) => this.#send(servers, [this.#message(room, this.#recent(room))]),
      (room, servers) => this.#send(servers, [this.#message(room, [room.join])]),
      (room, servers) => this.#send([this.#random.pick(servers)], [this.#message(room, this.#recent(room))]),
      (room, servers) => this.#equivocate(room, servers),
      (room, servers) => this.#send(servers, [this.#state(room, "m.room.power_levels", this.#grab(room))]),
      (room, servers) => this.#send(servers, [this.#state(room, "m.room.topic", { topic: this.#text() })]),
      (room, servers) => this.#send(servers, [this.#forge(room, servers)]),
      (room, servers) => this.#send(servers, [this.#withoutAuthEvents(room)]),
      (room, servers) => this.#send(servers, [this.#deep(room)]),
      (room, servers) => this.#send(servers, [this.#message(room, [trusted.eventId("$nobody-has-this-event")])]),
      (room, servers) => this.#hiding(room, servers),
      (_room, servers) => this.#nonsense(servers),
    ];
  }

  /** Tells two servers two truths, and neither of the other's. */
  async #equivocate(room: Membership, servers: readonly string[]): Promise<void> {
    const prevEvents = this.#recent(room);
    const type = this.#random.pick(["m.room.topic", "m.room.name", "org.example.state"]);
    for (const server of servers) {
      const content = { topic: this.#text(), name: this.#text() };
      await this.#send([server], [this.#make(room, { type, stateKey: "", content, prevEvents })]);
    }
  }

  /** Says something on top of an event that it gives to nobody unasked. */
  async #hiding(room: Membership, servers: readonly string[]): Promise<void> {
    const hidden = this.#state(room, "m.room.topic", { topic: this.#text() });
    await this.#send([this.#random.pick(servers)], [this.#message(room, [hidden.eventId])]);
  }

  async #nonsense(servers: readonly string[]): Promise<void> {
    const body = this.#random.pick<JsonValue>([
      { pdus: "none", edus: 3 },
      { pdus: [{}, { room_id: 3 }, { room_id: "!x:y", type: [] }], edus: [{}] },
      { pdus: [], edus: [{ edu_type: "m.receipt", content: { nowhere: 1 } }] },
      [],
    ]);
    await this.#put(this.#random.pick(servers), body);
  }

  #text(): string {
    this.#counter += 1;
    return `mallory ${this.#counter}`;
  }

  #recent({ heads }: Membership): EventId[] {
    const count = this.#random.int(1, 2);
    return heads.slice(-count);
  }

  #make({ built, heads, join }: Membership, input: Omit<NewEvent, "sender">): MatrixEvent {
    const made = built.make({
      sender: this.userId,
      originServerTs: this.#network.scheduler.clock.now(),
      ...input,
    });
    // What it says may become what it builds upon, or not.
    if (this.#random.chance(0.5)) heads.push(made.eventId);
    heads.splice(0, heads.length - keptHeads);
    if (heads.length === 0) heads.push(join);
    return made;
  }

  #message(room: Membership, prevEvents: EventId[]): MatrixEvent {
    const content = { msgtype: "m.text", body: this.#text() };
    return this.#make(room, { type: "m.room.message", content, prevEvents });
  }

  #state(room: Membership, type: string, content: JsonObject): MatrixEvent {
    return this.#make(room, { type, stateKey: "", content, prevEvents: this.#recent(room) });
  }

  /** All power to Mallory. */
  #grab({ built }: Membership): JsonObject {
    const now = built.lookup("m.room.power_levels", "")?.content ?? {};
    return withFields(now, { users: { ...(objectField(now, "users") ?? {}), [this.userId]: 100 } });
  }

  /** An event of somebody else's, whose key it has not. */
  #forge(room: Membership, servers: readonly string[]): MatrixEvent {
    const sender = trusted.userId(`@ann:${this.#random.pick(servers)}`);
    const content = { topic: this.#text() };
    const prevEvents = this.#recent(room);
    return room.built.make({ sender, type: "m.room.topic", stateKey: "", content, prevEvents });
  }

  #withoutAuthEvents(room: Membership): MatrixEvent {
    const content = { topic: this.#text() };
    const prevEvents = this.#recent(room);
    return this.#make(room, { type: "m.room.topic", stateKey: "", content, prevEvents, authEvents: [] });
  }

  #deep(room: Membership): MatrixEvent {
    const honest = this.#message(room, this.#recent(room));
    const pdu = withFields(honest.pdu, {
      depth: deepest,
      signatures: undefined,
      hashes: undefined,
      unsigned: undefined,
    });
    return eventFromPdu(signEvent(pdu, room.built.rules, this.name, this.#key), room.built.rules);
  }

  async #send(servers: readonly string[], events: readonly MatrixEvent[]): Promise<void> {
    const pdus = events.map((event) => event.pdu);
    const body = { origin: this.name, origin_server_ts: this.#network.scheduler.clock.now(), pdus, edus: [] };
    for (const server of servers) await this.#put(server, body);
  }

  async #put(server: string, body: JsonValue): Promise<void> {
    // Now and then, an id that it has used before.
    const txnId = this.#random.chance(0.1) ? "again" : `t${this.#text().replace(" ", "")}`;
    try {
      await this.#ask(server, "PUT", `/_matrix/federation/v1/send/${txnId}`, body);
    } catch (thrown) {
      if (!(thrown instanceof SimulatedFault)) throw thrown;
    }
  }

  #ask(server: string, method: string, path: string, body?: JsonValue): Promise<HttpAnswer> {
    const destination = trusted.serverName(server);
    const signed = { origin: this.name, destination, method, uri: path, content: body ?? null };
    const headers = { Authorization: authorizationHeader(signed, this.#key) };
    return this.#network.ask(this.name, server, { method, path, headers, ...(body === undefined ? {} : { body }) });
  }

  async #answer(request: Request): Promise<Response> {
    if (this.isDead) throw new SimulatedFault(`${this.name} is dead`);
    const { pathname } = new URL(request.url);
    if (pathname.startsWith("/_matrix/key/v2/server")) return Response.json(this.#keys());
    if (pathname.startsWith("/_matrix/federation/v1/send/")) return await this.#take(request);
    if (this.#random.chance(this.#honesty)) return await this.#honestAnswer(request, pathname);
    return this.#random.pick([
      () => new Response("{", { status: 200 }),
      () => Response.json([], { status: 200 }),
      () => Response.json({ events: [{}, 3, { type: "m.room.message" }], pdus: [{}], auth_chain: "no", pdu_ids: [7] }),
      () => Response.json({ errcode: "M_FORBIDDEN", error: "no" }, { status: 403 }),
      () => Response.json({}, { status: 500 }),
      () => Response.json({ events: [], pdus: [], auth_chain: [], pdu_ids: [], auth_chain_ids: [] }),
    ])();
  }

  async #take(request: Request): Promise<Response> {
    const room = this.#room;
    const body: unknown = JSON.parse(await request.text());
    for (const pdu of isObject(body) ? listOf(body.pdus) : []) {
      if (room === null || field(pdu, "room_id") !== room.roomId) continue;
      const event = eventFromPdu(pdu, room.built.rules);
      room.built.append(event);
      room.heads.push(event.eventId);
    }
    return this.#random.chance(0.9) ? Response.json({ pdus: {} }) : Response.json({}, { status: 500 });
  }

  async #honestAnswer(request: Request, pathname: string): Promise<Response> {
    const room = this.#room;
    if (room === null) return Response.json({}, { status: 404 });
    const body: unknown = request.method === "POST" ? JSON.parse(await request.text()) : {};
    const ids = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
    const last = decodeURIComponent(pathname.split("/").pop() ?? "");
    if (pathname.includes("/get_missing_events/") && isObject(body)) {
      const events = room.answers.missing(ids(body.latest_events), ids(body.earliest_events), 20);
      return Response.json({ events: events.map(({ pdu }) => pdu) });
    }
    const event = room.answers.find(last);
    if (pathname.includes("/event/") && event !== null) return Response.json({ origin: this.name, pdus: [event.pdu] });
    if (pathname.includes("/event_auth/") && event !== null) {
      return Response.json({ auth_chain: room.answers.authChain([event]).map(({ pdu }) => pdu) });
    }
    return Response.json({ errcode: "M_NOT_FOUND", error: "no" }, { status: 404 });
  }

  #keys(): JsonObject {
    const keys = {
      server_name: this.name,
      verify_keys: { [this.#key.keyId]: { key: publicKeyOf(this.#key) } },
      old_verify_keys: {},
      valid_until_ts: this.#network.scheduler.clock.now() + 7 * 24 * 60 * 60_000,
    };
    return signJson(keys, this.name, this.#key);
  }
}

function listOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
