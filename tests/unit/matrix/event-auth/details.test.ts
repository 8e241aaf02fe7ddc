import { describe, expect, it } from "vitest";
import { serverNameOf, trusted } from "../../../../shared/ids.ts";
import { PowerLevels } from "../../../../shared/matrix/content/power-levels.ts";
import { eventFromPdu } from "../../../../shared/matrix/event.ts";
import { authTypesForEvent } from "../../../../shared/matrix/event-auth/auth-types.ts";
import { authorize, mayRedact } from "../../../../shared/matrix/event-auth/state-dependent.ts";
import { knownRoomVersions } from "../../../../shared/matrix/room-version.ts";
import { RoomBuilder, rulesOf, user } from "../../../support/room-builder.ts";
import { alice, bob, carol, decide, erin, nobody, overlay, scene, zoe } from "./scene.ts";

const member = (membership: string, content = {}) => ({ type: "m.room.member", content: { membership, ...content } });

describe("power levels of users", () => {
  const levels = (userId: string) => {
    const content = { users: { [userId]: 5 } };
    return decide(scene("12"), { sender: alice, type: "m.room.power_levels", stateKey: "", content }).allowed;
  };

  it.each(["@dan:https://example.org", "@dan:example.org ", "@dan:exa_mple.org", "@:example.org", "@dan:"])(
    "may be of %j, which other servers take for a user",
    (userId) => expect(levels(userId)).toBe(true),
  );

  it.each(["dan:example.org", "@dan", "", "#dan:example.org"])("may not be of %j", (userId) =>
    expect(levels(userId)).toBe(false),
  );
});

describe("authTypesForEvent", () => {
  const message = { type: "m.room.message", sender: carol, stateKey: null, content: {} };

  it("selects the create event until room version 11", () => {
    const usual = [
      ["m.room.power_levels", ""],
      ["m.room.member", carol],
    ];
    expect(authTypesForEvent(message, rulesOf("11"))).toEqual([["m.room.create", ""], ...usual]);
    expect(authTypesForEvent(message, rulesOf("12"))).toEqual(usual);
  });

  it("selects nothing for the create event", () => {
    expect(authTypesForEvent({ ...message, type: "m.room.create", stateKey: "" }, rulesOf("11"))).toEqual([]);
  });

  it.each([
    ["join", true],
    ["invite", true],
    ["knock", true],
    ["leave", false],
    ["ban", false],
  ])("selects join rules for %s: %s", (membership, hasJoinRules) => {
    const keys = authTypesForEvent({ sender: carol, stateKey: zoe, ...member(membership) }, rulesOf("12"));
    expect(keys.some(([type]) => type === "m.room.join_rules")).toBe(hasJoinRules);
    expect(keys).toContainEqual(["m.room.member", zoe]);
  });

  it("selects the third-party invite of an invite's token only", () => {
    const content = { third_party_invite: { signed: { token: "t" } } };
    const key = ["m.room.third_party_invite", "t"];
    expect(
      authTypesForEvent({ sender: carol, stateKey: zoe, ...member("invite", content) }, rulesOf("12")),
    ).toContainEqual(key);
    expect(
      authTypesForEvent({ sender: carol, stateKey: zoe, ...member("join", content) }, rulesOf("12")),
    ).not.toContainEqual(key);
  });

  it("selects the authorizing member from room version 8, once", () => {
    const join = { sender: carol, stateKey: carol, ...member("join", { join_authorised_via_users_server: bob }) };
    expect(authTypesForEvent(join, rulesOf("8"))).toContainEqual(["m.room.member", bob]);
    expect(authTypesForEvent(join, rulesOf("7"))).not.toContainEqual(["m.room.member", bob]);
    const own = { ...join, content: { membership: "join", join_authorised_via_users_server: carol } };
    expect(authTypesForEvent(own, rulesOf("12")).filter(([type]) => type === "m.room.member")).toHaveLength(1);
  });

  it("names what authorize looks up, and nothing is looked up beside it but the create event", () => {
    for (const version of ["11", "12"]) {
      const room = scene(version);
      const events = [
        room.make({ sender: carol, type: "m.room.message" }),
        room.make({ sender: bob, type: "m.room.topic", stateKey: "" }),
        room.make({ sender: bob, type: "m.room.member", stateKey: carol, content: { membership: "ban" } }),
        room.make({ sender: nobody, type: "m.room.member", stateKey: nobody, content: { membership: "join" } }),
        room.make({ sender: alice, type: "m.room.power_levels", stateKey: "", content: {} }),
      ];
      for (const event of events) {
        const selected = new Set(authTypesForEvent(event, room.rules).map((key) => JSON.stringify(key)));
        selected.add(JSON.stringify(["m.room.create", ""]));
        authorize(event, room.rules, (type, stateKey) => {
          expect(selected).toContain(JSON.stringify([type, stateKey]));
          return room.lookup(type, stateKey);
        });
      }
    }
  });
});

