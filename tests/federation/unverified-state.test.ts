/** Joins while the keys of a server in the room are to be had from nobody: what it signed is taken later, or left out. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Variables } from "../../shared/env.ts";
import { isObject, type JsonObject, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { signJson } from "../../shared/matrix/signing.ts";
import type { FederatedUser } from "../support/federation.ts";
import { hour, PartialScene, second } from "../support/partial-scene.ts";
import type { Misbehaviour } from "../support/resident.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

const carol = user("@carol:example.org");
const dave = user("@dave:far.test");

let scene: PartialScene;
let built: RoomBuilder;
let bob: FederatedUser;
let topic: MatrixEvent;
/** Requests that far.test was sent while it was away. */
let attempts: string[];
let isAway: boolean;

beforeEach(() => {
  built = RoomBuilder.open({ powerLevels: { users: { [dave]: 50 } } });
  built.join(carol);
  built.join(dave);
  topic = built.sendState(dave, "m.room.topic", { topic: "By Dave" });
  attempts = [];
  isAway = true;
});
afterEach(() => scene.federation.close());

async function open(misbehaviour: Misbehaviour = {}, variables: Variables = {}): Promise<void> {
  scene = new PartialScene(built, misbehaviour, variables);
  scene.federation.beforeExchange = (_from, to, path) => {
    if (to !== "far.test" || !isAway) return;
    attempts.push(path);
    throw new Error("nobody is there");
  };
  bob = await scene.two.user("bob");
}

async function join(misbehaviour: Misbehaviour = {}, variables: Variables = {}): Promise<void> {
  await open(misbehaviour, variables);
  await scene.join(bob);
}

/** An answer for which nothing is waited for. */
async function atOnce<T>(answer: Promise<T>): Promise<T> {
  const late = async (): Promise<never> => {
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    throw new Error("there is no answer yet");
  };
  return await Promise.race([answer, late()]);
}

const lines = (...events: MatrixEvent[]) =>
  events.map(({ type, stateKey, eventId }) => `${type}|${stateKey} = ${eventId}`);
const ofDave = () => [...built.state.values()].filter(({ sender }) => sender === dave);
const withoutDave = () => scene.stateThere().filter((line) => !lines(...ofDave()).includes(line));

