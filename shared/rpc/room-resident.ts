/** What servers that want to join, leave or knock ask of a room that this server is in. */
import type { EventId, ServerName, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { InviteKey } from "../matrix/content/third-party-invite.ts";
import type { KeyRing } from "../matrix/key-ring.ts";
import type { Reply } from "./reply.ts";
import type { PduText } from "./room-peers.ts";

/** The memberships that a user of another server takes through a server in the room. */
export type HandshakeMembership = "join" | "leave" | "knock";

/** An event that the room has taken for a server, as it is sent to the others. */
export interface HandshakeEvent {
  readonly eventId: EventId;
  readonly pdu: PduText;
}

/** What a joining server is given of a room, by the ids of the events. */
export interface JoinState {
  /** The state before the join; without most members where they may be left out. */
  readonly stateIds: EventId[];
  readonly authChainIds: EventId[];
  readonly membersOmitted: boolean;
  /** Servers with joined members before the join. */
  readonly serversInRoom: ServerName[];
}

export interface RoomForHandshakes {
  /**
   * `make_join`, `make_leave`, `make_knock`: an event that would be allowed now, unsigned.
   * @param versions room versions that the asking server knows; null where the endpoint has no such parameter
   * @throws M_NOT_FOUND, M_FORBIDDEN, M_INCOMPATIBLE_ROOM_VERSION, M_UNABLE_TO_AUTHORISE_JOIN, M_UNABLE_TO_GRANT_JOIN
   */
  makeMembership(input: {
    membership: HandshakeMembership;
    origin: ServerName;
    userId: UserId;
    versions: readonly string[] | null;
  }): Promise<Reply<{ roomVersion: string; event: JsonObject }>>;
  /**
   * `send_join`, `send_leave`, `send_knock`: takes the signed event, and has it sent to the other servers in the room.
   * @throws M_NOT_FOUND, M_FORBIDDEN, M_INVALID_PARAM; then nothing is stored
   */
  acceptMembership(input: {
    membership: HandshakeMembership;
    origin: ServerName;
    eventId: EventId;
    pdu: PduText;
    keys: KeyRing;
  }): Promise<Reply<HandshakeEvent>>;
  /** The state before a join that was taken. */
  getJoinState(input: { eventId: EventId; omitMembers: boolean }): Promise<Reply<JoinState>>;
  /** What `send_knock` answers: the state at the knock that describes the room. @throws M_NOT_FOUND */
  getKnockState(eventId: EventId): Promise<Reply<PduText[]>>;
  /**
   * Events as they are federated, redacted ones pruned, in the order of the ids; unknown ones left out. At most 500 ids.
   * Whether the asking server may have them is for the caller to know.
   */
  getPdus(eventIds: readonly EventId[]): Promise<Reply<PduText[]>>;
  /**
   * The keys of an invite by third-party id with which an identity server has signed.
   * @throws M_NOT_FOUND where this server is not in the room; M_FORBIDDEN
   */
  getInviteKeys(input: { origin: ServerName; signed: JsonObject }): Promise<Reply<InviteKey[]>>;
  /**
   * Invites a local user whom an identity server has named as the one who was invited by third-party id.
   * @param origin who asks: the invited user's server
   * @param signed by the identity server, not checked
   * @returns for a user of another server, the content of the invite that is to be taken to their server.
   * @throws M_NOT_FOUND where this server is not in the room; M_FORBIDDEN
   */
  exchangeInvite(input: {
    origin: ServerName;
    sender: UserId;
    target: UserId;
    signed: JsonObject;
  }): Promise<Reply<{ content: JsonObject; isInvited: boolean }>>;
}
