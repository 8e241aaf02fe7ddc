/** Requests that build on one another: a room from its creation to its end, each step with its own fault now and then. */
import type { Endpoint } from "../../shared/endpoint.ts";
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { allEndpoints } from "../../workers/gateway/gateway.ts";
import { fc } from "../support/property.ts";
import { encodeAround, referTo } from "./references.ts";
import { bodyOf, type Credentials, type FuzzRequest, type Script } from "./requests.ts";
import { acceptedBy } from "./schemas.ts";
import { anyContent, damage, damaged, existing } from "./values.ts";

const room = referTo("ownRoomId", 0);
const event = referTo("ownEventId", 0);
const peerUser = referTo("peerUserId", 0);

/** Who of a chain's people does a step. */
type Actor = "creator" | "other" | "server";

/** One step; its body is made of the endpoint's definition unless it is given. */
interface Step {
  readonly by: Actor;
  readonly path: string;
  readonly method: Endpoint["method"];
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: fc.Arbitrary<JsonValue>;
  /** Sends back the event that the step before was given. */
  readonly usesTemplate?: boolean;
}

const client = "/_matrix/client/v3";
const federation = "/_matrix/federation";
const rooms = `${client}/rooms/:roomId`;
const text: JsonObject = { msgtype: "m.text", body: "hello" };
const textOr = fc.oneof({ weight: 2, arbitrary: fc.constant(text) }, { weight: 1, arbitrary: anyContent });

const versions = "ver=12&ver=11&ver=10";
const target = existing("userId").map((user): JsonObject => ({ user_id: user }));
const joinRules = { eventType: "m.room.join_rules" };
const knocking = fc.constant<JsonObject>({ join_rule: "knock" });

const newRoom = fc.record({
  preset: fc.constantFrom("public_chat", "public_chat", "private_chat", "trusted_private_chat"),
  room_version: fc.constantFrom("12", "12", "11", "10", "6", "1"),
  invite: fc.oneof(
    { weight: 3, arbitrary: fc.constant<JsonValue>([]) },
    { weight: 1, arbitrary: existing("userId").map((user): JsonValue => [user]) },
  ),
  creation_content: fc.oneof({ weight: 9, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: anyContent }),
});
const create: Step = { by: "creator", method: "POST", path: `${client}/createRoom`, body: newRoom };

const life: readonly Step[] = [
  { by: "other", method: "POST", path: `${rooms}/join` },
  { by: "creator", method: "PUT", path: `${rooms}/send/:eventType/:txnId`, body: textOr },
  { by: "other", method: "PUT", path: `${rooms}/send/:eventType/:txnId`, body: textOr },
  { by: "creator", method: "PUT", path: `${rooms}/redact/:eventId/:txnId` },
  { by: "creator", method: "PUT", path: `${rooms}/state/:eventType/:stateKey`, params: { eventType: "m.room.topic" } },
  { by: "server", method: "GET", path: `${federation}/v1/make_join/:roomId/:userId`, query: `?${versions}` },
  { by: "server", method: "PUT", path: `${federation}/v2/send_join/:roomId/:eventId`, usesTemplate: true },
  { by: "server", method: "PUT", path: `${federation}/v1/send/:txnId` },
  {
    by: "server",
    method: "GET",
    path: `${federation}/v1/state_ids/:roomId`,
    query: `?event_id=${encodeAround(event)}`,
  },
  {
    by: "server",
    method: "GET",
    path: `${federation}/v1/backfill/:roomId`,
    query: `?limit=9&v=${encodeAround(event)}`,
  },
  { by: "server", method: "POST", path: `${federation}/v1/get_missing_events/:roomId` },
  { by: "server", method: "GET", path: `${federation}/v1/state/:roomId`, query: `?event_id=${encodeAround(event)}` },
  { by: "server", method: "GET", path: `${federation}/v1/event_auth/:roomId/:eventId` },
  { by: "server", method: "GET", path: `${federation}/v1/timestamp_to_event/:roomId`, query: "?ts=0&dir=f" },
  { by: "creator", method: "GET", path: `${rooms}/event/:eventId` },
  { by: "creator", method: "POST", path: `${rooms}/receipt/:receiptType/:eventId` },
  { by: "other", method: "PUT", path: `${rooms}/typing/:userId` },
  { by: "creator", method: "GET", path: `${rooms}/messages`, query: "?dir=b&limit=5" },
  { by: "creator", method: "GET", path: `${rooms}/context/:eventId` },
  { by: "other", method: "GET", path: `${client}/sync` },
  { by: "creator", method: "POST", path: `${rooms}/kick` },
  { by: "creator", method: "POST", path: `${rooms}/ban`, body: target },
  { by: "creator", method: "POST", path: `${rooms}/unban`, body: target },
  { by: "creator", method: "POST", path: `${rooms}/invite` },
  { by: "server", method: "GET", path: `${federation}/v1/make_leave/:roomId/:userId` },
  { by: "server", method: "PUT", path: `${federation}/v2/send_leave/:roomId/:eventId`, usesTemplate: true },
  { by: "creator", method: "PUT", path: `${rooms}/state/:eventType/:stateKey`, params: joinRules, body: knocking },
  { by: "other", method: "POST", path: `${client}/knock/:roomIdOrAlias` },
  { by: "server", method: "GET", path: `${federation}/v1/make_knock/:roomId/:userId`, query: `?${versions}` },
  { by: "server", method: "PUT", path: `${federation}/v1/send_knock/:roomId/:eventId`, usesTemplate: true },
  { by: "creator", method: "POST", path: `${rooms}/upgrade`, body: fc.constant({ new_version: "12" }) },
  { by: "other", method: "POST", path: `${rooms}/leave` },
  { by: "creator", method: "POST", path: `${rooms}/leave` },
  { by: "creator", method: "POST", path: `${rooms}/forget` },
];

