import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../../shared/json.ts";
import { type ClientEventContext, toClientEvent } from "../../../shared/matrix/client-event.ts";
import { parseStrippedState, stripEvent, strippedStateEvents } from "../../../shared/matrix/stripped-state.ts";
import { RoomBuilder, user } from "../../support/room-builder.ts";

const bob = user("@bob:example.org");

function roomOf(version = "12") {
  const room = RoomBuilder.open({ version });
  room.join(bob);
  const base: ClientEventContext = { rules: room.rules, now: 1_700_000_100_000, includeRoomId: true };
  return { room, base };
}

describe("toClientEvent", () => {
  it("gives a message the client's fields and no others", () => {
    const { room, base } = roomOf();
    const event = room.message(bob, "hello");
    expect(toClientEvent(event, base)).toEqual({
      type: "m.room.message",
      sender: bob,
      content: { msgtype: "m.text", body: "hello" },
      event_id: event.eventId,
      room_id: room.roomId,
      origin_server_ts: event.originServerTs,
      unsigned: { age: base.now - event.originServerTs },
    });
  });

  it("leaves the room out where the answer names it elsewhere", () => {
    const { room, base } = roomOf();
    expect(toClientEvent(room.message(bob, "x"), { ...base, includeRoomId: false })).not.toHaveProperty("room_id");
  });

  it("gives a version 12 create event the room id that its PDU lacks", () => {
    const { room, base } = roomOf();
    expect(toClientEvent(room.create, base)).toMatchObject({ room_id: room.roomId, state_key: "" });
  });

  it("tells of the replaced state only for state events", () => {
    const { room, base } = roomOf();
    const prevContent = { topic: "old" };
    const context = { ...base, prevContent, prevSender: bob, replacesState: room.create.eventId };
    const topic = room.sendState(room.creator, "m.room.topic", { topic: "new" });
    expect(toClientEvent(topic, context).unsigned).toMatchObject({
      prev_content: prevContent,
      prev_sender: bob,
      replaces_state: room.create.eventId,
    });
    expect(Object.keys(toClientEvent(room.message(bob, "x"), context).unsigned ?? {})).toEqual(["age"]);
  });

  it("tells the transaction id, membership and relations where given", () => {
    const { room, base } = roomOf();
    const unsigned = { "m.relations": { "m.thread": { count: 1 } } };
    const event = toClientEvent(room.message(bob, "x"), { ...base, transactionId: "t1", membership: "join", unsigned });
    expect(event.unsigned).toMatchObject({ transaction_id: "t1", membership: "join", ...unsigned });
    const silent = toClientEvent(room.message(bob, "x"), { ...base, transactionId: null, membership: null });
    expect(Object.keys(silent.unsigned ?? {})).toEqual(["age"]);
  });

  it.each(["10", "11", "12"])("puts redacts beside and into the content in room version %s", (version) => {
    const { room, base } = roomOf(version);
    const target = room.message(bob, "secret");
    const redaction = room.send({
      sender: bob,
      type: "m.room.redaction",
      redacts: target.eventId,
      content: { reason: "r" },
    });
    expect(toClientEvent(redaction, base)).toMatchObject({
      redacts: target.eventId,
      content: { reason: "r", redacts: target.eventId },
    });
  });

  it("serves a redacted event without its content, whatever was stored", () => {
    const { room, base } = roomOf();
    const target = room.message(bob, "secret");
    const redaction = room.send({ sender: bob, type: "m.room.redaction", redacts: target.eventId });
    for (const format of ["client", "federation"] as const) {
      const served = toClientEvent(target, { ...base, format, redactedBecause: redaction });
      expect(JSON.stringify(served)).not.toContain("secret");
      expect(served.content).toEqual({});
      expect(served.unsigned).toMatchObject({
        redacted_because: { event_id: redaction.eventId, redacts: target.eventId },
      });
    }
  });

  it("keeps the PDU in the federation format", () => {
    const { room, base } = roomOf();
    const event = room.message(bob, "x");
    expect(toClientEvent(event, { ...base, format: "federation" })).toMatchObject({
      ...event.pdu,
      event_id: event.eventId,
    });
  });
});

describe("stripped state", () => {
  it("holds the create event first and what the room has of the rest", () => {
    const { room } = roomOf();
    room.sendState(room.creator, "m.room.name", { name: "n" });
    room.sendState(room.creator, "m.room.power_levels", {});
    const events = strippedStateEvents(room.lookup, [["m.room.member", bob]]);
    expect(events.map((event) => event.type)).toEqual([
      "m.room.create",
      "m.room.name",
      "m.room.join_rules",
      "m.room.member",
    ]);
    expect(events.map(stripEvent)[1]).toEqual({
      type: "m.room.name",
      state_key: "",
      sender: room.creator,
      content: { name: "n" },
    });
  });

  const good = { type: "m.room.name", state_key: "", sender: "@a:b", content: { name: "n" } };

  it.each<[string, JsonValue | undefined]>([
    ["nothing", undefined],
    ["null", null],
    ["an object", {}],
    ["text", "x"],
    ["odd entries", [null, 1, [], {}, { ...good, state_key: null }, { ...good, content: [] }, { ...good, sender: 1 }]],
  ])("makes nothing of %s", (_name, value) => {
    expect(parseStrippedState(value)).toEqual([]);
  });

  it("prunes what another server sent", () => {
    const entry = { ...good, unsigned: { age: 1 }, signatures: {}, event_id: "$x", "org.evil": true };
    expect(parseStrippedState([entry, null])).toEqual([good]);
  });

  it("bounds how much it keeps", () => {
    expect(parseStrippedState(Array.from({ length: 500 }, () => good))).toHaveLength(100);
    const large = { ...good, content: { name: "x".repeat(40_000) } };
    expect(parseStrippedState([large, large, large])).toHaveLength(1);
  });
});
