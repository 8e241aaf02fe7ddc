/** Sessions: a device and the tokens that speak for it. */
import { hashSecret, makeToken } from "../../shared/access-token.ts";
import { errors } from "../../shared/errors.ts";
import { type DeviceId, localpartOf, maxIdBytes, trusted } from "../../shared/ids.ts";
import type { NewSession, SessionTokens } from "../../shared/rpc/user.ts";
import type { UserContext } from "./context.ts";
import { maxDeviceNameLength } from "./devices.ts";
import type { UserWriter } from "./store/index.ts";

/** Lifetime of an access token whose client can refresh it. */
const accessTokenLifetimeMs = 60 * 60 * 1000;
/** Devices of one user, at most. */
export const maxDevices = 200;

const deviceIdAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const deviceIdLength = 10;

/** @throws MatrixError M_INVALID_PARAM */
export function assertAcceptableSession(session: NewSession): void {
  const { deviceId, initialDeviceDisplayName } = session;
  if (deviceId !== null) {
    const bytes = new TextEncoder().encode(deviceId).length;
    if (bytes === 0 || bytes > maxIdBytes || !deviceId.isWellFormed()) {
      throw errors.invalidParam(`device_id must have 1 to ${maxIdBytes} bytes`);
    }
  }
  if (initialDeviceDisplayName !== null && initialDeviceDisplayName.length > maxDeviceNameLength) {
    throw errors.invalidParam(`A device's name may have at most ${maxDeviceNameLength} characters`);
  }
}

/**
 * Begins a session. "If the client sets the `device_id`, the server will invalidate any access and refresh tokens
 * previously assigned to that device."
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#relationship-between-access-tokens-and-devices
 */
export function openSession(user: UserContext, tx: UserWriter, session: NewSession): SessionTokens {
  const deviceId = session.deviceId === null ? newDeviceId(user, tx) : trusted.deviceId(session.deviceId);
  if (tx.devices.find(deviceId) === null) {
    dropLongestUnseen(user, tx);
    tx.devices.insert(deviceId, session.initialDeviceDisplayName, user.clock.now());
  } else {
    tx.tokens.deleteOfDevice(deviceId);
    tx.devices.setLastSeen(deviceId, user.clock.now(), null);
  }
  return issueTokens(user, tx, { deviceId, canRefresh: session.refreshToken, parentHash: null });
}

/**
 * Makes an access token and, for clients that can refresh, a refresh token. Tokens of clients that cannot live until
 * logout.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens
 */
export function issueTokens(
  user: UserContext,
  tx: UserWriter,
  grant: { deviceId: DeviceId; canRefresh: boolean; parentHash: Uint8Array | null },
): SessionTokens {
  const now = user.clock.now();
  const localpart = localpartOf(user.userId);
  const { deviceId, parentHash } = grant;
  const access = makeToken("access", localpart, user.random);
  const hash = hashSecret(access.secret);
  const tokens = { userId: user.userId, deviceId, accessToken: access.token };
  if (!grant.canRefresh) {
    tx.tokens.insertAccess({ hash, deviceId, expiresTs: null, pairHash: null });
    return { ...tokens, refreshToken: null, expiresInMs: null };
  }
  const refresh = makeToken("refresh", localpart, user.random);
  const pairHash = hashSecret(refresh.secret);
  tx.tokens.insertRefresh({ hash: pairHash, deviceId, createdTs: now, parentHash });
  tx.tokens.insertAccess({ hash, deviceId, expiresTs: now + accessTokenLifetimeMs, pairHash });
  return { ...tokens, refreshToken: refresh.token, expiresInMs: accessTokenLifetimeMs };
}

function newDeviceId(user: UserContext, tx: UserWriter): DeviceId {
  for (;;) {
    const letters = Array.from(user.random.bytes(deviceIdLength), (byte) => deviceIdAlphabet[byte % 26]);
    const deviceId = trusted.deviceId(letters.join(""));
    if (tx.devices.find(deviceId) === null) return deviceId;
  }
}

/** Clients that log in anew on each start would otherwise fill the list: the device unseen for longest gives way. */
function dropLongestUnseen(user: UserContext, tx: UserWriter): void {
  const devices = tx.devices.all();
  if (devices.length < maxDevices) return;
  const oldest = devices.reduce((a, b) => (b.lastSeenTs < a.lastSeenTs ? b : a));
  tx.devices.delete(oldest.deviceId);
  user.log.warn("device dropped: too many devices", { user_id: user.userId, device_id: oldest.deviceId });
}
