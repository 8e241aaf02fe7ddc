import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { onRoomAlarm } from "../../actors/room/maintenance.ts";
import { makeToken } from "../../shared/access-token.ts";
import { parseEventId, parseRoomAlias, parseRoomId, parseServerName, parseUserId, trusted } from "../../shared/ids.ts";
import { parseQuery, queryFilter } from "../../shared/validate.ts";
import { clientEndpoints } from "../../workers/gateway/client/index.ts";
import { makeRouter } from "../../workers/gateway/router.ts";
import {
  at,
  contextInput,
  idsOf,
  listAt,
  messagesInput,
  positionOf,
  sync,
  timelineOf,
} from "../actors/room/sync-client.ts";
import { alice, createWorld, message, storedPdu, type TestRoom } from "../actors/room/world.ts";
import { errcodeOf, register, World as UserWorld, alice as userAlice } from "../actors/user/world.ts";
import { fakeServices, ok } from "../unit/gateway/services.ts";

/** One less than the limit, the limit, one more; and whether that is allowed. */
const around = (limit: number): [number, boolean][] => [
  [limit - 1, true],
  [limit, true],
  [limit + 1, false],
];

describe("identifiers", () => {
  it.each(around(255))("of %i bytes: %s", (bytes, isAllowed) => {
    const rest = (sigil: string, domain: string) => `${sigil}${"a".repeat(bytes - 1 - domain.length)}${domain}`;
    const wide = (sigil: string, domain: string) =>
      `${sigil}${"é".repeat(50)}${"a".repeat(bytes - 101 - domain.length)}${domain}`;
    for (const make of [rest, wide]) {
      expect(parseUserId(make("@", ":example.org")) !== null).toBe(isAllowed);
      expect(parseRoomId(make("!", ":example.org")) !== null).toBe(isAllowed);
      expect(parseRoomAlias(make("#", ":example.org")) !== null).toBe(isAllowed);
      expect(parseEventId(make("$", "")) !== null).toBe(isAllowed);
    }
  });

  it.each(around(255))("a server name of %i bytes: %s", (bytes, isAllowed) => {
    expect(parseServerName("a".repeat(bytes)) !== null).toBe(isAllowed);
    expect(parseServerName(`${"a".repeat(bytes - 5)}:8448`) !== null).toBe(isAllowed);
  });

  it("a room id that is a hash has its 43 characters, no fewer and no more", () => {
    const parsed = [42, 43, 44].map((length) => parseRoomId(`!${"A".repeat(length)}`) !== null);
    expect(parsed).toEqual([false, true, false]);
  });
});

describe("a held /sync", () => {
  const route = makeRouter(clientEndpoints);

  it.each([119_999, 120_000, 120_001, 999_999_999])(
    "with a timeout of %i ms ends after it, or after two minutes",
    async (timeoutMs) => {
      const userId = "@a:example.org";
      const services = fakeServices(
        {
          user: {
            authenticate: () => ok({ userId, deviceId: "D", isAdmin: false, isGuest: false }),
            sync: () => ok({ response: {}, nextBatch: "s1_1", isEmpty: true }),
          },
        },
        { openWaiter: async () => ({ outcome: new Promise(() => undefined), close: () => undefined }) },
      );
      const begun = services.now;
      const { token } = makeToken("access", "a", services.random);
      const request = new Request(`http://x/_matrix/client/v3/sync?since=s1_1&timeout=${timeoutMs}`, {
        headers: { Authorization: `Bearer ${token}` },
      });
      expect((await route(request, services)).status).toBe(200);
      expect(services.now - begun).toBe(Math.min(timeoutMs, 120_000));
    },
  );
});

// Asked here, because no URL is so long that a request could bring one.
describe("a filter in a query", () => {
  it.each(around(65_536))("of %i bytes: %s", async (bytes, isAllowed) => {
    const filter = JSON.stringify({ a: "é".repeat(100).padEnd(bytes - '{"a":""}'.length - 100, "x") });
    const read = () => parseQuery(v.object({ filter: queryFilter }), { filter });
    if (isAllowed) expect(read()).toEqual({ filter: JSON.parse(filter) });
    else expect(read).toThrow("query.filter: expected a JSON object of at most 65536 bytes");
    const world = new UserWorld();
    const { userId, deviceId } = await register(world, userAlice);
    const input = { deviceId, since: null, filter, fullState: false, useStateAfter: false };
    expect(await errcodeOf(world.user(userId).rpc.sync(input))).toBe(isAllowed ? "none" : "M_INVALID_PARAM");
  });
});

describe("all account data of a user", () => {
  it.each(around(10_485_760))("of %i bytes, names and what surrounds each included: %s", async (bytes, isAllowed) => {
    const world = new UserWorld();
    const { userId } = await register(world, userAlice);
    const user = world.user(userId);
    const put = (type: string, length: number) =>
      errcodeOf(user.rpc.setAccountData(null, type, { a: "x".repeat(length) }));
    const overhead = '{"a":""}'.length + "t00".length + 64;
    for (let index = 10; index < 20; index += 1) expect(await put(`t${index}`, 1_000_000)).toBe("none");
    const rest = bytes - 10 * (1_000_000 + overhead) - overhead;
    expect(await put("t20", rest)).toBe(isAllowed ? "none" : "M_TOO_LARGE");
    // Counted anew by another instance, the same is true; and less is always allowed.
    user.evict();
    expect(await put("t20", rest)).toBe(isAllowed ? "none" : "M_TOO_LARGE");
    expect(await put("t10", 999_000)).toBe("none");
    expect(await put("t20", rest)).toBe("none");
    expect(await errcodeOf(user.rpc.moveFullyRead(trusted.roomId("!a:b"), trusted.eventId("$a")))).toBe("none");
  });
});

