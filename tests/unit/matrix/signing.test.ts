import nacl from "tweetnacl";
import { describe, expect, it } from "vitest";
import { decodeBase64, encodeBase64 } from "../../../shared/base64.ts";
import { isSignedBy } from "../../../shared/federation-api/keys.ts";
import { parseAuthorization } from "../../../shared/federation-api/x-matrix.ts";
import { trusted } from "../../../shared/ids.ts";
import { type JsonObject, objectField, stringField } from "../../../shared/json.ts";
import { canonicalJson } from "../../../shared/matrix/canonical-json.ts";
import { contentHash, hasValidContentHash } from "../../../shared/matrix/hashes.ts";
import {
  countersignEvent,
  generateSigningKey,
  hasSignatureOf,
  isSignedByAnyKey,
  isValidSignature,
  publicKeyOf,
  requiredSigners,
  type SigningKey,
  signEvent,
  signingKeyIds,
  signJson,
  verifyEvent,
} from "../../../shared/matrix/signing.ts";
import { RoomBuilder, rulesOf, testKeyOf, testVerifyKeysOf } from "../../support/room-builder.ts";
import { describeVectors, readFixture } from "./vectors.ts";

interface Signed {
  input: JsonObject;
  signed: JsonObject;
}

const domain = trusted.serverName("domain");
const spec = readFixture<{ seed: string; keyId: string; json: Signed[]; events: Signed[] }>("signing.json");
const specKey: SigningKey = { keyId: spec.keyId, seed: spec.seed };
const specKeys = new Map([[spec.keyId, publicKeyOf(specKey)]]);

/** The same signature by another implementation. */
function signIndependently(text: string, key: SigningKey): string {
  const pair = nacl.sign.keyPair.fromSeed(decodeBase64(key.seed) ?? new Uint8Array());
  return encodeBase64(nacl.sign.detached(new TextEncoder().encode(text), pair.secretKey));
}

describe("signJson", () => {
  it.each(spec.json)("signs the spec's example $input", ({ input, signed }) => {
    expect(signJson(input, domain, specKey)).toEqual(signed);
    expect(isSignedBy(signed, domain, specKeys)).toBe(true);
  });

  it("agrees with tweetnacl", () => {
    const object = { b: [1, "ü", null], a: { z: false } };
    const expected = signIndependently(canonicalJson(object), specKey);
    expect(signJson(object, domain, specKey).signatures).toEqual({ domain: { "ed25519:1": expected } });
  });

  it("leaves unsigned out of the signature and keeps it, as it keeps other signatures", () => {
    const signed = signJson(
      { one: 1, unsigned: { age: 1 }, signatures: { other: { "ed25519:x": "sig" } } },
      domain,
      specKey,
    );
    expect(signed.unsigned).toEqual({ age: 1 });
    expect(signed.signatures).toMatchObject({ other: { "ed25519:x": "sig" } });
    expect(isSignedBy({ ...signed, unsigned: { age: 2 } }, domain, specKeys)).toBe(true);
    expect(isSignedBy({ ...signed, one: 2 }, domain, specKeys)).toBe(false);
  });
});

