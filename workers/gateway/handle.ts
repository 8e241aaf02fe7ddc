import type { Call, Endpoint, Services } from "../../shared/endpoint.ts";
import { errors } from "../../shared/errors.ts";
import { describeError } from "../../shared/log.ts";
import type { QueryValues } from "../../shared/validate.ts";
import { authenticator } from "./authenticate.ts";
import { readJsonBody } from "./json-body.ts";
import { isOverload, isRefusal, respond, respondToError } from "./respond.ts";
import { UiaChallenge } from "./uia.ts";

/** A request that matched an endpoint's path. */
export interface MatchedRequest {
  readonly request: Request;
  readonly url: URL;
  /** As they stand in the path, percent-encoded. */
  readonly params: Readonly<Record<string, string | undefined>>;
}

/**
 * Answers one request: decode, authenticate, limit, parse, run, serialise, log. The four in the middle are the
 * endpoint's, in that order (`shared/endpoint.ts`).
 */
export async function handle(endpoint: Endpoint, matched: MatchedRequest, services: Services): Promise<Response> {
  const startedAt = services.clock.now();
  const response = await answer(endpoint, matched, services);
  services.log.info("request", {
    operation: endpoint.operationId,
    method: endpoint.method,
    route: endpoint.path,
    status: response.status,
    ms: services.clock.now() - startedAt,
  });
  return response;
}

async function answer(endpoint: Endpoint, matched: MatchedRequest, services: Services): Promise<Response> {
  try {
    return respond(await endpoint.invoke(callOf(matched, services)));
  } catch (thrown) {
    if (isOverload(thrown)) {
      services.log.warn("actor is overloaded", { operation: endpoint.operationId });
    } else if (!isRefusal(thrown) && !(thrown instanceof UiaChallenge)) {
      services.log.error("request failed", { operation: endpoint.operationId, error: describeError(thrown) });
    }
    return respondToError(thrown);
  }
}

function callOf({ request, url, params }: MatchedRequest, services: Services): Call {
  return {
    params: decodeParams(params),
    query: queryOf(url.searchParams),
    authenticate: authenticator(request, url.searchParams, services),
    readBody: (limits) => readJsonBody(request, limits),
    services,
  };
}

/** Percent-decodes each parameter, once. @throws MatrixError M_INVALID_PARAM when it is not UTF-8 so encoded. */
function decodeParams(params: MatchedRequest["params"]): Record<string, string> {
  const decoded: Record<string, string> = {};
  for (const [name, value] of Object.entries(params)) {
    try {
      decoded[name] = decodeURIComponent(value ?? "");
    } catch {
      throw errors.invalidParam(`${name}: not valid percent-encoding`);
    }
  }
  return decoded;
}

function queryOf(search: URLSearchParams): QueryValues {
  const values = new Map<string, string | string[]>();
  for (const [name, value] of search) {
    const earlier = values.get(name);
    values.set(name, earlier === undefined ? value : [earlier, value].flat());
  }
  // Defines own properties, whatever a client calls its parameters.
  return Object.fromEntries(values);
}
