import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { objectOf, queryInteger } from "../../../shared/validate.ts";

const visibilityPath = "/_matrix/client/v3/directory/list/room/:roomId";
const visibilityAliases = ["/_matrix/client/r0/directory/list/room/:roomId"];
const listPath = "/_matrix/client/v3/publicRooms";
const listAliases = ["/_matrix/client/r0/publicRooms"];

const defaultLimit = 100;
const maxLimit = 500;

/** `GET /_matrix/client/v3/directory/list/room/{roomId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid */
export const getRoomVisibilityOnDirectory = endpoint(
  {
    operationId: "getRoomVisibilityOnDirectory",
    method: "GET",
    path: visibilityPath,
    aliases: visibilityAliases,
    auth: "none",
  },
  async ({ params, actors }) => ({ visibility: await actors.room(params.roomId).getDirectoryVisibility() }),
);

/** `PUT /_matrix/client/v3/directory/list/room/{roomId}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid */
export const setRoomVisibilityOnDirectory = endpoint(
  {
    operationId: "setRoomVisibilityOnDirectory",
    method: "PUT",
    path: visibilityPath,
    aliases: visibilityAliases,
    auth: "accessToken",
    body: v.object({ visibility: v.optional(v.picklist(["public", "private"]), "public") }),
  },
  async ({ params, auth, body, actors }) => {
    await actors.room(params.roomId).setDirectoryVisibility(auth.userId, body.visibility);
    return {};
  },
);

/** `GET /_matrix/client/v3/publicRooms` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms */
export const getPublicRooms = endpoint(
  {
    operationId: "getPublicRooms",
    method: "GET",
    path: listPath,
    aliases: listAliases,
    auth: "none",
    query: v.object({
      limit: v.optional(queryInteger(maxLimit)),
      since: v.optional(v.string()),
      server: v.optional(v.string()),
    }),
  },
  ({ query, actors, config }) => {
    assertIsOurs(config, query.server);
    return actors.server(config.serverName).searchPublicRooms({
      limit: query.limit ?? defaultLimit,
      since: query.since ?? null,
      searchTerm: null,
      roomTypes: null,
    });
  },
);

const searchBody = v.object({
  limit: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  since: v.nullish(v.string()),
  filter: v.nullish(
    objectOf({
      generic_search_term: v.nullish(v.string()),
      room_types: v.nullish(v.pipe(v.array(v.nullable(v.string())), v.maxLength(100))),
    }),
  ),
  third_party_instance_id: v.nullish(v.string()),
});

/** `POST /_matrix/client/v3/publicRooms` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms */
export const queryPublicRooms = endpoint(
  {
    operationId: "queryPublicRooms",
    method: "POST",
    path: listPath,
    aliases: listAliases,
    auth: "accessToken",
    query: v.object({ server: v.optional(v.string()) }),
    body: searchBody,
  },
  async ({ query, body, actors, config }) => {
    assertIsOurs(config, query.server);
    // No application service has brought a network of its own yet, so none has rooms.
    if (typeof body.third_party_instance_id === "string") return { chunk: [], total_room_count_estimate: 0 };
    return await actors.server(config.serverName).searchPublicRooms({
      limit: Math.min(body.limit ?? defaultLimit, maxLimit),
      since: body.since ?? null,
      searchTerm: body.filter?.generic_search_term ?? null,
      roomTypes: body.filter?.room_types ?? null,
    });
  },
);

/** @throws MatrixError M_NOT_FOUND for the directory of another server, which only federation can read */
function assertIsOurs(config: Services["config"], server: string | undefined): void {
  if (server !== undefined && server !== config.serverName) {
    throw errors.notFound("Room directories of other servers cannot be read");
  }
}
