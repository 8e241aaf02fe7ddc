import { parseAccessToken } from "../../shared/access-token.ts";
import type { AuthContexts, Authenticate, AuthenticationNeeds, AuthScheme, Services } from "../../shared/endpoint.ts";
import { errors } from "../../shared/errors.ts";
import type { UserAuth } from "../../shared/rpc/user.ts";
import { exactUserId } from "./login-identifier.ts";
import { proveServer } from "./server-signature.ts";

/** Where credentials of a request are, and what proves them. */
interface Credentials extends AuthenticationNeeds {
  readonly request: Request;
  readonly query: URLSearchParams;
  readonly services: Services;
}

const schemes: { readonly [Scheme in AuthScheme]: (from: Credentials) => Promise<AuthContexts[Scheme]> } = {
  none: async () => null,
  optional: async (from) => {
    const token = findToken(from);
    return token === null ? null : await prove(from, token);
  },
  accessToken: (from) => proveRequired(from),
  adminToken: async (from) => {
    const auth = await proveRequired(from);
    if (!auth.isAdmin) throw errors.forbidden("You are not a server administrator");
    return auth;
  },
  serverSignature: ({ request, services, readBody }) => proveServer(request, services, readBody),
};

/**
 * Makes the function that proves who makes a request.
 *
 * Its errors: M_MISSING_TOKEN; M_UNKNOWN_TOKEN; M_FORBIDDEN where an administrator is needed; M_LIMIT_EXCEEDED; those of
 * {@link proveServer}.
 * @see https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
export function authenticator(request: Request, query: URLSearchParams, services: Services): Authenticate {
  return (scheme, needs) => schemes[scheme]({ ...needs, request, query, services });
}

async function proveRequired(from: Credentials): Promise<UserAuth> {
  const token = findToken(from);
  if (token === null) throw errors.missingToken("Missing access token");
  return await prove(from, token);
}

/** The token of the header, else (where the configuration allows it) the one of the query. */
function findToken({ request, query, services }: Credentials): string | null {
  const [scheme, token, ...rest] = (request.headers.get("Authorization") ?? "").split(" ");
  if (scheme?.toLowerCase() === "bearer" && token !== undefined && token !== "" && rest.length === 0) return token;
  if (!services.config.queryAccessTokens) return null;
  const [first, ...others] = query.getAll("access_token");
  return first === undefined || first === "" || others.length > 0 ? null : first;
}

async function prove({ services, rateLimit }: Credentials, accessToken: string): Promise<UserAuth> {
  const owner = parseAccessToken(accessToken);
  const userId = owner === null ? null : exactUserId(owner.localpart, services.config.serverName);
  if (userId === null) throw errors.unknownToken("Unknown access token");
  return await services.actors
    .user(userId)
    .authenticate({ accessToken, rateLimit, clientAddress: services.clientAddress });
}
