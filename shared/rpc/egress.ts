import type { EventId, RoomId, ServerName } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { EgressForMembership } from "./egress-membership.ts";
import type { Reply } from "./reply.ts";
import type { FoundRoute, KnownRoute, Route } from "./server-peer.ts";

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
  /** Whether it is asked because somebody says to be that server: also of one that did not answer lately. */
  readonly isForStranger?: boolean;
}

/** What came of a request. That a peer is away is no error of ours: a value, never a throw. */
export type PeerAnswer =
  /** `text` is the whole body; it is the caller's to parse and to check. */
  | { readonly kind: "answered"; readonly status: number; readonly text: string }
  /** Nobody answered in time, the answer was too long, or the server may not be talked to. */
  | { readonly kind: "unreachable"; readonly reason: string };

/** A route, and how long it may be used by the specification's caching rules. */
export interface Discovered extends FoundRoute {
  readonly validForMs: number;
}

/** What came of looking for a server. */
export interface Discovery {
  /** Null: its name can be nobody's. */
  readonly found: Discovered | null;
  /** Requests that it took. */
  readonly requests: number;
}

/** What came of asking for a state. */
export type StateGiven =
  /** All that could be taken of it was given to the room. */
  { readonly kind: "given" } | { readonly kind: "failed"; readonly reason: string };

/** A transaction on its way to a server. @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid */
export interface OutboundTransaction {
  readonly destination: ServerName;
  readonly route: Route;
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
  /**
   * Looks for the route to a server. For that server's actor, which remembers it.
   * @param known the route that it knew before.
   */
  discover(input: { serverName: ServerName; known: KnownRoute | null }): Promise<Reply<Discovery>>;
  /**
   * Asks a server for the state before an event, and gives the room its events and their auth chains while they arrive, as
   * outliers: of a large room it is hundreds of megabytes. For that server's actor, which waits.
   */
  fetchState(input: { serverName: ServerName; roomId: RoomId; eventId: EventId }): Promise<Reply<StateGiven>>;
  /**
   * Asks an identity server whether a key of its is still good, at the address that the key's invite names.
   * @returns null where nobody says.
   */
  isKeyValid(input: { url: string; publicKey: string }): Promise<Reply<boolean | null>>;
  /** Answers at once; how it ended is told to the destination's actor (`transactionEnded`). */
  deliver(input: OutboundTransaction): Promise<Reply<null>>;
}
