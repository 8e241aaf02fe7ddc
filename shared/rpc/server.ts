import type { RoomAlias, RoomId, UserId } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import type { Reply } from "./reply.ts";
import type { PeerServer } from "./server-peer.ts";

/** Rate limits counted per client address, with Synapse's names. */
export type AddressRateLimit =
  | "rc_login.address"
  | "rc_registration"
  | "rc_registration_token_validity"
  | "rc_key_query"
  | "rc_remote_lookup";

/** The server's Ed25519 key. Travels only between this server's own actors. */
export interface SigningKey {
  /** `ed25519:<version>` */
  keyId: string;
  /** 32 bytes, unpadded base64. */
  seed: string;
}

/** A change of the signing key. */
export interface RotatedKey {
  keyId: string;
  oldKeyId: string;
  /** ms since epoch */
  oldExpiresTs: number;
}

export interface RegistrationToken {
  token: string;
  usesAllowed: number | null;
  completed: number;
  expiryTime: number | null;
}

/** A stage of user-interactive authentication that was proven. */
export interface UiaStageProof {
  session: string;
  /** What the session must be bound to; null: a page proved the stage, and the request that is meant comes after it. */
  binding: string | null;
  stage: string;
}

/** What `GET` and `POST /publicRooms` ask for. */
export interface PublicRoomsQuery {
  limit: number;
  since: string | null;
  searchTerm: string | null;
  /** Null: any type. An entry null: rooms without a type. */
  roomTypes: readonly (string | null)[] | null;
  /** Whether another server asks: for its users, rooms of this server's users alone are none. */
  isForServer: boolean;
}

/** What is asked of the server under our own name. */
export interface OwnServer {
  /** Made on first use from the system's random source; never changes by itself. To be remembered for five minutes at most. */
  getSigningKey(): Promise<Reply<SigningKey>>;
  /** Makes a new key, which signs from now on. The one before stays good for ten minutes. */
  rotateSigningKey(): Promise<Reply<RotatedKey>>;
  /** The signed answer of `GET /_matrix/key/v2/server`. */
  getServerKeys(): Promise<Reply<JsonObject>>;

  /** Counts one request of a client address. @throws M_LIMIT_EXCEEDED */
  limitAddress(limit: AddressRateLimit, address: string): Promise<Reply<null>>;

  /** Decides whether an account may be made, uses up the token, records the name. Repeats for one user are harmless. */
  admitRegistration(input: {
    userId: UserId;
    registrationToken: string | null;
    bySharedSecret: boolean;
  }): Promise<Reply<null>>;
  isRegistrationTokenValid(token: string): Promise<Reply<boolean>>;
  createRegistrationToken(input: {
    token: string | null;
    usesAllowed: number | null;
    expiryTime: number | null;
  }): Promise<Reply<RegistrationToken>>;
  /** Changes what is given; `usesAllowed` and `expiryTime` null: without limit. @throws M_NOT_FOUND, M_INVALID_PARAM */
  updateRegistrationToken(input: {
    token: string;
    usesAllowed?: number | null;
    expiryTime?: number | null;
  }): Promise<Reply<RegistrationToken>>;
  getRegistrationTokens(): Promise<Reply<RegistrationToken[]>>;
  getRegistrationToken(token: string): Promise<Reply<RegistrationToken>>;
  deleteRegistrationToken(token: string): Promise<Reply<null>>;
  /** A nonce for `/_synapse/admin/v1/register`; lives 60 s, works once. */
  createRegistrationNonce(): Promise<Reply<string>>;
  useRegistrationNonce(nonce: string): Promise<Reply<boolean>>;

  /** Begins user-interactive authentication, bound to what is asked and by whom. */
  startUia(binding: string): Promise<Reply<{ session: string }>>;
  /**
   * Records a proven stage. @throws M_UNKNOWN for a session unknown, expired or bound to something else; `binding` null:
   * whatever it is bound to, which is then for a later stage to show.
   */
  completeUiaStage(input: UiaStageProof): Promise<Reply<{ completed: string[] }>>;
  /** What a proven stage brought along, e.g. the registration token. */
  getUia(session: string): Promise<Reply<{ completed: string[]; params: JsonObject }>>;
  setUiaParam(session: string, name: string, value: string): Promise<Reply<null>>;

  /** Points an alias at a room. @throws M_ROOM_IN_USE when there is one of that name; M_EXCLUSIVE, M_INVALID_PARAM */
  createAlias(input: { alias: RoomAlias; roomId: RoomId; creator: UserId }): Promise<Reply<null>>;
  getAlias(alias: RoomAlias): Promise<Reply<{ roomId: RoomId }>>;
  /** @throws M_NOT_FOUND; M_FORBIDDEN unless `requester` made it or `mayManage` */
  deleteAlias(input: { alias: RoomAlias; requester: UserId; mayManage: boolean }): Promise<Reply<null>>;
  getAliasesOf(roomId: RoomId): Promise<Reply<RoomAlias[]>>;
  /** Points all aliases of a room at the one that replaces it. A repeat moves nothing. @returns those that now point there */
  moveAliases(input: { from: RoomId; to: RoomId }): Promise<Reply<RoomAlias[]>>;

  /** Records that a room lives here, for maintenance that visits every room. */
  noteRoom(roomId: RoomId): Promise<Reply<null>>;
  /** Asks every known room and user to write their copies in D1 anew, a batch at a time. */
  rebuildDirectory(): Promise<Reply<{ rooms: number; users: number }>>;

  /** `GET/POST /publicRooms`, read from the copy in D1. */
  searchPublicRooms(query: PublicRoomsQuery): Promise<Reply<JsonObject>>;
  /** `POST /user_directory/search`, read from the copy in D1. */
  searchUsers(input: { requester: UserId; searchTerm: string; limit: number }): Promise<Reply<JsonObject>>;
}

export interface ServerRpc extends OwnServer, PeerServer {}
