/** Joins that are told a room without its members: usable at once, made whole behind it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { field, isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { answerHonestly, type HonestAnswers } from "../support/honest-answers.ts";
import { Resident } from "../support/resident.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";
import { TestPeer } from "../support/test-peer.ts";

let federation: Federation;
let two: FederatedServer;
let bob: FederatedUser;
let resident: Resident;
let built: RoomBuilder;
let transactions: number;
let answers: HonestAnswers;
let tellsState: boolean;

const second = 1_000;
const carol = user("@carol:example.org");
const dave = user("@dave:far.test");

beforeEach(async () => {
  federation = new Federation();
  two = federation.server("two.test");
  bob = await two.user("bob");
  built = RoomBuilder.open();
  built.sendState(built.creator, "m.room.name", { name: "Large" });
  transactions = 0;
  tellsState = false;
  for (const person of [carol, dave, ...[1, 2, 3].map((index) => user(`@user${index}:example.org`))])
    built.join(person);
  resident = new Resident(federation, "example.org", built, { omitsMembers: true });
  resident.serversInRoom = ["example.org", "far.test"];
  new TestPeer(federation, "far.test").on(/\/send\//, () => ({ pdus: {} }));
  resident.peer.on(/\/federation\/v1\/send\//, () => ({ pdus: {} }));
});
afterEach(() => federation.close());

const path = () => encodeURIComponent(built.roomId);

async function join(person: FederatedUser = bob) {
  const reply = await person.post(`v3/join/${path()}?via=example.org`);
  await federation.settle();
  return reply;
}

/** Joins, and has the resident take the join as a part of the room and answer questions about it. */
async function joinPartly(): Promise<void> {
  const reply = await join();
  expect(reply.status, reply.text).toBe(200);
  const taken = resident.taken.at(-1);
  if (taken === undefined) throw new Error("nobody was asked");
  built.append(taken);
  expect(rows("partial_state")).toHaveLength(1);
  answers = answerHonestly({ peer: resident.peer, built });
  // Until a test has it otherwise, nobody tells the whole state.
  resident.peer.on(/\/state(_ids)?\//, () => (tellsState ? null : Response.json({}, { status: 404 })));
}

/** From now on the resident tells the whole state. */
function honest(): void {
  tellsState = true;
}

const rows = (table: string) => two.sql("room", built.roomId).all(`SELECT * FROM ${table}`);

/** `[type, state_key] = event id` of the current state of the room here. */
function stateHere(): string[] {
  return two
    .sql("room", built.roomId)
    .all<{ line: string }>(
      `SELECT type || '|' || state_key || ' = ' || event_id AS line FROM current_state_events
       JOIN events USING (event_nid) ORDER BY line`,
    )
    .map(({ line }) => line);
}

const stateThere = () =>
  [...built.state.values()].map(({ type, stateKey, eventId }) => `${type}|${stateKey} = ${eventId}`).sort();

const statusOf = (event: MatrixEvent): unknown =>
  two.sql("room", built.roomId).one("SELECT status FROM events WHERE event_id = ?", event.eventId)?.status ?? null;

async function give(...events: MatrixEvent[]): Promise<JsonObject> {
  transactions += 1;
  const body = { origin: "example.org", origin_server_ts: 1, pdus: events.map(({ pdu }) => pdu), edus: [] };
  const reply = await resident.peer.request(two, "PUT", `/_matrix/federation/v1/send/t${transactions}`, body);
  expect(reply.status, reply.text).toBe(200);
  await federation.settle();
  return objectField(reply.body, "pdus") ?? {};
}

/** Lets alarms ring that are due, while a request is waiting. */
async function ringAlarms(): Promise<void> {
  for (const host of two.hosts()) {
    if (host.alarmAt === null || host.alarmAt > federation.clock.now()) continue;
    host.alarmAt = null;
    await host.actor.onAlarm();
  }
}

/** The room's section of the next sync. */
async function section(query = ""): Promise<JsonObject> {
  const rooms = objectField(await bob.sync(query), "rooms") ?? {};
  return objectField(objectField(rooms, "join") ?? {}, built.roomId) ?? {};
}

const eventsOf = (part: JsonValue | undefined): JsonObject[] =>
  [field(isObject(part ?? null) ? (part as JsonObject) : {}, "events")]
    .flat()
    .filter((event) => isObject(event ?? null)) as JsonObject[];

const lazily = `&filter=${encodeURIComponent(JSON.stringify({ room: { state: { lazy_load_members: true } } }))}`;

describe("a join that leaves out members", () => {
  it("is usable at once, and whole soon after", async () => {
    await joinPartly();
    expect(stateHere().join()).not.toContain("@dave:far.test");
    expect(eventsOf((await section()).state).map(({ type }) => type)).toContain("m.room.join_rules");
    const sent = await bob.put(`v3/rooms/${path()}/send/m.room.message/1`, { body: "hello" });
    expect(sent.status, sent.text).toBe(200);
    honest();
    await federation.advance(second);
    expect(rows("partial_state")).toEqual([]);
    expect(rows("partial_state_events")).toEqual([]);
    expect(stateHere()).toEqual(stateThere());
    const news = await section();
    expect(eventsOf(news.state).map((event) => event.state_key)).toContain(dave);
    expect(news.summary).toMatchObject({ "m.joined_member_count": 7 });
    expect(two.logged.filter(({ level }) => level !== "info")).toEqual([]);
  });

  it("is asked for by nobody whose operator has it off", async () => {
    const three = federation.server("three.test", { PARTIAL_STATE_JOINS: "off" });
    const reply = await join(await three.user("eve"));
    expect(reply.status, reply.text).toBe(200);
    const sent = federation.exchanges.filter(({ from, path }) => from === "three.test" && path.includes("/send_join/"));
    expect(sent.map(({ path }) => path.includes("omit_members"))).toEqual([false]);
    const sql = three.sql("room", built.roomId);
    expect(sql.all("SELECT * FROM partial_state")).toEqual([]);
    expect(sql.all("SELECT * FROM room_memberships WHERE membership = 'join'")).toHaveLength(7);
  });

  it("gives lazily loading clients the senders that they need, and no more when it is whole", async () => {
    await joinPartly();
    await give(built.message(carol, "one"));
    const first = await section(lazily);
    expect(JSON.stringify(first.timeline)).toContain('"one"');
    expect(eventsOf(first.state).map((event) => event.state_key)).toContain(carol);
    honest();
    await federation.advance(second);
    const news = await section(lazily);
    expect(eventsOf(news.state)).toEqual([]);
    expect(news.summary).toMatchObject({ "m.joined_member_count": 7 });
    await give(built.message(dave, "two"));
    expect(eventsOf((await section(lazily)).state).map((event) => event.state_key)).toContain(dave);
  });

  it("takes what members send that are not known, by the member events that these name", async () => {
    await joinPartly();
    const message = built.message(dave, "from far away");
    expect(Object.values(await give(message))).toEqual([{}]);
    expect(statusOf(message)).toBe("accepted");
    expect(stateHere().join()).not.toContain(dave);
    const named = built.authEventsFor({ sender: carol, type: "m.room.message", stateKey: null, content: {} });
    const topic = built.sendState(built.creator, "m.room.topic", { topic: "New" });
    const kick = built.member(built.creator, "leave", carol);
    await give(topic, kick);
    expect([statusOf(topic), statusOf(kick)]).toEqual(["accepted", "accepted"]);
    // Now it is known that she is out, and her own say-so does not count.
    const late = built.fork().make({ sender: carol, type: "m.room.message", authEvents: named });
    await give(late);
    expect(statusOf(late)).not.toBe("accepted");
    honest();
    await federation.advance(second);
    expect(rows("partial_state")).toEqual([]);
    expect(stateHere()).toEqual(stateThere());
    expect(statusOf(message)).toBe("accepted");
  });

  it("is made whole by a server like this one", async () => {
    const alice = await federation.server("one.test").user("alice");
    const made = await alice.post("v3/createRoom", { preset: "public_chat", invite: ["@bob:two.test"] });
    const room = String(made.body.room_id);
    for (let index = 0; index < 21; index += 1) {
      await alice.post(`v3/rooms/${encodeURIComponent(room)}/ban`, { user_id: `@banned${index}:one.test` });
    }
    await federation.settle();
    expect((await bob.post(`v3/join/${encodeURIComponent(room)}?via=one.test`)).status).toBe(200);
    await federation.settle();
    const state = (server: FederatedServer) =>
      server
        .sql("room", room)
        .all("SELECT event_id FROM current_state_events JOIN events USING (event_nid) ORDER BY 1");
    expect(state(two).length).toBeLessThan(15);
    await bob.put(`v3/rooms/${encodeURIComponent(room)}/send/m.room.message/1`, { body: "hello" });
    await federation.advance(second);
    expect(state(two)).toEqual(state(federation.server("one.test")));
    expect(JSON.stringify(await alice.sync())).toContain("hello");
  });

  it("sends to the servers that were told to be in the room, and then to those that are", async () => {
    resident.serversInRoom = ["example.org", "far.test", "nobody.test"];
    const nobody = new TestPeer(federation, "nobody.test");
    nobody.on(/\/send\//, () => ({ pdus: {} }));
    await joinPartly();
    await bob.put(`v3/rooms/${path()}/send/m.room.message/1`, { body: "for all" });
    await federation.settle();
    for (const name of ["example.org", "far.test", "nobody.test"]) {
      const got = federation.exchanges.filter(
        ({ to, body }) => to === name && JSON.stringify(body).includes("for all"),
      );
      expect(got, name).toHaveLength(1);
    }
    honest();
    await federation.advance(second);
    const here = two.sql("room", built.roomId).all("SELECT * FROM room_servers WHERE until_position IS NULL");
    expect(here).toMatchObject([
      { server_name: "example.org", joined_members: 5 },
      { server_name: "far.test", joined_members: 1 },
    ]);
    await bob.put(`v3/rooms/${path()}/send/m.room.message/2`, { body: "for some" });
    await federation.settle();
    const late = federation.exchanges.filter(({ body }) => JSON.stringify(body).includes("for some"));
    expect(late.map(({ to }) => to).sort()).toEqual(["example.org", "far.test"]);
  });

  it("refuses afterwards what was believed of somebody who is banned", async () => {
    const before = built.state.get(JSON.stringify(["m.room.member", carol]));
    built.member(built.creator, "ban", carol);
    await joinPartly();
    const authEvents = [
      ...built.authEventsFor({ sender: built.creator, type: "m.room.message", stateKey: null, content: {} }),
    ];
    const own = built.state.get(JSON.stringify(["m.room.member", built.creator]));
    const named = authEvents.filter((eventId) => eventId !== own?.eventId);
    const lie = built.fork().make({
      sender: carol,
      type: "m.room.message",
      content: { body: "Lies" },
      authEvents: [...named, before?.eventId ?? built.create.eventId],
    });
    expect(before).toBeDefined();
    resident.peer.on(/\/event_auth\//, () => ({ auth_chain: before === undefined ? [] : [before.pdu] }));
    await give(lie);
    await federation.advance(second);
    await give(lie);
    expect(statusOf(lie)).toBe("accepted");
    expect(JSON.stringify(await bob.sync())).toContain("Lies");
    honest();
    await federation.advance(60 * second);
    expect(rows("partial_state")).toEqual([]);
    expect(statusOf(lie)).not.toBe("accepted");
    expect(stateHere()).toEqual(stateThere());
    const history = await bob.get(`v3/rooms/${path()}/messages?dir=b&limit=50`);
    expect([history.status, history.text.includes("Lies")]).toEqual([200, false]);
  });
});

describe("a room not all of whose members are known", () => {
  it("lets who asks for all members wait, and tells them when they are known", async () => {
    await joinPartly();
    const waiting = bob.get(`v3/rooms/${path()}/joined_members`);
    await new Promise((resolve) => setImmediate(resolve));
    const stranger = await two.user("stranger");
    expect((await stranger.get(`v3/rooms/${path()}/members`)).status).toBe(403);
    honest();
    await ringAlarms();
    const reply = await waiting;
    expect(Object.keys(objectField(reply.body, "joined") ?? {})).toHaveLength(7);
  });

  it("does not let them wait for ever, nor takes what it knows for all", async () => {
    await joinPartly();
    const waiting = bob.get(`v3/rooms/${path()}/members`);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    federation.passTime(61 * second);
    await ringAlarms();
    expect((await waiting).status).toBe(502);
  });

  it("is no help to other servers", async () => {
    await joinPartly();
    const far = new TestPeer(federation, "far.test");
    const join = resident.taken[0]?.eventId ?? "";
    for (const asked of [
      `make_join/${path()}/${encodeURIComponent("@eve:far.test")}?ver=12`,
      `state/${path()}?event_id=${encodeURIComponent(join)}`,
      `state_ids/${path()}?event_id=${encodeURIComponent(join)}`,
    ]) {
      const reply = await far.request(two, "GET", `/_matrix/federation/v1/${asked}`);
      expect([reply.status, reply.body.errcode], asked).toEqual([404, "M_NOT_FOUND"]);
    }
    // But who is invited from here can only turn it down here.
    await bob.post(`v3/rooms/${path()}/invite`, { user_id: "@gone:far.test" });
    const leave = `/_matrix/federation/v1/make_leave/${path()}/${encodeURIComponent(dave)}`;
    expect((await far.request(two, "GET", leave)).body.errcode).not.toBe("M_NOT_FOUND");
    const history = `/_matrix/federation/v1/backfill/${path()}?v=${encodeURIComponent(join)}&limit=5`;
    expect((await far.request(two, "GET", history)).status).toBe(200);
  });

  it("says of nobody that they are not in it, where its members may join another room", async () => {
    await joinPartly();
    const content = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: built.roomId }] };
    const initialState = [{ type: "m.room.join_rules", state_key: "", content }];
    const other = String((await bob.post("v3/createRoom", { initial_state: initialState })).body.room_id);
    const make = () => {
      const path = `make_join/${encodeURIComponent(other)}/${encodeURIComponent("@erin:far.test")}?ver=12`;
      return new TestPeer(federation, "far.test").request(two, "GET", `/_matrix/federation/v1/${path}`);
    };
    const before = await make();
    expect([before.status, before.body.errcode]).toEqual([400, "M_UNABLE_TO_AUTHORISE_JOIN"]);
    honest();
    await federation.advance(60 * second);
    expect(rows("partial_state")).toHaveLength(0);
    const after = await make();
    expect([after.status, after.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
  });

  it("is left, and joined again, anew", async () => {
    await joinPartly();
    expect((await bob.post(`v3/rooms/${path()}/leave`)).status).toBe(200);
    await federation.advance(600 * second);
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    const left = resident.peer.received
      .flatMap(({ body }) => [field(isObject(body) ? body : {}, "pdus")].flat())
      .find((pdu) => isObject(pdu ?? null) && JSON.stringify(pdu).includes('"membership":"leave"'));
    if (!isObject(left ?? null)) throw new Error("the leave was not sent");
    built.append(eventFromPdu(left as JsonObject, built.rules));
    built.join(user("@late:example.org"));
    await joinPartly();
    expect(resident.taken).toHaveLength(2);
    honest();
    await federation.advance(second);
    expect(rows("partial_state")).toEqual([]);
    expect(stateHere()).toEqual(stateThere());
  });

  it("is joined by a second user by way of the others", async () => {
    await joinPartly();
    const eve = await two.user("eve");
    built.message(carol, "that this server has not seen");
    expect((await join(eve)).status).toBe(200);
    const taken = resident.taken.at(-1);
    if (taken !== undefined) built.append(taken);
    expect(resident.taken).toHaveLength(2);
    honest();
    await federation.advance(second);
    expect(rows("partial_state")).toEqual([]);
    expect(stateHere()).toEqual(stateThere());
    expect((await eve.get("v3/joined_rooms")).body.joined_rooms).toEqual([built.roomId]);
  });
});

describe("making a room whole", () => {
  it("puts us out of a room that we were not to be let into", async () => {
    const hidden = built.fork();
    const ban = hidden.member(built.creator, "ban", bob.userId);
    await joinPartly();
    await bob.sync();
    await bob.put(`v3/rooms/${path()}/send/m.room.message/1`, { body: "into the blue" });
    const join = resident.taken[0] ?? built.create;
    const state = [...answers.stateBefore(join).values(), ban];
    const told = { pdus: state.map(({ pdu }) => pdu), auth_chain: answers.authChain(state).map(({ pdu }) => pdu) };
    resident.peer.on(/\/state\//, () => told);
    await federation.advance(second);
    expect(rows("partial_state")).toEqual([]);
    expect(statusOf(join)).toBe("rejected");
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    expect(objectField(objectField(await bob.sync(), "rooms") ?? {}, "leave")).toHaveProperty([built.roomId]);
    expect(two.logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("asks the next server, and later again, while nobody can help", async () => {
    await joinPartly();
    const asked = () =>
      federation.exchanges.filter((exchange) => exchange.path.includes("/state/")).map(({ to }) => to);
    await federation.advance(second);
    expect(asked()).toEqual(["example.org", "far.test"]);
    await federation.advance(24 * 3_600 * second);
    expect(asked().length).toBeGreaterThan(50);
    expect(asked().length).toBeLessThan(80);
    honest();
    await federation.advance(3_600 * second);
    expect(stateHere()).toEqual(stateThere());
  });

  it("takes nothing from a state but members that were left out", async () => {
    await joinPartly();
    honest();
    const rules = built.state.get(JSON.stringify(["m.room.join_rules", ""]));
    const other = built.fork().setJoinRule(built.creator, "invite");
    const state = [...answers.stateBefore(resident.taken[0] ?? built.create).values()].map((event) =>
      event === rules ? other.pdu : event.pdu,
    );
    resident.peer.on(/\/state\//, () => ({
      pdus: state,
      auth_chain: answers.authChain([other]).map(({ pdu }) => pdu),
    }));
    await federation.advance(second);
    expect(rows("partial_state")).toEqual([]);
    expect(stateHere()).toEqual(stateThere());
  });

  it.each([
    ["is empty", () => ({ pdus: [], auth_chain: [] })],
    ["breaks off", () => new Response('{"pdus": [')],
    ["is a list", () => []],
  ])("takes no state that %s", async (_what, answer) => {
    await joinPartly();
    resident.peer.on(/\/state\//, () => (tellsState ? null : answer()));
    await federation.advance(second);
    expect(rows("partial_state")).toHaveLength(1);
    honest();
    await federation.advance(120 * second);
    expect(stateHere()).toEqual(stateThere());
  });

  it("goes on when instances end, at whatever call, and when a worker is lost", async () => {
    await joinPartly();
    for (let batch = 0; batch < 6; batch += 1) {
      await give(
        ...Array.from({ length: 20 }, (_, index) => built.message(index % 2 === 0 ? carol : dave, `m${index}`)),
      );
    }
    honest();
    let calls = 0;
    two.onCall = async (method, call) => {
      if (!/Completion|WholeState/.test(method)) return call();
      calls += 1;
      if (calls % 3 === 0) throw new Error("lost on its way");
      const value = await call();
      two.evict("room", built.roomId);
      return value;
    };
    await federation.advance(4 * 3_600 * second);
    two.onCall = (_method, call) => call();
    await federation.advance(4 * 3_600 * second);
    expect(calls).toBeGreaterThan(3);
    expect(rows("partial_state")).toEqual([]);
    expect(stateHere()).toEqual(stateThere());
    const roots = two
      .sql("room", built.roomId)
      .all("SELECT DISTINCT state_root_after FROM events WHERE type = 'm.room.message'");
    expect(roots).toHaveLength(1);
  });
});
