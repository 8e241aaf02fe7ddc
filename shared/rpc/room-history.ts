/** What is asked of a room whose past is not all here. */
import type { EventId, ServerName, UserId } from "../ids.ts";
import type { KeyRing } from "../matrix/key-ring.ts";
import type { Reply } from "./reply.ts";
import type { PduOutcome, PduText } from "./room-peers.ts";

/** A place in the room's stream where events are missing. */
export interface Gap {
  /** Position behind which what is missing goes; null: before everything that is here. */
  readonly after: number | null;
  /** Missing events that those after the gap follow. */
  readonly from: readonly EventId[];
  /** Servers that may have them, the likeliest first. */
  readonly servers: readonly ServerName[];
}

export interface NearestEvent {
  readonly event: { readonly eventId: EventId; readonly originServerTs: number } | null;
  readonly gap: Gap | null;
}

export interface RoomForHistory {
  /**
   * The gap at which a page ended that the user read backwards; null: there is none, or nobody to ask.
   * @param end the page's `end`, as a position; null: it had none.
   */
  findGap(requester: UserId, end: number | null): Promise<Reply<Gap | null>>;
  /**
   * The event nearest to a time that the user may see, and the gap, if one lies there, in which a nearer one may be.
   * @param ts ms since epoch
   * @throws M_FORBIDDEN
   */
  findNearest(input: { requester: UserId; ts: number; dir: "f" | "b" }): Promise<Reply<NearestEvent>>;
  /** Which of these events have no place in the graph here. At most 20,000. */
  findUnplaced(eventIds: readonly EventId[]): Promise<Reply<EventId[]>>;
  /**
   * Takes events of the past, as far as those that are here follow them, and those one another. At most 100; the outcomes
   * are in their order.
   * @param after of the gap that they are for.
   * @param states of each prev event that nobody has given, the ids of the state after it.
   */
  receiveHistory(input: {
    after: number | null;
    pdus: readonly PduText[];
    keys: KeyRing;
    states: readonly { prevEventId: EventId; stateIds: readonly EventId[] }[];
  }): Promise<Reply<PduOutcome[]>>;
}
