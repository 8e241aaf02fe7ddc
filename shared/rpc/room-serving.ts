/** What a server that is in the room may read of it. */
import type { EventId, ServerName } from "../ids.ts";
import type { Reply } from "./reply.ts";
import type { PduText } from "./room-peers.ts";

/** Some of the events that were asked for, as many as one answer may carry. */
export interface PduPage {
  readonly pdus: PduText[];
  /** How many of the ids this answers, from the first. */
  readonly taken: number;
}

/**
 * The room as it is read by another server. Each method holds for itself whether that server may read at all, and gives
 * each event as the server may see it: where it may not, redacted.
 *
 * All throw M_FORBIDDEN for a server that is not in the room or that the room's ACL shuts out, and for a room that this
 * server is not in: from outside, these look the same.
 */
export interface RoomForServers {
  /** The state before an event and its auth chains, by the ids. @throws M_NOT_FOUND where that state is not known */
  getStateIds(input: {
    origin: ServerName;
    eventId: EventId;
  }): Promise<Reply<{ stateIds: EventId[]; authChainIds: EventId[] }>>;
  /** The auth chain of an event, by the ids. @throws M_NOT_FOUND */
  getAuthChainIds(input: { origin: ServerName; eventId: EventId }): Promise<Reply<EventId[]>>;
  /**
   * Events of the state before `at`, or of auth chains. Whoever may see `at` may see all of these. At most 500 ids.
   * @throws M_NOT_FOUND for an unknown `at`
   */
  getPdusAt(input: { origin: ServerName; at: EventId; eventIds: readonly EventId[] }): Promise<Reply<PduPage>>;
  /** One event; null: it is not here. Never throws: null for whoever may not ask. */
  findPdu(input: { origin: ServerName; eventId: EventId }): Promise<Reply<PduText | null>>;
  /** These events and those before them, deepest first. */
  getHistory(input: { origin: ServerName; from: readonly EventId[]; limit: number }): Promise<Reply<PduText[]>>;
  /** The events before `latestEvents` that are not before `earliestEvents`, in an order in which they can be taken. */
  getMissing(input: {
    origin: ServerName;
    earliestEvents: readonly EventId[];
    latestEvents: readonly EventId[];
    limit: number;
    minDepth: number;
  }): Promise<Reply<PduText[]>>;
  /** The event nearest to a time, of those that the server may see. @param ts ms since epoch @throws M_NOT_FOUND */
  findNearestForServer(input: {
    origin: ServerName;
    ts: number;
    dir: "f" | "b";
  }): Promise<Reply<{ eventId: EventId; originServerTs: number }>>;
}