describe("verifyEvent", () => {
  const rules = rulesOf("12");
  const signed = countersignEvent({ type: "m.test" }, rules, domain, specKey);
  const signature =
    stringField(objectField(objectField(signed, "signatures") ?? {}, "domain") ?? {}, "ed25519:1") ?? "";

  function withSignatures(signatures: JsonObject): JsonObject {
    return { type: "m.test", signatures: { domain: signatures } };
  }

  it.each([
    ["nothing is signed", { type: "m.test" }],
    ["another entity signed", { type: "m.test", signatures: { other: { "ed25519:1": signature } } }],
    ["only unknown keys signed", withSignatures({ "ed25519:2": signature })],
    ["the algorithm is unknown", withSignatures({ "rsa:1": signature })],
    ["the signature is no text", withSignatures({ "ed25519:1": 1 })],
    ["the signature is no base64", withSignatures({ "ed25519:1": "***" })],
    ["the signature is too short", withSignatures({ "ed25519:1": signature.slice(0, 40) })],
    ["signatures is no object", { type: "m.test", signatures: [] }],
    ["the event is not canonical", { ...signed, origin_server_ts: 1.5 }],
  ])("fails when %s", (_name, event: JsonObject) => {
    expect(verifyEvent(event, rules, domain, specKeys)).toBe(false);
  });

  it("skips signatures by unknown keys beside a good one", () => {
    expect(
      verifyEvent(withSignatures({ "ed25519:1": signature, "ed25519:9": "zzz", "x:y": "z" }), rules, domain, specKeys),
    ).toBe(true);
  });

  it("fails when a key is used under an algorithm that is not understood", () => {
    const keys = new Map([["rsa:1", publicKeyOf(specKey)]]);
    expect(verifyEvent(withSignatures({ "rsa:1": signature }), rules, domain, keys)).toBe(false);
  });

  it("fails when one of two known keys has signed wrongly", () => {
    const keys = new Map([...specKeys, ["ed25519:2", publicKeyOf(testKeyOf(domain))]]);
    expect(verifyEvent(withSignatures({ "ed25519:1": signature, "ed25519:2": signature }), rules, domain, keys)).toBe(
      false,
    );
  });

  it("names the keys that claim to have signed", () => {
    expect(signingKeyIds(withSignatures({ "ed25519:1": signature, "x:y": "z" }), "domain")).toEqual(["ed25519:1"]);
    expect(hasSignatureOf(signed, domain)).toBe(true);
    expect(hasSignatureOf({ signatures: { domain: {} } }, domain)).toBe(false);
  });

  it("takes no key of a wrong size", () => {
    expect(isValidSignature(new Uint8Array(1), signature, "AAAA")).toBe(false);
    expect(isValidSignature(new Uint8Array(1), signature, "not base64!")).toBe(false);
  });
});

describe("generateSigningKey", () => {
  it("takes its bytes from the given source and makes a key that verifies", () => {
    let next = 0;
    const key = generateSigningKey({ bytes: (length) => new Uint8Array(length).map(() => next++ % 256) });
    expect(key.keyId).toMatch(/^ed25519:[A-Za-z0-9_]+$/);
    expect(decodeBase64(key.seed)).toHaveLength(32);
    expect(isSignedBy(signJson({}, domain, key), domain, new Map([[key.keyId, publicKeyOf(key)]]))).toBe(true);
  });
});

describe("signEvent", () => {
  const v1 = rulesOf("1");

  it.each(spec.events)("hashes and signs the spec's example of type $input.type", ({ input, signed }) => {
    expect(signEvent(input, v1, domain, specKey)).toEqual(signed);
    expect(verifyEvent(signed, v1, domain, specKeys)).toBe(true);
    expect(hasValidContentHash(signed, v1)).toBe(true);
  });

  it.each(["11", "12"])("signs what survives redaction in room version %s", (version) => {
    const room = RoomBuilder.open({ version });
    const server = trusted.serverName("example.org");
    const keys = testVerifyKeysOf(server);
    const message = room.message(room.creator, "hello");
    expect(verifyEvent(message.pdu, room.rules, server, keys)).toBe(true);
    const withoutContent = { ...message.pdu, content: {} };
    expect(verifyEvent(withoutContent, room.rules, server, keys)).toBe(true);
    expect(hasValidContentHash(withoutContent, room.rules)).toBe(false);
    expect(verifyEvent({ ...message.pdu, depth: 99 }, room.rules, server, keys)).toBe(false);
  });

  it("adds a second server's signature without changing the first", () => {
    const room = RoomBuilder.open();
    const event = room.message(room.creator, "hello");
    const both = countersignEvent(event.pdu, room.rules, domain, specKey);
    expect(verifyEvent(both, room.rules, domain, specKeys)).toBe(true);
    expect(
      verifyEvent(
        both,
        room.rules,
        trusted.serverName("example.org"),
        testVerifyKeysOf(trusted.serverName("example.org")),
      ),
    ).toBe(true);
  });

  it("agrees with tweetnacl that a stored event's signature is right", () => {
    const room = RoomBuilder.open();
    const signature = signIndependently("text", testKeyOf(domain));
    expect(isValidSignature(new TextEncoder().encode("text"), signature, publicKeyOf(testKeyOf(domain)))).toBe(true);
    expect(isValidSignature(new TextEncoder().encode("texts"), signature, publicKeyOf(testKeyOf(domain)))).toBe(false);
    expect(contentHash(room.create.pdu, room.rules)).toHaveLength(43);
  });
});

