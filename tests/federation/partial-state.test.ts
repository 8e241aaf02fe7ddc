/** Joins that are told a room without its members: usable at once, made whole behind it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { field, isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { eventFromPdu } from "../../shared/matrix/event.ts";
import type { FederatedServer, FederatedUser, Federation } from "../support/federation.ts";
import { carol, dave, largeRoom, PartialScene, second } from "../support/partial-scene.ts";
import type { Resident } from "../support/resident.ts";
import { type RoomBuilder, user } from "../support/room-builder.ts";
import { TestPeer } from "../support/test-peer.ts";

let scene: PartialScene;
let federation: Federation;
let two: FederatedServer;
let resident: Resident;
let built: RoomBuilder;
let bob: FederatedUser;

beforeEach(async () => {
  built = largeRoom();
  scene = new PartialScene(built, { omitsMembers: true });
  ({ federation, two, resident } = scene);
  bob = await scene.two.user("bob");
});
afterEach(() => scene.federation.close());

/** Joins, and is told a part of the room only. */
async function joinPartly(): Promise<void> {
  await scene.join(bob);
  expect(scene.rows("partial_state")).toHaveLength(1);
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
    expect(scene.stateHere().join()).not.toContain("@dave:far.test");
    expect(eventsOf((await section()).state).map(({ type }) => type)).toContain("m.room.join_rules");
    const sent = await bob.put(`v3/rooms/${scene.path}/send/m.room.message/1`, { body: "hello" });
    expect(sent.status, sent.text).toBe(200);
    scene.tellsState = true;
    await federation.advance(second);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.rows("partial_state_events")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
    const news = await section();
    expect(eventsOf(news.state).map((event) => event.state_key)).toContain(dave);
    expect(news.summary).toMatchObject({ "m.joined_member_count": 7 });
    expect(two.logged.filter(({ level }) => level !== "info")).toEqual([]);
  });

  it("is asked for by nobody whose operator has it off", async () => {
    const three = federation.server("three.test", { PARTIAL_STATE_JOINS: "off" });
    await scene.join(await three.user("eve"));
    const sent = federation.exchanges.filter(({ from, path }) => from === "three.test" && path.includes("/send_join/"));
    expect(sent.map(({ path }) => path.includes("omit_members"))).toEqual([false]);
    const sql = three.sql("room", built.roomId);
    expect(sql.all("SELECT * FROM partial_state")).toEqual([]);
    expect(sql.all("SELECT * FROM room_memberships WHERE membership = 'join'")).toHaveLength(7);
  });

  it("gives lazily loading clients the senders that they need, and no more when it is whole", async () => {
    await joinPartly();
    await scene.give([built.message(carol, "one")]);
    const first = await section(lazily);
    expect(JSON.stringify(first.timeline)).toContain('"one"');
    expect(eventsOf(first.state).map((event) => event.state_key)).toContain(carol);
    scene.tellsState = true;
    await federation.advance(second);
    const news = await section(lazily);
    expect(eventsOf(news.state)).toEqual([]);
    expect(news.summary).toMatchObject({ "m.joined_member_count": 7 });
    await scene.give([built.message(dave, "two")]);
    expect(eventsOf((await section(lazily)).state).map((event) => event.state_key)).toContain(dave);
  });

  it("takes what members send that are not known, by the member events that these name", async () => {
    await joinPartly();
    const message = built.message(dave, "from far away");
    expect(Object.values(await scene.give([message]))).toEqual([{}]);
    expect(scene.statusOf(message)).toBe("accepted");
    expect(scene.stateHere().join()).not.toContain(dave);
    const named = built.authEventsFor({ sender: carol, type: "m.room.message", stateKey: null, content: {} });
    const topic = built.sendState(built.creator, "m.room.topic", { topic: "New" });
    const kick = built.member(built.creator, "leave", carol);
    await scene.give([topic, kick]);
    expect([scene.statusOf(topic), scene.statusOf(kick)]).toEqual(["accepted", "accepted"]);
    // Now it is known that she is out, and her own say-so does not count.
    const late = built.fork().make({ sender: carol, type: "m.room.message", authEvents: named });
    await scene.give([late]);
    expect(scene.statusOf(late)).not.toBe("accepted");
    scene.tellsState = true;
    await federation.advance(second);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
    expect(scene.statusOf(message)).toBe("accepted");
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
    await bob.put(`v3/rooms/${scene.path}/send/m.room.message/1`, { body: "for all" });
    await federation.settle();
    for (const name of ["example.org", "far.test", "nobody.test"]) {
      const got = federation.exchanges.filter(
        ({ to, body }) => to === name && JSON.stringify(body).includes("for all"),
      );
      expect(got, name).toHaveLength(1);
    }
    scene.tellsState = true;
    await federation.advance(second);
    const here = two.sql("room", built.roomId).all("SELECT * FROM room_servers WHERE until_position IS NULL");
    expect(here).toMatchObject([
      { server_name: "example.org", joined_members: 5 },
      { server_name: "far.test", joined_members: 1 },
    ]);
    await bob.put(`v3/rooms/${scene.path}/send/m.room.message/2`, { body: "for some" });
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
    await scene.give([lie]);
    await federation.advance(second);
    await scene.give([lie]);
    expect(scene.statusOf(lie)).toBe("accepted");
    expect(JSON.stringify(await bob.sync())).toContain("Lies");
    scene.tellsState = true;
    await federation.advance(60 * second);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.statusOf(lie)).not.toBe("accepted");
    expect(scene.stateHere()).toEqual(scene.stateThere());
    const history = await bob.get(`v3/rooms/${scene.path}/messages?dir=b&limit=50`);
    expect([history.status, history.text.includes("Lies")]).toEqual([200, false]);
  });
});

