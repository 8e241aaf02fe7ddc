import type { DeviceId, EventId, RoomId, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { Reply } from "./reply.ts";
import type { OwnMembership } from "./room.ts";

/** Synapse's names for rate limits that are counted per user. */
export type UserRateLimit = "rc_message" | "rc_joins" | "rc_invites" | "rc_room_creation" | "rc_admin_redaction";

/** Who makes a request, proven by an access token. */
export interface UserAuth {
  userId: UserId;
  deviceId: DeviceId;
  isAdmin: boolean;
  isGuest: boolean;
}

/** A new session, as login, registration and refresh give it. */
export interface SessionTokens {
  userId: UserId;
  deviceId: DeviceId;
  accessToken: string;
  refreshToken: string | null;
  /** Lifetime of the access token; null: until logout. */
  expiresInMs: number | null;
}

export interface RegisterInput {
  /** Null: an account that cannot log in with a password. */
  password: string | null;
  displayName: string | null;
  isAdmin: boolean;
  /** The proven registration token; null where the server's mode needs none. */
  registrationToken: string | null;
  /** Proven by the shared secret: the registration mode does not apply. */
  bySharedSecret: boolean;
  /** Null: no session is wanted (`inhibit_login`). */
  session: NewSession | null;
}

export interface NewSession {
  deviceId: string | null;
  initialDeviceDisplayName: string | null;
  /** Whether the client understands refresh tokens. */
  refreshToken: boolean;
}

/** Everything of `POST /createRoom` that needs no look-up; the user's actor turns it into a room. */
export interface CreateRoomRequest {
  roomVersion: string | null;
  preset: "private_chat" | "trusted_private_chat" | "public_chat" | null;
  visibility: "public" | "private";
  roomAliasName: string | null;
  name: string | null;
  topic: string | null;
  invite: UserId[];
  isDirect: boolean;
  creationContent: JsonObject;
  initialState: { type: string; stateKey: string; content: JsonObject }[];
  powerLevelContentOverride: JsonObject | null;
}

/** What the gateway asks of a user on behalf of clients. */
export interface UserForClients {
  /** Whether the name is free and allowed. @throws M_USER_IN_USE, M_INVALID_USERNAME, M_EXCLUSIVE */
  assertAvailable(): Promise<Reply<null>>;
  /** Makes the account; `session` is null when none was wanted. @throws M_USER_IN_USE, M_WEAK_PASSWORD, M_FORBIDDEN */
  register(input: RegisterInput): Promise<Reply<{ userId: UserId; session: SessionTokens | null }>>;
  /** @throws M_FORBIDDEN when user or password is wrong (the same answer for both), M_USER_DEACTIVATED, M_LIMIT_EXCEEDED */
  loginWithPassword(input: { password: string; session: NewSession }): Promise<Reply<SessionTokens>>;
  /** Checks the password for user-interactive authentication. @throws M_FORBIDDEN */
  checkPassword(password: string): Promise<Reply<null>>;
  /**
   * Proves an access token and counts the request against `rateLimit`.
   * @throws M_UNKNOWN_TOKEN (`soft_logout` when expired), M_USER_LOCKED, M_LIMIT_EXCEEDED
   */
  authenticate(input: {
    accessToken: string;
    rateLimit: UserRateLimit | null;
    /** For the device's `last_seen_ip`; null where none is known. */
    clientAddress: string | null;
  }): Promise<Reply<UserAuth>>;
  refresh(refreshToken: string): Promise<Reply<SessionTokens>>;
  logout(deviceId: DeviceId): Promise<Reply<null>>;
  logoutAll(): Promise<Reply<null>>;
  changePassword(input: {
    newPassword: string;
    logoutDevices: boolean;
    keepDevice: DeviceId | null;
  }): Promise<Reply<null>>;
  deactivate(erase: boolean): Promise<Reply<null>>;

  getDevices(): Promise<Reply<JsonObject[]>>;
  getDevice(deviceId: DeviceId): Promise<Reply<JsonObject>>;
  updateDevice(deviceId: DeviceId, displayName: string | null): Promise<Reply<null>>;
  deleteDevices(deviceIds: DeviceId[]): Promise<Reply<null>>;

  /** The profile as `GET /profile/{userId}` answers it. @throws M_NOT_FOUND for an unknown user */
  getProfile(): Promise<Reply<JsonObject>>;
  /** Sets (or, with undefined as null `remove`, removes) one field and tells the joined rooms. */
  setProfileField(name: string, value: JsonObject[string]): Promise<Reply<null>>;
  deleteProfileField(name: string): Promise<Reply<null>>;

  getAccountData(roomId: RoomId | null, type: string): Promise<Reply<JsonObject>>;
  setAccountData(roomId: RoomId | null, type: string, content: JsonObject): Promise<Reply<null>>;
  /** Moves the `m.fully_read` marker, which the general endpoint refuses to write; never back. @throws M_NOT_FOUND */
  moveFullyRead(roomId: RoomId, eventId: EventId): Promise<Reply<null>>;
  /** Sets one tag of a room among its others; null removes it. */
  setRoomTag(roomId: RoomId, tag: string, content: JsonObject | null): Promise<Reply<null>>;
  createFilter(filter: JsonObject): Promise<Reply<{ filterId: string }>>;
  getFilter(filterId: string): Promise<Reply<JsonObject>>;

  /** Stores the messages for delivery. Idempotent per (device, txnId). */
  sendToDevice(input: {
    deviceId: DeviceId;
    txnId: string;
    type: string;
    /** user id → device id or `*` → content */
    messages: Record<string, Record<string, JsonObject>>;
  }): Promise<Reply<null>>;

  /** A token by which the user proves to a third party who they are. */
  createOpenIdToken(): Promise<Reply<{ token: string; expiresInMs: number }>>;
  /** Whether such a token is this user's, and still good. */
  isOpenIdTokenGood(token: string): Promise<Reply<boolean>>;

  getJoinedRooms(): Promise<Reply<RoomId[]>>;
  /** Whose events the user does not want, but for state. */
  getIgnoredUsers(): Promise<Reply<UserId[]>>;
  createRoom(request: CreateRoomRequest): Promise<Reply<{ roomId: RoomId }>>;
  /** The room position that a sync token had read, for `/messages` and `/members?at=`. @throws M_INVALID_PARAM */
  roomPositionAt(syncToken: string, roomId: RoomId): Promise<Reply<number>>;
  sync(input: SyncInput): Promise<Reply<SyncResult>>;
}

export interface SyncInput {
  deviceId: DeviceId;
  since: string | null;
  /** A filter id or inline JSON, as the query had it; null: none. */
  filter: string | null;
  fullState: boolean;
  useStateAfter: boolean;
}

export interface SyncResult {
  /** The whole answer of `GET /sync`, `next_batch` included. */
  response: JsonObject;
  nextBatch: string;
  /** Nothing in it is news for the client: the gateway may wait and ask again. */
  isEmpty: boolean;
}

/** A room's word to a user: "you are behind". Carries no event; applied only where newer, so repeats are harmless. */
export interface RoomWake extends OwnMembership {
  roomId: RoomId;
  /** Newest room position that concerns the user. */
  head: number;
}

/** For what a room asks for a profile: each invite counts against the invitee's `rc_invites.per_user`. */
export type ProfileOccasion = "invite" | "own";

/** What rooms tell a user. */
export interface UserForRooms {
  /** @returns the room position that the user's actor has read for certain: at or past `head`, the wake was needless. */
  roomAdvanced(wake: RoomWake): Promise<Reply<{ knownPosition: number }>>;
  /** `displayname` and `avatar_url` for a member event; empty for an unknown user. @throws M_LIMIT_EXCEEDED, M_INVITE_BLOCKED for an invite */
  getMemberProfile(occasion: ProfileOccasion, roomId: RoomId): Promise<Reply<JsonObject>>;
  /** The user has forgotten the room, which they left at the room position `through`. Safe to repeat, also late. */
  roomForgotten(roomId: RoomId, through: number): Promise<Reply<null>>;
  /** Whether an active account of this name exists. */
  exists(): Promise<Reply<boolean>>;
}

/** What users tell one another. */
export interface UserForUsers {
  /** Puts messages in this user's devices' inboxes. Safe to repeat: (sender, messageId) is stored once. */
  depositToDevice(input: {
    sender: UserId;
    messageId: string;
    type: string;
    /** device id or `*` → content */
    messages: Record<string, JsonObject>;
  }): Promise<Reply<null>>;
}

export interface UserForAdmins {
  /** Writes the user's row of the user directory anew. */
  rebuildDirectory(): Promise<Reply<null>>;
}

export interface UserRpc extends UserForClients, UserForRooms, UserForUsers, UserForAdmins {}