describe("creators in room version 12", () => {
  const room = scene("12", { create: { additional_creators: [erin] } });

  it("stand above every level and cannot be banned, kicked or listed", () => {
    const levels = new PowerLevels(room.lookup("m.room.power_levels", ""), room.create, room.rules);
    expect(levels.ofUser(alice)).toBe(Number.POSITIVE_INFINITY);
    expect(levels.ofUser(erin)).toBe(Number.POSITIVE_INFINITY);
    const top = scene("12", { levels: { users: { [bob]: Number.MAX_SAFE_INTEGER } } });
    const ban = { sender: bob, type: "m.room.member", stateKey: alice, content: { membership: "ban" } };
    expect(decide(top, ban)).toMatchObject({ allowed: false, rule: "5.6.3" });
    expect(decide(top, { ...ban, content: { membership: "leave" } })).toMatchObject({ allowed: false, rule: "5.5.5" });
    const list = { sender: alice, type: "m.room.power_levels", stateKey: "", content: { users: { [erin]: 1 } } };
    expect(decide(room, list)).toMatchObject({ allowed: false, rule: "10.4" });
  });

  it("cannot remove one another", () => {
    const kick = { sender: alice, type: "m.room.member", stateKey: erin, content: { membership: "leave" } };
    expect(decide(room, kick)).toMatchObject({ allowed: false, rule: "5.5.5" });
  });

  it("are no creators before", () => {
    const older = scene("11", { create: { additional_creators: [erin] } });
    const levels = new PowerLevels(older.lookup("m.room.power_levels", ""), older.create, older.rules);
    expect(levels.ofUser(erin)).toBe(0);
    expect(levels.ofUser(alice)).toBe(100);
  });

  it("of whom the room id names another create event are none of the room's", () => {
    const message = room.make({ sender: carol, type: "m.room.message" });
    const other = RoomBuilder.open({ version: "12", creator: zoe });
    expect(authorize(message, room.rules, overlay(room.lookup, "m.room.create", other.create))).toMatchObject({
      rule: "2",
    });
    expect(authorize(message, room.rules, overlay(room.lookup, "m.room.create", null))).toMatchObject({ rule: "2" });
  });
});

