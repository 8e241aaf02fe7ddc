import { encodeBase64Url } from "../../shared/base64.ts";
import { errors } from "../../shared/errors.ts";
import type { UserId } from "../../shared/ids.ts";
import type { RegistrationToken } from "../../shared/rpc/server.ts";
import type { ServerContext } from "./context.ts";

/** "Opaque Identifier Grammar, with maximum length of 64 characters" @see https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration */
const tokenGrammar = /^[A-Za-z0-9._~-]{1,64}$/;
const randomTokenBytes = 12;
const nonceBytes = 32;
const nonceLifetimeMs = 60_000;
const maxNonces = 10_000;

/**
 * Decides whether an account may be made, uses up the registration token, and records the name: one transaction. Repeats
 * for one user count once.
 *
 * @throws MatrixError M_FORBIDDEN
 */
export function admitRegistration(
  server: ServerContext,
  input: { userId: UserId; registrationToken: string | null; bySharedSecret: boolean },
): void {
  const mode = server.config.registration;
  if (mode === "closed" && !input.bySharedSecret) throw errors.forbidden("Registration is disabled");
  server.store.transaction((tx) => {
    if (mode === "token" && !input.bySharedSecret) {
      const token = input.registrationToken === null ? null : tx.registrationTokens.find(input.registrationToken);
      const isRepeat = token !== null && tx.registrationTokens.hasUsed(token.token, input.userId);
      if (token === null || !(isRepeat || isUsable(token, server.clock.now()))) {
        throw errors.forbidden("Invalid registration token");
      }
      if (!isRepeat) tx.registrationTokens.addUse(token.token, input.userId);
    }
    tx.register.addUser(input.userId);
  });
}

function isUsable(token: RegistrationToken, now: number): boolean {
  const isLeft = token.usesAllowed === null || token.completed < token.usesAllowed;
  return isLeft && (token.expiryTime === null || now < token.expiryTime);
}

/** @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity */
export function isRegistrationTokenValid(server: ServerContext, token: string): boolean {
  const stored = server.store.registrationTokens.find(token);
  return stored !== null && isUsable(stored, server.clock.now());
}

/**
 * @param input.token null: a random one.
 * @throws MatrixError M_INVALID_PARAM for a token that exists, or is not of the grammar; for limits that make no sense
 */
export function createRegistrationToken(
  server: ServerContext,
  input: { token: string | null; usesAllowed: number | null; expiryTime: number | null },
): RegistrationToken {
  const token = input.token ?? encodeBase64Url(server.random.bytes(randomTokenBytes));
  if (!tokenGrammar.test(token)) {
    throw errors.invalidParam("A token has 1 to 64 of the characters A-Z, a-z, 0-9 and . _ ~ -");
  }
  const { usesAllowed, expiryTime } = input;
  const now = server.clock.now();
  assertLimitsMakeSense(input, now);
  return server.store.transaction((tx) => {
    if (tx.registrationTokens.find(token) !== null) throw errors.invalidParam("This token exists already");
    const created = { token, usesAllowed, completed: 0, expiryTime };
    tx.registrationTokens.insert(created, now);
    return created;
  });
}

/**
 * Changes the limits that are given, and leaves the others.
 * @throws MatrixError M_NOT_FOUND; M_INVALID_PARAM for limits that make no sense
 */
export function updateRegistrationToken(
  server: ServerContext,
  input: { token: string; usesAllowed?: number | null; expiryTime?: number | null },
): RegistrationToken {
  assertLimitsMakeSense(input, server.clock.now());
  return server.store.transaction((tx) => {
    const stored = tx.registrationTokens.find(input.token);
    if (stored === null) throw errors.notFound("No such registration token");
    const { usesAllowed = stored.usesAllowed, expiryTime = stored.expiryTime } = input;
    const updated = { ...stored, usesAllowed, expiryTime };
    tx.registrationTokens.setLimits(updated);
    return updated;
  });
}

function assertLimitsMakeSense(
  { usesAllowed = null, expiryTime = null }: { usesAllowed?: number | null; expiryTime?: number | null },
  now: number,
): void {
  if (usesAllowed !== null && !(Number.isSafeInteger(usesAllowed) && usesAllowed >= 0)) {
    throw errors.invalidParam("uses_allowed must be an integer that is not negative, or null");
  }
  if (expiryTime !== null && !(Number.isSafeInteger(expiryTime) && expiryTime >= now)) {
    throw errors.invalidParam("expiry_time must not be in the past");
  }
}

/** All tokens, the oldest first. */
export function getRegistrationTokens(server: ServerContext): RegistrationToken[] {
  return server.store.registrationTokens.all();
}

/** @throws MatrixError M_NOT_FOUND */
export function getRegistrationToken(server: ServerContext, token: string): RegistrationToken {
  const stored = server.store.registrationTokens.find(token);
  if (stored === null) throw errors.notFound("No such registration token");
  return stored;
}

/** @throws MatrixError M_NOT_FOUND */
export function deleteRegistrationToken(server: ServerContext, token: string): void {
  server.store.transaction((tx) => {
    if (tx.registrationTokens.find(token) === null) throw errors.notFound("No such registration token");
    tx.registrationTokens.delete(token);
  });
}

/** A nonce for registration by shared secret: lives for a minute, works once. */
export function createRegistrationNonce(server: ServerContext): string {
  const nonce = encodeBase64Url(server.random.bytes(nonceBytes));
  const now = server.clock.now();
  server.store.transaction((tx) => {
    tx.registrationTokens.dropNoncesBefore(now - nonceLifetimeMs);
    tx.registrationTokens.insertNonce(nonce, now, maxNonces);
  });
  return nonce;
}

/** Uses a nonce up. @returns whether it was good. */
export function useRegistrationNonce(server: ServerContext, nonce: string): boolean {
  const createdTs = server.store.transaction((tx) => tx.registrationTokens.takeNonce(nonce));
  return createdTs !== null && server.clock.now() - createdTs <= nonceLifetimeMs;
}
