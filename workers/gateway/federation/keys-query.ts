import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { parseKeyAnswer } from "../../../shared/federation-api/keys.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import { parseServerName, type ServerName } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { inParallel } from "../../../shared/parallel.ts";
import { objectOf, queryInteger, recordOf } from "../../../shared/validate.ts";

/** Servers of one query that are looked at. Of the others nothing is said, as of one that does not answer. */
const maxServers = 100;
/** Of which so many are asked at the same time. */
const maxConcurrent = 50;
/** Keys of one server that are asked for by name; with more, any key is as good as another. */
const maxKeyIds = 50;

/** `GET /_matrix/key/v2/query/{serverName}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2queryservername */
export const perspectivesKeyQuery = endpoint(
  {
    operationId: "perspectivesKeyQuery",
    method: "GET",
    path: "/_matrix/key/v2/query/:serverName",
    // Deprecated: of one key.
    aliases: ["/_matrix/key/v2/query/:serverName/:keyId"],
    auth: "none",
    query: v.object({ minimum_valid_until_ts: v.optional(queryInteger(Number.MAX_SAFE_INTEGER)) }),
  },
  async ({ params, query, ...services }) => {
    const serverName = parseServerName(params.serverName);
    if (serverName === null) throw errors.invalidParam("serverName: not a server name");
    return await queryKeys(services, new Map([[serverName, { keyIds: [], validAt: query.minimum_valid_until_ts }]]));
  },
);

const criteria = objectOf({ minimum_valid_until_ts: v.nullish(v.pipe(v.number(), v.safeInteger())) });

/** `POST /_matrix/key/v2/query` — https://spec.matrix.org/v1.19/server-server-api/#post_matrixkeyv2query */
export const bulkPerspectivesKeyQuery = endpoint(
  {
    operationId: "bulkPerspectivesKeyQuery",
    method: "POST",
    path: "/_matrix/key/v2/query",
    auth: "none",
    body: v.object({ server_keys: recordOf(recordOf(criteria)) }),
  },
  ({ body, ...services }) => {
    const wanted = new Map<ServerName, Wanted>();
    for (const [text, keys] of Object.entries(body.server_keys)) {
      const serverName = parseServerName(text);
      if (serverName === null || wanted.size === maxServers) continue;
      const times = Object.values(keys).flatMap((asked) => asked.minimum_valid_until_ts ?? []);
      const keyIds = Object.keys(keys).slice(0, maxKeyIds);
      wanted.set(serverName, { keyIds, validAt: times.length === 0 ? undefined : Math.max(...times) });
    }
    return queryKeys(services, wanted);
  },
);

interface Wanted {
  readonly keyIds: readonly string[];
  /** ms since epoch. "If not supplied, the notary server MUST use the current time." */
  readonly validAt: number | undefined;
}

/** Anybody may ask, and each question makes us ask others: hence counted by address. */
async function queryKeys(services: Services, wanted: ReadonlyMap<ServerName, Wanted>): Promise<JsonObject> {
  const { actors, config, clientAddress } = services;
  const ownServer = actors.server(config.serverName);
  if (clientAddress !== null) await ownServer.limitAddress("rc_key_query", clientAddress);
  const keysOf = async ([serverName, { keyIds, validAt }]: [ServerName, Wanted]): Promise<JsonObject[]> => {
    if (serverName === config.serverName) return [await ownServer.getServerKeys()];
    if (!mayTalkTo(config, serverName)) return [];
    const asked = { keyIds, validAt: validAt ?? services.clock.now(), isForStranger: true };
    const texts = await actors.server(serverName).getNotarizedKeys(asked);
    return texts.map(parseKeyAnswer).filter((answer) => answer !== null);
  };
  const answers = await inParallel([...wanted], maxConcurrent, keysOf);
  return { server_keys: answers.flat() };
}
