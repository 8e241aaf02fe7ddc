/** What this server's users need of rooms that other servers are in: joining, leaving, knocking, inviting across servers. */
import type { EventId, ServerName, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { KeyRing } from "../matrix/key-ring.ts";
import type { RemoteMembership } from "./egress-membership.ts";
import type { Reply } from "./reply.ts";
import type { PduText } from "./room-peers.ts";
import type { HandshakeMembership } from "./room-resident.ts";

/** What a server offered to be signed. Nothing in it is to be trusted. */
export interface MemberTemplate {
  /** Whom it came from. */
  readonly server: ServerName;
  readonly roomVersion: string;
  /** As JSON text. */
  readonly event: string;
}

/** A member event of this server's making; or why none could be made of the template: another server may have a better one. */
export type PreparedMember =
  | {
      readonly kind: "prepared";
      readonly eventId: EventId;
      readonly pdu: PduText;
      readonly authoriser: ServerName | null;
    }
  | { readonly kind: "unusable"; readonly reason: string };

/** What a server told in place of members. */
export interface OmittedMembers {
  readonly server: ServerName;
  readonly serversInRoom: readonly ServerName[];
}

/** How far the answer of a server has been read: so many events, and a digest of these in their order. */
export interface AnswerProgress {
  readonly events: number;
  readonly digest: string;
}

/** How far the answer of this server has been taken. */
export interface BegunAnswer extends AnswerProgress {
  readonly server: ServerName;
}

/** What is to be done next so that all of a room is known. */
export type CompletionStep =
  /** The whole state before an event is to be fetched; of the answer that was begun, what has not been taken. */
  | {
      readonly kind: "fetch";
      readonly eventId: EventId;
      readonly servers: readonly ServerName[];
      readonly begun: BegunAnswer | null;
    }
  /** Keys are to be fetched of who signed these events, from themselves or from these servers. */
  | { readonly kind: "verify"; readonly pdus: readonly PduText[]; readonly servers: readonly ServerName[] }
  /** To be asked again at once. */
  | { readonly kind: "more" }
  | { readonly kind: "done" };

/** How far a room is that another server has told of. */
export type JoinProgress =
  | { readonly kind: "more" }
  | { readonly kind: "joined"; readonly eventId: EventId }
  /** `isRefused`: by what this server itself knows of the room, the user may not join it. */
  | { readonly kind: "failed"; readonly reason: string; readonly isRefused: boolean };

/** An invite on its way to another server. */
export interface PreparedInvite {
  readonly eventId: EventId;
  readonly roomVersion: string;
  readonly pdu: PduText;
  /** The state that describes the room. */
  readonly inviteRoomState: PduText[];
}

/** What egress asks of a room on behalf of local users. */
export interface RoomForJoining {
  /**
   * Begins a join by way of other servers. While another one is under way, waits for how that one ends.
   * @returns null: no other server is needed, or none is any more. `mayOmitMembers`: the room can do without them for now.
   */
  beginJoin(userId: UserId): Promise<Reply<{ joinId: string; mayOmitMembers: boolean } | null>>;
  /**
   * Makes and signs a member event of fields of our own choosing, at the place in the graph that the template names.
   * @param join that it is for, and who is asked for it; null: no join
   * @throws M_UNSUPPORTED_ROOM_VERSION
   */
  prepareMember(input: {
    join: { joinId: string; servers: ServerName[] } | null;
    membership: HandshakeMembership;
    userId: UserId;
    reason: string | null;
    /** Further content, as a client may give it. */
    content: JsonObject;
    template: MemberTemplate;
  }): Promise<Reply<PreparedMember>>;
  /** Takes a part of the room's state, or of its auth chains: at most 500 PDUs. What is wrong with one is no matter of the others. */
  takeJoinState(input: {
    joinId: string;
    isState: boolean;
    pdus: readonly PduText[];
    keys: KeyRing;
  }): Promise<Reply<null>>;
  /**
   * Goes on with what was taken; to be repeated while there is more.
   * @param pdu the join, with all signatures that it needs
   * @param omitted what stands for the members that the state lacks: who told it, and the servers in the room; null: it is whole.
   */
  finishJoin(input: {
    joinId: string;
    pdu: PduText;
    keys: KeyRing;
    omitted: OmittedMembers | null;
  }): Promise<Reply<JoinProgress>>;
  /** What is to be done next so that all members are known. @throws M_UNKNOWN (409) for a worker that another has replaced */
  advanceCompletion(input: { workerId: string }): Promise<Reply<CompletionStep>>;
  /**
   * Takes a part of a whole state, or of its auth chains: at most 500 PDUs. What another server has told before is dropped.
   * @param progress how far the server's answer has been read with these.
   */
  takeWholeState(input: {
    workerId: string;
    server: ServerName;
    isState: boolean;
    pdus: readonly PduText[];
    keys: KeyRing;
    progress: AnswerProgress;
  }): Promise<Reply<null>>;
  /**
   * All of a state has been given; to be repeated while there is more.
   * @param stateEvents how many events of the state there were; a state that cannot be whole is refused, and dropped.
   */
  finishWholeState(input: {
    workerId: string;
    server: ServerName;
    eventId: EventId;
    stateEvents: number;
  }): Promise<Reply<{ kind: "more" | "taken" | "refused" }>>;
  /** Keys of who signed the events that were to be verified, as far as they could be had. */
  takeKeys(input: { workerId: string; keys: KeyRing }): Promise<Reply<null>>;
  /** What was begun is of no use: nothing of it is passed over. */
  dropWholeState(input: { workerId: string }): Promise<Reply<null>>;
  /** No server could help: the alarm begins anew, later. */
  postponeCompletion(input: { workerId: string }): Promise<Reply<null>>;

  /**
   * The join has failed, and what it has brought is dropped.
   * @param mayBeTaken another server may take the user to be in the room: the join is tried anew, later.
   */
  dropJoin(input: { joinId: string; mayBeTaken: boolean }): Promise<Reply<null>>;

  /** Records that another server has taken the user's leave or knock in a room that this server is not in. */
  noteOutside(input: {
    server: ServerName;
    roomVersion: string;
    pdu: PduText;
    /** `knock_room_state` as it came. */
    strippedState: readonly JsonObject[];
  }): Promise<Reply<null>>;
  /** Takes the user out of a room that this server is not in, whether or not another server has heard of it. */
  leaveOutside(userId: UserId, reason: string | null): Promise<Reply<null>>;

  /** Whether an invite for a user of another server may be sent, which is counted. @throws M_FORBIDDEN, M_LIMIT_EXCEEDED */
  checkInvite(input: { requester: UserId; target: UserId; content: JsonObject }): Promise<Reply<null>>;
  /**
   * An invite for a user of another server, authorized and signed but not stored.
   * @throws M_FORBIDDEN, M_BAD_STATE, M_TOO_LARGE
   */
  prepareInvite(input: { requester: UserId; target: UserId; content: JsonObject }): Promise<Reply<PreparedInvite>>;
  /** Stores such an invite, which the other server has signed as well. @throws M_FORBIDDEN */
  completeInvite(input: { pdu: PduText; keys: KeyRing }): Promise<Reply<{ eventId: EventId }>>;
}

/** What local users ask of a room that this server is not in. */
export interface RoomToBeJoined {
  /**
   * Joins by way of other servers. It goes on when whoever asked does not wait for its end.
   * @throws MatrixError as `joinRoom` of the egress
   */
  joinByOthers(input: RemoteMembership): Promise<Reply<{ eventId: EventId }>>;
}

/** What the actors of other servers, and the endpoints for them, tell a room of its local users. */
export interface RoomForJoins {
  /**
   * An invite for a local user, checked by who calls: format, signature, that it is an invite and for whom.
   * @param strippedState `invite_room_state`, as stripped events
   * @returns the invite with this server's signature.
   */
  receiveInvite(input: {
    origin: ServerName;
    pdu: PduText;
    roomVersion: string;
    strippedState: readonly JsonObject[];
  }): Promise<Reply<PduText>>;
}
