import { isExclusiveUser } from "../../shared/appservice-api/namespaces.ts";
import { errors } from "../../shared/errors.ts";
import { type DeviceId, isValidLocalpart, localpartOf, parseUserId, type UserId } from "../../shared/ids.ts";
import type { RegisterInput, SessionTokens } from "../../shared/rpc/user.ts";
import type { UserContext } from "./context.ts";
import { deleteDevices } from "./devices.ts";
import { owe } from "./obligations.ts";
import { assertAcceptablePassword, hashPassword } from "./passwords.ts";
import { assertAcceptableDisplayName } from "./profile.ts";
import { assertAcceptableSession, openSession } from "./sessions.ts";

/**
 * Whether the name may be given to a new user of this kind of registration.
 *
 * @throws MatrixError M_INVALID_USERNAME, M_EXCLUSIVE, M_USER_IN_USE
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable
 */
export function assertAvailable(user: UserContext): void {
  const localpart = localpartOf(user.userId);
  if (!isValidLocalpart(localpart) || parseUserId(user.userId) === null) {
    throw errors.invalidUsername(
      "A user name has only the characters a-z, 0-9 and ._=/+- and is at most 255 bytes long",
    );
  }
  if (isExclusiveUser(user.config.appservices, user.userId)) {
    throw errors.exclusive("This user name is reserved for an application service");
  }
  // Bridges own these names by custom; numbers alone are what guests are called.
  if (localpart.startsWith("_")) throw errors.invalidUsername("A user name must not begin with _");
  if (/^[0-9]+$/.test(localpart)) throw errors.invalidUsername("A user name of digits only is reserved for guests");
  if (user.store.accounts.find() !== null) throw errors.userInUse("This user name is taken");
}

/**
 * Makes the account. Decided here, by the actor of that very name: no two can win. The server is asked only once the
 * name is known to be free, and one registration at a time, so that the loser of a race uses no registration token up.
 *
 * @throws MatrixError M_USER_IN_USE, M_INVALID_USERNAME, M_EXCLUSIVE, M_WEAK_PASSWORD, M_INVALID_PARAM; M_FORBIDDEN when
 *   the server does not admit it
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register
 */
export async function register(
  user: UserContext,
  input: RegisterInput,
): Promise<{ userId: UserId; session: SessionTokens | null }> {
  if (input.password !== null) assertAcceptablePassword(input.password);
  if (input.displayName !== null) assertAcceptableDisplayName(input.displayName);
  if (input.session !== null) assertAcceptableSession(input.session);
  assertAvailable(user);
  return await user.memory.registrations.run(() => decideRegistration(user, input));
}

async function decideRegistration(
  user: UserContext,
  input: RegisterInput,
): Promise<{ userId: UserId; session: SessionTokens | null }> {
  assertAvailable(user);
  const { password, registrationToken, bySharedSecret } = input;
  const passwordHash = password === null ? null : await hashPassword(password, user.config, user.random);
  const { userId } = user;
  await user.actors.server(user.config.serverName).admitRegistration({ userId, registrationToken, bySharedSecret });
  const session = user.store.transaction((tx) => {
    if (tx.accounts.find() !== null) throw errors.userInUse("This user name is taken");
    // Without a name of their own, users are called by their localpart, not by an identifier.
    const displayname = input.displayName ?? localpartOf(userId);
    const { isAdmin } = input;
    tx.accounts.insert({ passwordHash, createdTs: user.clock.now(), isAdmin, profile: { displayname } });
    owe(user, tx, "directory");
    return input.session === null ? null : openSession(user, tx, input.session);
  });
  return { userId, session };
}

/**
 * Sets a new password, and by default ends every session but the one that asked.
 *
 * @throws MatrixError M_WEAK_PASSWORD, M_INVALID_PARAM, M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword
 */
export async function changePassword(
  user: UserContext,
  input: { newPassword: string; logoutDevices: boolean; keepDevice: DeviceId | null },
): Promise<void> {
  assertAcceptablePassword(input.newPassword);
  const hash = await hashPassword(input.newPassword, user.config, user.random);
  const ended = user.store.transaction((tx) => {
    const account = tx.accounts.find();
    if (account === null || account.isDeactivated) throw errors.notFound("No such user");
    tx.accounts.setPasswordHash(hash);
    const others = input.logoutDevices ? tx.devices.ids().filter((deviceId) => deviceId !== input.keepDevice) : [];
    for (const deviceId of others) tx.devices.delete(deviceId);
    return others;
  });
  deleteDevices(user, ended);
}

/**
 * Ends the account for good. Everything that speaks for the user is gone at once; leaving the rooms and the user
 * directory is owed, and done until it is done.
 *
 * @param isErased whether the user asked for what they wrote and stored to be erased.
 * @throws MatrixError M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate
 */
export function deactivate(user: UserContext, isErased: boolean): void {
  const ended = user.store.transaction((tx) => {
    if (tx.accounts.find() === null) throw errors.notFound("No such user");
    const devices = tx.devices.ids();
    for (const deviceId of devices) tx.devices.delete(deviceId);
    tx.accounts.deactivate(isErased);
    tx.filters.deleteAll();
    if (isErased) tx.accountData.deleteAll();
    for (const membership of ["join", "invite", "knock"] as const) {
      for (const roomId of tx.rooms.withMembership(membership)) owe(user, tx, "leave", roomId);
    }
    owe(user, tx, "directory");
    return devices;
  });
  deleteDevices(user, ended);
}

/** Whether an active account of this name exists. */
export function exists(user: UserContext): boolean {
  const account = user.store.accounts.find();
  return account !== null && !account.isDeactivated;
}