describe("a join of a room with a server whose keys nobody has", () => {
  it("is made without what that server signed, which becomes part of the state when it comes back", async () => {
    await join();
    expect(scene.stateHere()).toEqual(withoutDave());
    const before = await atOnce(bob.get(`v3/rooms/${scene.path}/joined_members`));
    expect(Object.keys(objectField(before.body, "joined") ?? {})).not.toContain(dave);
    await bob.sync();
    const words = built.message(carol, "meanwhile");
    await scene.give([words]);
    await bob.put(`v3/rooms/${scene.path}/send/m.room.message/1`, { body: "for all" });
    await scene.federation.advance(hour);
    expect(scene.stateHere()).toEqual(withoutDave());
    isAway = false;
    await scene.federation.advance(2 * hour);
    expect(scene.stateHere()).toEqual(scene.stateThere());
    for (const table of ["partial_state", "partial_state_events", "partial_state_unverified"])
      expect(scene.rows(table), table).toEqual([]);
    const news = JSON.stringify(await bob.sync());
    expect([news.includes("By Dave"), news.includes("meanwhile")]).toEqual([true, true]);
    // It was taken to be in the room all the time.
    expect(scene.far.received.filter(({ body }) => JSON.stringify(body).includes("for all"))).toHaveLength(1);
    const late = built.message(dave, "I am back");
    await scene.give([late], scene.far);
    expect(scene.statusOf(late)).toBe("accepted");
    expect(scene.two.logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("takes what had to wait for it", async () => {
    const kicked = user("@kicked:example.org");
    built.join(kicked);
    const kick = built.member(dave, "leave", kicked);
    await join();
    const invite = built.member(built.creator, "invite", kicked);
    const rejoin = built.join(kicked);
    await scene.give([invite, rejoin]);
    expect(invite.authEvents).toContain(kick.eventId);
    expect([invite, rejoin].map((event) => scene.statusOf(event))).toEqual([null, null]);
    isAway = false;
    await scene.federation.advance(2 * hour);
    expect([invite, rejoin].map((event) => scene.statusOf(event))).toEqual(["accepted", "accepted"]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it("is given up on after a day, at the cost of few requests", async () => {
    await join();
    await scene.federation.advance(23 * hour);
    expect(scene.rows("partial_state")).toHaveLength(1);
    await scene.federation.advance(3 * hour);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.rows("partial_state_unverified")).toEqual([]);
    expect(scene.stateHere()).toEqual(withoutDave());
    expect(attempts.filter((path) => path.startsWith("/_matrix/key/")).length).toBeLessThanOrEqual(20);
    // From now on this server helps others as well as it can.
    const reply = await scene.resident.peer.request(
      scene.two,
      "GET",
      `/_matrix/federation/v1/make_join/${scene.path}/${encodeURIComponent("@eve:example.org")}?ver=12`,
    );
    expect(reply.status, reply.text).toBe(200);
  });

  it("does not tell others a state that lacks something, but lets its own users in", async () => {
    await join();
    const asked = `make_join/${scene.path}/${encodeURIComponent("@eve:example.org")}?ver=12`;
    const reply = await scene.resident.peer.request(scene.two, "GET", `/_matrix/federation/v1/${asked}`);
    expect([reply.status, reply.body.errcode]).toEqual([404, "M_NOT_FOUND"]);
    const handshakes = scene.resident.taken.length;
    const eve = await scene.two.user("eve");
    expect((await eve.post(`v3/join/${scene.path}`)).status).toBe(200);
    expect(scene.resident.taken).toHaveLength(handshakes);
  });

  it("goes on when instances end, at whatever call", async () => {
    await join();
    let calls = 0;
    scene.two.onCall = async (method, call) => {
      if (!/Completion|takeKeys/.test(method)) return call();
      calls += 1;
      if (calls % 3 === 0) throw new Error("lost on its way");
      const value = await call();
      scene.two.evict("room", built.roomId);
      return value;
    };
    isAway = false;
    await scene.federation.advance(20 * hour);
    scene.two.onCall = (_method, call) => call();
    expect(calls).toBeGreaterThan(3);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it("is left, and joined again", async () => {
    await join();
    expect((await bob.post(`v3/rooms/${scene.path}/leave`)).status).toBe(200);
    await scene.federation.advance(second);
    isAway = false;
    await scene.federation.advance(10 * second);
    const [left] = scene.resident.peer.received
      .flatMap(({ body }) => (isObject(body) && Array.isArray(body.pdus) ? body.pdus : []))
      .filter((pdu) => isObject(pdu) && JSON.stringify(pdu).includes('"membership":"leave"'));
    if (left === undefined || !isObject(left)) throw new Error("the leave was not sent");
    built.append(eventFromPdu(left, built.rules));
    await scene.join(bob);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.rows("partial_state_unverified")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });
});

describe("what is tried again", () => {
  it("is left out for good when its signature turns out to be wrong", async () => {
    const forged = withFields(topic.pdu, { signatures: { "far.test": { "ed25519:test": "A".repeat(86) } } });
    await join({ answer: (answer) => exchanged(answer, topic, forged) });
    isAway = false;
    await scene.federation.advance(hour);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere().filter((line) => !lines(topic).includes(line)));
  });

  it("is not what a server has signed that is not talked to", async () => {
    await join({}, { FEDERATION_DOMAIN_DENY: "far.test" });
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(withoutDave());
  });

  it("is nothing where the server by way of which the room is joined knows the keys", async () => {
    await open();
    tellKeys();
    await scene.join(bob);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it("passes by keys that a server in the room comes to know", async () => {
    await join();
    tellKeys();
    await scene.federation.advance(hour);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });
});

describe("a state whose protections nobody can verify", () => {
  it.each<[string, () => MatrixEvent]>([
    ["power levels", () => built.setPowerLevels(dave, { users: { [dave]: 50 }, users_default: 0 })],
    ["join rules", () => built.setJoinRule(dave, "public")],
  ])("is not joined: %s", async (_what, protect) => {
    protect();
    await open();
    const reply = await bob.post(`v3/join/${scene.path}?via=example.org`);
    await scene.federation.settle();
    expect([reply.status, reply.body.errcode]).toEqual([502, "M_UNKNOWN"]);
    isAway = false;
    await scene.federation.advance(hour);
    await scene.join(bob);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it("is not joined by an alarm either, which goes on where a worker was lost", async () => {
    built.setPowerLevels(dave, { users: { [dave]: 50 }, users_default: 0 });
    await open();
    let isLost = false;
    scene.two.onCall = async (method, call) => {
      if (isLost && (method === "getSigningKey" || method === "dropJoin")) throw new Error("lost on its way");
      isLost ||= method === "finishJoin";
      return await call();
    };
    expect((await bob.post(`v3/join/${scene.path}?via=example.org`)).status).toBe(500);
    scene.two.onCall = (_method, call) => call();
    scene.two.evict("room", built.roomId);
    expect(scene.rows("remote_join")).toMatchObject([{ step: "place" }]);
    await scene.federation.advance(hour);
    expect(scene.rows("remote_join")).toEqual([]);
    expect(scene.rows("room")).toEqual([]);
  });

  it("is not joined: power levels by somebody of whom that is all that is known", async () => {
    const eve = user("@eve:example.org");
    built.setPowerLevels(built.creator, { users: { [dave]: 50, [eve]: 50 } });
    built.member(dave, "invite", eve);
    built.join(eve);
    built.setPowerLevels(eve, { users: { [dave]: 50, [eve]: 50 }, users_default: 1 });
    await open();
    expect((await bob.post(`v3/join/${scene.path}?via=example.org`)).status).toBe(502);
  });
});

describe("a join that leaves out members, and a server whose keys nobody has", () => {
  it("soon knows all others, and that server's when it comes back", async () => {
    await join({ omitsMembers: true });
    scene.tellsState = true;
    await scene.federation.advance(10 * second);
    expect(scene.stateHere()).toEqual(withoutDave());
    const members = await bob.get(`v3/rooms/${scene.path}/joined_members`);
    expect(Object.keys(objectField(members.body, "joined") ?? {}).sort()).toEqual(
      [built.creator, carol, bob.userId].sort(),
    );
    await bob.sync();
    const words = built.message(carol, "in between");
    await scene.give([words]);
    isAway = false;
    await scene.federation.advance(2 * hour);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
    expect(scene.statusOf(words)).toBe("accepted");
    const news = JSON.stringify(await bob.sync());
    expect([news.includes("By Dave"), news.includes("in between")]).toEqual([true, true]);
    const stays = scene.two
      .sql("room", built.roomId)
      .all("SELECT server_name, joined_members FROM room_servers WHERE until_position IS NULL ORDER BY 1");
    expect(stays).toEqual([
      { server_name: "example.org", joined_members: 2 },
      { server_name: "far.test", joined_members: 1 },
    ]);
    expect(scene.two.logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("takes from who tells the members later nothing but members", async () => {
    await join({ omitsMembers: true });
    scene.tellsState = true;
    const hidden = built.fork();
    const forged = hidden.sendState(dave, "org.example.hidden", {});
    const gina = hidden.join(user("@gina:far.test"));
    const state = [...built.state.values()].filter(({ stateKey }) => stateKey !== bob.userId);
    const told = [...state, forged, gina].map(({ pdu }) => pdu);
    const authChain = scene.answers.authChain([...state, forged, gina]).map(({ pdu }) => pdu);
    scene.resident.peer.on(/\/state\//, () => ({ pdus: told, auth_chain: authChain }));
    await scene.federation.advance(10 * second);
    isAway = false;
    await scene.federation.advance(2 * hour);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual([...scene.stateThere(), ...lines(gina)].sort());
  });
});

/** An answer to a join with one event in place of another. */
function exchanged(answer: JsonObject, event: MatrixEvent, other: JsonObject): JsonObject {
  const replaced = (list: unknown) =>
    (Array.isArray(list) ? list : []).map((pdu) =>
      isObject(pdu) && JSON.stringify(pdu) === JSON.stringify(event.pdu) ? other : pdu,
    );
  return { ...answer, state: replaced(answer.state), auth_chain: replaced(answer.auth_chain) };
}

/** The resident says what far.test's keys are. */
function tellKeys(): void {
  const { resident, far } = scene;
  resident.peer.on(/\/_matrix\/key\/v2\/query/, () => ({
    server_keys: [signJson(far.keys(), resident.peer.name, resident.peer.key)],
  }));
}
