import * as v from "valibot";
import { parseOpenIdToken } from "../../../shared/access-token.ts";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { exactUserId } from "../login-identifier.ts";

/** `GET /_matrix/federation/v1/openid/userinfo` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1openiduserinfo */
export const exchangeOpenIdToken = endpoint(
  {
    operationId: "exchangeOpenIdToken",
    method: "GET",
    path: "/_matrix/federation/v1/openid/userinfo",
    auth: "none",
    query: v.object({ access_token: v.string() }),
  },
  async ({ query, actors, config }) => {
    const owner = parseOpenIdToken(query.access_token);
    const userId = owner === null ? null : exactUserId(owner.localpart, config.serverName);
    if (userId === null || !(await actors.user(userId).isOpenIdTokenGood(query.access_token))) {
      throw errors.unknownToken("Access token unknown or expired");
    }
    return { sub: userId };
  },
);
