import * as v from "valibot";
import { anyObject, userId } from "../../../shared/validate.ts";

/** What the requester says of their own membership. */
export const ownMembershipBody = v.object({
  reason: v.nullish(v.string()),
  third_party_signed: v.nullish(anyObject),
});

/** A join says besides what it likes: it is content of the member event. */
export const joinBody = v.intersect([ownMembershipBody, anyObject]);

/** Whom a membership change is about, and why. */
export const targetMembershipBody = v.object({ user_id: userId, reason: v.nullish(v.string()) });
