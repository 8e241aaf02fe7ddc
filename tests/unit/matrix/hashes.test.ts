import { describe, expect, it } from "vitest";
import { withFields } from "../../../shared/json.ts";
import { contentHash, hasValidContentHash, referenceHash, withContentHash } from "../../../shared/matrix/hashes.ts";
import { knownRoomVersions } from "../../../shared/matrix/room-version.ts";
import { RoomBuilder } from "../../support/room-builder.ts";

describe.each(knownRoomVersions)("hashes, room version %s", (version) => {
  const room = RoomBuilder.open({ version });
  const { rules } = room;
  const { pdu } = room.message(room.creator, "as sent");

  it("has a content hash over all but hashes, signatures and unsigned", () => {
    expect(hasValidContentHash(pdu, rules)).toBe(true);
    for (const changes of [{ signatures: {} }, { unsigned: { age: 1 } }]) {
      expect(hasValidContentHash(withFields(pdu, changes), rules)).toBe(true);
    }
    for (const changes of [{ content: {} }, { depth: 99 }, { type: "m.x" }, { extra: 1 }]) {
      expect(hasValidContentHash(withFields(pdu, changes), rules)).toBe(false);
      expect(hasValidContentHash(withContentHash(withFields(pdu, changes), rules), rules)).toBe(true);
    }
  });

  it("takes a content hash with padding, and none that is missing or no base64", () => {
    const sha256 = contentHash(pdu, rules);
    expect(hasValidContentHash(withFields(pdu, { hashes: { sha256: `${sha256}=` } }), rules)).toBe(true);
    for (const hashes of [{}, { sha256: 1 }, { sha256: "" }, { sha256: "***" }, { md5: sha256 }, []]) {
      expect(hasValidContentHash(withFields(pdu, { hashes }), rules)).toBe(false);
    }
  });

  it("has a reference hash over what survives redaction, with the content hash", () => {
    const hash = referenceHash(pdu, rules);
    for (const changes of [{ content: {} }, { unsigned: { age: 1 } }, { signatures: {} }, { extra: 1 }]) {
      expect(referenceHash(withFields(pdu, changes), rules)).toBe(hash);
    }
    for (const changes of [{ depth: 99 }, { hashes: { sha256: "x" } }, { sender: "@x:example.org" }]) {
      expect(referenceHash(withFields(pdu, changes), rules)).not.toBe(hash);
    }
    expect(/^[A-Za-z0-9_-]{43}$/.test(hash) || Number(version) < 4).toBe(true);
    expect(hash).toHaveLength(43);
  });
});
