import { describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../../shared/json.ts";
import { redact } from "../../../shared/matrix/redaction.ts";
import { knownRoomVersions } from "../../../shared/matrix/room-version.ts";
import { rulesOf } from "../../support/room-builder.ts";

/** Every key that some event's content has kept in some room version, and one that none has. */
const content: JsonObject = {
  membership: "join",
  join_authorised_via_users_server: "@a:b",
  third_party_invite: { display_name: "x", signed: { token: "t" } },
  creator: "@a:b",
  room_version: "1",
  join_rule: "restricted",
  allow: [],
  ban: 1,
  events: {},
  events_default: 1,
  kick: 1,
  redact: 1,
  state_default: 1,
  users: {},
  users_default: 1,
  invite: 1,
  notifications: {},
  aliases: [],
  history_visibility: "shared",
  redacts: "$x",
  body: "x",
};

const levels = ["ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"];

/** Retyped from the pages of the room versions: what content keeps, from which version on, until which. */
const kept: readonly [type: string, from: number, until: number, keys: readonly string[]][] = [
  ["m.room.member", 1, 8, ["membership"]],
  ["m.room.member", 9, 10, ["membership", "join_authorised_via_users_server"]],
  ["m.room.member", 11, 12, ["membership", "join_authorised_via_users_server", "third_party_invite"]],
  ["m.room.create", 1, 10, ["creator"]],
  ["m.room.create", 11, 12, Object.keys(content)],
  ["m.room.join_rules", 1, 7, ["join_rule"]],
  ["m.room.join_rules", 8, 12, ["join_rule", "allow"]],
  ["m.room.power_levels", 1, 10, levels],
  ["m.room.power_levels", 11, 12, [...levels, "invite"]],
  ["m.room.aliases", 1, 5, ["aliases"]],
  ["m.room.aliases", 6, 12, []],
  ["m.room.history_visibility", 1, 12, ["history_visibility"]],
  ["m.room.redaction", 1, 10, []],
  ["m.room.redaction", 11, 12, ["redacts"]],
  ["m.room.message", 1, 12, []],
  ["m.room.topic", 1, 12, []],
];

const topLevel = [
  "event_id",
  "type",
  "room_id",
  "sender",
  "state_key",
  "content",
  "hashes",
  "signatures",
  "depth",
  "prev_events",
  "auth_events",
  "origin_server_ts",
];
const olderTopLevel = ["origin", "membership", "prev_state"];

describe.each(knownRoomVersions)("redact, room version %s", (version) => {
  const rules = rulesOf(version);

  it.each(kept.filter(([, from, until]) => from <= Number(version) && Number(version) <= until))(
    "keeps of the content of %s what the version protects",
    (type, _from, _until, keys) => {
      const redacted = redact({ type, content }, rules);
      const expected = keys.map((key): [string, JsonValue] => [
        key,
        // "Additionally, it allows the signed key of the third_party_invite key."
        type === "m.room.member" && key === "third_party_invite" ? { signed: { token: "t" } } : (content[key] ?? null),
      ]);
      expect(redacted).toEqual({ type, content: Object.fromEntries(expected) });
    },
  );

  it.each<[string, JsonValue, boolean]>([
    ["an object without it", { display_name: "x" }, true],
    ["an empty object", {}, true],
    ["a text", "x", false],
    ["a list", [{ signed: {} }], false],
    ["null", null, false],
  ])("keeps of a third_party_invite that is %s what other servers make event ids of", (_name, invite, isKept) => {
    const redacted = redact({ type: "m.room.member", content: { third_party_invite: invite } }, rules);
    const content = isKept && Number(version) >= 11 ? { third_party_invite: {} } : {};
    expect(redacted).toEqual({ type: "m.room.member", content });
  });

  it("keeps the keys of the event that the version protects", () => {
    const all = [...topLevel, ...olderTopLevel, "unsigned", "redacts", "age_ts"].map((key) => [key, "x"]);
    const redacted = redact({ ...Object.fromEntries(all), content: {} }, rules);
    const expected = Number(version) >= 11 ? topLevel : [...topLevel, ...olderTopLevel];
    expect(Object.keys(redacted).sort()).toEqual(expected.sort());
  });
});
