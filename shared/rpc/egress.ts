import type { ServerName } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { EgressForMembership } from "./egress-membership.ts";
import type { Reply } from "./reply.ts";

/** One request of the server-server API to another server. */
export interface PeerRequest {
  readonly destination: ServerName;
  readonly method: "GET" | "PUT" | "POST";
  /** Path and query as they go over the wire, percent-encoded; begins with `/_matrix/`. */
  readonly path: string;
  /** The body as JSON text; null: none. */
  readonly content: string | null;
  /** Whether it carries this server's signature (X-Matrix). What is asked without one: keys, the version. */
  readonly isSigned: boolean;
  /** From the start of the request to the end of the answer. */
  readonly timeoutMs: number;
  /** Longest answer, after decompression. */
  readonly maxBytes: number;
}

/** What came of a request. That a peer is away is no error of ours: a value, never a throw. */
export type PeerAnswer =
  /** `text` is the whole body; it is the caller's to parse and to check. */
  | { readonly kind: "answered"; readonly status: number; readonly text: string }
  /** Nobody answered in time, the answer was too long, or the server may not be talked to. */
  | { readonly kind: "unreachable"; readonly reason: string };

/** A transaction on its way to a server. @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid */
export interface OutboundTransaction {
  readonly destination: ServerName;
  readonly txnId: string;
  /** At most 50, as JSON text. */
  readonly pdus: readonly string[];
  /** At most 100. */
  readonly edus: readonly JsonObject[];
  /** ms since epoch */
  readonly originServerTs: number;
}

/**
 * The one door to the network: a stateless entrypoint, for which waiting is free. Actors hand work to it; none of them
 * awaits a peer, but for the actor of that very peer.
 */
export interface EgressRpc extends EgressForMembership {
  /** Resolves the server's name, signs, asks. Never throws for what a peer does. */
  request(input: PeerRequest): Promise<Reply<PeerAnswer>>;
  /** Answers at once; how it ended is told to the destination's actor (`transactionEnded`). */
  deliver(input: OutboundTransaction): Promise<Reply<null>>;
}
