/** Joins that are interrupted: by the network, by the end of an instance, by the loss of who worked on them. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { Resident } from "../support/resident.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";
import { wrapActors } from "../support/wrap-actors.ts";

let federation: Federation;
let bob: FederatedUser;
let two: FederatedServer;

const minute = 60_000;

beforeEach(async () => {
  federation = new Federation();
  two = federation.server("two.test");
  bob = await two.user("bob");
});
afterEach(() => federation.close());

/** A room of another server, with members of its own. */
function roomOf(members: number): RoomBuilder {
  const built = RoomBuilder.open();
  for (let index = 0; index < members; index += 1) built.join(user(`@user${index}:example.org`));
  return built;
}

async function join(person: FederatedUser, roomId: string) {
  const reply = await person.post(`v3/join/${encodeURIComponent(roomId)}?via=example.org`);
  await federation.settle();
  return reply;
}

async function joinedRooms(person: FederatedUser): Promise<unknown> {
  return (await person.get("v3/joined_rooms")).body.joined_rooms;
}

const rows = (roomId: string, table: string): unknown[] => two.sql("room", roomId).all(`SELECT * FROM ${table}`);

describe("a join whose answer breaks off", () => {
  it("is begun anew by the alarm, because the other server has taken it", async () => {
    let isBroken = true;
    const answer = (told: JsonObject) => (isBroken ? new Response(JSON.stringify(told).slice(0, 5_000)) : told);
    const resident = new Resident(federation, "example.org", roomOf(20), { answer });
    expect((await join(bob, resident.roomId)).status).toBe(502);
    expect(await joinedRooms(bob)).toEqual([]);
    await federation.advance(1.5 * minute);
    expect(resident.taken).toHaveLength(2);
    isBroken = false;
    two.evict();
    await federation.advance(10 * minute);
    expect(await joinedRooms(bob)).toEqual([resident.roomId]);
    const taken = resident.taken.length;
    await federation.advance(60 * minute);
    expect(resident.taken).toHaveLength(taken);
    expect(rows(resident.roomId, "remote_join")).toEqual([]);
  });

  it("is begun anew with what the client had said", async () => {
    let isBroken = true;
    const answer = (told: JsonObject) => (isBroken ? new Response("{") : told);
    const resident = new Resident(federation, "example.org", roomOf(1), { answer });
    const said = { "org.example.mood": "good", reason: "curious" };
    const url = `v3/join/${encodeURIComponent(resident.roomId)}?via=example.org`;
    expect((await bob.post(url, said)).status).toBe(502);
    isBroken = false;
    two.evict();
    await federation.advance(10 * minute);
    const member = await bob.get(`v3/rooms/${encodeURIComponent(resident.roomId)}/state/m.room.member/${bob.userId}`);
    expect(member.body).toEqual({ ...said, displayname: "bob", membership: "join" });
  });

  it("is given up after some attempts, and leaves nothing", async () => {
    const answer = (told: JsonObject) => new Response(JSON.stringify(told).slice(0, 5_000));
    const resident = new Resident(federation, "example.org", roomOf(20), { answer });
    await join(bob, resident.roomId);
    await federation.advance(600 * minute);
    expect(resident.taken.length).toBeLessThanOrEqual(6);
    for (const table of ["remote_join", "room", "events"]) expect(rows(resident.roomId, table)).toEqual([]);
  });

  it("is not begun anew where the other server has refused it", async () => {
    const refusal = () => Response.json({ errcode: "M_FORBIDDEN", error: "changed my mind" }, { status: 403 });
    const resident = new Resident(federation, "example.org", roomOf(1), { answer: refusal });
    const reply = await join(bob, resident.roomId);
    expect([reply.status, reply.body.error]).toEqual([403, "changed my mind"]);
    await federation.advance(60 * minute);
    expect(resident.taken).toHaveLength(1);
  });

  it("does not keep others from joining", async () => {
    let isBroken = true;
    const answer = (told: JsonObject) => (isBroken ? new Response("{") : told);
    const resident = new Resident(federation, "example.org", roomOf(1), { answer });
    const carol = await two.user("carol");
    expect((await join(bob, resident.roomId)).status).toBe(502);
    isBroken = false;
    expect((await join(carol, resident.roomId)).status).toBe(200);
    await federation.advance(10 * minute);
    expect(await joinedRooms(carol)).toEqual([resident.roomId]);
  });
});

