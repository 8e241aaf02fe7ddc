/** Changes of membership for which other servers have to be asked: each is several requests, and its own story. */
import type { EventId, RoomId, ServerName, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { Reply } from "./reply.ts";

/** A local user's own membership in a room that this server is not in. */
export interface RemoteMembership {
  readonly roomId: RoomId;
  readonly userId: UserId;
  readonly reason: string | null;
  /** Further content of the member event. */
  readonly content: JsonObject;
  /** Who is asked, in this order. */
  readonly servers: readonly ServerName[];
}

/** A local user's invite for a user of another server. */
export interface RemoteInvite {
  readonly roomId: RoomId;
  readonly requester: UserId;
  readonly target: UserId;
  /** Further content: reason, `is_direct`. */
  readonly content: JsonObject;
}

/** Refusals are those of the other servers where they speak about the room; M_UNKNOWN with 502 when nobody could help. */
export interface EgressForMembership {
  /** Joins by way of other servers or, as soon as this one is in the room, here. For the room, which waits for it. */
  joinRoom(input: RemoteMembership): Promise<Reply<{ eventId: EventId }>>;
  /** Fetches the members that a join has left out, as long as the room waits for it; what comes of it, the room is told. */
  completeState(input: { roomId: RoomId; workerId: string }): Promise<Reply<null>>;
  /** Leaves, turns down an invite or takes back a knock; where no server can be told, the user is out of the room here. */
  leaveRoom(input: RemoteMembership): Promise<Reply<null>>;
  /** Does the same behind the reply. */
  startLeave(input: RemoteMembership): Promise<Reply<null>>;
  knockRoom(input: RemoteMembership): Promise<Reply<null>>;
  /** Invites by way of the invited user's server, which signs as well. */
  inviteUser(input: RemoteInvite): Promise<Reply<{ eventId: EventId }>>;
}
