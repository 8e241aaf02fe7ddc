import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { Endpoint } from "../../shared/endpoint.ts";
import { isObject, type JsonValue } from "../../shared/json.ts";
import { allEndpoints } from "../../workers/gateway/gateway.ts";
import { expectOk, say, useHomeserver } from "../api/homeserver.ts";
import { clientOf, makeRoom, type Reply, type TestUser } from "../support/client.ts";
import { bodies, expectCleanLogs, pathOf, type Scene, serverOptions, setScene } from "./requests.ts";

const server = useHomeserver(serverOptions);
let scene: Scene;
beforeAll(async () => {
  scene = await setScene(server, "");
});

/** These end the sessions that the other requests need, and look at nothing that is sent. */
const tried = allEndpoints.filter(({ operationId }) => !["logout", "logout_all"].includes(operationId));

/** What a homeserver's code could be taken in by. */
const oddTexts = [
  "",
  " ",
  "\0",
  "*",
  "%",
  "..",
  "/",
  "__proto__",
  "constructor",
  "null",
  "undefined",
  "-1",
  "1e400",
  "💥",
  "\u{10ffff}",
];
const ids = [
  "@",
  "@:",
  "!",
  "!:",
  "$",
  "#",
  "#:",
  "@a:b:c",
  "@a:[::1]:8448",
  "!x:localhost",
  "#x:localhost",
  "$x",
  "@nobody:localhost",
];
const tokens = ["s0_0", "s1_1", "s999999999999999_999999999999999", "p0", "p-1", "p999999999999999", "s-1_0", "p"];
const oddText = fc.oneof(
  fc.constantFrom(...oddTexts, ...ids, ...tokens),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ unit: fc.constantFrom("a", "é", "💥"), minLength: 250, maxLength: 260 }),
);

const fieldNames = [...new Set(Object.values(bodies).flatMap((body) => Object.keys(body)))];
const types = [
  "m.room.member",
  "m.room.power_levels",
  "m.room.create",
  "m.room.redaction",
  "m.room.canonical_alias",
  "m.room.server_acl",
];
const key = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(...fieldNames, "membership", "users", "redacts", "alias", "allow", "join_rule"),
  },
  { weight: 1, arbitrary: oddText },
);
const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    oddText,
    fc.constantFrom<JsonValue>(null, true, false, 0, -0, 1, -1, 0.5, 2 ** 53, 1e300, "join", "@bob:localhost"),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie("value")), { maxLength: 4 }).map((entries): JsonValue => Object.fromEntries(entries)),
  ),
}));

/** A body of an endpoint with some of its fields made odd, an odd one, or no JSON at all. */
function bodyFor({ operationId }: Endpoint): fc.Arbitrary<string> {
  const right = bodies[operationId] ?? {};
  const names = Object.keys(right);
  const changes = fc.dictionary(names.length === 0 ? key : fc.constantFrom(...names), value, { maxKeys: 3 });
  return fc.oneof(
    { weight: 6, arbitrary: changes.map((changed) => JSON.stringify({ ...right, ...changed })) },
    {
      weight: 2,
      arbitrary: fc.array(fc.tuple(key, value)).map((entries) => JSON.stringify(Object.fromEntries(entries))),
    },
    { weight: 1, arbitrary: value.map((any) => JSON.stringify(any)) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 30 }) },
  );
}

/** The endpoint's own parameters, some of them made odd. */
function paramsFor(endpoint: Endpoint): fc.Arbitrary<Record<string, string>> {
  const names = [...endpoint.path.matchAll(/:(\w+)/g)].map((match) => match[1] ?? "");
  const param = (name: string) =>
    fc.oneof(
      { weight: 6, arbitrary: fc.constant(null) },
      { weight: 2, arbitrary: oddText },
      { weight: name === "eventType" ? 6 : 0, arbitrary: fc.constantFrom(...types) },
    );
  return fc.record(Object.fromEntries(names.map((name) => [name, param(name)]))).map((chosen) => {
    const odd = Object.entries(chosen).flatMap(([name, text]) => (text === null ? [] : [[name, text] as const]));
    return Object.fromEntries(odd);
  });
}

const queryNames = [
  "dir",
  "from",
  "to",
  "since",
  "filter",
  "limit",
  "at",
  "membership",
  "format",
  "token",
  "username",
  "kind",
  "full_state",
  "server",
  "valid",
];
const query = fc.array(
  fc.tuple(
    fc.constantFrom(...queryNames),
    fc.oneof(
      oddText,
      value.map((any) => JSON.stringify(any)),
      fc.constantFrom("b", "f", "1", "true"),
    ),
  ),
  { maxLength: 4 },
);

const request = fc.constantFrom(...tried).chain((endpoint) =>
  fc.record({
    endpoint: fc.constant(endpoint),
    who: fc.constantFrom<"alice" | "bob" | "carol" | "admin" | "nobody">(
      "alice",
      "alice",
      "bob",
      "carol",
      "admin",
      "nobody",
    ),
    params: paramsFor(endpoint),
    query,
    body: endpoint.takesBody ? bodyFor(endpoint) : fc.constant(null),
  }),
);
type FuzzRequest = typeof request extends fc.Arbitrary<infer T> ? T : never;

async function ask({ endpoint, who, params, query, body }: FuzzRequest): Promise<Reply> {
  const at = pathOf(endpoint, { ...scene.params, ...params });
  const search = query.map(([name, text]) => `${name}=${encodeURIComponent(text.toWellFormed())}`).join("&");
  const user: TestUser | null = who === "nobody" ? null : scene[who];
  const client = user ?? clientOf(server.url);
  return client.request(endpoint.method, `${at}?${search}`, body === null ? {} : { raw: body });
}

/** Never a bug, and of a refusal always the spec's form; a challenge has none before a stage was tried. */
function assertIsAnswer(reply: Reply): void {
  // 502 speaks of another server, which a request named and which is not there.
  if (reply.status !== 502) expect(reply.status, reply.text).toBeLessThan(500);
  if (reply.status < 400) return;
  expect(isObject(reply.json), reply.text).toBe(true);
  if (reply.status === 401 && Array.isArray(reply.body.flows) && reply.body.errcode === undefined) return;
  expect(reply.body.errcode, reply.text).toMatch(/^M_[A-Z_]+$/);
  expect(typeof reply.body.error, reply.text).toBe("string");
}

describe("any request to any endpoint", () => {
  const isAnswered = fc.asyncProperty(request, async (fuzzed) => assertIsAnswer(await ask(fuzzed)));

  it("is answered or refused, and never fails", { timeout: 300_000 }, async () => {
    await fc.assert(isAnswered, { seed: 20_261_123, numRuns: 700 });
  });

  it("is answered or refused, and never fails, whatever the day brings", { timeout: 300_000 }, async () => {
    const seed = Math.trunc(Math.random() * 2 ** 31);
    process.stdout.write(`fuzz seed: ${seed}\n`);
    await fc.assert(isAnswered, { seed, numRuns: 300 });
  });

  it("leaves a server that works, without an error in its log", async () => {
    const user = await server.user();
    const roomId = await makeRoom(user);
    await say(user, roomId, "still here");
    const sync = await user.get("v3/sync");
    expectOk(sync);
    expect(sync.text).toContain("still here");
    expectOk(await scene.alice.get("v3/sync"));
    expectCleanLogs(server.logs);
  });
});