describe("authorize", () => {
  it.each(["11", "12"])("takes a missing power levels event for the defaults in room version %s", (version) => {
    const room = RoomBuilder.empty({ version });
    room.join(alice);
    room.setJoinRule(alice, "public");
    room.join(carol);
    const topic = { type: "m.room.topic", stateKey: "", content: {} };
    expect(decide(room, { ...topic, sender: alice }).allowed).toBe(true);
    expect(decide(room, { ...topic, sender: carol })).toMatchObject({ allowed: false });
    expect(decide(room, { sender: carol, type: "m.room.message" }).allowed).toBe(true);
  });

  it.each(knownRoomVersions)("lets the creator in without invitation only once, in room version %s", (version) => {
    const room = RoomBuilder.empty({ version });
    const join = () =>
      decide(room, { sender: alice, type: "m.room.member", stateKey: alice, content: { membership: "join" } });
    expect(join().allowed).toBe(true);
    room.join(alice);
    room.setJoinRule(alice, "invite");
    room.member(alice, "leave");
    expect(join().allowed).toBe(false);
  });

  it("lets a user change their own level downwards only", () => {
    const levels = { events: { "m.room.power_levels": 0 } };
    const room = scene("11", { levels: { ...levels, users: { [alice]: 100, [bob]: 50, [carol]: 10 } } });
    const change = (to: number) => ({
      sender: carol,
      type: "m.room.power_levels",
      stateKey: "",
      content: { ...levels, users: { [alice]: 100, [bob]: 50, [carol]: to } },
    });
    expect(decide(room, change(9)).allowed).toBe(true);
    expect(decide(room, change(11))).toMatchObject({ rule: "9.9.1" });
  });

  it("checks entries that are removed as well as those that are changed", () => {
    const room = scene("11", { levels: { events: { "m.room.power_levels": 0, secret: 100 } } });
    const content = { events: { "m.room.power_levels": 0 }, users: { [alice]: 100, [bob]: 50 } };
    expect(decide(room, { sender: bob, type: "m.room.power_levels", stateKey: "", content })).toMatchObject({
      rule: "9.6.1",
    });
  });

  it.each(["5", "6", "12"])("checks levels of notifications from room version 6, in version %s", (version) => {
    const levels = { events: { "m.room.power_levels": 0 }, notifications: { room: 100 } };
    const users = { ...(version === "12" ? {} : { [alice]: 100 }), [bob]: 50 };
    const room = scene(version, { levels: { ...levels, users } });
    const content = { ...levels, users, notifications: { room: 0 } };
    const change = { sender: bob, type: "m.room.power_levels", stateKey: "", content };
    expect(decide(room, change).allowed).toBe(version === "5");
  });

  it("believes an unsigned draft's signers where the caller names them", () => {
    const room = scene("12", { joinRule: "restricted" });
    const content = { membership: "join", join_authorised_via_users_server: alice };
    const join = room.make({ sender: zoe, type: "m.room.member", stateKey: zoe, content });
    expect(authorize(join, room.rules, room.lookup)).toMatchObject({ rule: "5.2.1" });
    expect(authorize(join, room.rules, room.lookup, (server) => server === serverNameOf(alice)).allowed).toBe(true);
  });

  it("is not misled by property names of objects", () => {
    const room = scene("12", { levels: { users: JSON.parse('{"@__proto__:example.org": 50}'), events: {} } });
    for (const type of ["__proto__", "constructor", "toString"]) {
      expect(decide(room, { sender: carol, type, stateKey: "" })).toMatchObject({ rule: "8" });
      expect(decide(room, { sender: carol, type }).allowed).toBe(true);
    }
  });

  it.each(knownRoomVersions)(
    "allows every event of an ordinary room of version %s in the state before it",
    (version) => {
      const room = RoomBuilder.empty({ version });
      const steps = [
        () => room.join(alice),
        () => room.setPowerLevels(alice, { users: version === "12" ? {} : { [alice]: 100 } }),
        () => room.setJoinRule(alice, "invite"),
        () => room.member(alice, "invite", bob),
        () => room.join(bob),
        () => room.message(bob, "hello"),
        () => room.member(alice, "leave", bob),
      ];
      for (const step of steps) {
        const before = room.fork();
        expect(decide(before, step()).allowed).toBe(true);
      }
    },
  );
});

describe("mayRedact", () => {
  const room = scene("12");
  const levels = new PowerLevels(room.lookup("m.room.power_levels", ""), room.create, room.rules);
  const redaction = (sender: typeof alice, redacts = trusted.eventId("$x")) =>
    room.make({ sender, type: "m.room.redaction", redacts });
  const byCarol = room.message(carol, "x");

  it("lets moderators redact, and servers what their own users sent", () => {
    expect(mayRedact(redaction(bob), byCarol, levels)).toBe(true);
    expect(mayRedact(redaction(carol), byCarol, levels)).toBe(true);
    expect(mayRedact(redaction(user("@dora:example.org")), byCarol, levels)).toBe(true);
    expect(mayRedact(redaction(zoe), byCarol, levels)).toBe(false);
  });

  it("never reaches into another room, nor to itself", () => {
    const other = scene("12", { create: { other: true } });
    expect(mayRedact(redaction(alice), other.message(carol, "x"), levels)).toBe(false);
    const own = redaction(alice);
    expect(mayRedact(own, eventFromPdu(own.pdu, room.rules), levels)).toBe(false);
  });
});
