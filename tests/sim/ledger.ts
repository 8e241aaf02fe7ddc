/** What people asked for and what they were answered: what the server has promised. */
import type { EventId, RoomId, UserId } from "../../shared/ids.ts";

/** A message that somebody sent, perhaps several times with the same transaction id. */
export interface SentMessage {
  readonly roomId: RoomId;
  readonly sender: UserId;
  /** The body: unique among all messages. */
  readonly marker: string;
  /** Each answer that was received: they must be the same. */
  readonly eventIds: EventId[];
  /** Whether the last word was a refusal. */
  isRefused: boolean;
}

export interface SentToDevice {
  readonly id: string;
  /** Devices that must get it, as `user device`. */
  readonly targets: readonly string[];
}

export class Ledger {
  readonly rooms: RoomId[] = [];
  readonly messages: SentMessage[] = [];
  readonly toDevice: SentToDevice[] = [];
  /** Other events that were acknowledged. */
  readonly events: { roomId: RoomId; eventId: EventId }[] = [];
  /** Rooms that somebody wanted to forget, as `user room`. */
  readonly forgotten = new Set<string>();
  /** How often each operation was asked for, and how often it was granted. */
  readonly counts = new Map<string, { asked: number; granted: number }>();

  count(operation: string, isGranted: boolean): void {
    const count = this.counts.get(operation) ?? { asked: 0, granted: 0 };
    this.counts.set(operation, { asked: count.asked + 1, granted: count.granted + (isGranted ? 1 : 0) });
  }
}
