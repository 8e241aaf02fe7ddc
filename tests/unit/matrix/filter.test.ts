import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../shared/json.ts";
import {
  choosesRoom,
  compileFields,
  matchesRoomEventFilter,
  parseRoomEventFilter,
  parseSyncFilter,
  type RoomEventFilter,
  selectFields,
} from "../../../shared/matrix/filter.ts";
import { parsePropertyPath, propertyAt } from "../../../shared/matrix/property-path.ts";
import { cpuMsOf } from "./timing.ts";

function filterOf(json: JsonObject): RoomEventFilter {
  const parsed = parseRoomEventFilter(json);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.filter;
}

const event = { type: "m.room.message", sender: "@a:b", content: { body: "x" } };

describe("parseSyncFilter", () => {
  it("has the spec's defaults", () => {
    const parsed = parseSyncFilter({});
    expect(parsed).toMatchObject({
      ok: true,
      filter: {
        eventFields: null,
        eventFormat: "client",
        room: {
          rooms: null,
          includeLeave: false,
          timeline: { limit: null, lazyLoadMembers: false, containsUrl: null },
        },
      },
    });
  });

  it("reads every part", () => {
    const parsed = parseSyncFilter({
      event_fields: ["content.body", "type"],
      event_format: "federation",
      presence: { types: ["m.presence"] },
      account_data: { not_types: ["*"] },
      room: {
        rooms: ["!a:b"],
        include_leave: true,
        state: { lazy_load_members: true, include_redundant_members: true },
        timeline: { limit: 5, contains_url: true, unread_thread_notifications: true },
        ephemeral: { not_senders: ["@x:y"] },
      },
    });
    expect(parsed).toMatchObject({
      ok: true,
      filter: {
        eventFields: compileFields(["type", "content.body"]),
        eventFormat: "federation",
        room: {
          includeLeave: true,
          state: { lazyLoadMembers: true, includeRedundantMembers: true },
          timeline: { limit: 5, containsUrl: true, unreadThreadNotifications: true },
        },
      },
    });
  });

  it.each<[JsonObject, string]>([
    [{ event_format: "xml" }, "event_format"],
    [{ event_fields: "type" }, "event_fields"],
    [{ event_fields: [1] }, "event_fields"],
    [{ room: [] }, "room"],
    [{ room: { timeline: { limit: "10" } } }, "room.timeline.limit"],
    [{ room: { timeline: { limit: -1 } } }, "room.timeline.limit"],
    [{ room: { timeline: { limit: 1.5 } } }, "room.timeline.limit"],
    [{ room: { timeline: { types: "m.x" } } }, "room.timeline.types"],
    [{ room: { state: { senders: ["bob"] } } }, "room.state.senders"],
    [{ room: { rooms: ["room"] } }, "room.rooms"],
    [{ room: { include_leave: 1 } }, "room.include_leave"],
    [{ presence: { not_senders: [null] } }, "presence.not_senders"],
  ])("refuses %j naming the field", (json, name) => {
    expect(parseSyncFilter(json)).toMatchObject({ ok: false, reason: expect.stringContaining(name) });
  });
});

describe("matchesRoomEventFilter", () => {
  it.each<[JsonObject, boolean]>([
    [{}, true],
    [{ types: [] }, false],
    [{ types: ["m.room.message"] }, true],
    [{ types: ["m.room.*"] }, true],
    [{ types: ["*.message"] }, true],
    [{ types: ["m.room.messag?"] }, false],
    [{ types: ["m.room.member"] }, false],
    [{ types: ["*"], not_types: ["m.*"] }, false],
    [{ not_types: ["m.room.member"] }, true],
    [{ senders: ["@a:b"] }, true],
    [{ senders: ["@c:b"] }, false],
    [{ senders: ["@a:b"], not_senders: ["@a:b"] }, false],
    [{ senders: [] }, false],
    [{ rooms: ["!r:b"] }, true],
    [{ rooms: ["!other:b"] }, false],
    [{ rooms: ["!r:b"], not_rooms: ["!r:b"] }, false],
    [{ contains_url: true }, false],
    [{ contains_url: false }, true],
  ])("%j: %s", (json, isMatch) => {
    expect(matchesRoomEventFilter(filterOf(json), "!r:b", event)).toBe(isMatch);
  });

  it("looks for url as a key of its own", () => {
    const withUrl = { ...event, content: { url: "mxc://a/b" } };
    expect(matchesRoomEventFilter(filterOf({ contains_url: true }), "!r:b", withUrl)).toBe(true);
    expect(matchesRoomEventFilter(filterOf({ contains_url: false }), "!r:b", withUrl)).toBe(false);
  });

  it("chooses rooms", () => {
    expect(choosesRoom({ rooms: null, notRooms: new Set(["!a:b"]) }, "!a:b")).toBe(false);
    expect(choosesRoom({ rooms: null, notRooms: new Set() }, "!a:b")).toBe(true);
  });
});

describe("selectFields", () => {
  const full = {
    type: "t",
    content: { body: "b", "m.relates_to": { rel_type: "r" }, "a\\b": 1, other: 2 },
    sender: "@a:b",
  };
  const select = (fields: string[]): JsonObject => selectFields(full, compileFields(fields));

  it("keeps everything for null and the named fields otherwise", () => {
    expect(selectFields(full, null)).toEqual(full);
    expect(select(["type", "content.body"])).toEqual({ type: "t", content: { body: "b" } });
    expect(select(["content.m\\.relates_to.rel_type"])).toEqual({ content: { "m.relates_to": { rel_type: "r" } } });
    expect(select(["content", "content.body"]).content).toEqual(full.content);
    expect(select(["missing", "type.x"])).toEqual({});
  });

  it("costs in proportion to the event, however many fields are named", () => {
    const names = Array.from({ length: 9_000 }, (_, index) => index.toString(36));
    const fields = compileFields([...names, `content.${"a.".repeat(30_000)}`, "type"]);
    const selectOften = () => {
      for (let round = 0; round < 200; round += 1) selectFields(full, fields);
    };
    expect(cpuMsOf(selectOften)).toBeLessThan(50);
    expect(selectFields(full, fields)).toEqual({ type: "t", content: {} });
  });

  it("never reaches a prototype", () => {
    expect(select(["__proto__", "constructor.name", "content.__proto__"])).toEqual({ content: {} });
  });
});

describe("parsePropertyPath", () => {
  it.each([
    ["content.body", ["content", "body"]],
    ["content.m\\.relates_to", ["content", "m.relates_to"]],
    ["content.m\\\\foo", ["content", "m\\foo"]],
    ["content.\\x", ["content", "\\x"]],
    ["", [""]],
    ["a.", ["a", ""]],
    ["a\\", ["a\\"]],
  ])("splits %s", (path, names) => {
    expect(parsePropertyPath(path)).toEqual(names);
  });

  it("finds own properties only", () => {
    expect(propertyAt({ a: { b: 1 } }, ["a", "b"])).toBe(1);
    expect(propertyAt({ a: { b: 1 } }, ["a", "b", "c"])).toBeUndefined();
    expect(propertyAt({}, ["constructor", "name"])).toBeUndefined();
  });
});
