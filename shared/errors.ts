import type { JsonObject, JsonValue } from "./json.ts";

/**
 * A refusal as Matrix clients and servers get it. Thrown by endpoints and actors; anything else that is thrown is a bug
 * and becomes a 500.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#standard-error-response
 */
export class MatrixError extends Error {
  readonly status: number;
  readonly errcode: string;
  /** Further fields of the error body, e.g. `retry_after_ms`. */
  readonly extra: JsonObject;

  constructor(status: number, errcode: string, message: string, extra: JsonObject = {}) {
    super(message);
    this.name = "MatrixError";
    this.status = status;
    this.errcode = errcode;
    this.extra = extra;
  }
}

const make =
  (status: number, errcode: string) =>
  (message: string, extra: Record<string, JsonValue> = {}): MatrixError =>
    new MatrixError(status, errcode, message, extra);

/** One constructor for each errcode; its HTTP status stands here and nowhere else. */
export const errors = {
  badJson: make(400, "M_BAD_JSON"),
  notJson: make(400, "M_NOT_JSON"),
  missingParam: make(400, "M_MISSING_PARAM"),
  invalidParam: make(400, "M_INVALID_PARAM"),
  invalidUsername: make(400, "M_INVALID_USERNAME"),
  userInUse: make(400, "M_USER_IN_USE"),
  exclusive: make(400, "M_EXCLUSIVE"),
  weakPassword: make(400, "M_WEAK_PASSWORD"),
  invalidRoomState: make(400, "M_INVALID_ROOM_STATE"),
  roomInUse: make(400, "M_ROOM_IN_USE"),
  unsupportedRoomVersion: make(400, "M_UNSUPPORTED_ROOM_VERSION"),
  incompatibleRoomVersion: make(400, "M_INCOMPATIBLE_ROOM_VERSION"),
  unableToAuthoriseJoin: make(400, "M_UNABLE_TO_AUTHORISE_JOIN"),
  unableToGrantJoin: make(400, "M_UNABLE_TO_GRANT_JOIN"),
  badState: make(403, "M_BAD_STATE"),
  badAlias: make(400, "M_BAD_ALIAS"),
  duplicateAnnotation: make(400, "M_DUPLICATE_ANNOTATION"),
  /** A request that makes no sense in a way for which the spec has no errcode of its own. */
  unknown: make(400, "M_UNKNOWN"),
  missingToken: make(401, "M_MISSING_TOKEN"),
  unknownToken: make(401, "M_UNKNOWN_TOKEN"),
  userLocked: make(401, "M_USER_LOCKED"),
  unauthorized: make(401, "M_UNAUTHORIZED"),
  forbidden: make(403, "M_FORBIDDEN"),
  inviteBlocked: make(403, "M_INVITE_BLOCKED"),
  userDeactivated: make(403, "M_USER_DEACTIVATED"),
  userSuspended: make(403, "M_USER_SUSPENDED"),
  guestAccessForbidden: make(403, "M_GUEST_ACCESS_FORBIDDEN"),
  resourceLimitExceeded: make(403, "M_RESOURCE_LIMIT_EXCEEDED"),
  notFound: make(404, "M_NOT_FOUND"),
  unrecognized: make(404, "M_UNRECOGNIZED"),
  methodNotAllowed: make(405, "M_UNRECOGNIZED"),
  /** Writing, through the general endpoint, something that has an endpoint of its own (account data `m.fully_read`). */
  managedByServer: make(405, "M_BAD_JSON"),
  conflict: make(409, "M_UNKNOWN"),
  tooLarge: make(413, "M_TOO_LARGE"),
  profileTooLarge: make(400, "M_PROFILE_TOO_LARGE"),
  keyTooLarge: make(400, "M_KEY_TOO_LARGE"),
  internal: make(500, "M_UNKNOWN"),
  /** Other servers have to be asked, and none could help. */
  badGateway: make(502, "M_UNKNOWN"),
  /** `retryAfterMs`: when the same request may succeed. */
  limitExceeded: (retryAfterMs: number): MatrixError =>
    new MatrixError(429, "M_LIMIT_EXCEEDED", "Too many requests", { retry_after_ms: Math.ceil(retryAfterMs) }),
};

/** Marks a place that the types say cannot be reached. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
