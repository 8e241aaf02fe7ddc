/**
 * One request to another server: whether it may be talked to, where it is, our signature, the exchange, and an answer that
 * is bounded in length and time.
 */
import { mayTalkTo } from "../../shared/federation-api/peers.ts";
import { authorizationHeader } from "../../shared/federation-api/x-matrix.ts";
import { parseSignedJson } from "../../shared/json-text.ts";
import { describeError } from "../../shared/log.ts";
import type { PeerAnswer, PeerRequest } from "../../shared/rpc/egress.ts";
import type { Route } from "../../shared/rpc/server-peer.ts";
import { boundedBody, readText } from "./bounded-body.ts";
import type { Answered, EgressContext, Exchange } from "./context.ts";
import { startDeadline } from "./deadline.ts";
import { type Discovered, discover, routeWithoutLookup } from "./discovery.ts";
import { exchangeWith, Unreachable } from "./exchange.ts";
import { currentSigningKey } from "./signing-key.ts";
import { userAgent } from "./user-agent.ts";

/** An answer whose body is still to be read, or to be cancelled. */
export type OpenedAnswer =
  | {
      readonly kind: "answered";
      readonly status: number;
      readonly headers: Headers;
      /** Fails when it is longer than `maxBytes`, or not over within `timeoutMs` from the start of the request. */
      readonly body: ReadableStream<Uint8Array>;
    }
  | { readonly kind: "unreachable"; readonly reason: string };

/** Asks a server and reads the whole answer. Never throws for what the peer does. */
export async function requestPeer(egress: EgressContext, request: PeerRequest): Promise<PeerAnswer> {
  const opened = await openPeer(egress, request);
  if (opened.kind === "unreachable") return opened;
  try {
    return { kind: "answered", status: opened.status, text: await readText(opened.body) };
  } catch (thrown) {
    return { kind: "unreachable", reason: describeError(thrown) };
  }
}

/**
 * Asks a server and gives the answer's body as a stream, for answers that are too long to hold. The caller reads it to the
 * end or cancels it. Never throws for what the peer does; reading the body does.
 */
export async function openPeer(egress: EgressContext, request: PeerRequest): Promise<OpenedAnswer> {
  const { destination, maxBytes } = request;
  if (!mayTalkTo(egress.config, destination)) return unreachable(`${destination} is not to be talked to`);
  const deadline = startDeadline(request.timeoutMs);
  try {
    const headers = await headersOf(egress, request);
    const found = await findRoute(egress, request, deadline.signal);
    const { method, path, content } = request;
    const exchange = { method, path, headers, body: content, signal: deadline.signal };
    const answered = await exchangeWithAny(egress, found.route, exchange);
    if (found.news !== null) await egress.actors.server(destination).setRoute(found.news);
    const bounds = { maxBytes, signal: deadline.signal, onEnd: deadline.stop };
    const body = boundedBody(answered.body, bounds);
    return { kind: "answered", status: answered.status, headers: answered.headers, body };
  } catch (thrown) {
    deadline.stop();
    if (thrown instanceof Unreachable) return unreachable(thrown.message);
    throw thrown;
  }
}

function unreachable(reason: string): OpenedAnswer {
  return { kind: "unreachable", reason };
}

async function headersOf(egress: EgressContext, request: PeerRequest): Promise<Record<string, string>> {
  const headers: Record<string, string> = { Accept: "application/json", "User-Agent": userAgent };
  if (request.content !== null) headers["Content-Type"] = "application/json";
  if (request.isSigned) headers.Authorization = await sign(egress, request);
  return headers;
}

async function sign(egress: EgressContext, { destination, method, path, content }: PeerRequest): Promise<string> {
  const key = await currentSigningKey(egress);
  const origin = egress.config.serverName;
  const parsed = content === null ? null : parseSignedJson(content);
  return authorizationHeader({ origin, destination, method, uri: path, content: parsed }, key);
}

/** A route, and what the peer's actor is to be told of it once the peer has answered. */
interface RouteInUse {
  readonly route: Route;
  readonly news: Discovered | null;
}

async function findRoute(
  egress: EgressContext,
  { destination }: PeerRequest,
  signal: AbortSignal,
): Promise<RouteInUse> {
  const fixed = routeWithoutLookup(destination);
  if (fixed !== null) return { route: fixed, news: null };
  const known = await egress.actors.server(destination).findRoute();
  if (known?.isFresh) return { route: known.route, news: null };
  const news = await discover(egress, destination, known, signal);
  return { route: news.route, news };
}

/** Tries the targets in turn until one answers. Requests between servers may be repeated: each is idempotent. */
async function exchangeWithAny(egress: EgressContext, route: Route, exchange: Exchange): Promise<Answered> {
  const { hostHeader, tlsName } = route;
  const failures: string[] = [];
  for (const { host, port } of route.targets) {
    if (exchange.signal.aborted) break;
    try {
      return await exchangeWith(egress, { host, port, hostHeader, tlsName }, exchange);
    } catch (thrown) {
      if (!(thrown instanceof Unreachable)) throw thrown;
      failures.push(thrown.message);
    }
  }
  throw new Unreachable(failures.join("; ") || "no time left");
}
