import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { define, field, type JsonObject } from "../../../shared/json.ts";
import { anyBody } from "../../../shared/validate.ts";
import { assertIsLocal, assertIsRequester } from "./requester.ts";

const profilePath = "/_matrix/client/v3/profile/:userId";
const profileAliases = ["/_matrix/client/r0/profile/:userId"];
const fieldPath = "/_matrix/client/v3/profile/:userId/:keyName";
const fieldAliases = ["/_matrix/client/r0/profile/:userId/:keyName"];

/** `GET /_matrix/client/v3/profile/{userId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid */
export const getUserProfile = endpoint(
  { operationId: "getUserProfile", method: "GET", path: profilePath, aliases: profileAliases, auth: "none" },
  ({ params, actors, config }) => {
    assertIsLocal(config, params.userId);
    return actors.user(params.userId).getProfile();
  },
);

/** `GET /_matrix/client/v3/profile/{userId}/{keyName}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname */
export const getProfileField = endpoint(
  { operationId: "getProfileField", method: "GET", path: fieldPath, aliases: fieldAliases, auth: "none" },
  async ({ params, actors, config }) => {
    assertIsLocal(config, params.userId);
    const value = field(await actors.user(params.userId).getProfile(), params.keyName);
    if (value === undefined) throw errors.notFound("The profile has no such field");
    const answer: JsonObject = {};
    define(answer, params.keyName, value);
    return answer;
  },
);

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
