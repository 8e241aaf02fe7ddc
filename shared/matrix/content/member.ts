import { parseUserId, type UserId } from "../../ids.ts";
import { field, type JsonObject, objectField, stringField } from "../../json.ts";
import type { MatrixEvent } from "../event.ts";

/** The memberships that the specification knows. @see https://spec.matrix.org/v1.19/client-server-api/#mroommember */
export type Membership = "join" | "invite" | "knock" | "leave" | "ban";

const memberships: readonly Membership[] = ["join", "invite", "knock", "leave", "ban"];

/** The membership in a member event's content; null when it is missing or unknown. @see https://spec.matrix.org/v1.19/client-server-api/#mroommember */
export function membershipOf(content: JsonObject): Membership | null {
  const text = stringField(content, "membership");
  return memberships.find((membership) => membership === text) ?? null;
}

/**
 * A user's membership by their member event in a state; without one, or with one that cannot be read, `leave`.
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-membership
 */
export function membershipIn(member: MatrixEvent | null): Membership {
  return member === null ? "leave" : (membershipOf(member.content) ?? "leave");
}

/** The user whose server vouches for a restricted join; null when the key is absent or no user id. @see https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms */
export function joinAuthoriserOf(content: JsonObject): UserId | null {
  const text = stringField(content, "join_authorised_via_users_server");
  return text === null ? null : parseUserId(text);
}

/** What an identity server has signed in an invite by third-party id. @see https://spec.matrix.org/v1.19/client-server-api/#mroommember */
export interface SignedThirdPartyInvite {
  readonly mxid: string;
  readonly token: string;
  readonly signed: JsonObject;
}

/** Whether an invite is one by third-party id, readable or not. */
export function hasThirdPartyInvite(content: JsonObject): boolean {
  return Object.hasOwn(content, "third_party_invite");
}

/** The `signed` block of an invite by third-party id; null when there is none. */
export function thirdPartySigned(content: JsonObject): JsonObject | null {
  return objectField(objectField(content, "third_party_invite") ?? {}, "signed");
}

/** The token and user of an invite by third-party id; null when either is missing. @see https://spec.matrix.org/v1.19/server-server-api/#verifying-the-invite */
export function thirdPartyInviteOf(content: JsonObject): SignedThirdPartyInvite | null {
  const signed = thirdPartySigned(content);
  const mxid = signed === null ? null : stringField(signed, "mxid");
  const token = signed === null ? null : stringField(signed, "token");
  return signed === null || mxid === null || token === null ? null : { mxid, token, signed };
}

/** A member's name and avatar; null where absent or not text. */
export function memberProfile(content: JsonObject): { displayname: string | null; avatarUrl: string | null } {
  return { displayname: stringField(content, "displayname"), avatarUrl: stringField(content, "avatar_url") };
}

/** Whether an invite or join was marked as a direct chat. @see https://spec.matrix.org/v1.19/client-server-api/#direct-messaging */
export function isDirect(content: JsonObject): boolean {
  return field(content, "is_direct") === true;
}
