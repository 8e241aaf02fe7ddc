import { Router } from "itty-router";
import type { Endpoint, Services } from "../../shared/endpoint.ts";
import { errors } from "../../shared/errors.ts";
import { handle } from "./handle.ts";
import { respondMethodNotAllowed, respondToError, respondToPreflight } from "./respond.ts";

/** What the router passes along beside method and URL. */
interface Routed {
  readonly request: Request;
  readonly services: Services;
}

/** Answers any request there can be. */
export type Route = (request: Request, services: Services) => Promise<Response>;

/**
 * Makes one router of all endpoints. `OPTIONS` is answered for every path without running anything; a path known only
 * under other methods gives 405, an unknown one 404, both M_UNRECOGNIZED.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#common-error-codes
 */
export function makeRouter(endpoints: readonly Endpoint[]): Route {
  const router = Router();
  for (const endpoint of endpoints) {
    for (const path of [endpoint.path, ...endpoint.aliases]) {
      addRoute(router, endpoint, path);
    }
  }
  return async (request, services) => {
    if (request.method === "OPTIONS") return respondToPreflight();
    // A plain object stands in for the request: the router sets fields on what it is given.
    const routed = { method: request.method, url: request.url };
    const response: Response | undefined = await router.fetch(routed, { request, services });
    if (response !== undefined) return response;
    return respondUnmatched(router, request, services);
  };
}

function addRoute(router: ReturnType<typeof Router>, endpoint: Endpoint, path: string): void {
  const register = { GET: router.get, PUT: router.put, POST: router.post, DELETE: router.delete }[endpoint.method];
  register(path, ({ params }, { request, services }: Routed) =>
    handle(endpoint, { request, url: new URL(request.url), params }, services),
  );
}

function respondUnmatched(router: ReturnType<typeof Router>, request: Request, services: Services): Response {
  const { pathname } = new URL(request.url);
  const methods = new Set<string>();
  for (const [method, pattern] of router.routes) {
    if (pattern.test(pathname)) methods.add(method);
  }
  services.log.info("request", { operation: null, method: request.method, status: methods.size === 0 ? 404 : 405 });
  if (methods.size > 0) return respondMethodNotAllowed([...methods]);
  return respondToError(errors.unrecognized("Unknown endpoint"));
}
