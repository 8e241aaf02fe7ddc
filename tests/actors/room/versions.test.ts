import { describe, expect, it } from "vitest";
import { trusted } from "../../../shared/ids.ts";
import { checkEventFormat } from "../../../shared/matrix/event-format.ts";
import { defaultRoomVersion, rulesFor, supportedRoomVersions } from "../../../shared/matrix/room-version.ts";
import { publicKeyOf, verifyEvent } from "../../../shared/matrix/signing.ts";
import { alice, bob, createWorld, membership, message, serverName, state } from "./world.ts";

describe("room versions", () => {
  it("are supported all, and the newest is the default", () => {
    expect(supportedRoomVersions).toEqual(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
    expect(defaultRoomVersion).toBe("12");
  });

  it.each(supportedRoomVersions)(
    "make, join, write, name, redact and leave a room of version %s",
    async (roomVersion) => {
      const world = createWorld();
      const room = await world.create({ roomVersion, preset: "public_chat", name: "old and new" });
      await room.rpc.changeMembership(membership("join", bob));
      const { eventId } = await room.rpc.sendEvent(message(bob, "hello"));
      await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "t" }));
      const redaction = { ...message(alice, ""), type: "m.room.redaction", content: {}, redacts: eventId };
      const redacted = await room.rpc.sendEvent(redaction);
      const event = await room.rpc.getEvent(bob, null, eventId);
      expect(event.content).toEqual({});
      expect(room.context.store.events.byId(eventId)?.redactedBy).toBe(redacted.eventId);
      await room.rpc.changeMembership(membership("leave", bob));
      const rules = rulesFor(roomVersion);
      if (rules === null) throw new Error("not known");
      const key = await room.context.actors.server(serverName).getSigningKey();
      const keys = new Map([[key.keyId, publicKeyOf(key)]]);
      for (const { event_id } of room.sql.all<{ event_id: string }>("SELECT event_id FROM events")) {
        const { pdu } = room.context.store.events.byId(trusted.eventId(event_id))?.event ?? { pdu: {} };
        expect(checkEventFormat(pdu, rules)).toEqual({ ok: true });
        expect(verifyEvent(pdu, rules, serverName, keys)).toBe(true);
      }
      await world.settle();
    },
  );
});
