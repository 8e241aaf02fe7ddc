/** Measures of the room core's pure part: what every event from outside goes through. */
import { serverNameOf } from "../../shared/ids.ts";
import { isObject, type JsonObject, objectField, parseStoredObject } from "../../shared/json.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { eventFromPdu } from "../../shared/matrix/event.ts";
import { authorize } from "../../shared/matrix/event-auth/state-dependent.ts";
import { hasValidContentHash } from "../../shared/matrix/hashes.ts";
import { isValidSignature, verifyEvent } from "../../shared/matrix/signing.ts";
import { RoomBuilder, testVerifyKeysOf, user } from "../support/room-builder.ts";

/** Events and verifications a second. */
export interface ChecksResult {
  readonly checked: number;
  readonly verified: number;
}

/**
 * Signature, content hash, event id and authorization of signed joins, as of batches that arrive; and Ed25519 verifications
 * by themselves in between, which are a bound for the former and tell how fast the machine was at that moment.
 */
export function measureChecks(total = 10_000, batch = 500): ChecksResult {
  let took = 0;
  let tookToVerify = 0;
  for (let done = 0; done < total; done += batch) {
    // Made in batches, so that those who are measured do not fill the memory.
    const room = RoomBuilder.open({ version: "11", joinRule: "public" });
    const server = serverNameOf(room.creator);
    const [rules, keys] = [room.rules, testVerifyKeysOf(server)];
    const pdus = Array.from({ length: batch }, (_, index) => {
      const sender = user(`@member-${done + index}:${server}`);
      const content = { membership: "join", displayname: `Member ${done + index}` };
      const { pdu } = room.make({ sender, type: "m.room.member", stateKey: sender, content });
      return parseStoredObject(canonicalJson(pdu));
    });
    const startedAt = performance.now();
    for (const pdu of pdus) {
      const isValid = verifyEvent(pdu, rules, server, keys) && hasValidContentHash(pdu, rules);
      if (!isValid || !authorize(eventFromPdu(pdu, rules), rules, room.lookup).allowed) throw new Error("refused");
    }
    took += performance.now() - startedAt;
    tookToVerify += timeVerifications(signatureOf(pdus[0] ?? {}), keys.values().next().value ?? "", batch);
  }
  return { checked: (total / took) * 1_000, verified: (total / tookToVerify) * 1_000 };
}

/** Of a message that was never signed, which takes as long. @returns ms */
function timeVerifications(signature: string, publicKey: string, count: number): number {
  const message = new Uint8Array(512);
  const startedAt = performance.now();
  for (let index = 0; index < count; index += 1) isValidSignature(message, signature, publicKey);
  return performance.now() - startedAt;
}

function signatureOf(pdu: JsonObject): string {
  const [byServer] = Object.values(objectField(pdu, "signatures") ?? {});
  const [signature] = byServer === undefined || !isObject(byServer) ? [] : Object.values(byServer);
  return typeof signature === "string" ? signature : "";
}

/** @returns µs for one encoding, and how many bytes it has */
export function measureCanonicalJson(): { micros: number; bytes: number } {
  const room = RoomBuilder.open({ version: "11" });
  const body = "x".repeat(350);
  const { pdu } = room.make({ sender: room.creator, type: "m.room.message", content: { msgtype: "m.text", body } });
  const bytes = canonicalJson(pdu).length;
  const rounds = 50_000;
  for (let round = 0; round < 5_000; round += 1) canonicalJson(pdu);
  const startedAt = performance.now();
  for (let round = 0; round < rounds; round += 1) canonicalJson(pdu);
  return { micros: ((performance.now() - startedAt) / rounds) * 1_000, bytes };
}
