/** Requests to all endpoints, made of their definitions: right ones, nearly right ones and wrong ones. */
import type { Endpoint } from "../../shared/endpoint.ts";
import { isObject, type JsonValue } from "../../shared/json.ts";
import { allEndpoints } from "../../workers/gateway/gateway.ts";
import { fc } from "../support/property.ts";
import { encodeAround } from "./references.ts";
import { acceptedBy, pdu } from "./schemas.ts";
import { anyContent, anyValue, type Damage, damage, damaged, eventType, existing, oddText } from "./values.ts";

/** Who asks, and how they prove it. */
export type Credentials =
  | { readonly kind: "nobody" | "admin" }
  /** One of the people, by number: in the header, in the query, or with half a token. */
  | { readonly kind: "user" | "inQuery" | "halfToken"; readonly number: number }
  | { readonly kind: "header"; readonly value: string }
  /** Another server; only `honest` signs as it should. */
  | { readonly kind: "server"; readonly how: "honest" | "wrongKey" | "otherBody" | "otherServer" | "otherPath" };

/** A request as it is before the server's ids are known; texts hold references. */
export interface FuzzRequest {
  /** Whose definition it was made of. */
  readonly endpoint: Endpoint;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly credentials: Credentials;
  readonly contentType: string | null;
  /** Null: none. */
  readonly body: string | null;
  /** In place of `body`: the last template of an event that this script was given, with that damage. */
  readonly template: { readonly damage: Damage | null } | null;
}

/** Requests that are made one after the other. */
export type Script = readonly FuzzRequest[];

const paramValues: Readonly<Record<string, fc.Arbitrary<string>>> = {
  roomId: existing("roomId"),
  eventId: existing("eventId"),
  userId: fc.oneof({ weight: 2, arbitrary: existing("ownUserId") }, { weight: 1, arbitrary: existing("userId") }),
  deviceId: fc.oneof(existing("ownDeviceId"), existing("deviceId")),
  roomAlias: existing("roomAlias"),
  roomIdOrAlias: fc.oneof(existing("roomId"), existing("roomAlias")),
  txnId: fc.nat(100_000).map((number) => `t${number}`),
  filterId: existing("filterId"),
  token: existing("registrationToken"),
  serverName: existing("server"),
  eventType,
  stateKey: fc.oneof(fc.constant(""), existing("userId"), oddText),
  type: fc.constantFrom("m.direct", "m.push_rules", "m.fully_read", "m.ignored_user_list", "a.b"),
  keyName: fc.constantFrom("displayname", "avatar_url", "m.tz", "a.b"),
  kind: fc.constantFrom("override", "override", "underride", "sender", "room", "content"),
  ruleId: fc.constantFrom(".m.rule.master", ".m.rule.suppress_notices", ".m.rule.call"),
  receiptType: fc.constantFrom("m.read", "m.read.private", "m.fully_read"),
  tag: fc.constantFrom("m.favourite", "u.mine", "u.".padEnd(300, "x")),
  queryType: fc.constantFrom("profile", "directory", "x"),
};

/** Paths that no URL library would have made; those that are no HTTP at all, the runtime refuses by itself. */
const pathEndings = ["%", "%zz", "%ff", "%c0%af", "%00", "%2F", "/", "//", "/x", "/..", "/%2e%2e", ";x=y", "'"];

function pathOf(endpoint: Endpoint): fc.Arbitrary<string> {
  const template = fc.oneof(
    { weight: 4, arbitrary: fc.constant(endpoint.path) },
    { weight: 1, arbitrary: fc.constantFrom(endpoint.path, ...endpoint.aliases) },
  );
  const names = [...new Set([...endpoint.path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? ""))];
  const params = fc.record(
    Object.fromEntries(
      names.map((name) => [
        name,
        fc.oneof(
          { weight: 9, arbitrary: paramValues[name] ?? oddText },
          { weight: 1, arbitrary: oddText },
          { weight: 1, arbitrary: fc.constantFrom("x".repeat(256), "é".repeat(200), "x".repeat(5000)) },
        ),
      ]),
    ),
  );
  const ending = fc.oneof({ weight: 30, arbitrary: fc.constant("") }, fc.constantFrom(...pathEndings));
  return fc
    .tuple(template, params, ending)
    .map(([path, values, end]) => path.replace(/:(\w+)/g, (_, name) => encodeAround(values[name] ?? "")) + end);
}

/** A query: what the schema says, with parameters that are odd, repeated or of another endpoint. */
function queryOf(endpoint: Endpoint): fc.Arbitrary<string> {
  const name = fc.constantFrom("dir", "from", "since", "limit", "filter", "at", "via", "ver", "v", "kind", "__proto__");
  const odd = fc.array(fc.tuple(name, oddText), { minLength: 1, maxLength: 3 });
  const extra = fc.oneof({ weight: 6, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: odd });
  const raw = fc.oneof({ weight: 40, arbitrary: fc.constant("") }, fc.constantFrom("&", "&=", "&%=%", "?", "&a[]=%ff"));
  return fc.tuple(acceptedBy(endpoint.schemas.query), extra, raw).map(([right, more, end]) => {
    const pairs = isObject(right) ? Object.entries(right) : [];
    const flat = pairs.flatMap(([key, value]) => (Array.isArray(value) ? value : [value]).map((one) => [key, one]));
    const text = (value: JsonValue | undefined) => (typeof value === "string" ? value : JSON.stringify(value));
    const written = [...flat, ...more].map(([key, value]) => `${encodeAround(text(key))}=${encodeAround(text(value))}`);
    return written.length === 0 && end === "" ? "" : `?${written.join("&")}${end}`;
  });
}

