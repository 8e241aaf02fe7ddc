import { hashSecret, parseAccessToken, parseRefreshToken } from "../../shared/access-token.ts";
import { errors, type MatrixError } from "../../shared/errors.ts";
import { localpartOf } from "../../shared/ids.ts";
import type { RateLimitName } from "../../shared/rate-limit.ts";
import type { NewSession, SessionTokens, UserAuth, UserRateLimit } from "../../shared/rpc/user.ts";
import type { UserContext } from "./context.ts";
import { verifyPassword } from "./passwords.ts";
import { assertAcceptableSession, issueTokens, openSession } from "./sessions.ts";
import type { Account } from "./store/accounts.ts";
import type { UserWriter } from "./store/index.ts";
import type { AccessGrant, RefreshToken, TokensReader } from "./store/tokens.ts";
import { wakeWaiters } from "./waiters.ts";

/** A spent refresh token presented again within this time is a reply that was lost or two tabs of one client. */
const reuseGraceMs = 60_000;
/** How long spent and expired tokens are remembered. */
const tokenMemoryMs = 7 * 24 * 60 * 60 * 1000;
/** How often tokens that can matter no more are dropped. */
const trimEveryMs = 60 * 60 * 1000;
/** Unused pairs that one refresh token may have made. */
const maxUnusedPairs = 8;
/** A device's "last seen" is written at most this often. */
const lastSeenEveryMs = 60 * 60 * 1000;

const limitNames: Readonly<Record<UserRateLimit, RateLimitName>> = {
  rc_message: "rc_message",
  rc_joins: "rc_joins.local",
  rc_invites: "rc_invites.per_issuer",
  rc_room_creation: "rc_room_creation",
  rc_admin_redaction: "rc_admin_redaction",
};

/**
 * Logs in with a password. An unknown user and a wrong password get the same answer after the same work.
 *
 * @throws MatrixError M_FORBIDDEN, M_USER_DEACTIVATED, M_LIMIT_EXCEEDED
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login
 */
export async function loginWithPassword(
  user: UserContext,
  input: { password: string; session: NewSession },
): Promise<SessionTokens> {
  assertAcceptableSession(input.session);
  await checkPassword(user, input.password);
  user.memory.limiter.count("rc_login.account");
  return user.store.transaction((tx) => {
    // Read again: the account may have been deactivated while the password was being checked.
    assertActive(tx.accounts.find());
    return openSession(user, tx, input.session);
  });
}

/**
 * Proves the password, for login and for user-interactive authentication.
 * @throws MatrixError M_FORBIDDEN, M_USER_DEACTIVATED, M_LIMIT_EXCEEDED
 */
export function checkPassword(user: UserContext, password: string): Promise<void> {
  return user.memory.passwordChecks.run(() => checkPasswordInTurn(user, password));
}

async function checkPasswordInTurn(user: UserContext, password: string): Promise<void> {
  user.memory.limiter.check("rc_login.failed_attempts");
  const account = user.store.accounts.find();
  const isRight = await verifyPassword(password, account?.passwordHash ?? null, user.config);
  // Read again: a password that was replaced while it was being checked proves nothing.
  const current = user.store.accounts.find();
  if (!isRight || current?.passwordHash !== account?.passwordHash) {
    user.memory.limiter.count("rc_login.failed_attempts");
    throw errors.forbidden("Invalid username or password");
  }
  assertActive(current);
}

function assertActive(account: Account | null): void {
  if (account === null) throw errors.forbidden("Invalid username or password");
  if (account.isDeactivated) throw errors.userDeactivated("This account has been deactivated");
}

