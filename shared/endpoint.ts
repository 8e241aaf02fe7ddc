import type { Clock, RandomSource } from "./clock.ts";
import type { Config } from "./env.ts";
import type { DeviceId, UserId } from "./ids.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import type { Log } from "./log.ts";
import type { Actors } from "./rpc/actors.ts";
import type { UserAuth, UserRateLimit } from "./rpc/user.ts";
import { type PathParams, parseBody, parsePathParams, parseQuery, type QueryValues, type Schema } from "./validate.ts";

export type Method = "GET" | "PUT" | "POST" | "DELETE";

/**
 * What each authentication scheme proves. Federation brings `serverSignature` (X-Matrix).
 *
 * - `none`: nothing is asked, a token that is sent is not looked at
 * - `optional`: null without a token; a token that is sent must be good
 * - `accessToken`: a local user's session
 * - `adminToken`: the same, of a server administrator
 */
export interface AuthContexts {
  none: null;
  optional: UserAuth | null;
  accessToken: UserAuth;
  adminToken: UserAuth;
}
export type AuthScheme = keyof AuthContexts;

/** Proves who asks, by the scheme that an endpoint names, and counts the request against a limit of that user. */
export type Authenticate = <Scheme extends AuthScheme>(
  scheme: Scheme,
  rateLimit: UserRateLimit | null,
) => Promise<AuthContexts[Scheme]>;

/** An open line to a user's actor over which it says that there is news. */
export interface Waiter {
  /** Resolves to `news` when the actor speaks, to `closed` when the line breaks or a newer one replaced it. */
  readonly outcome: Promise<"news" | "closed">;
  close(): void;
}

/** How operators can be reached. @see https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport */
export interface SupportContact {
  /** A Matrix user id or an e-mail address. */
  readonly contact: string | null;
  readonly page: string | null;
}

/** All that an endpoint's function may reach. */
export interface Services {
  readonly actors: Actors;
  readonly config: Config;
  readonly support: SupportContact;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Log;
  /** Address of the client as a trusted proxy names it; null where none is known. */
  readonly clientAddress: string | null;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
  openWaiter(userId: UserId, deviceId: DeviceId, since: string): Promise<Waiter>;
  /** Resolves after that time, or at once when the client has gone or `until` is aborted. */
  pause(milliseconds: number, until?: AbortSignal): Promise<void>;
}

/** An answer that is not JSON. */
export class Page {
  readonly contentType: string;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(contentType: string, text: string, headers: Readonly<Record<string, string>> = {}) {
    this.contentType = contentType;
    this.text = text;
    this.headers = headers;
  }
}

/** What an endpoint answers with status 200. Every other status is a thrown error. */
export type Answer = JsonObject | JsonObject[] | Page;

/** One endpoint as a value: router, validation, types and the conformance table derive from it. */
export interface EndpointDefinition<Path extends string, Scheme extends AuthScheme, Query, Body> {
  /** The spec's operationId; for our own endpoints, a name in its manner. */
  readonly operationId: string;
  readonly method: Method;
  /** With parameters as `:name`. */
  readonly path: Path;
  /** Further paths of the same endpoint, e.g. `/r0/`. A parameter that one of them lacks is the empty string. */
  readonly aliases?: readonly string[];
  readonly auth: Scheme;
  /** The limit of the requester that each request counts against. */
  readonly rateLimit?: UserRateLimit;
  readonly query?: Schema<Query>;
  /** Without it, a body that is sent is not read. */
  readonly body?: Schema<Body>;
  /** Whether an empty body stands for `{}`. */
  readonly allowsEmptyBody?: boolean;
  /** Largest body; 1 MiB unless given. */
  readonly maxBodyBytes?: number;
}

/** What an endpoint's function is given. */
export interface EndpointContext<Path extends string, Scheme extends AuthScheme, Query, Body> extends Services {
  readonly params: PathParams<Path>;
  readonly auth: AuthContexts[Scheme];
  readonly query: Query;
  readonly body: Body;
}

/** One request as the gateway hands it to an endpoint: read and proven no further than the endpoint asks. */
export interface Call {
  /** Percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: QueryValues;
  readonly authenticate: Authenticate;
  readBody(limits: { maxBytes: number; allowsEmpty: boolean }): Promise<JsonValue>;
  readonly services: Services;
}

/** An endpoint with its types closed over. */
export interface Endpoint {
  readonly operationId: string;
  readonly method: Method;
  readonly path: string;
  readonly aliases: readonly string[];
  readonly auth: AuthScheme;
  /** Whether a body is read. */
  readonly takesBody: boolean;
  readonly invoke: (call: Call) => Promise<Answer>;
}

/** Largest JSON body unless an endpoint says otherwise. */
export const defaultMaxBodyBytes = 1_048_576;

/**
 * Pairs a definition with the function that answers it. A request is authenticated and counted before its body is read,
 * and the function only ever sees what was checked.
 */
export function endpoint<
  const Path extends string,
  const Scheme extends AuthScheme,
  Query = undefined,
  Body = undefined,
>(
  definition: EndpointDefinition<Path, Scheme, Query, Body>,
  run: (context: EndpointContext<Path, Scheme, Query, Body>) => Promise<Answer> | Answer,
): Endpoint {
  const { operationId, method, path, aliases = [], auth: scheme, rateLimit = null } = definition;
  const names = [...path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? "");
  const limits = {
    maxBytes: definition.maxBodyBytes ?? defaultMaxBodyBytes,
    allowsEmpty: definition.allowsEmptyBody ?? false,
  };
  return {
    operationId,
    method,
    path,
    aliases,
    auth: scheme,
    takesBody: definition.body !== undefined,
    invoke: async (call) => {
      const auth = await call.authenticate(scheme, rateLimit);
      const params = parsePathParams<Path>(names, call.params);
      const query = parseQuery(definition.query, call.query);
      const body = parseBody(definition.body, definition.body === undefined ? null : await call.readBody(limits));
      return run({ ...call.services, params, auth, query, body });
    },
  };
}
