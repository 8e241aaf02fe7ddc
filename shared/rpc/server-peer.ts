/** What is asked of the actor of another server's name: all that this server knows of that one, and owes it. */
import type { EventId, RoomId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { VerifyKey } from "../matrix/key-ring.ts";
import type { Reply } from "./reply.ts";

/** Where a server is reached. @see https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names */
export interface Route {
  /** To be tried in this order; at least one. */
  readonly targets: readonly { readonly host: string; readonly port: number }[];
  /** The `Host` header. */
  readonly hostHeader: string;
  /** Whom the certificate must name. */
  readonly tlsName: string;
}

/**
 * How a delivery ended. `refused`: an answer other than 200 or 429/5xx. After 400 and 413 the transaction is made smaller,
 * until what the server does not take is found and dropped; after any other, it is tried again later.
 */
export type DeliveryOutcome =
  | { readonly kind: "delivered" }
  | { readonly kind: "refused"; readonly status: number; readonly reason: string }
  | {
      readonly kind: "failed";
      readonly reason: string;
      readonly retryAfterMs: number | null;
      /** Requests that came to nothing as if nobody was there; 0: the server has answered. */
      readonly requests: number;
    };

/** A room's word to a server that is in it. */
export interface ServerWake {
  readonly roomId: RoomId;
  /** Newest room position that concerns the server. */
  readonly head: number;
  /** Where the server begins to follow the room: what is after this position is for it. */
  readonly since: number;
}

/** A route with what decides how long it is used. */
export interface FoundRoute {
  readonly route: Route;
  /** Whether a valid `.well-known` named it. */
  readonly isDelegated: boolean;
  /** How many times in a row the `.well-known` could not be had. */
  readonly failures: number;
}

/** A route as it was stored. */
export interface KnownRoute extends FoundRoute {
  /** ms since it was found. */
  readonly ageMs: number;
}

/** Whether a server is asked now. */
export type Passage =
  | {
      readonly kind: "open";
      readonly route: Route;
      /** The actor wants to hear of an answer (`noteContact`). */
      readonly isTrial: boolean;
      /** It need not hear of a failure: it expects none other. */
      readonly isAway: boolean;
    }
  /** `untilTs`: ms since epoch; null: it was looked for in vain. */
  | { readonly kind: "closed"; readonly reason: string; readonly untilTs: number | null };

/** What came of asking a server, as far as it says whether it is there. */
export interface Contact {
  readonly isAnswered: boolean;
  /** How many requests that took. */
  readonly requests: number;
}

/** Keys of a server that are asked for. */
export interface WantedKeys {
  /** None: all that are known. */
  readonly keyIds: readonly string[];
  /** When they should be valid, ms since epoch; null: any time will do. */
  readonly validAt: number | null;
  /**
   * Whether somebody has caused this who has not proven anything yet. Then a failure leaves nothing behind in the database,
   * or anybody could fill it; and it is not held against the server for long, which may be the one that asks.
   */
  readonly isForStranger?: boolean;
  /** Whether only the server itself is asked, and no key server. */
  readonly isDirectOnly?: boolean;
}

/** What a request by a server is checked by. */
export interface CallerKeys {
  readonly keys: Record<string, VerifyKey>;
  /** Whether `noteAlive` is to be told once the request has proved to be the server's. */
  readonly isAwaited: boolean;
}

export interface PeerServer {
  /**
   * How the server is reached, after looking for it (once, however many ask) where that is not known. A server that does not
   * answer is asked but a few times a day, whoever wants something of it.
   *
   * @param isForStranger whether it may be the server itself that stands at the door: then it is asked all the same.
   */
  fetchRoute(input: { isForStranger: boolean }): Promise<Reply<Passage>>;
  /** What came of it. */
  noteContact(contact: Contact): Promise<Reply<null>>;

  /**
   * The server's keys as far as they are known, after fetching (once, however many ask) where one of `keyIds` is not known
   * or not valid at `validAt`. Never throws for what the peer does: what could not be had is not in the answer.
   */
  getVerifyKeys(input: WantedKeys): Promise<Reply<Record<string, VerifyKey>>>;
  /** The keys by which to tell whether it is this server that makes a request. */
  getCallerKeys(keyIds: readonly string[]): Promise<Reply<CallerKeys>>;
  /**
   * What the server has signed of its keys, with our signature added, as JSON text; fetched as in `getVerifyKeys`.
   * @see https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server
   */
  getNotarizedKeys(input: WantedKeys): Promise<Reply<string[]>>;

  /** `PUT /send/{txnId}` from this server: repeats are answered as the first time. */
  receiveTransaction(input: {
    txnId: string;
    /** As JSON text. */
    pdus: readonly string[];
    edus: readonly JsonObject[];
  }): Promise<Reply<JsonObject>>;
  /** The server has spoken to us: what waits for it is tried now. Does nothing where nothing waits. */
  noteAlive(): Promise<Reply<null>>;

  /**
   * Asks the server for events that are missing in a room, and for those before them, and gives them to the room.
   * @param after of the gap that they are missing in.
   * @returns how many the room has taken; none where the server does not give any.
   */
  fetchHistory(input: { roomId: RoomId; after: number | null; from: readonly EventId[] }): Promise<Reply<number>>;
  /** The server speaks of a room that it is in: it reads it, or joins it by way of us. */
  noteSharedRoom(roomId: RoomId): Promise<Reply<null>>;
  /** Rooms that both servers may be in, those first of which the server spoke lately. */
  getSharedRooms(limit: number): Promise<Reply<RoomId[]>>;

  /** A room's word that there is something for the server. @returns the position read for certain. */
  roomAdvanced(wake: ServerWake): Promise<Reply<{ knownPosition: number }>>;
  /**
   * How the transaction on its way ended. Ignored when it is not the one that is under way.
   * @param input.sentTs `originServerTs` of the attempt.
   */
  transactionEnded(input: { txnId: string; sentTs: number; outcome: DeliveryOutcome }): Promise<Reply<null>>;
  /** Stores an EDU that must arrive (to-device), once per `id`. */
  sendEdu(input: { id: string; edu: JsonObject }): Promise<Reply<null>>;
}
