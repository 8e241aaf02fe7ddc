import type { RoomId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";

/** What an instance remembers of the transactions of its server; may be lost at any time. */
export interface InboxMemory {
  /** Transactions that are being taken, by content and id, in order of arrival. */
  readonly running: Map<string, RunningTransaction>;
  /** When the transactions of the last second came, ms since epoch. */
  arrivals: readonly number[];
  /** Rooms whose waiting events are being seen to. */
  readonly settling: Set<RoomId>;
  /** Requests for what events lack: since when they are counted, ms since epoch, and how many there were. */
  requests: { sinceTs: number; count: number };
  /** How often EDUs that this server has no use for came, by type. */
  readonly refusedEdus: Map<string, number>;
}

export interface RunningTransaction {
  /** ms since epoch */
  readonly startedTs: number;
  readonly answer: Promise<JsonObject>;
}

export const newInboxMemory = (): InboxMemory => ({
  running: new Map(),
  arrivals: [],
  settling: new Set(),
  requests: { sinceTs: 0, count: 0 },
  refusedEdus: new Map(),
});