const garbage = fc.oneof(
  { weight: 3, arbitrary: anyValue.map((value) => JSON.stringify(value)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "",
      "{",
      '{"a":1',
      "nul",
      '{"a":1}{}',
      "{'a':1}",
      '{"a":01}',
      "\ufeff{}",
      "[".repeat(9999),
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('{"a":"\\ud800"}', '{"a":1e400}', '{"a":1,"a":2}', '{"\\u0000":1}', "\0") },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
);

/** A body that the definition allows, one with something wrong, or nothing of the kind. */
export function bodyOf(endpoint: Endpoint): fc.Arbitrary<string | null> {
  if (!endpoint.takesBody) return fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, garbage);
  const isOfServers = endpoint.auth === "serverSignature";
  const { body } = endpoint.schemas;
  const isFree = body?.type === "custom";
  const right = isFree ? (isOfServers ? pdu : anyContent) : acceptedBy(body);
  return fc.oneof(
    { weight: 10, arbitrary: right.map((value) => JSON.stringify(value)) },
    { weight: 8, arbitrary: fc.tuple(right, damage).map(([value, how]) => JSON.stringify(damaged(value, how))) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(right, damage, damage)
        .map(([value, how, more]) => JSON.stringify(damaged(damaged(value, how), more))),
    },
    { weight: 2, arbitrary: garbage },
    { weight: 1, arbitrary: fc.constant(null) },
  );
}

const someUser = fc.nat(7).map((number): Credentials => ({ kind: "user", number }));
const someServer = fc
  .constantFrom("honest", "honest", "honest", "honest", "honest", "wrongKey", "otherBody", "otherServer", "otherPath")
  .map((how): Credentials => ({ kind: "server", how }));
const oddHeader = fc
  .constantFrom(
    "Bearer",
    "Bearer x",
    "bearer  x",
    "Bearer a b",
    "Basic YTpi",
    "X-Matrix",
    'X-Matrix origin="localhost",key="ed25519:a",sig="AAAA"',
    'X-Matrix origin=elsewhere.invalid,key="ed25519:a",sig=""',
    'X-Matrix origin="elsewhere.invalid",destination="localhost",key="ed25519:\u00e9",sig="=="',
    `Bearer ${"x".repeat(4000)}`,
    "Bearer tsr_%00_\u00ff",
  )
  .map((value): Credentials => ({ kind: "header", value }));
const oddCredentials = fc.oneof(
  fc.constant<Credentials>({ kind: "nobody" }),
  fc.nat(7).map((number): Credentials => ({ kind: "halfToken", number })),
  fc.nat(7).map((number): Credentials => ({ kind: "inQuery", number })),
  oddHeader,
  someServer,
  someUser,
);

const rightCredentials: Readonly<Record<Endpoint["auth"], fc.Arbitrary<Credentials>>> = {
  none: fc.constant({ kind: "nobody" }),
  optional: fc.oneof(fc.constant<Credentials>({ kind: "nobody" }), someUser),
  accessToken: someUser,
  adminToken: fc.constant({ kind: "admin" }),
  serverSignature: someServer,
};

const contentType = fc.oneof(
  { weight: 30, arbitrary: fc.constant("application/json") },
  fc.constantFrom(
    null,
    "",
    "text/plain",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=x",
    "\u00e9",
  ),
);
const otherMethod = fc.constantFrom("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS");

function requestTo(endpoint: Endpoint): fc.Arbitrary<FuzzRequest> {
  return fc
    .record({
      endpoint: fc.constant(endpoint),
      method: fc.oneof({ weight: 30, arbitrary: fc.constant(endpoint.method) }, { weight: 1, arbitrary: otherMethod }),
      path: pathOf(endpoint),
      query: queryOf(endpoint),
      credentials: fc.oneof(
        { weight: 9, arbitrary: rightCredentials[endpoint.auth] },
        { weight: 1, arbitrary: oddCredentials },
      ),
      contentType,
      body: bodyOf(endpoint),
      template: fc.constant(null),
    })
    .map(({ path, query, ...rest }) => ({ ...rest, target: path + query }));
}

/** One request to any endpoint; the one that has all rooms and users do something is rare. */
export const anyRequest: fc.Arbitrary<Script> = fc.oneof(
  ...allEndpoints.map((endpoint) => ({
    weight: endpoint.operationId === "rebuildDirectory" ? 1 : 10,
    arbitrary: requestTo(endpoint).map((request) => [request]),
  })),
);
