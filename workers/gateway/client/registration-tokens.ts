import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";

/** `GET /_matrix/client/v1/register/m.login.registration_token/validity` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity */
export const registrationTokenValidity = endpoint(
  {
    operationId: "registrationTokenValidity",
    method: "GET",
    path: "/_matrix/client/v1/register/m.login.registration_token/validity",
    auth: "none",
    query: v.object({ token: v.string() }),
  },
  async ({ query, actors, config, clientAddress }) => {
    // "403: The homeserver does not permit registration and thus all tokens are considered invalid."
    if (config.registration === "closed") throw errors.forbidden("Registration is closed on this server");
    const server = actors.server(config.serverName);
    if (clientAddress !== null) await server.limitAddress("rc_registration_token_validity", clientAddress);
    return { valid: await server.isRegistrationTokenValid(query.token) };
  },
);
