import type { ServerAuth, Services } from "../../shared/endpoint.ts";
import { errors } from "../../shared/errors.ts";
import { mayTalkTo } from "../../shared/federation-api/peers.ts";
import { parseAuthorization, type RequestSignature, verifyRequest } from "../../shared/federation-api/x-matrix.ts";
import type { JsonValue } from "../../shared/json.ts";
import { keysForRequest } from "../../shared/matrix/key-ring.ts";

/**
 * Proves which homeserver makes a request. What costs least is looked at first: the body is read last, of those only whose
 * keys are known.
 *
 * @throws MatrixError M_UNAUTHORIZED; M_FORBIDDEN for a server that may not talk to us; M_UNRECOGNIZED where nobody may
 * @see https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
export async function proveServer(
  request: Request,
  services: Services,
  readBody: () => Promise<JsonValue>,
): Promise<ServerAuth> {
  const { config, actors, clock } = services;
  if (!config.federation) throw errors.unrecognized("This server does not federate");
  const signatures = signaturesOf(request);
  const [{ origin }] = signatures;
  assertMeansUs(signatures, services);
  if (!mayTalkTo(config, origin)) throw errors.forbidden(`Federation with ${origin} is denied`);
  const keyIds = signatures.map(({ keyId }) => keyId);
  const peer = actors.server(origin);
  const known = await peer.getCallerKeys(keyIds);
  const keys = keysForRequest(known.keys, clock.now());
  if (!keyIds.some((keyId) => keys.has(keyId))) {
    throw errors.unauthorized(`None of the keys that the request is signed with is a valid key of ${origin}`);
  }
  const content = request.method === "GET" ? null : await readBody();
  const signed = { origin, destination: config.serverName, method: request.method, uri: uriOf(request.url), content };
  if (!verifyRequest(signed, signatures, keys)) throw errors.unauthorized(`The signature of ${origin} is not valid`);
  if (known.isAwaited) await peer.noteAlive();
  return { origin };
}

function signaturesOf(request: Request): readonly [RequestSignature, ...RequestSignature[]] {
  const header = request.headers.get("Authorization");
  if (header === null) throw errors.unauthorized("The request is not signed: it has no header Authorization");
  const [first, ...others] = parseAuthorization(header) ?? [];
  if (first === undefined) throw errors.unauthorized("The header Authorization is not a valid X-Matrix signature");
  return [first, ...others];
}

/** "the receiving server must deny the request", whose destination is another */
function assertMeansUs(signatures: readonly RequestSignature[], { config: { serverName } }: Services): void {
  for (const { origin, destination } of signatures) {
    if (destination !== null && destination !== serverName) {
      throw errors.unauthorized("The request is meant for another server");
    }
    if (origin === serverName) throw errors.unauthorized("The request claims to be by this server");
  }
}

/** Path and query as they came: parsing would have changed some characters, and the signature is over what was sent. */
function uriOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start === -1 ? "/" : url.slice(start);
}
