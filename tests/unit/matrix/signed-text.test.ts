import { describe, expect, it } from "vitest";
import { serverNameOf } from "../../../shared/ids.ts";
import { withFields } from "../../../shared/json.ts";
import { referenceHash, signedText } from "../../../shared/matrix/hashes.ts";
import { verifyEvent } from "../../../shared/matrix/signing.ts";
import { RoomBuilder, rulesOf, testVerifyKeysOf } from "../../support/room-builder.ts";

describe("signedText", () => {
  const room = RoomBuilder.open({ version: "11" });
  const server = serverNameOf(room.creator);
  const { pdu } = room.message(room.creator, "signed");

  it("is kept for an event, and for no copy of it that says something else", () => {
    const forged = withFields(pdu, { depth: 99 });
    expect(referenceHash(pdu, room.rules)).not.toBe(referenceHash(forged, room.rules));
    expect(referenceHash(pdu, room.rules)).not.toBe(referenceHash(forged, room.rules));
    expect(signedText(pdu, room.rules)).toBe(signedText(pdu, room.rules));
    for (const event of [pdu, forged, pdu, forged]) {
      expect(verifyEvent(event, room.rules, server, testVerifyKeysOf(server))).toBe(event === pdu);
    }
  });

  it("is another by the rules of another room version", () => {
    const redaction = room.make({ sender: room.creator, type: "m.room.redaction", content: { redacts: "$x" } }).pdu;
    const hashes = ["10", "11", "10"].map((version) => referenceHash(redaction, rulesOf(version)));
    expect(hashes[0]).toBe(hashes[2]);
    expect(hashes[0]).not.toBe(hashes[1]);
  });

  it("is nothing where the event is not canonical JSON", () => {
    const event = withFields(pdu, { depth: 1.5 });
    expect(signedText(event, room.rules)).toBeNull();
    expect(verifyEvent(event, room.rules, server, testVerifyKeysOf(server))).toBe(false);
    expect(() => referenceHash(event, room.rules)).toThrow("canonical");
  });
});
