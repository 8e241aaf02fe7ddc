/** The room as it is shown to those who look for a room to join: in a space's hierarchy. */
import type { RoomId, ServerName, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { Reply } from "./reply.ts";

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

/** A room as a visitor may see it. `closed`: they may neither join nor read it. `unknown`: this server is not in it. */
export type ShownRoom =
  | { readonly kind: "open"; readonly description: RoomDescription }
  | { readonly kind: "closed" }
  /** `isInvited`: the user is invited by way of another server. */
  | { readonly kind: "unknown"; readonly isInvited: boolean };

export interface RoomForVisitors {
  /** @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy */
  describeRoom(visitor: Visitor): Promise<Reply<ShownRoom>>;
  /** Whether a server has a joined user here; null: this server is not in the room. */
  isServerIn(server: ServerName): Promise<Reply<boolean | null>>;
}
