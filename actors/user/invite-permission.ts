/** Whether the user takes invites at all: their own word in their account data. */
import { errors } from "../../shared/errors.ts";
import { field } from "../../shared/json.ts";
import type { UserContext } from "./context.ts";

/**
 * Whether the user wants no invites. "A missing, invalid or unsupported value means that the user wants to receive invites
 * as normal."
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#invite-permission
 */
export function blocksInvites(user: UserContext): boolean {
  const content = user.store.accountData.find("", "m.invite_permission_config");
  return content !== null && field(content, "default_action") === "block";
}

/**
 * Asked for every invite before it becomes an event, or is signed for another server.
 * @throws MatrixError M_INVITE_BLOCKED
 * @see https://spec.matrix.org/v1.19/client-server-api/#invite-permission
 */
export function assertTakesInvites(user: UserContext): void {
  if (blocksInvites(user)) throw errors.inviteBlocked(`${user.userId} takes no invites`);
}