interface People {
  readonly creator: number;
  readonly other: number;
}

function credentialsOf(by: Actor, people: People): Credentials {
  return by === "server" ? { kind: "server", how: "honest" } : { kind: "user", number: people[by] };
}

function requestOf(step: Step, people: People): fc.Arbitrary<FuzzRequest> {
  const endpoint = allEndpoints.find(({ method, path }) => method === step.method && path === step.path);
  if (endpoint === undefined) throw new Error(`there is no ${step.method} ${step.path}`);
  const right = (step.body ?? acceptedBy(endpoint.schemas.body)).map((value) => JSON.stringify(value));
  const wrong = fc.tuple(step.body ?? acceptedBy(endpoint.schemas.body), damage);
  const body = endpoint.takesBody
    ? fc.oneof(
        { weight: 18, arbitrary: right },
        { weight: 2, arbitrary: wrong.map(([value, how]) => JSON.stringify(damaged(value, how))) },
        { weight: 1, arbitrary: bodyOf(endpoint) },
      )
    : fc.constant(null);
  const userId = step.by === "server" ? peerUser : referTo("userId", people.other);
  const given: Readonly<Record<string, string>> = {
    roomId: room,
    roomIdOrAlias: room,
    eventId: event,
    userId,
    ...step.params,
  };
  const free = { eventType: "m.room.message", stateKey: "", receiptType: "m.read" };
  const flaw = fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: damage });
  return fc.tuple(body, fc.nat(1_000_000), flaw).map(([sent, number, how]) => {
    const params: Readonly<Record<string, string>> = { txnId: `c${number}`, ...free, ...given };
    const path = step.path.replace(/:(\w+)/g, (_, name: string) => encodeAround(params[name] ?? ""));
    return {
      endpoint,
      method: step.method,
      target: path + (step.query ?? ""),
      credentials: credentialsOf(step.by, people),
      contentType: "application/json",
      body: sent,
      template: step.usesTemplate === true ? { damage: how } : null,
    };
  });
}

/** A room's life, with some of its steps left out. */
export const anyChain: fc.Arbitrary<Script> = fc
  .tuple(fc.subarray([...life], { minLength: 6 }), fc.record({ creator: fc.nat(7), other: fc.nat(7) }))
  .chain(([steps, people]) => fc.tuple(...[create, ...steps].map((step) => requestOf(step, people))));