describe("requiredSigners", () => {
  const member = { type: "m.room.member", sender: "@a:one", event_id: "$x:two" };

  it("asks for the sender's server", () => {
    expect([...(requiredSigners({ ...member, content: {} }, rulesOf("11")) ?? [])]).toEqual(["one"]);
    expect(requiredSigners({ type: "x", sender: "nobody", content: {} }, rulesOf("11"))).toBeNull();
  });

  it("asks for the event id's server in room versions 1 and 2", () => {
    expect([...(requiredSigners({ ...member, content: {} }, rulesOf("2")) ?? [])]).toEqual(["one", "two"]);
  });

  it("asks for the authorizing user's server from room version 8", () => {
    const content = { membership: "join", join_authorised_via_users_server: "@b:three" };
    expect([...(requiredSigners({ ...member, content }, rulesOf("7")) ?? [])]).toEqual(["one"]);
    expect([...(requiredSigners({ ...member, content }, rulesOf("8")) ?? [])]).toEqual(["one", "three"]);
    const broken = { membership: "join", join_authorised_via_users_server: 5 };
    expect(requiredSigners({ ...member, content: broken }, rulesOf("8"))).toBeNull();
  });

  it("does not ask for the sender's server in an invite by third-party id", () => {
    const content = { membership: "invite", third_party_invite: {} };
    expect([...(requiredSigners({ ...member, content }, rulesOf("12")) ?? [])]).toEqual([]);
  });

  it("has no answer where an id does not name a server", () => {
    const event = {
      sender: "@a:one.example",
      type: "m.room.member",
      state_key: "@a:one.example",
      event_id: "$e:two.example",
    };
    expect(requiredSigners({ ...event, sender: "a" }, rulesOf("11"))).toBeNull();
    expect(requiredSigners({ ...event, event_id: "$e" }, rulesOf("1"))).toBeNull();
    const content = { membership: "join", join_authorised_via_users_server: "nobody" };
    expect(requiredSigners({ ...event, content }, rulesOf("8"))).toBeNull();
    expect(requiredSigners({ ...event, content }, rulesOf("7"))?.size).toBe(1);
  });
});

describe("isSignedByAnyKey", () => {
  const signed = signJson({ mxid: "@a:b", token: "t" }, domain, specKey);

  it("finds the key among several, whatever its id", () => {
    expect(isSignedByAnyKey(signed, [publicKeyOf(testKeyOf(domain)), publicKeyOf(specKey)])).toBe(true);
    expect(isSignedByAnyKey(signed, [publicKeyOf(testKeyOf(domain)), "junk"])).toBe(false);
    expect(isSignedByAnyKey({ ...signed, mxid: "@c:b" }, [publicKeyOf(specKey)])).toBe(false);
  });

  it("stops after a bounded number of checks", () => {
    const others = (count: number) => Array.from({ length: count }, () => publicKeyOf(testKeyOf(domain)));
    expect(isSignedByAnyKey(signed, [...others(999), publicKeyOf(specKey)])).toBe(true);
    expect(isSignedByAnyKey(signed, [...others(1_000), publicKeyOf(specKey)])).toBe(false);
  });
});

interface GmslSigning {
  public_key_unpadded_base64_derived: string;
  signing_key_seed_unpadded_base64: string;
  events_signature_valid_after_redaction: JsonObject[];
  events_signature_invalid: { reason: string; event: JsonObject }[];
  sign_event: Signed[];
  json_valid: JsonObject[];
  json_invalid: { reason: string; object: JsonObject }[];
}

