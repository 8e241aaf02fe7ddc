import * as v from "valibot";
import { parseRefreshToken } from "../../../shared/access-token.ts";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { exactUserId } from "../login-identifier.ts";
import { tokensAnswer } from "./session-answer.ts";

/** `POST /_matrix/client/v3/refresh` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh */
export const refresh = endpoint(
  {
    operationId: "refresh",
    method: "POST",
    path: "/_matrix/client/v3/refresh",
    aliases: ["/_matrix/client/unstable/org.matrix.msc2918/refresh"],
    auth: "none",
    body: v.object({ refresh_token: v.string() }),
  },
  async ({ body, actors, config }) => {
    const owner = parseRefreshToken(body.refresh_token);
    const userId = owner === null ? null : exactUserId(owner.localpart, config.serverName);
    if (userId === null) throw errors.unknownToken("Unknown refresh token");
    return tokensAnswer(await actors.user(userId).refresh(body.refresh_token));
  },
);
