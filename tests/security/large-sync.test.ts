import { beforeAll, describe, expect, it } from "vitest";
import { field, isObject, type JsonObject, objectField } from "../../shared/json.ts";
import { expectOk, path, roomOf, useHomeserver } from "../api/homeserver.ts";
import { type Reply, type TestUser, text } from "../support/client.ts";
import { expectCleanLogs } from "./requests.ts";

const server = useHomeserver();
const roomCount = 60;
const eventsEach = 10;
let reader: TestUser;
let rooms: string[];

/** More than 32 MiB of events, which is more than one actor may answer another. */
beforeAll(async () => {
  const writer = await server.user("writer");
  reader = await server.user("reader");
  const body = "x".repeat(60_000);
  rooms = await Promise.all(
    Array.from({ length: roomCount }, async () => {
      const roomId = await roomOf(writer, reader);
      for (let index = 0; index < eventsEach; index += 1) {
        expectOk(await writer.put(path`v3/rooms/${roomId}/send/m.room.message/${String(index)}`, { body }));
      }
      return roomId;
    }),
  );
}, 120_000);

const joined = (reply: Reply): JsonObject => objectField(objectField(reply.body, "rooms") ?? {}, "join") ?? {};

function idsOf(section: JsonObject): string[] {
  const events = field(objectField(section, "timeline") ?? {}, "events");
  return (Array.isArray(events) ? events : []).filter(isObject).map((event) => String(event.event_id));
}

describe("a sync of more than an actor can answer", () => {
  it("gives every room in some answer, each event once, and then waits", { timeout: 60_000 }, async () => {
    const found = new Map<string, string[]>();
    let since = "";
    let answers = 0;
    for (; answers < roomCount && found.size < roomCount; answers += 1) {
      const reply = await reader.get(`v3/sync?timeout=5000${since}`);
      expectOk(reply);
      expect(reply.text.length).toBeLessThan(8 * 1_048_576);
      for (const [roomId, section] of Object.entries(joined(reply))) {
        expect(found.has(roomId), "each room is given once").toBe(false);
        found.set(roomId, isObject(section) ? idsOf(section) : []);
      }
      since = `&since=${text(reply, "next_batch")}`;
    }
    expect([...found.keys()].sort()).toEqual([...rooms].sort());
    expect([...found.values()].every((ids) => ids.length === eventsEach)).toBe(true);
    expect(answers).toBeGreaterThan(4);
    expect(answers).toBeLessThan(12);
    const [roomId = ""] = rooms;
    const said = await reader.put(path`v3/rooms/${roomId}/send/m.room.message/last`, { body: "small" });
    const next = await reader.get(`v3/sync?timeout=5000${since}`);
    expect(Object.keys(joined(next))).toEqual([roomId]);
    expect(next.text).toContain(text(said, "event_id"));
    expectCleanLogs(server.logs);
  });

  it("comes again as a whole for a token that was given before", { timeout: 60_000 }, async () => {
    const first = await reader.get("v3/sync");
    const since = text(first, "next_batch");
    const seen = new Set(Object.keys(joined(first)));
    const second = await reader.get(`v3/sync?since=${since}`);
    const again = await reader.get(`v3/sync?since=${since}`);
    expect(Object.keys(joined(again)).sort()).toEqual(Object.keys(joined(second)).sort());
    expect(Object.keys(joined(second)).some((roomId) => seen.has(roomId))).toBe(false);
  });
});
