import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { publicRoomsBody } from "../../../shared/federation-api/public-rooms.ts";
import { queryInteger } from "../../../shared/validate.ts";

const path = "/_matrix/federation/v1/publicRooms";
/** "Defaults to 0 (no limit)": as many as one answer has. */
const maxLimit = 500;

/** `GET /_matrix/federation/v1/publicRooms` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1publicrooms */
export const getPublicRooms = endpoint(
  {
    operationId: "getPublicRooms",
    method: "GET",
    path,
    auth: "serverSignature",
    query: v.object({
      limit: v.optional(queryInteger(maxLimit), "0"),
      since: v.optional(v.string()),
      third_party_instance_id: v.optional(v.string()),
    }),
  },
  async ({ query, actors, config }) => {
    if (query.third_party_instance_id !== undefined) return noRooms();
    const input = {
      limit: query.limit,
      since: query.since ?? null,
      searchTerm: null,
      roomTypes: null,
      isForServer: true,
    };
    return await actors.server(config.serverName).searchPublicRooms(input);
  },
);

/** `POST /_matrix/federation/v1/publicRooms` — https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1publicrooms */
export const queryPublicRooms = endpoint(
  { operationId: "queryPublicRooms", method: "POST", path, auth: "serverSignature", body: publicRoomsBody },
  async ({ body, actors, config }) => {
    if (typeof body.third_party_instance_id === "string") return noRooms();
    return await actors.server(config.serverName).searchPublicRooms({
      limit: Math.min(body.limit ?? 0, maxLimit),
      since: body.since ?? null,
      searchTerm: body.filter?.generic_search_term ?? null,
      roomTypes: body.filter?.room_types ?? null,
      isForServer: true,
    });
  },
);

/** No application service has brought a network of its own yet, so none has rooms. */
function noRooms() {
  return { chunk: [], total_room_count_estimate: 0 };
}
