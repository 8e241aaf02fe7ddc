/** The room as it is shown to those who look for a room to join: by itself, or in a space's hierarchy. */
import type { RoomId, ServerName, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { Reply } from "./reply.ts";
import type { Membership } from "./room.ts";

/** For whom a room is described: a local user, or the users of a server. */
export type Visitor =
  | { readonly kind: "user"; readonly userId: UserId }
  | { readonly kind: "server"; readonly server: ServerName };

/** A room that a space lists. */
export interface SpaceChild {
  readonly roomId: RoomId;
  /** Servers that may know it. */
  readonly via: readonly ServerName[];
  readonly isSuggested: boolean;
  /** Stripped, with `origin_server_ts`, in the wire's form. */
  readonly event: JsonObject;
}

/** A room as a hierarchy shows it. */
export interface RoomDescription {
  /** The wire's `RoomSummary`. */
  readonly summary: JsonObject;
  /** Of a space, in the order in which they are shown; at most 200. */
  readonly children: readonly SpaceChild[];
}

/**
 * A room as a visitor may see it, and what a user is in it. `closed`: they may neither join nor read it. `unknown`: this server
 * is not in it.
 */
export type ShownRoom =
  | { readonly kind: "open"; readonly description: RoomDescription; readonly membership: Membership | null }
  | { readonly kind: "closed" }
  | { readonly kind: "unknown"; readonly membership: Membership | null };

export interface RoomForVisitors {
  /**
   * The room for who looks for one to join.
   * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy
   * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias
   */
  describeRoom(visitor: Visitor): Promise<Reply<ShownRoom>>;
  /** Whether a server has a joined user here; null: this server is not in the room. */
  isServerIn(server: ServerName): Promise<Reply<boolean | null>>;
  /** Servers by way of which the room may be joined, as far as is known here: this one first, if it is in the room. */
  getServers(): Promise<Reply<ServerName[]>>;
}
