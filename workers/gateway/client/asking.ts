/** Asking other servers on behalf of clients. */
import type { Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import type { Asked } from "../../../shared/federation-api/ask.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import type { ServerName } from "../../../shared/ids.ts";

/**
 * Holds questions to servers that may be asked, and counts them by the address that they come from: anybody may ask, and
 * each question makes us ask another.
 *
 * @throws MatrixError M_NOT_FOUND, M_LIMIT_EXCEEDED
 */
export async function assertMayAsk(
  { actors, config, clientAddress }: Services,
  destination: ServerName,
): Promise<void> {
  if (!mayTalkTo(config, destination)) throw errors.notFound(`This server does not federate with ${destination}`);
  if (clientAddress === null) return;
  await actors.server(config.serverName).limitAddress("rc_remote_lookup", clientAddress);
}

/**
 * What another server answered. Its refusal reaches the client only as far as it speaks about what was asked for.
 * @throws MatrixError M_FORBIDDEN, M_NOT_FOUND as the other server said; M_UNKNOWN (502) where it did not say anything
 */
export function unwrapAsked<T>(asked: Asked<T>, destination: ServerName): T {
  if (asked.ok) return asked.value;
  if (asked.status === 404) throw errors.notFound(`${destination} does not know this`);
  if (asked.status === 403) throw errors.forbidden(`${destination} does not say`);
  throw errors.badGateway(`${destination} could not be asked`);
}
