import { field, isObject, type JsonObject, stringField } from "../../json.ts";

/** A key with which an invite by third-party id may be signed. */
export interface InviteKey {
  /** Ed25519, in base64, as it stands in the event. */
  readonly publicKey: string;
  /** Where its identity server says whether it is still good; null: "the key must be considered valid indefinitely". */
  readonly validityUrl: string | null;
}

/**
 * The keys of a third-party invite, of which any may have signed: `public_key` and the list `public_keys`.
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroomthird_party_invite
 */
export function inviteKeys(content: JsonObject): InviteKey[] {
  const list = field(content, "public_keys");
  const entries = [content, ...(Array.isArray(list) ? list.filter(isObject) : [])];
  return entries.flatMap((entry) => {
    const publicKey = stringField(entry, "public_key");
    return publicKey === null ? [] : [{ publicKey, validityUrl: stringField(entry, "key_validity_url") }];
  });
}

/** The public keys alone. */
export function invitePublicKeys(content: JsonObject): string[] {
  return inviteKeys(content).map(({ publicKey }) => publicKey);
}
