/** Tokens by which a user proves to a third party who they are. They are good for nothing else. */
import { hashSecret, makeToken, parseOpenIdToken } from "../../shared/access-token.ts";
import { localpartOf } from "../../shared/ids.ts";
import type { UserContext } from "./context.ts";

const lifetimeMs = 60 * 60 * 1000;
/** Tokens of one user that are good at the same time; the oldest give way. */
const maxTokens = 100;

/**
 * Makes a token that is good for an hour.
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token
 */
export function createOpenIdToken(user: UserContext): { token: string; expiresInMs: number } {
  const { token, secret } = makeToken("openId", localpartOf(user.userId), user.random);
  const now = user.clock.now();
  user.store.transaction((tx) => {
    tx.openId.deleteExpired(now);
    tx.openId.insert(hashSecret(secret), now + lifetimeMs);
    tx.openId.keepNewest(maxTokens);
  });
  return { token, expiresInMs: lifetimeMs };
}

/** Whether a token is this user's, who has an active account, and still good. */
export function isOpenIdTokenGood(user: UserContext, token: string): boolean {
  const parsed = parseOpenIdToken(token);
  const account = user.store.accounts.find();
  if (parsed === null || account === null || account.isDeactivated) return false;
  const expiresTs = user.store.openId.findExpiry(hashSecret(parsed.secret));
  return expiresTs !== null && user.clock.now() < expiresTs;
}