describe("a join during which the room's instance ends", () => {
  it("goes on, at whatever call it happens", async () => {
    // Members of other servers: each batch asks for keys, which is when the instance ends.
    const built = RoomBuilder.open();
    const resident = new Resident(federation, "example.org", built);
    for (let index = 0; index < 4; index += 1) {
      const name = `server${index}.test`;
      new Resident(federation, name, built);
      built.join(user(`@user:${name}`));
    }
    let ended = 0;
    federation.beforeExchange = (from) => {
      if (from !== "two.test") return;
      ended += 1;
      two.evict();
    };
    expect((await join(bob, built.roomId)).status).toBe(200);
    expect(ended).toBeGreaterThan(4);
    expect(await joinedRooms(bob)).toEqual([resident.roomId]);
  });
});

describe("a join whose worker is lost", () => {
  it("keeps nobody waiting who asks again after a power cut", async () => {
    const resident = new Resident(federation, "example.org", roomOf(20));
    let isOff = false;
    two.onCall = async (method, call) => {
      if (isOff && method !== "joinByOthers") throw new Error("there is no power");
      const value = await call();
      if (method === "prepareMember") isOff = true;
      return value;
    };
    expect((await join(bob, resident.roomId)).status).toBe(500);
    expect(rows(resident.roomId, "remote_join")).toHaveLength(1);
    isOff = false;
    two.onCall = (_method, call) => call();
    two.evict();
    expect((await join(bob, resident.roomId)).status).toBe(200);
  });

  it("is begun anew by the alarm, soon after a power cut", async () => {
    const resident = new Resident(federation, "example.org", roomOf(20));
    two.onCall = async (method, call) => {
      const value = await call();
      if (method !== "prepareMember") return value;
      two.onCall = () => Promise.reject(new Error("there is no power"));
      throw new Error("there is no power");
    };
    expect((await join(bob, resident.roomId)).status).toBe(500);
    two.onCall = (_method, call) => call();
    two.evict();
    await federation.advance(2 * minute);
    expect(await joinedRooms(bob)).toEqual([resident.roomId]);
  });

  it("lets those go on who wait for it, when its lease is over", async () => {
    const resident = new Resident(federation, "example.org", roomOf(1));
    const room = two.actors.room(resident.built.roomId);
    const lost = await room.beginJoin(user(bob.userId));
    expect(lost).not.toBeNull();
    const carol = await two.user("carol");
    let isDone = false;
    const waiting = carol.post(`v3/join/${encodeURIComponent(resident.roomId)}?via=example.org`).then((reply) => {
      isDone = true;
      return reply;
    });
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(isDone).toBe(false);
    const host = two.hosts().find(({ alarmAt }) => alarmAt === federation.clock.now() + 10 * minute);
    expect(host).toBeDefined();
    federation.passTime(11 * minute);
    await host?.actor.onAlarm();
    expect((await waiting).status).toBe(200);
  });

  it("refuses the worker that comes back when another has taken its place", async () => {
    const resident = new Resident(federation, "example.org", roomOf(1));
    const room = two.actors.room(resident.built.roomId);
    const lost = await room.beginJoin(user(bob.userId));
    federation.passTime(11 * minute);
    const next = await room.beginJoin(user(bob.userId));
    expect(next?.joinId).not.toBe(lost?.joinId);
    const input = { isState: true, pdus: [], keys: {} };
    await expect(room.takeJoinState({ ...input, joinId: lost?.joinId ?? "" })).rejects.toThrow("another has taken");
  });

  it("is over for who waits for it when the other is, whose worker has taken its place", async () => {
    const resident = new Resident(federation, "example.org", roomOf(5));
    two.onCall = async (method, call) => {
      if (method !== "takeJoinState") return call();
      two.onCall = (_method, next) => next();
      // The clock is set, so that the lease is over, and the alarm begins the join anew.
      federation.passTime(11 * minute);
      for (const { actor, alarmAt } of two.hosts())
        if (alarmAt !== null && alarmAt <= federation.clock.now()) await actor.onAlarm();
      return call();
    };
    const reply = await join(bob, resident.roomId);
    expect(reply.status, reply.text).toBe(200);
    expect(await joinedRooms(bob)).toEqual([resident.roomId]);
  });

  it("is gone on with by the alarm, once all of the room is here", async () => {
    // Told backwards, so that all of it waits for the create event.
    const answer = (told: JsonObject): JsonObject => ({
      ...told,
      state: Array.isArray(told.state) ? told.state.reverse() : [],
    });
    const resident = new Resident(federation, "example.org", roomOf(5), { answer });
    let finished = 0;
    const restore = wrapActors(two, (_, method) => {
      if (method === "finishJoin") finished += 1;
      const isLost = (method === "finishJoin" && finished > 1) || method === "dropJoin";
      if (isLost) throw new Error("whoever called has died");
    });
    expect((await join(bob, resident.roomId)).status).toBe(500);
    restore();
    expect(rows(resident.roomId, "remote_join")).toMatchObject([{ step: "place" }]);
    await federation.advance(20 * minute);
    expect(await joinedRooms(bob)).toEqual([resident.roomId]);
  });
});
