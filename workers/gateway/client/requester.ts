import { errors } from "../../../shared/errors.ts";
import type { UserId } from "../../../shared/ids.ts";
import type { UserAuth } from "../../../shared/rpc/user.ts";

/** Holds the requester to their own things. @throws MatrixError M_FORBIDDEN when the path names somebody else. */
export function assertIsRequester(auth: UserAuth, userId: UserId): void {
  if (auth.userId !== userId) throw errors.forbidden("You can only do this for yourself");
}
