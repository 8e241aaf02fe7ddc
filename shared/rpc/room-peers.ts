/** What the actors of other servers, and procedures that speak with them, ask of a room. */
import type { EventId, ServerName, UserId } from "../ids.ts";
import type { KeyRing } from "../matrix/key-ring.ts";
import type { Reply } from "./reply.ts";

/**
 * An event on its way between actors: the JSON text of a PDU. Numbers of rooms of versions 1 to 5 may be beyond what a
 * double holds, so that a parsed event would not arrive as it was sent.
 */
export type PduText = string;

/** What became of a PDU. */
export type PduOutcome =
  | { readonly kind: "accepted" | "softFailed" | "outlier" | "duplicate"; readonly eventId: EventId }
  | { readonly kind: "rejected"; readonly eventId: EventId; readonly rule: string; readonly reason: string }
  /**
   * Not stored: no valid event, or not for this room.
   * `lacksKeysOf`: this server must have signed it, and by none of the keys that are known; with others it may pass.
   */
  | {
      readonly kind: "dropped";
      readonly eventId: EventId | null;
      readonly reason: string;
      readonly lacksKeysOf?: ServerName;
    }
  /**
   * Not stored: events that it follows, or that authorize it, are not here; or, where none are named, a user of this server is
   * still joining the room. To be given again.
   */
  | {
      readonly kind: "missing";
      readonly eventId: EventId;
      readonly prevEvents: readonly EventId[];
      readonly authEvents: readonly EventId[];
    };

/** A user of another server types, or has stopped. */
export interface RemoteTyping {
  readonly userId: UserId;
  readonly isTyping: boolean;
}

/** How far a user of another server has read. */
export interface RemoteReceipt {
  readonly userId: UserId;
  readonly eventId: EventId;
  /** `main`, a thread root's event id, or null for an unthreaded receipt. */
  readonly threadId: string | null;
  /** ms since epoch, as the user's server says */
  readonly ts: number;
}

/** What reaches the room from other servers. All events pass `admitPdu`. */
export interface RoomForInbox {
  /**
   * Takes events of a transaction. At most 50; the outcomes are in their order. All are dropped where this server is not in
   * the room.
   * @param areFetched whether nobody sent them by themselves: others follow them, so that they belong to the graph, even
   *   where the room's ACL shuts out their senders' servers now.
   */
  receivePdus(input: {
    origin: ServerName;
    pdus: readonly PduText[];
    keys: KeyRing;
    areFetched: boolean;
  }): Promise<Reply<PduOutcome[]>>;
  /**
   * Takes events of auth chains and states, in any order, outside of the graph. An event whose auth events are neither
   * here nor among `pdus` ends as `missing`. At most 500.
   */
  receiveOutliers(input: { pdus: readonly PduText[]; keys: KeyRing }): Promise<Reply<PduOutcome[]>>;
  /**
   * Takes an event some of whose prev events nobody could give us, on the state after each of those, as a server told it.
   * @param states of each missing prev event, the ids of the state after it: of two of the same key, the later counts.
   *   What is not here, or was rejected, is left out.
   */
  receiveAfterGap(input: {
    origin: ServerName;
    pdu: PduText;
    keys: KeyRing;
    states: readonly { prevEventId: EventId; stateIds: readonly EventId[] }[];
  }): Promise<Reply<PduOutcome>>;
  /** Which of these events are not here. At most 20,000. */
  findUnknown(eventIds: readonly EventId[]): Promise<Reply<EventId[]>>;
  /** What `get_missing_events` asks with; null: the room is not known here. */
  getEnds(): Promise<Reply<{ roomVersion: string; forwardExtremities: EventId[]; minDepth: number } | null>>;
  /**
   * Notes typing and receipts of users of another server. What is not of a joined user of `origin`, or comes from a
   * server that the room's ACL shuts out, has no effect.
   * @returns the receipts for events that are not here yet.
   */
  receiveEphemeral(input: {
    origin: ServerName;
    typing: readonly RemoteTyping[];
    receipts: readonly RemoteReceipt[];
  }): Promise<Reply<RemoteReceipt[]>>;
}
