import { describe, expect, it } from "vitest";
import { trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { canonicalJson } from "../../../shared/matrix/canonical-json.ts";
import { draftOf, eventFromPdu, referencedEvents, storedEvent } from "../../../shared/matrix/event.ts";
import { buildPdu, depthAfter } from "../../../shared/matrix/event-draft.ts";
import { createEventIdOf, eventIdOf, roomIdOf } from "../../../shared/matrix/event-id.ts";
import { contentHash, hasValidContentHash, referenceHash } from "../../../shared/matrix/hashes.ts";
import { redact, redactsOf } from "../../../shared/matrix/redaction.ts";
import { knownRoomVersions, rulesFor } from "../../../shared/matrix/room-version.ts";
import { RoomBuilder, rulesOf, user } from "../../support/room-builder.ts";
import { describeVectors } from "./vectors.ts";

describe("rulesFor", () => {
  it("knows versions 1 to 12 and no other", () => {
    expect(knownRoomVersions).toEqual(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
    for (const unknown of ["", "0", "13", "1.0", " 1", "__proto__", "org.matrix.msc1234"])
      expect(rulesFor(unknown)).toBeNull();
  });
});

describe("eventIdOf", () => {
  it.each(["3", "4", "11", "12"])("is the reference hash in room version %s", (version) => {
    const room = RoomBuilder.open({ version });
    const { pdu, eventId } = room.message(room.creator, "hi");
    expect(eventId).toBe(`$${referenceHash(pdu, room.rules)}`);
    expect(eventId).toMatch(version === "3" ? /^\$[A-Za-z0-9+/]{43}$/ : /^\$[A-Za-z0-9_-]{43}$/);
    expect(eventIdOf({ ...pdu, unsigned: { age: 1 }, content: {} }, room.rules)).toBe(eventId);
  });

  it("is the event's own field in room versions 1 and 2", () => {
    expect(eventIdOf({ event_id: "$a:b" }, rulesOf("1"))).toBe("$a:b");
    expect(eventIdOf({ event_id: 5 }, rulesOf("2"))).toBeNull();
  });
});

describe("roomIdOf", () => {
  it("is the create event's id with another sigil in room version 12", () => {
    const room = RoomBuilder.empty({ version: "12" });
    expect(room.create.pdu).not.toHaveProperty("room_id");
    expect(room.roomId).toBe(`!${room.create.eventId.slice(1)}`);
    expect(createEventIdOf(room.roomId)).toBe(room.create.eventId);
    expect(roomIdOf(room.message(room.creator, "x").pdu, room.rules)).toBe(room.roomId);
  });

  it("is the event's own field before", () => {
    expect(roomIdOf({ type: "m.room.create", room_id: "!a:b" }, rulesOf("11"))).toBe("!a:b");
    expect(roomIdOf({ type: "m.room.create" }, rulesOf("11"))).toBeNull();
  });
});

describe("eventFromPdu", () => {
  const room = RoomBuilder.open({ version: "11" });
  const topic = room.sendState(room.creator, "m.room.topic", { topic: "t" });

  it("reads a PDU's fields, also from stored text", () => {
    for (const event of [topic, storedEvent(topic.eventId, canonicalJson(topic.pdu), room.rules)]) {
      expect(event.type).toBe("m.room.topic");
      expect(event.stateKey).toBe("");
      expect(event.sender).toBe(room.creator);
      expect(event.content).toEqual({ topic: "t" });
      expect(event.roomId).toBe(room.roomId);
      expect(event.prevEvents).toHaveLength(1);
      expect(event.authEvents).toHaveLength(3);
      expect(event.depth).toBe(5);
      expect(event.redacts).toBeNull();
    }
  });

  it("throws for what was never checked", () => {
    expect(() => eventFromPdu({}, rulesOf("1"))).toThrow();
    expect(() => eventFromPdu({}, rulesOf("11")).sender).toThrow();
    expect(() => eventFromPdu({}, rulesOf("11")).roomId).toThrow();
  });

  it("reads event references of both forms, each once", () => {
    expect(referencedEvents(["$a", "$b", "$a", 5, "x"])).toEqual(["$a", "$b"]);
    expect(referencedEvents([["$a:b", { sha256: "x" }]])).toEqual(["$a:b"]);
    expect(referencedEvents("$a")).toEqual([]);
  });

  it("gives a draft no id where the id is a hash", () => {
    expect(draftOf(topic.pdu, room.rules).eventId).toBeNull();
    expect(draftOf(topic.pdu, room.rules).roomId).toBe(room.roomId);
  });

  it("finds what a redaction redacts, where the room version keeps it", () => {
    const redaction = room.send({ sender: room.creator, type: "m.room.redaction", redacts: topic.eventId });
    expect(redaction.pdu).not.toHaveProperty("redacts");
    expect(redaction.redacts).toBe(topic.eventId);
    const older = RoomBuilder.open({ version: "10" });
    const olderRedaction = older.send({ sender: older.creator, type: "m.room.redaction", redacts: topic.eventId });
    expect(olderRedaction.pdu.redacts).toBe(topic.eventId);
    expect(olderRedaction.redacts).toBe(topic.eventId);
    expect(redactsOf({ redacts: "$x" }, rulesOf("11"))).toBeNull();
  });
});

describe("buildPdu", () => {
  it("needs an id and hashes in room versions 1 and 2", () => {
    const fields = {
      roomId: trusted.roomId("!a:b"),
      sender: user("@a:b"),
      type: "x",
      stateKey: null,
      content: {},
      originServerTs: 1,
      depth: 1,
      prevEvents: [trusted.eventId("$p:b")],
      authEvents: [],
    };
    expect(() => buildPdu(fields, rulesOf("1"))).toThrow();
    const pdu = buildPdu({ ...fields, eventId: trusted.eventId("$e:b"), hashOf: () => "h" }, rulesOf("1"));
    expect(pdu.prev_events).toEqual([["$p:b", { sha256: "h" }]]);
    expect(pdu).not.toHaveProperty("state_key");
  });

  it("never exceeds the largest depth", () => {
    expect(depthAfter([])).toBe(1);
    expect(depthAfter([3, 7, 5])).toBe(8);
    expect(depthAfter([Number.MAX_SAFE_INTEGER])).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe("redact", () => {
  it("leaves the given event alone and takes unsigned away", () => {
    const event = { type: "m.room.message", content: { body: "x" }, unsigned: { age: 1 }, extra: 1 };
    expect(redact(event, rulesOf("12"))).toEqual({ type: "m.room.message", content: {} });
    expect(event.content).toEqual({ body: "x" });
  });

  it("keeps of a third-party invite only what was signed, from version 11", () => {
    const content = { membership: "invite", third_party_invite: { display_name: "x", signed: { token: "t" } } };
    const event = { type: "m.room.member", content };
    expect(redact(event, rulesOf("11")).content).toEqual({
      membership: "invite",
      third_party_invite: { signed: { token: "t" } },
    });
    expect(redact(event, rulesOf("10")).content).toEqual({ membership: "invite" });
    expect(redact({ ...event, content: { third_party_invite: "x" } }, rulesOf("11")).content).toEqual({});
  });

  it("is its own fixed point", () => {
    for (const version of knownRoomVersions) {
      const room = RoomBuilder.open({ version });
      for (const event of room.events) {
        const once = redact(event.pdu, room.rules);
        expect(redact(once, room.rules)).toEqual(once);
      }
    }
  });
});

interface RedactionCase {
  name?: string;
  room_version: string;
  event: JsonObject;
  redacted: JsonObject;
}

for (const file of ["redaction/ruma.json", "redaction/gomatrixserverlib.json"]) {
  describeVectors<{ cases: RedactionCase[] }>(file, ({ cases }) => {
    it.each(cases)("$name (room version $room_version, %#)", (one) => {
      expect(redact(one.event, rulesOf(one.room_version))).toEqual(one.redacted);
    });
  });
}

interface DerivedCase extends RedactionCase {
  content_hash: string;
  event_id: string;
}

describeVectors<{ cases: DerivedCase[] }>("event-ids/derived-all-versions.json", ({ cases }) => {
  it.each(cases)("$name in room version $room_version", (one) => {
    const rules = rulesOf(one.room_version);
    expect(contentHash(one.event, rules)).toBe(one.content_hash);
    expect(redact(one.event, rules)).toEqual(one.redacted);
    expect(eventIdOf(one.event, rules)).toBe(one.event_id);
  });
});

describeVectors<{ cases: { room_version: string; event: JsonObject; event_id: string }[] }>(
  "event-ids/gomatrixserverlib.json",
  ({ cases }) => {
    it.each(cases)("$event_id", (one) => {
      expect(eventIdOf(one.event, rulesOf(one.room_version))).toBe(one.event_id);
    });
  },
);

interface HashCase {
  event: JsonObject;
  content_hash_matches: boolean;
  computed_content_hash: string;
}

describeVectors<{ cases: HashCase[] }>("event-ids/content-hash-events.json", ({ cases }) => {
  it.each(cases)("content hash %#", (one) => {
    expect(contentHash(one.event, rulesOf("1"))).toBe(one.computed_content_hash);
    expect(hasValidContentHash(one.event, rulesOf("1"))).toBe(one.content_hash_matches);
  });
});

describeVectors<{ versions: Record<string, Record<string, unknown>> }>(
  "room-versions/features.json",
  ({ versions }) => {
    it.each(Object.entries(versions))("room version %s has these features", (version, features) => {
      const rules = rulesOf(version);
      expect({
        state_resolution: rules.stateResolution,
        enforce_key_validity: rules.enforcesKeyValidity,
        strict_canonical_json: rules.isStrictCanonicalJson,
        aliases_auth_special_case: rules.hasAliasesRule,
        notifications_pl_check: rules.limitsNotificationLevels,
        knock: rules.allowsKnocking,
        restricted: rules.allowsRestrictedJoin,
        redaction_keeps_join_authorised: rules.redactionKeepsJoinAuthoriser,
        knock_restricted: rules.allowsKnockRestricted,
        integer_power_levels_only: rules.powerLevelValues === "integer",
        creator_in_content_required: !rules.creatorIsSender,
        redacts_in_content: rules.redactsInContent,
        redaction_v11_rules: rules.redaction === "v11",
        room_id_is_create_event_hash: rules.roomIdIsCreateHash,
        creators_infinite_power: rules.creatorsHaveInfinitePower,
        create_event_in_auth_events: rules.createIsAuthEvent,
      }).toEqual(Object.fromEntries(Object.entries(features).filter(([name]) => !name.endsWith("_format"))));
    });
  },
);
