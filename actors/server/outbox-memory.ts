import type { RoomId } from "../../shared/ids.ts";

/** What an instance remembers of delivering to its server; may be lost at any time. */
export interface OutboxMemory {
  /** A transaction is being put together. */
  isPumping: boolean;
  /** Something new came meanwhile. */
  isAskedAgain: boolean;
  /** The room that was looked at last: the next transaction begins with the one after it. */
  lastRoom: string;
  /** Rooms that have been asked for what goes into the transaction that is being put together. */
  readonly asked: Set<RoomId>;
  /** Those of them that said meanwhile that they have something: it may be newer than what they gave. */
  readonly wokenMeanwhile: Set<RoomId>;
  /** The transaction that this instance handed over last. */
  handedOver: string | null;
  /** What waits in stored EDUs, counted once for each life of the instance; null: not counted yet. */
  edus: { count: number; size: number } | null;
}

export const newOutboxMemory = (): OutboxMemory => ({
  isPumping: false,
  isAskedAgain: false,
  lastRoom: "",
  asked: new Set(),
  wokenMeanwhile: new Set(),
  handedOver: null,
  edus: null,
});
