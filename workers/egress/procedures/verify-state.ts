/** Looking once more for the keys of who signed what a joining server was told. */
import { parseAnswer } from "../../../shared/federation-api/handshakes.ts";
import type { ServerName } from "../../../shared/ids.ts";
import { isObject, type JsonObject } from "../../../shared/json.ts";
import { type KeyRing, possibleSigners } from "../../../shared/matrix/key-ring.ts";
import type { CompletionStep } from "../../../shared/rpc/room-joining.ts";
import type { EgressContext } from "../context.ts";
import { KeysOfAnswer } from "./keys-of-answer.ts";

type Wanted = Extract<CompletionStep, { kind: "verify" }>;

/** The keys of who signed these events, as far as these, or one server in the room after the other, give them. */
export async function findKeys(egress: EgressContext, { pdus, servers }: Wanted): Promise<KeyRing> {
  const ring: Record<ServerName, NonNullable<KeyRing[ServerName]>> = {};
  let missing = pdus.map((pdu) => parseAnswer(pdu)).filter((pdu) => pdu !== undefined && isObject(pdu));
  for (const server of servers) {
    // Who does not tell its own keys tells nobody's.
    if (missing.length === 0 || possibleSignersOf(missing).has(server)) continue;
    // What one server says of another's keys counts where nobody has said anything yet.
    const told = await new KeysOfAnswer(egress, server).ringFor(missing);
    for (const signer of possibleSignersOf(missing)) ring[signer] = { ...told[signer], ...ring[signer] };
    missing = missing.filter((pdu) => !isSignedByKnown(pdu, ring));
  }
  return ring;
}

function possibleSignersOf(pdus: readonly JsonObject[]): Set<ServerName> {
  return new Set(pdus.flatMap((pdu) => [...possibleSigners(pdu).keys()]));
}

function isSignedByKnown(pdu: JsonObject, ring: KeyRing): boolean {
  return [...possibleSigners(pdu)].every(([server, keyIds]) => {
    const known = Object.hasOwn(ring, server) ? ring[server] : undefined;
    return keyIds.some((keyId) => Object.hasOwn(known ?? {}, keyId));
  });
}