describe("a room not all of whose members are known", () => {
  it("lets who asks for all members wait, and tells them when they are known", async () => {
    await joinPartly();
    const waiting = bob.get(`v3/rooms/${scene.path}/joined_members`);
    await new Promise((resolve) => setImmediate(resolve));
    const stranger = await two.user("stranger");
    expect((await stranger.get(`v3/rooms/${scene.path}/members`)).status).toBe(403);
    scene.tellsState = true;
    await ringAlarms();
    const reply = await waiting;
    expect(Object.keys(objectField(reply.body, "joined") ?? {})).toHaveLength(7);
  });

  it("does not let them wait for ever, nor takes what it knows for all", async () => {
    await joinPartly();
    const waiting = bob.get(`v3/rooms/${scene.path}/members`);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    federation.passTime(61 * second);
    await ringAlarms();
    expect((await waiting).status).toBe(502);
  });

  it("is no help to other servers", async () => {
    await joinPartly();
    const far = scene.far;
    const join = resident.taken[0]?.eventId ?? "";
    for (const asked of [
      `make_join/${scene.path}/${encodeURIComponent("@eve:far.test")}?ver=12`,
      `state/${scene.path}?event_id=${encodeURIComponent(join)}`,
      `state_ids/${scene.path}?event_id=${encodeURIComponent(join)}`,
    ]) {
      const reply = await far.request(two, "GET", `/_matrix/federation/v1/${asked}`);
      expect([reply.status, reply.body.errcode], asked).toEqual([404, "M_NOT_FOUND"]);
    }
    // But who is invited can turn it down here.
    const invited = "@gone:far.test";
    await scene.give([built.member(built.creator, "invite", invited)]);
    const leave = `/_matrix/federation/v1/make_leave/${scene.path}/${encodeURIComponent(invited)}`;
    expect((await far.request(two, "GET", leave)).status).toBe(200);
    const history = `/_matrix/federation/v1/backfill/${scene.path}?v=${encodeURIComponent(join)}&limit=5`;
    expect((await far.request(two, "GET", history)).status).toBe(200);
  });

  it("says of nobody that they are not in it, where its members may join another room", async () => {
    await joinPartly();
    const content = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: built.roomId }] };
    const initialState = [{ type: "m.room.join_rules", state_key: "", content }];
    const other = String((await bob.post("v3/createRoom", { initial_state: initialState })).body.room_id);
    const make = () => {
      const path = `make_join/${encodeURIComponent(other)}/${encodeURIComponent("@erin:far.test")}?ver=12`;
      return scene.far.request(two, "GET", `/_matrix/federation/v1/${path}`);
    };
    const before = await make();
    expect([before.status, before.body.errcode]).toEqual([400, "M_UNABLE_TO_AUTHORISE_JOIN"]);
    scene.tellsState = true;
    await federation.advance(60 * second);
    expect(scene.rows("partial_state")).toHaveLength(0);
    const after = await make();
    expect([after.status, after.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
  });

  it("is left, and joined again, anew", async () => {
    await joinPartly();
    expect((await bob.post(`v3/rooms/${scene.path}/leave`)).status).toBe(200);
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
    scene.tellsState = true;
    await federation.advance(second);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it("is joined by a second user by way of the others", async () => {
    await joinPartly();
    const eve = await two.user("eve");
    built.message(carol, "that this server has not seen");
    await scene.join(eve);
    expect(resident.taken).toHaveLength(2);
    scene.tellsState = true;
    await federation.advance(second);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
    expect((await eve.get("v3/joined_rooms")).body.joined_rooms).toEqual([built.roomId]);
  });
});
