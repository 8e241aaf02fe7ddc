import type { Config } from "../../../shared/env.ts";
import { errors } from "../../../shared/errors.ts";
import { serverNameOf, type UserId } from "../../../shared/ids.ts";
import type { UserAuth } from "../../../shared/rpc/user.ts";

/** Holds the requester to their own things. @throws MatrixError M_FORBIDDEN when the path names somebody else. */
export function assertIsRequester(auth: UserAuth, userId: UserId): void {
  if (auth.userId !== userId) throw errors.forbidden("You can only do this for yourself");
}

/** Holds a look-up to users who live here. @throws MatrixError M_NOT_FOUND for a user of another server. */
export function assertIsLocal(config: Config, userId: UserId): void {
  if (serverNameOf(userId) !== config.serverName) throw errors.notFound("Not a user of this server");
}
