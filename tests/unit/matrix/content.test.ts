import { describe, expect, it } from "vitest";
import { type JsonObject, type JsonValue, withFields } from "../../../shared/json.ts";
import {
  creatorOf,
  creatorsOf,
  isFederated,
  predecessorOf,
  roomTypeOf,
  roomVersionOf,
} from "../../../shared/matrix/content/create.ts";
import { historyVisibilityOf } from "../../../shared/matrix/content/history-visibility.ts";
import { allowedRooms, joinRuleOf } from "../../../shared/matrix/content/join-rules.ts";
import { membershipIn, membershipOf } from "../../../shared/matrix/content/member.ts";
import { PowerLevels, parseLevel } from "../../../shared/matrix/content/power-levels.ts";
import { invitePublicKeys } from "../../../shared/matrix/content/third-party-invite.ts";
import { draftOf } from "../../../shared/matrix/event.ts";
import { RoomBuilder, rulesOf, user } from "../../support/room-builder.ts";

const alice = user("@alice:example.org");

describe("create", () => {
  it("reads version, federation, type and predecessor, with their defaults", () => {
    expect(roomVersionOf({})).toBe("1");
    expect(roomVersionOf({ room_version: "9" })).toBe("9");
    expect(isFederated({})).toBe(true);
    expect(isFederated({ "m.federate": "false" })).toBe(true);
    expect(isFederated({ "m.federate": false })).toBe(false);
    expect(roomTypeOf({ type: "m.space" })).toBe("m.space");
    expect(predecessorOf({ predecessor: { room_id: "!a:b" } })).toEqual({ roomId: "!a:b", eventId: null });
    expect(predecessorOf({ predecessor: ["!a:b"] })).toBeNull();
  });

  it("finds the creators as each room version does", () => {
    const creationContent = { additional_creators: ["@x:y"], creator: "@ignored:z" };
    const of = (version: string) => {
      const room = RoomBuilder.empty({ version, creationContent });
      return [...creatorsOf(room.create, room.rules)];
    };
    expect(of("10")).toEqual([alice]);
    expect(of("11")).toEqual([alice]);
    expect(of("12")).toEqual([alice, "@x:y"]);
  });

  it("takes the creator whom an older create event names, not its sender", () => {
    const of = (version: string, creator: JsonValue) => {
      const { create, rules } = RoomBuilder.empty({ version });
      const content = withFields(create.content, { creator });
      return creatorOf(draftOf(withFields(create.pdu, { content }), rules), rules);
    };
    expect(of("10", "@other:example.org")).toBe("@other:example.org");
    expect(of("10", "other")).toBeNull();
    expect(of("11", "@other:example.org")).toBe(alice);
  });
});

describe("member", () => {
  it("reads unknown memberships as none", () => {
    expect(membershipOf({ membership: "join" })).toBe("join");
    expect(membershipOf({ membership: "toString" })).toBeNull();
    expect(membershipOf({})).toBeNull();
    expect(membershipIn(null)).toBe("leave");
  });
});

describe("join rules", () => {
  it("reads what is not understood as private, and no event, or none that names a rule, as invite", () => {
    expect(joinRuleOf(null)).toBe("invite");
    expect(joinRuleOf({})).toBe("invite");
    expect(joinRuleOf({ allow: [] })).toBe("invite");
    expect(joinRuleOf({ join_rule: "knock_restricted" })).toBe("knock_restricted");
    expect(joinRuleOf({ join_rule: "telepathy" })).toBe("private");
    expect(joinRuleOf({ join_rule: null })).toBe("private");
  });

  it("keeps only conditions that can be met", () => {
    const allow: JsonValue = [
      { type: "m.room_membership", room_id: "!a:b" },
      { type: "m.room_membership", room_id: "a" },
      { type: "org.other", room_id: "!c:d" },
      "x",
    ];
    expect(allowedRooms({ allow })).toEqual(["!a:b"]);
    expect(allowedRooms({ allow: {} })).toEqual([]);
  });
});

describe("history visibility", () => {
  it("is shared where it is missing or not understood", () => {
    expect(historyVisibilityOf(null)).toBe("shared");
    expect(historyVisibilityOf({ history_visibility: 1 })).toBe("shared");
    expect(historyVisibilityOf({ history_visibility: "joined" })).toBe("joined");
  });
});

describe("third-party invite", () => {
  it("collects the keys of both forms", () => {
    const content = { public_key: "a", public_keys: [{ public_key: "b" }, { public_key: 1 }, "c"] };
    expect(invitePublicKeys(content)).toEqual(["a", "b"]);
    expect(invitePublicKeys({ public_keys: {} })).toEqual([]);
  });
});

describe("PowerLevels", () => {
  const levelsOf = (content: JsonObject, version = "11"): PowerLevels => {
    const room = RoomBuilder.open({ version, powerLevels: content });
    return new PowerLevels(room.lookup("m.room.power_levels", ""), room.create, room.rules);
  };

  it("has the spec's defaults where the event is silent", () => {
    const levels = levelsOf({});
    expect(levels.ofUser("@bob:example.org")).toBe(0);
    expect(levels.toSend("m.room.message", false)).toBe(0);
    expect(levels.toSend("m.room.topic", true)).toBe(50);
    expect([levels.level("ban"), levels.level("kick"), levels.level("redact")]).toEqual([50, 50, 50]);
    expect(levels.level("invite")).toBe(0);
    expect(levels.toNotify("room")).toBe(50);
  });

  it("has the same defaults where there is no event, and 100 for the creator before version 12", () => {
    const room = RoomBuilder.empty({ version: "11" });
    const levels = new PowerLevels(null, room.create, room.rules);
    expect(levels.ofUser(alice)).toBe(100);
    expect(levels.ofUser("@bob:example.org")).toBe(0);
    expect(levels.toSend("m.room.topic", true)).toBe(50);
    expect(new PowerLevels(null, null, room.rules).ofUser(alice)).toBe(0);
  });

  it("reads given levels, but no property that an object inherits", () => {
    const levels = levelsOf({
      users: { "@bob:example.org": 7 },
      users_default: 1,
      events: { "m.room.topic": 3 },
      notifications: { room: 9 },
      state_default: 4,
      events_default: 2,
    });
    expect(levels.ofUser("@bob:example.org")).toBe(7);
    expect(levels.ofUser("constructor")).toBe(1);
    expect(levels.toSend("m.room.topic", true)).toBe(3);
    expect(levels.toSend("toString", true)).toBe(4);
    expect(levels.toSend("__proto__", false)).toBe(2);
    expect(levels.toNotify("room")).toBe(9);
  });
});

describe("parseLevel", () => {
  it.each<[JsonValue, number | null, number | null, number | null]>([
    // value, version 5, version 9, version 10
    [50, 50, 50, 50],
    [-5, -5, -5, -5],
    ["50", 50, 50, null],
    [" +0050\n", 50, 50, null],
    ["-1", -1, -1, null],
    ["5.0", null, null, null],
    ["0x10", null, null, null],
    ["", null, null, null],
    ["1_0", null, null, null],
    [50.57, 50, null, null],
    [-0.5, 0, null, null],
    [null, null, null, null],
    [true, null, null, null],
    [[50], null, null, null],
  ])("reads %j as %s, %s and %s in versions 5, 9 and 10", (value, inV5, inV9, inV10) => {
    expect(parseLevel(value, rulesOf("5"))).toBe(inV5);
    expect(parseLevel(value, rulesOf("9"))).toBe(inV9);
    expect(parseLevel(value, rulesOf("10"))).toBe(inV10);
  });
});
