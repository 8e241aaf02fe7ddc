import type { Clock, RandomSource } from "./clock.ts";
import type { Config } from "./env.ts";
import type { DeviceId, ServerName, UserId } from "./ids.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import type { Log } from "./log.ts";
import type { Actors } from "./rpc/actors.ts";
import type { EgressRpc } from "./rpc/egress.ts";
import type { Client } from "./rpc/reply.ts";
import type { UserAuth, UserRateLimit } from "./rpc/user.ts";
import { type PathParams, parseBody, parsePathParams, parseQuery, type QueryValues, type Schema } from "./validate.ts";

export type Method = "GET" | "PUT" | "POST" | "DELETE";

/**
 * What each authentication scheme proves.
 *
 * - `none`: nothing is asked, a token that is sent is not looked at
 * - `optional`: null without a token; a token that is sent must be good
 * - `accessToken`: a local user's session
 * - `adminToken`: the same, of a server administrator
 * - `serverSignature`: another homeserver, which has signed the request with its body (X-Matrix)
 */
export interface AuthContexts {
  none: null;
  optional: UserAuth | null;
  accessToken: UserAuth;
  adminToken: UserAuth;
  serverSignature: ServerAuth;
}

/** The homeserver that makes a request. */
export interface ServerAuth {
  readonly origin: ServerName;
}

export type AuthScheme = keyof AuthContexts;

/** What a request is authenticated for. */
export interface AuthenticationNeeds {
  /** The limit of the requester that the request counts against. */
  readonly rateLimit: UserRateLimit | null;
  /** The body, which is read only once: a server's signature is over it, too. */
  readonly readBody: () => Promise<JsonValue>;
}

/** Proves who asks, by the scheme that an endpoint names, and counts the request against a limit of that user. */
export type Authenticate = <Scheme extends AuthScheme>(
  scheme: Scheme,
  needs: AuthenticationNeeds,
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
  /** The one door to the network. */
  readonly egress: Client<EgressRpc>;
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

/**
 * A long JSON answer, written while it is read. What is thrown after its first part breaks the connection off, so that
 * nobody takes a part for the whole.
 */
export class StreamedJson {
  readonly parts: AsyncIterable<string>;

  constructor(parts: AsyncIterable<string>) {
    this.parts = parts;
  }
}

/** What an endpoint answers with status 200. Every other status is a thrown error. */
export type Answer = JsonObject | JsonValue[] | Page | StreamedJson;

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

/** What a body may be, and how it is read. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** Whether an empty body stands for `{}`. */
  readonly allowsEmpty: boolean;
  /** Whether another server has signed it: its numbers are kept as they were written, and it may be nested deeper. */
  readonly isSigned: boolean;
}

/** One request as the gateway hands it to an endpoint: read and proven no further than the endpoint asks. */
export interface Call {
  /** Percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: QueryValues;
  readonly authenticate: Authenticate;
  readBody(limits: BodyLimits): Promise<JsonValue>;
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
  /** What query and body must be; null: not looked at. Tests make requests of them. */
  readonly schemas: { readonly query: Schema | null; readonly body: Schema | null };
  readonly invoke: (call: Call) => Promise<Answer>;
}

/** Largest JSON body unless an endpoint says otherwise. */
export const defaultMaxBodyBytes = 1_048_576;

/**
 * Pairs a definition with the function that answers it. A request is authenticated and counted before its body is read
 * (but for a server's, whose signature is over the body), and the function only ever sees what was checked.
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
    isSigned: scheme === "serverSignature",
  };
  return {
    operationId,
    method,
    path,
    aliases,
    auth: scheme,
    takesBody: definition.body !== undefined,
    schemas: { query: definition.query ?? null, body: definition.body ?? null },
    invoke: async (call) => {
      let reading: Promise<JsonValue> | null = null;
      const readBody = () => {
        reading ??= call.readBody(limits);
        return reading;
      };
      const auth = await call.authenticate(scheme, { rateLimit, readBody });
      const params = parsePathParams<Path>(names, call.params);
      const query = parseQuery(definition.query, call.query);
      const body = parseBody(definition.body, definition.body === undefined ? null : await readBody());
      return run({ ...call.services, params, auth, query, body });
    },
  };
}
