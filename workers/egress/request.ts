/**
 * One request to another server: whether it may be talked to, where it is, our signature, the exchange, and an answer that
 * is bounded in length and time.
 */
import { mayTalkTo } from "../../shared/federation-api/peers.ts";
import { authorizationHeader } from "../../shared/federation-api/x-matrix.ts";
import { parseSignedJson } from "../../shared/json-text.ts";
import { describeError } from "../../shared/log.ts";
import type { PeerAnswer, PeerRequest } from "../../shared/rpc/egress.ts";
import type { Passage, Route } from "../../shared/rpc/server-peer.ts";
import { boundedBody, readText } from "./bounded-body.ts";
import type { Answered, EgressContext, Exchange } from "./context.ts";
import { type Deadline, orAborted, startDeadline } from "./deadline.ts";
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
  const { destination, timeoutMs, isForStranger = false } = request;
  if (!mayTalkTo(egress.config, destination)) return unreachable(`${destination} is not to be talked to`);
  const deadline = startDeadline(timeoutMs);
  const peer = egress.actors.server(destination);
  let passage: Passage;
  try {
    passage = await orAborted(peer.fetchRoute({ isForStranger }), deadline.signal);
  } catch (thrown) {
    deadline.stop();
    if (deadline.signal.aborted) return unreachable("not found in time");
    throw thrown;
  }
  if (passage.kind === "closed") {
    deadline.stop();
    return unreachable(passage.reason);
  }
  const { opened, requests } = await openOver(egress, request, { route: passage.route, deadline });
  // What strangers cause is held against nobody.
  if (requests > 0 && !passage.isAway && !isForStranger) await peer.noteContact({ isAnswered: false, requests });
  if (passage.isTrial && isSuccess(opened)) await peer.noteContact({ isAnswered: true, requests: 1 });
  return opened;
}

/** Whether the answer shows that the server is there and talks to us. What may stand before it refuses by itself. */
export function isSuccess(opened: OpenedAnswer): boolean {
  return opened.kind === "answered" && opened.status >= 200 && opened.status < 300;
}

/** What a proxy answers when nobody is behind it; Cloudflare's has numbers of its own. */
function isFromProxy(status: number): boolean {
  return (status >= 502 && status <= 504) || (status >= 520 && status <= 530);
}

/** An answer, and how many requests were not answered, or only by what stands before the server. */
export interface Attempted {
  readonly opened: OpenedAnswer;
  readonly requests: number;
}

/** As {@link openPeer}, over a route that is known. */
export async function openOver(
  egress: EgressContext,
  request: PeerRequest,
  { route, deadline }: { route: Route; deadline: Deadline },
): Promise<Attempted> {
  const tally = { requests: 0 };
  try {
    const headers = await headersOf(egress, request);
    const { method, path, content, maxBytes } = request;
    const exchange = { method, path, headers, body: content, signal: deadline.signal };
    const answered = await exchangeWithAny(egress, { route, exchange }, tally);
    if (isFromProxy(answered.status)) tally.requests += 1;
    const bounds = { maxBytes, signal: deadline.signal, onEnd: deadline.stop };
    const body = boundedBody(answered.body, bounds);
    const { status, headers: answerHeaders } = answered;
    const requests = isFromProxy(status) ? tally.requests : 0;
    return { opened: { kind: "answered", status, headers: answerHeaders, body }, requests };
  } catch (thrown) {
    deadline.stop();
    if (!(thrown instanceof Unreachable)) throw thrown;
    return { opened: unreachable(thrown.message), requests: tally.requests };
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

/** Tries the targets in turn until one answers. Requests between servers may be repeated: each is idempotent. */
async function exchangeWithAny(
  egress: EgressContext,
  { route, exchange }: { route: Route; exchange: Exchange },
  tally: { requests: number },
): Promise<Answered> {
  const { hostHeader, tlsName } = route;
  const failures: string[] = [];
  for (const { host, port } of route.targets) {
    if (exchange.signal.aborted) break;
    try {
      return await exchangeWith(egress, { host, port, hostHeader, tlsName }, exchange);
    } catch (thrown) {
      if (!(thrown instanceof Unreachable)) throw thrown;
      if (thrown.wasAsked) tally.requests += 1;
      failures.push(thrown.message);
    }
  }
  throw new Unreachable(failures.join("; ") || "no time left");
}
