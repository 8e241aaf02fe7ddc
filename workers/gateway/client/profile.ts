import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { queryProfile } from "../../../shared/federation-api/query.ts";
import { serverNameOf, type UserId } from "../../../shared/ids.ts";
import { define, field, type JsonObject, withFields } from "../../../shared/json.ts";
import { anyBody } from "../../../shared/validate.ts";
import { assertMayAsk, unwrapAsked } from "./asking.ts";
import { assertIsRequester } from "./requester.ts";

const profilePath = "/_matrix/client/v3/profile/:userId";
const profileAliases = ["/_matrix/client/r0/profile/:userId"];
const fieldPath = "/_matrix/client/v3/profile/:userId/:keyName";
const fieldAliases = ["/_matrix/client/r0/profile/:userId/:keyName"];

/** `GET /_matrix/client/v3/profile/{userId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid */
export const getUserProfile = endpoint(
  { operationId: "getUserProfile", method: "GET", path: profilePath, aliases: profileAliases, auth: "none" },
  (context) => profileOf(context, context.params.userId, null),
);

/** `GET /_matrix/client/v3/profile/{userId}/{keyName}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname */
export const getProfileField = endpoint(
  { operationId: "getProfileField", method: "GET", path: fieldPath, aliases: fieldAliases, auth: "none" },
  async (context) => {
    const { params } = context;
    const value = field(await profileOf(context, params.userId, params.keyName), params.keyName);
    if (value === undefined) throw errors.notFound("The profile has no such field");
    const answer: JsonObject = {};
    define(answer, params.keyName, value);
    return answer;
  },
);

/**
 * A user's profile; of a user of another server, as that server says it.
 *
 * @param only the field that is asked for; null: all.
 * @throws MatrixError as {@link assertMayAsk} and {@link unwrapAsked} do; M_NOT_FOUND
 */
async function profileOf(services: Services, userId: UserId, only: string | null): Promise<JsonObject> {
  const server = serverNameOf(userId);
  if (server === services.config.serverName) return await services.actors.user(userId).getProfile();
  await assertMayAsk(services, server);
  const profile = unwrapAsked(await queryProfile(services.egress, userId, only), server);
  // "the server MUST either exclude it from the response body or give it the value null"
  return withFields({}, Object.fromEntries(Object.entries(profile).filter(([, value]) => value !== null)));
}

/** `PUT /_matrix/client/v3/profile/{userId}/{keyName}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname */
export const setProfileField = endpoint(
  {
    operationId: "setProfileField",
    method: "PUT",
    path: fieldPath,
    aliases: fieldAliases,
    auth: "accessToken",
    body: anyBody,
  },
  async ({ params, auth, body, actors }) => {
    assertIsRequester(auth, params.userId);
    const value = field(body, params.keyName);
    if (value === undefined) throw errors.missingParam(`body.${params.keyName}: missing`);
    await actors.user(auth.userId).setProfileField(params.keyName, value);
    return {};
  },
);

/** `DELETE /_matrix/client/v3/profile/{userId}/{keyName}` — https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname */
export const deleteProfileField = endpoint(
  { operationId: "deleteProfileField", method: "DELETE", path: fieldPath, aliases: fieldAliases, auth: "accessToken" },
  async ({ params, auth, actors }) => {
    assertIsRequester(auth, params.userId);
    await actors.user(auth.userId).deleteProfileField(params.keyName);
    return {};
  },
);
