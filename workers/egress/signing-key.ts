import type { Actors } from "../../shared/rpc/actors.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import type { EgressContext } from "./context.ts";

/** So long may a key that was replaced still be used: other servers accept requests by the current key only. */
const rememberedMs = 60 * 1000;

/** By the server that it belongs to: a process may hold several, in tests. */
const remembered = new WeakMap<Actors, { readonly key: SigningKey; readonly atMs: number }>();

/** The key that signs this server's requests, asked for once a minute. */
export async function currentSigningKey({ actors, config, clock }: EgressContext): Promise<SigningKey> {
  const found = remembered.get(actors);
  if (found !== undefined && clock.now() - found.atMs < rememberedMs) return found.key;
  const key = await actors.server(config.serverName).getSigningKey();
  remembered.set(actors, { key, atMs: clock.now() });
  return key;
}
