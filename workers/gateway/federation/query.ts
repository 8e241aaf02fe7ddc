import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { parseRoomAlias, serverNameOf } from "../../../shared/ids.ts";
import { define, field, type JsonObject } from "../../../shared/json.ts";
import { parsedText, userId } from "../../../shared/validate.ts";
import { findAlias } from "../client/room-alias.ts";

const roomAlias = parsedText("a room alias", parseRoomAlias);

/** `GET /_matrix/federation/v1/query/directory` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory */
export const queryRoomDirectory = endpoint(
  {
    operationId: "queryRoomDirectory",
    method: "GET",
    path: "/_matrix/federation/v1/query/directory",
    auth: "serverSignature",
    query: v.object({ room_alias: roomAlias }),
  },
  async (context) => {
    const { query, config } = context;
    if (serverNameOf(query.room_alias) !== config.serverName) throw errors.notFound("Not an alias of this server");
    return await findAlias(context, query.room_alias);
  },
);

/** `GET /_matrix/federation/v1/query/profile` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile */
export const queryProfile = endpoint(
  {
    operationId: "queryProfile",
    method: "GET",
    path: "/_matrix/federation/v1/query/profile",
    auth: "serverSignature",
    query: v.object({ user_id: userId, field: v.optional(v.string()) }),
  },
  async ({ query, actors, config }) => {
    if (serverNameOf(query.user_id) !== config.serverName) throw errors.notFound("Not a user of this server");
    const profile = await actors.user(query.user_id).getProfile();
    if (query.field === undefined) return profile;
    const answer: JsonObject = {};
    const value = field(profile, query.field);
    if (value !== undefined) define(answer, query.field, value);
    return answer;
  },
);

/** `GET /_matrix/federation/v1/query/{queryType}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryquerytype */
export const queryInfo = endpoint(
  {
    operationId: "queryInfo",
    method: "GET",
    path: "/_matrix/federation/v1/query/:queryType",
    auth: "serverSignature",
  },
  () => {
    throw errors.notFound("There are no queries of this type");
  },
);
