/** A room that a server of ours joins without being told all of it, by way of a server that the test plays. */
import type { Variables } from "../../shared/env.ts";
import { field, isObject, type JsonObject, objectField } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { type FederatedServer, type FederatedUser, Federation } from "./federation.ts";
import { answerHonestly, type HonestAnswers } from "./honest-answers.ts";
import { type Misbehaviour, Resident } from "./resident.ts";
import { RoomBuilder, user } from "./room-builder.ts";
import { TestPeer } from "./test-peer.ts";

export const second = 1_000;
export const hour = 3_600 * second;

export const carol = user("@carol:example.org");
export const dave = user("@dave:far.test");

/** A room of example.org's in which are, beside its creator, carol, dave and three more. */
export function largeRoom(): RoomBuilder {
  const built = RoomBuilder.open();
  built.sendState(built.creator, "m.room.name", { name: "Large" });
  for (const person of [carol, dave, ...[1, 2, 3].map((index) => user(`@user${index}:example.org`))])
    built.join(person);
  return built;
}

/** Bob of our two.test joins a room of example.org's, in which far.test may be as well. */
export class PartialScene {
  readonly federation = new Federation();
  readonly two: FederatedServer;
  readonly built: RoomBuilder;
  readonly resident: Resident;
  readonly far: TestPeer;
  /** Whether the resident tells the whole state. */
  tellsState = false;
  #answers: HonestAnswers | null = null;
  #transactions = 0;

  constructor(built: RoomBuilder, misbehaviour: Misbehaviour, variables: Variables = {}) {
    this.two = this.federation.server("two.test", variables);
    this.built = built;
    this.resident = new Resident(this.federation, "example.org", built, misbehaviour);
    this.resident.serversInRoom = ["example.org", "far.test"];
    this.far = new TestPeer(this.federation, "far.test");
    for (const peer of [this.far, this.resident.peer]) peer.on(/\/federation\/v1\/send\//, () => ({ pdus: {} }));
  }

  get path(): string {
    return encodeURIComponent(this.built.roomId);
  }

  get answers(): HonestAnswers {
    if (this.#answers === null) throw new Error("nobody has joined");
    return this.#answers;
  }

  /** Joins, and has the resident take the join as a part of the room and answer questions about it. */
  async join(person: FederatedUser): Promise<void> {
    const reply = await person.post(`v3/join/${this.path}?via=example.org`);
    await this.federation.settle();
    if (reply.status !== 200) throw new Error(`the join was refused: ${reply.text}`);
    const taken = this.resident.taken.at(-1);
    if (taken === undefined) throw new Error("nobody was asked");
    this.built.append(taken);
    this.#answers = answerHonestly({ peer: this.resident.peer, built: this.built });
    this.resident.peer.on(/\/state(_ids)?\//, () => (this.tellsState ? null : Response.json({}, { status: 404 })));
  }

  /** Sends events in the name of a server. @returns what it was told of each */
  async give(events: readonly MatrixEvent[], from: TestPeer = this.resident.peer): Promise<JsonObject> {
    this.#transactions += 1;
    const body = { origin: from.name, origin_server_ts: 1, pdus: events.map(({ pdu }) => pdu), edus: [] };
    const path = `/_matrix/federation/v1/send/t${this.#transactions}`;
    const reply = await from.request(this.two, "PUT", path, body);
    if (reply.status !== 200) throw new Error(reply.text);
    await this.federation.settle();
    return objectField(reply.body, "pdus") ?? {};
  }

  rows(table: string): Record<string, unknown>[] {
    return this.two.sql("room", this.built.roomId).all(`SELECT * FROM ${table}`);
  }

  statusOf({ eventId }: MatrixEvent): unknown {
    const query = "SELECT status FROM events WHERE event_id = ?";
    return this.two.sql("room", this.built.roomId).one(query, eventId)?.status ?? null;
  }

  /** `[type, state_key] = event id` of the current state of the room here. */
  stateHere(): string[] {
    const query = `SELECT type || '|' || state_key || ' = ' || event_id AS line FROM current_state_events
      JOIN events USING (event_nid) ORDER BY line`;
    return this.two
      .sql("room", this.built.roomId)
      .all<{ line: string }>(query)
      .map(({ line }) => line);
  }

  /** The same of the room as the test has built it. */
  stateThere(): string[] {
    return [...this.built.state.values()]
      .map(({ type, stateKey, eventId }) => `${type}|${stateKey} = ${eventId}`)
      .sort();
  }

  /** The ids of the events in the timeline that somebody's next sync gives. */
  async timelineOf(person: FederatedUser): Promise<string[]> {
    const rooms = objectField(await person.sync(), "rooms") ?? {};
    const section = objectField(objectField(rooms, "join") ?? {}, this.built.roomId) ?? {};
    const events = field(objectField(section, "timeline") ?? {}, "events");
    return (Array.isArray(events) ? events : []).flatMap((event) =>
      isObject(event) ? [String(field(event, "event_id"))] : [],
    );
  }
}
