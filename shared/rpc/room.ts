import type { DeviceId, EventId, RoomAlias, RoomId, ServerName, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { Reply } from "./reply.ts";
import type { RoomForHistory } from "./room-history.ts";
import type { RoomForJoining, RoomForJoins, RoomToBeJoined } from "./room-joining.ts";
import type { RoomForOutbox } from "./room-outbox.ts";
import type { RoomForInbox } from "./room-peers.ts";
import type { RoomForHandshakes } from "./room-resident.ts";
import type { RoomForServers } from "./room-serving.ts";
import type { RoomForVisitors } from "./room-spaces.ts";

/** A `membership` of a room member. @see https://spec.matrix.org/v1.19/client-server-api/#mroommember */
export type Membership = "join" | "invite" | "knock" | "leave" | "ban";

/** Everything `POST /createRoom` may say, after validation; absent fields are null. */
export interface CreateRoomInput {
  creator: UserId;
  /** The signed create event, which decided the room id (room version 12). */
  createEvent: JsonObject;
  roomVersion: string;
  preset: "private_chat" | "trusted_private_chat" | "public_chat";
  visibility: "public" | "private";
  /** Already reserved for this room in the server's alias table. */
  alias: RoomAlias | null;
  name: string | null;
  topic: string | null;
  invite: UserId[];
  isDirect: boolean;
  initialState: { type: string; stateKey: string; content: JsonObject }[];
  powerLevelContentOverride: JsonObject | null;
}

/** A new event of a local user. `stateKey` null: a message event. */
export interface SendEventInput {
  sender: UserId;
  deviceId: DeviceId | null;
  /** Idempotency key within (device, endpoint); null where the endpoint has none. */
  txnId: string | null;
  type: string;
  stateKey: string | null;
  content: JsonObject;
  /** For `PUT …/redact/{eventId}/{txnId}`; null otherwise. */
  redacts: EventId | null;
  /** Of the aliases that an `m.room.canonical_alias` names, those of other servers that were found to lead to the room. */
  aliasesElsewhere?: readonly RoomAlias[];
}

/** A membership change of a local user's making. The target of join, leave and knock is the requester. */
export interface ChangeMembershipInput {
  action: "join" | "invite" | "knock" | "leave" | "kick" | "ban" | "unban";
  requester: UserId;
  target: UserId;
  reason: string | null;
  /** Further content of the member event, as the client gave it. */
  content: JsonObject;
}

/** Event id null: nothing was done, because only other servers can. `servers`: those that the room knows to ask. */
export type MembershipChange =
  | { readonly eventId: EventId }
  | {
      readonly eventId: null;
      /** Servers that are in the room. */
      readonly servers: readonly ServerName[];
      /** Servers that were in it when this one was. */
      readonly formerServers: readonly ServerName[];
    };

/** One page of a room's history. @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages */
export interface MessagesInput {
  requester: UserId;
  deviceId: DeviceId | null;
  /** Room position to start from; null: the newest end for `b`, the oldest for `f`. */
  from: number | null;
  to: number | null;
  /** Null: the client has not said. Who may not read the room is told that first. */
  dir: "b" | "f" | null;
  limit: number;
  /** A RoomEventFilter as the client gave it. */
  filter: JsonObject | null;
  /** Whose events are left out, but for state. */
  ignoredUsers: readonly UserId[];
}

/** An event with those around it. @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid */
export interface EventContextInput {
  requester: UserId;
  deviceId: DeviceId | null;
  eventId: EventId;
  limit: number;
  /** A RoomEventFilter as the client gave it. */
  filter: JsonObject | null;
  /** Whose events around it are left out, but for state. */
  ignoredUsers: readonly UserId[];
}

export interface MembersInput {
  requester: UserId;
  /** Members as of this room position; null: now (or when the requester left). */
  at: number | null;
  membership: string | null;
  notMembership: string | null;
}

/** `POST /rooms/{roomId}/upgrade`. */
export interface UpgradeRoomInput {
  requester: UserId;
  newVersion: string;
  /** Beside the requester; ignored by room versions that have none. */
  additionalCreators: UserId[];
}

/** What the gateway asks of a room on behalf of clients. Results named `JsonObject` are the wire's answer. */
export interface RoomForClients {
  /** Makes the room: create event, creator's join, power levels, preset, initial state, name, topic, invites; one transaction. */
  createRoom(input: CreateRoomInput): Promise<Reply<{ roomId: RoomId }>>;
  /** @throws M_FORBIDDEN with the rule's reason; M_TOO_LARGE; M_NOT_FOUND is never said of a room one is not in (403). */
  sendEvent(input: SendEventInput): Promise<Reply<{ eventId: EventId }>>;
  changeMembership(input: ChangeMembershipInput): Promise<Reply<MembershipChange>>;
  forget(requester: UserId): Promise<Reply<null>>;
  /** Replaces the room by one of another version. @throws M_UNSUPPORTED_ROOM_VERSION, M_FORBIDDEN */
  upgradeRoom(input: UpgradeRoomInput): Promise<Reply<{ roomId: RoomId }>>;
  /** The whole current state (or as of the requester's leaving), as client events. */
  getState(requester: UserId): Promise<Reply<JsonObject[]>>;
  /** One state event: `event` is the client event. @throws M_NOT_FOUND */
  getStateEvent(requester: UserId, type: string, stateKey: string): Promise<Reply<{ event: JsonObject }>>;
  getEvent(requester: UserId, deviceId: DeviceId | null, eventId: EventId): Promise<Reply<JsonObject>>;
  getContext(input: EventContextInput): Promise<Reply<JsonObject>>;
  getMessages(input: MessagesInput): Promise<Reply<JsonObject>>;
  getMembers(input: MembersInput): Promise<Reply<JsonObject>>;
  getJoinedMembers(requester: UserId): Promise<Reply<JsonObject>>;
  setTyping(input: { userId: UserId; typing: boolean; timeoutMs: number }): Promise<Reply<null>>;
  sendReceipt(input: {
    userId: UserId;
    receiptType: "m.read" | "m.read.private";
    eventId: EventId;
    /** `main`, a thread root's event id, or null for an unthreaded receipt. */
    threadId: string | null;
  }): Promise<Reply<null>>;
  /** Whether the room is listed in the public room directory. */
  getDirectoryVisibility(): Promise<Reply<"public" | "private">>;
  setDirectoryVisibility(requester: UserId, visibility: "public" | "private"): Promise<Reply<null>>;
  /** Whether the requester may see the room's aliases: joined, or history is world readable. @throws M_FORBIDDEN */
  assertMayReadAliases(requester: UserId): Promise<Reply<null>>;
  /** Whether the requester may remove an alias of the room that somebody else made (power for `m.room.canonical_alias`). */
  mayManageAliases(requester: UserId): Promise<Reply<boolean>>;
}

/** What a UserActor asks when it answers `/sync`. */
export interface RoomSyncInput {
  userId: UserId;
  deviceId: DeviceId;
  /** Room position that the client's token had read; null: the client has never been given this room. */
  since: number | null;
  /** Whether the client has a token, though it may not have been given this room. */
  isIncremental: boolean;
  fullState: boolean;
  /** The `room` part of the client's filter, or null. */
  filter: JsonObject | null;
  /** `federation`: events as PDUs, as `event_format` of the client's filter may ask. */
  eventFormat: "client" | "federation";
  /** Whether `state_after` is wanted in place of `state`. */
  useStateAfter: boolean;
  ignoredUsers: UserId[];
  /** The user's push rules (`m.push_rules` content), for unread counts. */
  pushRules: JsonObject;
}

/** A user's own membership of a room, as the room tells it to the user's actor. */
export interface OwnMembership {
  membership: Membership;
  /** Room position at which it began: a joined user may have changed their profile since. */
  membershipPosition: number;
}

export interface RoomSyncResult {
  /** Room position up to which the answer has read. */
  readPosition: number;
  /** Where the section goes: `rooms.join`, `rooms.invite`, `rooms.knock`, `rooms.leave`; null: nothing to tell. */
  place: "join" | "invite" | "knock" | "leave" | null;
  /** Null: the user has nothing to do with the room. */
  member: OwnMembership | null;
  /** The section in the wire's form, without `account_data`, which the user owns. */
  section: JsonObject;
  /** Users with whom the requester newly began or ceased to share this room (for `device_lists`). */
  joinedUsers: UserId[];
  leftUsers: UserId[];
}

/** What users ask of a room. */
export interface RoomForUsers {
  /** What is new for the user since a position. Tells the room that the user has caught up, so that it may wake it again. */
  syncRoom(input: RoomSyncInput): Promise<Reply<RoomSyncResult>>;
  /**
   * The user's profile changed: writes a new member event if the user is joined and it differs. Safe to repeat, also late:
   * a version older than one that was told before is not taken.
   */
  updateMemberProfile(userId: UserId, profile: JsonObject, version: number): Promise<Reply<null>>;
  /** Whether an event comes after another, if there is one. @throws M_NOT_FOUND unless the user can see it */
  isAfter(userId: UserId, eventId: EventId, other: EventId | null): Promise<Reply<boolean>>;
  /** The room that this one replaces, where both say so; null: none that this server knows. */
  findReplacedRoom(): Promise<Reply<RoomId | null>>;
}

/** What rooms ask of one another. */
export interface RoomForRooms {
  /** Whether the user is joined here: the condition of another room's restricted join. Null: this server cannot know. */
  isJoined(userId: UserId): Promise<Reply<boolean | null>>;
  /** Whether the room was upgraded to that one, or is being. False for an unknown room. */
  isReplacedBy(replacement: RoomId): Promise<Reply<boolean>>;
}

/** Operators' and maintenance calls. */
export interface RoomForAdmins {
  /** Writes the room's row of the public directory and its members' rows anew. */
  rebuildDirectory(): Promise<Reply<null>>;
}

export interface RoomRpc
  extends RoomForClients,
    RoomForUsers,
    RoomForRooms,
    RoomForAdmins,
    RoomForHandshakes,
    RoomForHistory,
    RoomForInbox,
    RoomForJoining,
    RoomToBeJoined,
    RoomForJoins,
    RoomForOutbox,
    RoomForServers,
    RoomForVisitors {}