/**
 * Proves an access token and counts the request. The first use of a token that a refresh made spends the refresh token
 * that made it.
 *
 * @throws MatrixError M_UNKNOWN_TOKEN (with `soft_logout` when expired), M_USER_LOCKED, M_LIMIT_EXCEEDED
 * @see https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
export function authenticate(
  user: UserContext,
  input: { accessToken: string; rateLimit: UserRateLimit | null; clientAddress: string | null },
): UserAuth {
  const parsed = parseAccessToken(input.accessToken);
  const grant =
    parsed === null || parsed.localpart !== localpartOf(user.userId)
      ? null
      : user.store.tokens.findAccess(hashSecret(parsed.secret));
  if (grant === null || grant.isDeactivated) throw errors.unknownToken("Unrecognised access token");
  const now = user.clock.now();
  if (grant.expiresTs !== null && grant.expiresTs <= now) {
    throw errors.unknownToken("The access token has expired", { soft_logout: true });
  }
  if (grant.pair !== null && isOutlived(user.store.tokens, grant.pair, now)) {
    throw errors.unknownToken("The access token was replaced by another", { soft_logout: true });
  }
  if (grant.isLocked) throw errors.userLocked("This account has been locked", { soft_logout: true });
  recordUse(user, grant, now, input.clientAddress);
  if (input.rateLimit !== null) user.memory.limiter.count(limitNames[input.rateLimit]);
  return { userId: user.userId, deviceId: grant.deviceId, isAdmin: grant.isAdmin, isGuest: grant.isGuest };
}

function recordUse(user: UserContext, grant: AccessGrant, now: number, address: string | null): void {
  const { pair } = grant;
  const isFirstUse = pair !== null && isUnused(pair);
  const isSeenAnew = now - grant.lastSeenTs >= lastSeenEveryMs;
  if (!isFirstUse && !isSeenAnew) return;
  user.store.transaction((tx) => {
    if (isFirstUse) tx.tokens.markUsed(pair, now);
    if (isSeenAnew) tx.devices.setLastSeen(grant.deviceId, now, address);
  });
}

/**
 * Exchanges a refresh token for a new pair. The old one stays good until the new pair is used, so that a client whose
 * reply was lost can repeat. Whoever presents it later than that reveals that two parties hold it: every token of the
 * device ends, and the client may log in again into the same device.
 *
 * @throws MatrixError M_UNKNOWN_TOKEN
 * @see https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens
 */
export function refresh(user: UserContext, refreshToken: string): SessionTokens {
  const parsed = parseRefreshToken(refreshToken);
  if (parsed === null || parsed.localpart !== localpartOf(user.userId)) throw unknownRefreshToken();
  const hash = hashSecret(parsed.secret);
  const now = user.clock.now();
  const outcome = user.store.transaction((tx) => {
    const token = tx.tokens.findRefresh(hash);
    if (token === null || isOutlived(tx.tokens, token, now)) return null;
    if (isReused(token, now)) {
      tx.tokens.deleteOfDevice(token.deviceId);
      return token.deviceId;
    }
    if (isUnused(token)) tx.tokens.markUsed(token, now);
    trimTokens(user, tx, now);
    if (tx.tokens.countPair(hash) > maxUnusedPairs) tx.tokens.trimUnused(token.deviceId, hash, maxUnusedPairs - 1);
    return issueTokens(user, tx, { deviceId: token.deviceId, canRefresh: true, parentHash: hash });
  });
  if (outcome === null) throw unknownRefreshToken();
  if (typeof outcome !== "string") return outcome;
  user.log.warn("spent refresh token presented", { user_id: user.userId, device_id: outcome });
  wakeWaiters(user, new Set([outcome]));
  throw unknownRefreshToken();
}

/** Of the pairs that one refresh token made, those that nobody used while another one was taken into use are over. */
function isOutlived(tokens: TokensReader, token: RefreshToken, now: number): boolean {
  if (token.parentHash === null || token.usedTs !== null) return false;
  const parent = tokens.findRefresh(token.parentHash);
  return parent === null || isReused(parent, now);
}

/** Whether a refresh made the pair, and neither half of it has been used. */
function isUnused(pair: RefreshToken): boolean {
  return pair.parentHash !== null && pair.usedTs === null;
}

/** Tidies up, at most once an hour of the instance's life. */
function trimTokens(user: UserContext, tx: UserWriter, now: number): void {
  if (now - user.memory.tokensTrimmedTs < trimEveryMs) return;
  user.memory.tokensTrimmedTs = now;
  tx.tokens.trim({ spentBefore: now - reuseGraceMs, forgottenBefore: now - tokenMemoryMs });
}

function isReused(token: RefreshToken, now: number): boolean {
  return token.spentTs !== null && now - token.spentTs > reuseGraceMs;
}

function unknownRefreshToken(): MatrixError {
  return errors.unknownToken("The refresh token is unknown or has already been used", { soft_logout: true });
}
