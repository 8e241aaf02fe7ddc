import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";

const defaultLimit = 10;
const maxLimit = 50;

/** `POST /_matrix/client/v3/user_directory/search` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch */
export const searchUserDirectory = endpoint(
  {
    operationId: "searchUserDirectory",
    method: "POST",
    path: "/_matrix/client/v3/user_directory/search",
    aliases: ["/_matrix/client/r0/user_directory/search"],
    auth: "accessToken",
    body: v.object({
      search_term: v.string(),
      limit: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
    }),
  },
  ({ auth, body, actors, config }) =>
    actors.server(config.serverName).searchUsers({
      requester: auth.userId,
      searchTerm: body.search_term,
      limit: Math.min(body.limit ?? defaultLimit, maxLimit),
    }),
);
