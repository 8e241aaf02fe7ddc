import type { CallerKeys } from "../../shared/rpc/server-peer.ts";
import type { ServerContext } from "./context.ts";
import { isAwaited } from "./outbox.ts";
import { getVerifyKeys } from "./verify-keys.ts";

/**
 * The keys for a request that claims to be by the server. Whether it is, is not known yet: it is not taken for a sign of
 * life.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
export async function getCallerKeys(server: ServerContext, keyIds: readonly string[]): Promise<CallerKeys> {
  const wanted = { keyIds, validAt: server.clock.now(), isForStranger: true };
  return { keys: await getVerifyKeys(server, wanted), isAwaited: isAwaited(server) };
}