describe("typing", () => {
  it.each([119_999, 120_000, 120_001, Number.MAX_SAFE_INTEGER])(
    "for %i ms ends after it, or after two minutes",
    async (timeoutMs) => {
      const world = createWorld();
      const room = await world.create();
      const isTyping = () => Object.keys(room.context.store.room.get().typing).length > 0;
      await room.rpc.setTyping({ userId: alice, typing: true, timeoutMs });
      const end = Math.min(timeoutMs, 120_000);
      world.clock.advance(end - 1);
      await onRoomAlarm(room.context);
      expect(isTyping()).toBe(true);
      world.clock.advance(1);
      await onRoomAlarm(room.context);
      expect(isTyping()).toBe(false);
    },
  );
});

describe("a page of events", () => {
  const longRoom = async (): Promise<TestRoom> => {
    const room = await createWorld().create();
    for (let index = 0; index < 1_010; index += 1) await room.rpc.sendEvent(message(alice, String(index)));
    return room;
  };

  it("has as many as are asked for, and 1,000 at most", async () => {
    const room = await longRoom();
    const { eventId } = await room.rpc.sendEvent(message(alice, "last"));
    for (const limit of [999, 1_000, 1_001]) {
      const filter = { timeline: { limit } };
      expect(timelineOf(await sync(room, alice, null, { filter }))).toHaveLength(Math.min(limit, 1_000));
      const page = await room.rpc.getMessages(messagesInput(alice, { limit }));
      expect(listAt(page, "chunk")).toHaveLength(Math.min(limit, 1_000));
      const around = contextInput(alice, eventId, { limit: 2 * limit });
      expect(listAt(await room.rpc.getContext(around), "events_before")).toHaveLength(500);
    }
  });
});

describe("a page of large events", () => {
  it("is short enough to be answered, and the next ones have the rest", async () => {
    const room = await createWorld().create();
    const body = "x".repeat(60_000);
    const sent: string[] = [];
    for (let index = 0; index < 40; index += 1) {
      sent.push((await room.rpc.sendEvent(message(alice, body))).eventId);
    }
    const found: string[] = [];
    const sizes: number[] = [];
    for (let from: number | null = null, pages = 0; pages < 20; pages += 1) {
      const page = await room.rpc.getMessages(messagesInput(alice, { limit: 1_000, from }));
      sizes.push(JSON.stringify(page).length);
      found.push(...idsOf(listAt(page, "chunk")));
      from = positionOf(page.end);
      if (from === null) break;
    }
    expect(sizes.every((size) => size < 1_200_000)).toBe(true);
    expect(sizes.length).toBe(3);
    expect(found.slice(0, sent.length)).toEqual(sent.toReversed());
    expect(new Set(found).size).toBe(found.length);
  });

  it("is a limited timeline, which begins where the history before it ends", async () => {
    const room = await createWorld().create();
    const body = "x".repeat(60_000);
    for (let index = 0; index < 30; index += 1) await room.rpc.sendEvent(message(alice, body));
    const result = await sync(room, alice, null, { filter: { timeline: { limit: 1_000 } } });
    const timeline = timelineOf(result);
    expect(JSON.stringify(result).length).toBeLessThan(1_200_000);
    expect(at(result.section, "timeline", "limited")).toBe(true);
    const from = positionOf(at(result.section, "timeline", "prev_batch"));
    const before = listAt(await room.rpc.getMessages(messagesInput(alice, { limit: 1_000, from })), "chunk");
    const all = [...idsOf(before).toReversed(), ...idsOf(timeline)];
    expect(all).toEqual(
      room.sql.all<{ event_id: string }>("SELECT event_id FROM events ORDER BY event_nid").map((row) => row.event_id),
    );
  });
});

describe("an event of our own", () => {
  it.each([9, 10, 11, 30])("follows ten of %i ends of the graph, the deepest, at most", async (ends) => {
    const room = await createWorld().create();
    const sent: string[] = [];
    for (let index = 0; index < ends; index += 1)
      sent.push((await room.rpc.sendEvent(message(alice, String(index)))).eventId);
    room.sql.run("DELETE FROM event_forward_extremities");
    room.sql.run(
      "INSERT INTO event_forward_extremities (event_nid) SELECT event_nid FROM events ORDER BY event_nid DESC LIMIT ?",
      ends,
    );
    const { eventId } = await room.rpc.sendEvent(message(alice, "merge"));
    const pdu = storedPdu(room, eventId);
    expect(pdu.prev_events).toEqual(sent.toReversed().slice(0, 10));
    expect(Object(pdu.auth_events).length).toBeLessThanOrEqual(10);
  });
});
