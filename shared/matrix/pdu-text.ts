import { type JsonObject, maxSignedJsonDepth } from "../json.ts";
import { canonicalJson, checkCanonical } from "./canonical-json.ts";

/**
 * A received PDU as text, every number as its sender wrote it; without `unsigned`, for which nobody vouches.
 * One that is nested too deeply for an event is left for its room to drop.
 * @param pdu as `parseExactly` gives it
 */
export function pduTextOf(pdu: JsonObject): string {
  return canonicalJson(pdu, ["unsigned"], "lenient", maxSignedJsonDepth);
}

/** The same of what may have no such text: null where a string or a number in it is none that JSON can carry. */
export function checkPduText(pdu: JsonObject): string | null {
  const checked = checkCanonical(pdu, "lenient", ["unsigned"], maxSignedJsonDepth);
  return checked.ok ? checked.text : null;
}
