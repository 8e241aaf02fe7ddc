import { describe, expect, it } from "vitest";
import { isObject, type JsonValue } from "../../../shared/json.ts";
import { makeRoom, type Reply, text } from "../../support/client.ts";
import { expectError, expectOk, path, roomOf, say, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();
const eventsOf = (value: JsonValue | undefined) => (Array.isArray(value) ? value.filter(isObject) : []);
const typesOf = (reply: Reply) => eventsOf(reply.json).map(({ type }) => type);

describe("state", () => {
  it("is set and read, with and without a key, with and without the slash", async () => {
    const alice = await server.user("alice");
    const roomId = await roomOf(alice);
    const at = path`v3/rooms/${roomId}/state/m.room.topic`;
    for (const [index, url] of [at, `${at}/`].entries()) {
      const content = { topic: `topic ${index}` };
      expect(text(await alice.put(url, content), "event_id")).toMatch(/^\$/);
      for (const read of [at, `${at}/`]) expectOk(await alice.get(read), content);
    }
    const keyed = path`v3/rooms/${roomId}/state/a.b/${"x/y?z"}`;
    expectOk(await alice.put(keyed, { n: 1 }));
    expectOk(await alice.get(keyed), { n: 1 });
    const event = await alice.get(`${keyed}?format=event`);
    expect(event.body).toMatchObject({
      type: "a.b",
      state_key: "x/y?z",
      content: { n: 1 },
      sender: alice.userId,
      room_id: roomId,
    });
    expectError(await alice.get(`${keyed}?format=xml`), 400, "M_INVALID_PARAM");
    expectError(await alice.get(path`v3/rooms/${roomId}/state/a.b/other`), 404, "M_NOT_FOUND");
    expectError(await alice.post(at, {}), 405, "M_UNRECOGNIZED");
  });

  it("set to what it is already stays the same event", async () => {
    const bob = await server.user("bob");
    const roomId = await roomOf(bob);
    const at = path`v3/rooms/${roomId}/state/a.b/`;
    const first = text(await bob.put(at, { n: 1 }), "event_id");
    expect(text(await bob.put(at, { n: 1 }), "event_id")).toBe(first);
    expect(text(await bob.put(at, { n: 2 }), "event_id")).not.toBe(first);
  });

  it("is for those with the power, and not read by strangers", async () => {
    const [carol, dora, erin] = [await server.user("carol"), await server.user("dora"), await server.user("erin")];
    const roomId = await roomOf(carol, dora);
    expectError(await dora.put(path`v3/rooms/${roomId}/state/m.room.name`, { name: "x" }), 403, "M_FORBIDDEN");
    expectError(await erin.get(path`v3/rooms/${roomId}/state`), 403, "M_FORBIDDEN");
    expectError(await erin.get(path`v3/rooms/${roomId}/state/m.room.create`), 403, "M_FORBIDDEN");
    expect(typesOf(await dora.get(path`v3/rooms/${roomId}/state`))).toEqual(
      expect.arrayContaining(["m.room.create", "m.room.member", "m.room.power_levels", "m.room.join_rules"]),
    );
  });

  it("is, for somebody who left, as it was then", async () => {
    const [frank, gina] = [await server.user("frank"), await server.user("gina")];
    const roomId = await roomOf(frank, gina);
    const at = path`v3/rooms/${roomId}/state/m.room.topic`;
    expectOk(await frank.put(at, { topic: "before" }));
    expectOk(await gina.post(path`v3/rooms/${roomId}/leave`, {}));
    expectOk(await frank.put(at, { topic: "after" }));
    expectOk(await gina.get(at), { topic: "before" });
    expectOk(await frank.get(at), { topic: "after" });
  });

  it("has no more than 255 bytes of type and of key", async () => {
    const hal = await server.user("hal");
    const roomId = await roomOf(hal);
    const put = (type: string, key: string) => hal.put(path`v3/rooms/${roomId}/state/${type}/${key}`, {});
    for (const [length, isAllowed] of [
      [254, true],
      [255, true],
      [256, false],
    ] as const) {
      const word = "k".repeat(length);
      for (const reply of [await put(word, ""), await put("a.b", word)]) {
        expect(reply.status === 200, `${length}: ${reply.text}`).toBe(isAllowed);
      }
    }
  });
});

describe("members", () => {
  it("are listed, by membership, now and at a point in time", async () => {
    const [ida, jon, kim] = [await server.user("ida"), await server.user("jon"), await server.user("kim")];
    const roomId = await roomOf(ida, jon);
    const before = String((await ida.get("v3/sync")).body.next_batch);
    expectOk(await jon.post(path`v3/rooms/${roomId}/leave`, {}));
    expectOk(await ida.post(path`v3/rooms/${roomId}/invite`, { user_id: kim.userId }));
    const members = async (query: string) =>
      eventsOf((await ida.get(path`v3/rooms/${roomId}/members` + query)).body.chunk)
        .map(({ state_key }) => state_key)
        .sort();
    expect(await members("")).toEqual([ida.userId, jon.userId, kim.userId]);
    expect(await members("?membership=join")).toEqual([ida.userId]);
    expect(await members("?not_membership=leave")).toEqual([ida.userId, kim.userId]);
    expect(await members(`?at=${before}&membership=join`)).toEqual([ida.userId, jon.userId]);
    expectError(await ida.get(path`v3/rooms/${roomId}/members?membership=king`), 400, "M_INVALID_PARAM");
    expectError(await ida.get(path`v3/rooms/${roomId}/members?at=nonsense`), 400, "M_INVALID_PARAM");
    expectError(await ida.get(path`v3/rooms/${roomId}/members?at=s`), 400, "M_INVALID_PARAM");
  });

  it("who are joined are told to members", async () => {
    const [leo, mia] = [await server.user("leo"), await server.user("mia")];
    const roomId = await makeRoom(leo, { invite: [mia.userId] });
    expectOk(await leo.get(path`v3/rooms/${roomId}/joined_members`), {
      joined: { [leo.userId]: { display_name: "leo" } },
    });
    expectError(await mia.get(path`v3/rooms/${roomId}/joined_members`), 403, "M_FORBIDDEN");
  });
});

describe("getOneRoomEvent and getEventContext", () => {
  it("give an event, and what is around it", async () => {
    const ned = await server.user("ned");
    const roomId = await roomOf(ned);
    const ids: string[] = [];
    for (const word of ["one", "two", "three", "four", "five"]) ids.push(await say(ned, roomId, word));
    const event = await ned.get(path`v3/rooms/${roomId}/event/${ids[2] ?? ""}`);
    expect(event.body).toMatchObject({ event_id: ids[2], room_id: roomId, content: { body: "three" } });
    const { body } = await ned.get(path`v3/rooms/${roomId}/context/${ids[2] ?? ""}?limit=2`);
    expect(body.event).toMatchObject({ event_id: ids[2] });
    expect(eventsOf(body.events_before).map(({ event_id }) => event_id)).toEqual([ids[1]]);
    expect(eventsOf(body.events_after).map(({ event_id }) => event_id)).toEqual([ids[3]]);
    expect(eventsOf(body.state).length).toBeGreaterThan(3);
    const earlier = await ned.get(path`v3/rooms/${roomId}/messages?dir=b&from=${String(body.start)}&limit=1`);
    expect(eventsOf(earlier.body.chunk).map(({ event_id }) => event_id)).toEqual([ids[0]]);
    const later = await ned.get(path`v3/rooms/${roomId}/messages?dir=f&from=${String(body.end)}&limit=1`);
    expect(eventsOf(later.body.chunk).map(({ event_id }) => event_id)).toEqual([ids[4]]);
    expectError(await ned.get(path`v3/rooms/${roomId}/context/${ids[0] ?? ""}?filter=x`), 400, "M_INVALID_PARAM");
  });

  it("say nothing to strangers, nor of another room's event", async () => {
    const [olga, paul] = [await server.user("olga"), await server.user("paul")];
    const roomId = await roomOf(olga);
    const elsewhere = await roomOf(paul);
    const eventId = await say(olga, roomId, "private");
    for (const room of [roomId, elsewhere]) {
      for (const kind of ["event", "context"]) {
        const reply = await paul.get(path`v3/rooms/${room}/${kind}/${eventId}`);
        expect([403, 404], `${kind}: ${reply.text}`).toContain(reply.status);
      }
    }
    expectError(await olga.get(path`v3/rooms/${roomId}/event/nonsense`), 400, "M_INVALID_PARAM");
    expectError(await olga.get(path`v3/rooms/${roomId}/event/${`$${"A".repeat(43)}`}`), 404, "M_NOT_FOUND");
  });
});

describe("getRoomEvents", () => {
  it("takes a sync token from before the user came into the room for their coming", async () => {
    const [olga, paul] = [await server.user(), await server.user()];
    const roomId = await roomOf(olga);
    const before = await say(olga, roomId, "before");
    const since = String((await paul.get("v3/sync")).body.next_batch);
    expectError(await paul.get(path`v3/rooms/${roomId}/messages?dir=b&from=${since}`), 400, "M_INVALID_PARAM");
    expectOk(await paul.post(path`v3/rooms/${roomId}/join`, {}));
    const after = await say(olga, roomId, "after");
    const idsOf = async (dir: string) => {
      const { body } = await paul.get(path`v3/rooms/${roomId}/messages?dir=${dir}&from=${since}`);
      return Object(body).chunk.map((event: { event_id: string }) => event.event_id);
    };
    expect((await idsOf("b"))[1]).toBe(before);
    expect(await idsOf("f")).toEqual([after]);
    const { body } = await paul.get(path`v3/rooms/${roomId}/members?at=${since}&membership=join`);
    expect(Object(body).chunk).toHaveLength(2);
  });

  it("pages through all of the history, back and forth", async () => {
    const quin = await server.user("quin");
    const roomId = await roomOf(quin);
    for (let index = 0; index < 12; index += 1) await say(quin, roomId, `m${index}`);
    const page = async (query: string) => (await quin.get(path`v3/rooms/${roomId}/messages` + query)).body;
    const collect = async (dir: string) => {
      const ids: string[] = [];
      let from = "";
      for (let pages = 0; pages < 30; pages += 1) {
        const body = await page(`?dir=${dir}&limit=4${from}`);
        ids.push(...eventsOf(body.chunk).map(({ event_id }) => String(event_id)));
        if (typeof body.end !== "string") break;
        from = `&from=${body.end}`;
      }
      return ids;
    };
    const back = await collect("b");
    expect(new Set(back).size).toBe(back.length);
    expect(back.length).toBeGreaterThanOrEqual(17);
    expect((await collect("f")).reverse()).toEqual(back);
  });

  it("filters, and holds to its parameters", async () => {
    const rosa = await server.user("rosa");
    const roomId = await roomOf(rosa);
    await say(rosa, roomId, "only this");
    const get = (query: string) => rosa.get(path`v3/rooms/${roomId}/messages` + query);
    const filter = encodeURIComponent(JSON.stringify({ types: ["m.room.message"] }));
    const { chunk } = (await get(`?dir=b&limit=50&filter=${filter}`)).body;
    expect(eventsOf(chunk).map(({ content }) => content)).toEqual([{ msgtype: "m.text", body: "only this" }]);
    expectError(await get(""), 400, "M_MISSING_PARAM");
    for (const query of ["?dir=x", "?dir=b&limit=-1", "?dir=b&from=nonsense", "?dir=b&from=s1", "?dir=b&filter=["]) {
      expectError(await get(query), 400, "M_INVALID_PARAM");
    }
    const sam = await server.user("sam");
    // Also where a parameter is missing: who may not read the room learns nothing else of it.
    for (const query of ["?dir=b", ""]) {
      expectError(await sam.get(path`v3/rooms/${roomId}/messages` + query), 403, "M_FORBIDDEN");
    }
  });
});
