import { endpoint } from "../../../shared/endpoint.ts";
import { maxFilterBytes } from "../../../shared/matrix/filter.ts";
import { anyBody } from "../../../shared/validate.ts";
import { assertIsRequester } from "./requester.ts";

/** `POST /_matrix/client/v3/user/{userId}/filter` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter */
export const defineFilter = endpoint(
  {
    operationId: "defineFilter",
    method: "POST",
    path: "/_matrix/client/v3/user/:userId/filter",
    aliases: ["/_matrix/client/r0/user/:userId/filter"],
    auth: "accessToken",
    body: anyBody,
    maxBodyBytes: maxFilterBytes,
  },
  async ({ params, auth, body, actors }) => {
    assertIsRequester(auth, params.userId);
    const { filterId } = await actors.user(auth.userId).createFilter(body);
    return { filter_id: filterId };
  },
);

/** `GET /_matrix/client/v3/user/{userId}/filter/{filterId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid */
export const getFilter = endpoint(
  {
    operationId: "getFilter",
    method: "GET",
    path: "/_matrix/client/v3/user/:userId/filter/:filterId",
    aliases: ["/_matrix/client/r0/user/:userId/filter/:filterId"],
    auth: "accessToken",
  },
  ({ params, auth, actors }) => {
    assertIsRequester(auth, params.userId);
    return actors.user(auth.userId).getFilter(params.filterId);
  },
);
