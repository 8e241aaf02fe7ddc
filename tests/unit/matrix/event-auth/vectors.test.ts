import { expect, it } from "vitest";
import { parseRoomId, parseUserId, trusted } from "../../../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, objectField, stringField } from "../../../../shared/json.ts";
import { parseLevel } from "../../../../shared/matrix/content/power-levels.ts";
import { eventWithId, type MatrixEvent, type StateLookup } from "../../../../shared/matrix/event.ts";
import { authTypesForEvent } from "../../../../shared/matrix/event-auth/auth-types.ts";
import { authorize } from "../../../../shared/matrix/event-auth/state-dependent.ts";
import { knownRoomVersions, type RoomVersionRules } from "../../../../shared/matrix/room-version.ts";
import { rulesOf } from "../../../support/room-builder.ts";
import { describeVectors } from "../vectors.ts";

interface AuthCase {
  name: string;
  room_version: string;
  auth_events: JsonObject;
  allowed: JsonObject[];
  not_allowed: JsonObject[];
}

/** The vectors' state: single events by short name, members by user, third-party invites by token. */
function lookupOf(authEvents: JsonObject, rules: RoomVersionRules): StateLookup {
  return (type, stateKey) => {
    const found = objectField(authEvents, type.replace("m.room.", ""));
    const event =
      found !== null && (type === "m.room.member" || type === "m.room.third_party_invite")
        ? objectField(found, stateKey)
        : found;
    return event === null ? null : view(event, rules);
  };
}

/** Some ids in the vectors are not quite event ids. */
function view(event: JsonObject, rules: RoomVersionRules): MatrixEvent {
  return eventWithId(trusted.eventId(stringField(event, "event_id") ?? ""), event, rules);
}

/** "Events that fail to parse count as not allowed": here those whose ids are none, or whose create event is no state. */
function isAllowed(event: JsonObject, authEvents: JsonObject, rules: RoomVersionRules): boolean {
  if (parseUserId(stringField(event, "sender") ?? "") === null) return false;
  if (parseRoomId(stringField(event, "room_id") ?? "") === null) return false;
  if (stringField(event, "type") === "m.room.create" && stringField(event, "state_key") !== "") return false;
  return authorize(view(event, rules), rules, lookupOf(authEvents, rules), () => true).allowed;
}

/** Refused in the vectors, allowed by the specification's text. */
const allowedByText: readonly string[] = [
  // The rule on the first join does not look at the sender; Synapse and ruma follow the text.
  "TestAllowedFirstJoin: The sender doesn't match the joining user",
  // The redact level allows before anybody looks at what is redacted; such a redaction then redacts nothing.
  "TestRedactAllowed: Invalid redacts event ID",
  "TestRedactAllowed: Missing redacts event ID",
];

describeVectors<{ cases: AuthCase[] }>("auth-rules/gomatrixserverlib.json", ({ cases }) => {
  for (const one of cases) {
    const rules = rulesOf(one.room_version);
    it.each(one.allowed)(`${one.name} allows %#`, (event) => {
      expect(isAllowed(event, one.auth_events, rules)).toBe(true);
    });
    it.each(one.not_allowed)(`${one.name} refuses %#`, (event) => {
      const why = stringField(objectField(event, "unsigned") ?? {}, "not_allowed");
      expect(isAllowed(event, one.auth_events, rules)).toBe(allowedByText.includes(`${one.name}: ${why}`));
    });
  }
});

interface SelectionCase {
  name: string;
  events: JsonObject[];
  needed: {
    create: boolean;
    power_levels: boolean;
    join_rules: boolean;
    member: string[];
    third_party_invite: string[];
  };
}

describeVectors<{ cases: SelectionCase[] }>("auth-rules/gomatrixserverlib-auth-events-selection.json", ({ cases }) => {
  // That library asks for less on behalf of aliases events, and its events have no sender there.
  it.each(cases.filter((one) => one.name !== "TestStateNeededForAlias"))("$name", ({ events, needed }) => {
    const keys = events.flatMap((event) => authTypesForEvent(subjectOf(event), rulesOf("1")));
    const of = (type: string): string[] => keys.filter((key) => key[0] === type).map((key) => key[1]);
    expect({
      create: of("m.room.create").length > 0,
      power_levels: of("m.room.power_levels").length > 0,
      join_rules: of("m.room.join_rules").length > 0,
      member: of("m.room.member"),
      third_party_invite: of("m.room.third_party_invite"),
    }).toEqual(needed);
  });
});

function subjectOf(event: JsonObject): Parameters<typeof authTypesForEvent>[0] {
  const sender = parseUserId(stringField(event, "sender") ?? "@nobody:a");
  if (sender === null) throw new Error("the vector has no sender");
  const content = event.content;
  return {
    type: stringField(event, "type") ?? "",
    sender,
    stateKey: stringField(event, "state_key"),
    content: content !== undefined && isObject(content) ? content : {},
  };
}

interface LevelVectors {
  room_versions_1_to_9_lenient: { in: JsonValue; out: number }[];
  room_versions_10_plus: { in: JsonValue; valid: boolean }[];
}

describeVectors<LevelVectors>("auth-rules/power-level-values.json", (vectors) => {
  for (const version of knownRoomVersions) {
    const rules = rulesOf(version);
    if (Number(version) < 10) {
      it.each(vectors.room_versions_1_to_9_lenient)(`version ${version} reads $in`, (one) => {
        const isFloat = typeof one.in === "number" && !Number.isInteger(one.in);
        expect(parseLevel(one.in, rules)).toBe(isFloat && Number(version) >= 6 ? null : one.out);
      });
    } else {
      it.each(vectors.room_versions_10_plus)(`version ${version} judges $in`, (one) => {
        expect(parseLevel(one.in, rules) !== null).toBe(one.valid);
      });
    }
  }
});
