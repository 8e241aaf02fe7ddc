/**
 * This server as a key server: what another has said of its keys, passed on under our signature.
 * @see https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server
 */
import { parseKeyAnswer } from "../../shared/federation-api/keys.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { signJson } from "../../shared/matrix/signing.ts";
import type { WantedKeys } from "../../shared/rpc/server-peer.ts";
import type { ServerContext } from "./context.ts";
import { fetchIfNeeded, knownKeys } from "./verify-keys.ts";

/**
 * The newest answers of the server that have the keys asked for, with our signature beside the server's. Where nothing
 * newer can be had, old ones: "Notary servers can return keys for servers that are offline".
 */
export async function getNotarizedKeys(server: ServerContext, wanted: WantedKeys): Promise<string[]> {
  await fetchIfNeeded(server, wanted);
  const numbers = new Set([...knownKeys(server, wanted.keyIds).values()].map(({ responseNid }) => responseNid));
  if (numbers.size === 0) return [];
  const { config, actors } = server;
  const key = await actors.server(config.serverName).getSigningKey();
  return [...numbers].flatMap((responseNid) => {
    const stored = server.store.verifyKeys.findResponse(responseNid);
    const response = stored === null ? null : parseKeyAnswer(stored.response);
    if (response === null) return [];
    return [canonicalJson(signJson(response, config.serverName, key, "lenient"), [], "lenient")];
  });
}
