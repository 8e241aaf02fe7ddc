import { describe, expect, it } from "vitest";
import { createContent, defaultPreset, initialPowerLevels, presetEvents } from "../../../shared/matrix/room-presets.ts";
import { supportedRoomVersions } from "../../../shared/matrix/room-version.ts";
import { RoomBuilder, rulesOf, user } from "../../support/room-builder.ts";
import { decide } from "./event-auth/scene.ts";

const alice = user("@alice:example.org");
const bob = user("@bob:example.org");
const base = { creator: alice, invite: [bob], override: null };

describe("presetEvents", () => {
  it.each([
    ["private_chat", "invite", "can_join"],
    ["trusted_private_chat", "invite", "can_join"],
    // Absent, it means `forbidden`.
    ["public_chat", "public", null],
  ] as const)("%s has join rule %s, shared history, guests %s", (preset, joinRule, guestAccess) => {
    expect(presetEvents(preset).map((event) => [event.type, event.content])).toEqual([
      ["m.room.join_rules", { join_rule: joinRule }],
      ["m.room.history_visibility", { history_visibility: "shared" }],
      ...(guestAccess === null ? [] : [["m.room.guest_access", { guest_access: guestAccess }]]),
    ]);
    expect(defaultPreset("public")).toBe("public_chat");
    expect(defaultPreset("private")).toBe("private_chat");
  });
});

describe("initialPowerLevels", () => {
  it("lists the creator, and the invitees of a trusted private chat, until version 11", () => {
    const rules = rulesOf("11");
    expect(initialPowerLevels({ ...base, rules, preset: "private_chat" }).users).toEqual({ [alice]: 100 });
    expect(initialPowerLevels({ ...base, rules, preset: "trusted_private_chat" }).users).toEqual({
      [alice]: 100,
      [bob]: 100,
    });
  });

  it("lists nobody from version 12 and keeps tombstones above state_default", () => {
    const levels = initialPowerLevels({ ...base, rules: rulesOf("12"), preset: "trusted_private_chat" });
    expect(levels.users).toEqual({});
    expect(levels.events).toMatchObject({ "m.room.tombstone": 150 });
  });

  it("gives way to the override, key by key", () => {
    const levels = initialPowerLevels({
      ...base,
      rules: rulesOf("11"),
      preset: "private_chat",
      override: { users_default: 5, events: {} },
    });
    expect(levels).toMatchObject({ users_default: 5, events: {}, state_default: 50, users: { [alice]: 100 } });
  });
});

describe("createContent", () => {
  const input = { creator: alice, preset: "private_chat" as const, invite: [bob], creationContent: {} };

  it("overwrites room_version and creator", () => {
    const creationContent = { room_version: "1", creator: bob, "m.federate": false };
    expect(createContent({ ...input, rules: rulesOf("10"), creationContent })).toEqual({
      room_version: "10",
      creator: alice,
      "m.federate": false,
    });
    expect(createContent({ ...input, rules: rulesOf("11"), creationContent })).toEqual({
      room_version: "11",
      "m.federate": false,
    });
  });

  it("makes the invitees of a trusted private chat creators from version 12, each once", () => {
    const trusted = {
      ...input,
      preset: "trusted_private_chat" as const,
      creationContent: { additional_creators: [bob, "@c:d"] },
    };
    const content = createContent({ ...trusted, invite: [bob, alice], rules: rulesOf("12") });
    expect(content.additional_creators).toEqual([bob, "@c:d"]);
    expect(createContent({ ...trusted, creationContent: {}, rules: rulesOf("11") })).toEqual({ room_version: "11" });
    expect(createContent({ ...input, rules: rulesOf("12") })).toEqual({ room_version: "12" });
  });

  it("leaves an invalid additional_creators for the authorization rules to refuse", () => {
    const creationContent = { additional_creators: "me" };
    const content = createContent({ ...input, preset: "trusted_private_chat", rules: rulesOf("12"), creationContent });
    expect(content.additional_creators).toBe("me");
  });

  it.each(supportedRoomVersions)("begins a room of version %s whose every event is allowed", (version) => {
    for (const preset of ["private_chat", "trusted_private_chat", "public_chat"] as const) {
      const room = RoomBuilder.empty({ version });
      room.join(alice);
      const levels = initialPowerLevels({ ...base, rules: room.rules, preset });
      const events = [{ type: "m.room.power_levels", stateKey: "", content: levels }, ...presetEvents(preset)];
      for (const event of events) {
        expect(decide(room, { sender: alice, ...event })).toMatchObject({ allowed: true });
        room.send({ sender: alice, ...event });
      }
    }
  });
});