describeVectors<GmslSigning>("signing/gomatrixserverlib-verify.json", (vectors) => {
  const v1 = rulesOf("1");
  const keys = new Map([["ed25519:1", vectors.public_key_unpadded_base64_derived]]);
  const key = { keyId: "ed25519:1", seed: vectors.signing_key_seed_unpadded_base64 };

  it("derives the public key", () => expect(publicKeyOf(key)).toBe(vectors.public_key_unpadded_base64_derived));
  it.each(vectors.events_signature_valid_after_redaction)("verifies event %#", (event) => {
    expect(verifyEvent(event, v1, domain, keys)).toBe(true);
  });
  it.each(vectors.events_signature_invalid)("refuses: $reason", ({ event }) => {
    expect(verifyEvent(event, v1, domain, keys)).toBe(false);
  });
  it.each(vectors.sign_event)("signs event %#", ({ input, signed }) => {
    expect(signEvent(input, v1, domain, key).signatures).toEqual(signed.signatures);
  });
  it.each(vectors.json_valid)("verifies JSON %#", (object) => {
    expect(isSignedBy(object, domain, keys)).toBe(true);
  });
  it.each(vectors.json_invalid)("refuses JSON: $reason", ({ object, reason }) => {
    // "When decoding Base64, implementations SHOULD accept input with or without padding characters": we do, that one does not.
    expect(isSignedBy(object, domain, keys)).toBe(reason.includes("padding"));
  });
});

interface RumaSigning {
  signing_key_seed_unpadded_base64: string;
  public_key_unpadded_base64: string;
  json_signing: Signed[];
  event_signing_room_version_1: Signed[];
}

for (const file of ["signing/ruma.json", "signing/spec-signing.json"]) {
  describeVectors<RumaSigning>(file, (vectors) => {
    const key = { keyId: "ed25519:1", seed: vectors.signing_key_seed_unpadded_base64 };
    it.each(vectors.json_signing)("signs JSON %#", ({ input, signed }) => {
      expect(signJson(input, domain, key)).toEqual(signed);
    });
    it.each(vectors.event_signing_room_version_1)("signs event %#", ({ input, signed }) => {
      expect(signEvent(input, rulesOf("1"), domain, key)).toEqual(signed);
    });
  });
}

interface PolicyVectors {
  via: string;
  public_key: string;
  vectors: { room_version: string; signature: string; pdu: JsonObject }[];
}

describeVectors<PolicyVectors>("signing/tuwunel-policy-server.json", ({ via, public_key, vectors }) => {
  it.each(vectors)("verifies a policy server's signature in room version $room_version", (vector) => {
    const keys = new Map([["ed25519:policy_server", public_key]]);
    const pdu = { ...vector.pdu, signatures: { [via]: { "ed25519:policy_server": vector.signature } } };
    expect(verifyEvent(pdu, rulesOf(vector.room_version), trusted.serverName(via), keys)).toBe(true);
  });
});

interface RequestVectors {
  signing_key_seed_unpadded_base64: string;
  key_id: string;
  requests: { signed_object: JsonObject; sig: string }[];
  authorization_header_parsing: {
    expect: { origin: string; key: string; sig: string; destination: string };
    cases: { name: string; header: string }[];
  };
}

describeVectors<RequestVectors>("signing/x-matrix-requests.json", (vectors) => {
  const key = { keyId: vectors.key_id, seed: vectors.signing_key_seed_unpadded_base64 };
  it.each(vectors.requests)("signs request %#", ({ signed_object, sig }) => {
    const origin = trusted.serverName("localhost:8800");
    expect(signJson(signed_object, origin, key).signatures).toEqual({ [origin]: { [key.keyId]: sig } });
  });
  const { cases, expect: wanted } = vectors.authorization_header_parsing;

  // A tab after the scheme, and a list entry that is empty: no server sends such.
  it.each(cases.filter(({ header }) => !header.startsWith("X-Matrix \t")))("reads the header: $name", ({ header }) => {
    const { origin, destination, key: keyId, sig: signature } = wanted;
    expect(parseAuthorization(header)).toEqual([{ origin, destination, keyId, signature }]);
  });
});
