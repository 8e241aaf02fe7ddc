import { field, isObject, type JsonObject, stringField } from "../../json.ts";

/**
 * The public keys of a third-party invite, of which any may have signed: `public_key` and the list `public_keys`.
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroomthird_party_invite
 */
export function invitePublicKeys(content: JsonObject): string[] {
  const keys: string[] = [];
  const single = stringField(content, "public_key");
  if (single !== null) keys.push(single);
  const list = field(content, "public_keys");
  for (const entry of Array.isArray(list) ? list : []) {
    const key = isObject(entry) ? stringField(entry, "public_key") : null;
    if (key !== null) keys.push(key);
  }
  return keys;
}
