/** What the actor of another server asks of a room: what is to be sent to that server. */
import type { ServerName } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { Reply } from "./reply.ts";
import type { PduText } from "./room-peers.ts";

export interface TakeOutboundInput {
  readonly destination: ServerName;
  /** Room position up to which the server has been given everything. */
  readonly since: number;
  /** The last position that is wanted; null: all there is. A repeat of a batch is given the same events. */
  readonly through: number | null;
  /** At most as many as a transaction may carry. */
  readonly maxPdus: number;
  readonly maxEdus: number;
}

/** What of a room's stream is for another server. */
export interface OutboundBatch {
  /** In the order of the stream. */
  readonly pdus: readonly PduText[];
  /** `m.receipt` and `m.typing`. */
  readonly edus: readonly JsonObject[];
  /** Room position up to which nothing is left. */
  readonly position: number;
  /** Whether there is more after it at this moment. */
  readonly isMore: boolean;
}

export interface RoomForOutbox {
  /**
   * What this server has to send to another after a position. Where nothing is left, the room may wake that server again.
   * @throws M_NOT_FOUND for an unknown room
   */
  takeOutbound(input: TakeOutboundInput): Promise<Reply<OutboundBatch>>;
}
