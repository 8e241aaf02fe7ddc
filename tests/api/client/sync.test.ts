import { describe, expect, it } from "vitest";
import { clientOf, loginAgain, makeRoom, type TestUser } from "../../support/client.ts";
import { expectError, expectOk, path, roomOf, say, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();
const start = async (user: TestUser) => String((await user.get("v3/sync")).body.next_batch);

describe("sync", () => {
  it("answers at once what there is, and an empty answer without a timeout", async () => {
    const alice = await server.user("alice");
    const roomId = await roomOf(alice);
    const first = await alice.get("v3/sync");
    expect(Object(first.body.rooms).join[roomId].timeline.events.length).toBeGreaterThan(3);
    expect(first.body.account_data).toMatchObject({ events: [{ type: "m.push_rules" }] });
    const second = await alice.get(`v3/sync?since=${String(first.body.next_batch)}`);
    expectOk(second);
    expect(Object.keys(second.body).sort()).toEqual(["device_one_time_keys_count", "next_batch"]);
  });

  it("gives the state after the timeline to who asks for it, by either of its names", async () => {
    const [gina, henry] = [await server.user("petra"), await server.user("quentin")];
    const roomId = await roomOf(gina, henry);
    const since = await start(henry);
    expectOk(await gina.put(path`v3/rooms/${roomId}/state/m.room.topic/`, { topic: "Cellars" }));
    const section = async (query: string) =>
      Object((await henry.get(`v3/sync?since=${since}&${query}`)).body.rooms).join[roomId];
    const topic = { events: [{ type: "m.room.topic", content: { topic: "Cellars" } }] };
    const stable = await section("use_state_after=true");
    expect(stable).toMatchObject({ state_after: topic });
    const unstable = await section("org.matrix.msc4222.use_state_after=true");
    expect(unstable).toMatchObject({ "org.matrix.msc4222.state_after": topic });
    for (const answer of [stable, unstable]) expect(answer).not.toHaveProperty("state");
    expect(unstable).not.toHaveProperty("state_after");
    expect(await section("org.matrix.msc4222.use_state_after=false")).toMatchObject({ state: { events: [] } });
    expectOk(await henry.post(path`v3/rooms/${roomId}/leave`, {}));
    const left = Object((await henry.get(`v3/sync?since=${since}&org.matrix.msc4222.use_state_after=true`)).body.rooms);
    expect(left.leave[roomId]["org.matrix.msc4222.state_after"].events).toHaveLength(2);
  });

  it("waits for a message, and for nothing longer than it was told", async () => {
    const [bob, carol] = [await server.user("bob"), await server.user("carol")];
    const roomId = await roomOf(bob, carol);
    const since = await start(carol);
    const waiting = carol.get(`v3/sync?since=${since}&timeout=20000`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const eventId = await say(bob, roomId, "hello");
    const sentAt = Date.now();
    const { body } = await waiting;
    expect(Date.now() - sentAt).toBeLessThan(2000);
    expect(Object(body.rooms).join[roomId].timeline.events).toMatchObject([{ event_id: eventId }]);
    const begun = Date.now();
    const silent = await carol.get(`v3/sync?since=${String(body.next_batch)}&timeout=700`);
    expect(silent.body.rooms).toBeUndefined();
    expect(Date.now() - begun).toBeGreaterThanOrEqual(650);
    expect(Date.now() - begun).toBeLessThan(5000);
  });

  it("is woken by an invite, a join of another device, and account data", async () => {
    const [dora, erin] = [await server.user("dora"), await server.user("erin")];
    const since = await start(erin);
    const invited = erin.get(`v3/sync?since=${since}&timeout=20000`);
    const roomId = await makeRoom(dora, { invite: [erin.userId] });
    expect(Object((await invited).body.rooms).invite).toHaveProperty([roomId]);
    const other = await loginAgain(erin);
    const joined = erin.get(`v3/sync?since=${String((await invited).body.next_batch)}&timeout=20000`);
    expectOk(await other.post(path`v3/rooms/${roomId}/join`, {}));
    expect(Object((await joined).body.rooms).join).toHaveProperty([roomId]);
  });

  it("gives the newer of two requests of a device the line, and answers the older soon", async () => {
    const frank = await server.user("frank");
    const since = await start(frank);
    const begun = Date.now();
    const older = frank.get(`v3/sync?since=${since}&timeout=15000`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const newer = frank.get(`v3/sync?since=${since}&timeout=15000`);
    expectOk(await older);
    expect(Date.now() - begun).toBeLessThan(5000);
    expectOk(await frank.put(path`v3/user/${frank.userId}/account_data/a.b`, { n: 1 }));
    expect((await newer).body.account_data).toBeDefined();
  });

  it("lets many devices of one user wait at the same time", async () => {
    const gina = await server.user("gina");
    const devices = [gina, await loginAgain(gina), await loginAgain(gina)];
    const waiting = await Promise.all(
      devices
        .map(async (device) => {
          const since = await start(device);
          return device.get(`v3/sync?since=${since}&timeout=20000`);
        })
        .map((reply) => ({ reply })),
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    expectOk(await gina.put(path`v3/user/${gina.userId}/account_data/a.b`, { n: 2 }));
    for (const { reply } of waiting)
      expect((await reply).body.account_data).toMatchObject({ events: [{ content: { n: 2 } }] });
  });

  it("answers an old token as it did before", async () => {
    const hal = await server.user("hal");
    const roomId = await roomOf(hal);
    const since = await start(hal);
    await say(hal, roomId, "one");
    const first = await hal.get(`v3/sync?since=${since}`);
    await say(hal, roomId, "two");
    await hal.get(`v3/sync?since=${String(first.body.next_batch)}`);
    const again = await hal.get(`v3/sync?since=${since}`);
    const bodies = Object(again.body.rooms).join[roomId].timeline.events.map(
      ({ content }: { content: { body: string } }) => content.body,
    );
    expect(bodies).toEqual(["one", "two"]);
  });

  it("gives a room that is newly joined as limited, though all of it fits", async () => {
    const [ivy, joe] = [await server.user(), await server.user()];
    const roomId = await makeRoom(ivy, { preset: "public_chat" });
    const since = await start(joe);
    expectOk(await joe.post(path`v3/rooms/${roomId}/join`, {}));
    const { body } = await joe.get(`v3/sync?since=${since}`);
    expect(Object(body.rooms).join[roomId].timeline).toMatchObject({ limited: true });
    await say(ivy, roomId, "one");
    const next = await joe.get(`v3/sync?since=${String(body.next_batch)}&timeout=10000`);
    expect(Object(next.body.rooms).join[roomId].timeline).toMatchObject({ limited: false });
  });

  it("takes a filter by id or in place, a limit, full state, and state after", async () => {
    const ida = await server.user("ida");
    const roomId = await roomOf(ida);
    const since = await start(ida);
    for (const word of ["a", "b", "c"]) await say(ida, roomId, word);
    const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 1 } } }));
    const limited = await ida.get(`v3/sync?since=${since}&filter=${filter}`);
    expect(Object(limited.body.rooms).join[roomId].timeline).toMatchObject({
      limited: true,
      prev_batch: expect.any(String),
    });
    const full = await ida.get(`v3/sync?since=${String(limited.body.next_batch)}&full_state=true&timeout=30000`);
    expect(Object(full.body.rooms).join[roomId].state.events.length).toBeGreaterThan(3);
    const after = await ida.get("v3/sync?use_state_after=true");
    expect(Object(after.body.rooms).join[roomId]).not.toHaveProperty("state");
  });

  it("gives only the fields of events that the filter names, and PDUs where it asks for them", async () => {
    const user = await server.user("fay");
    const roomId = await roomOf(user);
    await say(user, roomId, "hello");
    const timeline = async (filter: object) => {
      const { body } = await user.get(`v3/sync?filter=${encodeURIComponent(JSON.stringify(filter))}`);
      const { events } = Object(body.rooms).join[roomId].timeline;
      return events.at(-1);
    };
    expect(await timeline({ event_fields: ["content.body", "sender"] })).toEqual({
      content: { body: "hello" },
      sender: user.userId,
    });
    const pdu = await timeline({ event_format: "federation" });
    expect(pdu).toMatchObject({ room_id: roomId, hashes: { sha256: expect.any(String) } });
    expect(pdu.prev_events).toHaveLength(1);
    expect(await timeline({})).not.toHaveProperty("hashes");
  });

  it("refuses tokens, filters and parameters that are none", async () => {
    const jon = await server.user("jon");
    for (const query of [
      "since=nonsense",
      "since=p1",
      "filter=999",
      "filter=%7B",
      "timeout=soon",
      "full_state=maybe",
      "set_presence=x",
    ]) {
      expectError(await jon.get(`v3/sync?${query}`), 400, "M_INVALID_PARAM");
    }
    expectError(await server.anybody().get("v3/sync"), 401, "M_MISSING_TOKEN");
    expectError(await clientOf(server.url, "x").get("v3/sync?timeout=30000"), 401, "M_UNKNOWN_TOKEN");
  });

  it("survives clients that go away while it waits", async () => {
    const kim = await server.user("kim");
    const since = await start(kim);
    for (let round = 0; round < 5; round += 1) {
      const gone = kim.request("GET", `v3/sync?since=${since}&timeout=30000`, { signal: AbortSignal.timeout(100) });
      await expect(gone).rejects.toThrow();
    }
    expectOk(await kim.put(path`v3/user/${kim.userId}/account_data/a.b`, {}));
    expect((await kim.get(`v3/sync?since=${since}&timeout=5000`)).body.account_data).toBeDefined();
  });
});
