import { endpoint } from "../../../shared/endpoint.ts";
import { assertIsRequester } from "./requester.ts";

/** `POST /_matrix/client/v3/user/{userId}/openid/request_token` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token */
export const requestOpenIdToken = endpoint(
  {
    operationId: "requestOpenIdToken",
    method: "POST",
    path: "/_matrix/client/v3/user/:userId/openid/request_token",
    aliases: ["/_matrix/client/r0/user/:userId/openid/request_token"],
    auth: "accessToken",
  },
  async ({ params, auth, actors, config }) => {
    assertIsRequester(auth, params.userId);
    const { token, expiresInMs } = await actors.user(auth.userId).createOpenIdToken();
    return {
      access_token: token,
      token_type: "Bearer",
      matrix_server_name: config.serverName,
      expires_in: expiresInMs / 1000,
    };
  },
);
