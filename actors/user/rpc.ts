/** The user's table of contents: every method that others may call on a user's actor. */
import { type Reply, reply } from "../../shared/rpc/reply.ts";
import type { UserForAdmins, UserForClients, UserForRooms, UserForUsers, UserRpc } from "../../shared/rpc/user.ts";
import { assertAvailable, changePassword, deactivate, exists, register } from "./account.ts";
import { getAccountData, getIgnoredUsers, moveFullyRead, setAccountData } from "./account-data.ts";
import type { UserContext } from "./context.ts";
import { createRoom } from "./create-room.ts";
import { deleteDevices, getDevice, getDevices, logoutAll, updateDevice } from "./devices.ts";
import { writeDirectoryRow } from "./directory.ts";
import { createFilter, getFilter } from "./filters.ts";
import { assertTakesInvites } from "./invite-permission.ts";
import { authenticate, checkPassword, loginWithPassword, refresh } from "./login.ts";
import { createOpenIdToken, isOpenIdTokenGood } from "./openid.ts";
import { deliverOutbox, sendToDevice } from "./outbox.ts";
import { deleteProfileField, getMemberProfile, getProfile, giveMemberProfile, setProfileField } from "./profile.ts";
import { getJoinedRooms, roomAdvanced, roomForgotten, roomPositionAt } from "./rooms.ts";
import { settleObligations } from "./settle.ts";
import { sync } from "./sync/sync.ts";
import { setRoomTag } from "./tags.ts";
import { depositToDevice } from "./to-device.ts";
import { assertDevice } from "./wait.ts";

/** The methods over one instance's context: the Durable Object and the simulator both call these. */
export function userRpc(user: UserContext): UserRpc {
  return { ...forClients(user), ...forRooms(user), ...forUsers(user), ...forAdmins(user) };
}

type Accounts = Pick<
  UserForClients,
  | "assertAvailable"
  | "register"
  | "loginWithPassword"
  | "checkPassword"
  | "authenticate"
  | "refresh"
  | "logout"
  | "logoutAll"
  | "changePassword"
  | "deactivate"
>;

function forClients(user: UserContext): UserForClients {
  return {
    ...forAccounts(user),
    getDevices: () => reply(() => getDevices(user)),
    getDevice: (deviceId) => reply(() => getDevice(user, deviceId)),
    updateDevice: (deviceId, displayName) => done(() => updateDevice(user, deviceId, displayName)),
    deleteDevices: (deviceIds) => done(() => deleteDevices(user, deviceIds)),

    getProfile: () => reply(() => getProfile(user)),
    setProfileField: (name, value) => done(() => settling(user, () => setProfileField(user, name, value))),
    deleteProfileField: (name) => done(() => settling(user, () => deleteProfileField(user, name))),

    getAccountData: (roomId, type) => reply(() => getAccountData(user, roomId, type)),
    setAccountData: (roomId, type, content) => done(() => setAccountData(user, roomId, type, content)),
    moveFullyRead: (roomId, eventId) => done(() => moveFullyRead(user, roomId, eventId)),
    setRoomTag: (roomId, tag, content) => done(() => setRoomTag(user, roomId, tag, content)),
    createFilter: (filter) => reply(() => createFilter(user, filter)),
    getFilter: (filterId) => reply(() => getFilter(user, filterId)),

    sendToDevice: (input) =>
      done(() => {
        sendToDevice(user, input);
        user.background(() => deliverOutbox(user));
      }),

    createOpenIdToken: () => reply(() => createOpenIdToken(user)),
    isOpenIdTokenGood: (token) => reply(() => isOpenIdTokenGood(user, token)),

    getIgnoredUsers: () => reply(() => getIgnoredUsers(user)),
    getJoinedRooms: () => reply(() => getJoinedRooms(user)),
    createRoom: (request) => reply(() => settling(user, () => createRoom(user, request))),
    roomPositionAt: (syncToken, roomId) => reply(() => roomPositionAt(user, syncToken, roomId)),
    sync: (input) =>
      reply(() => {
        assertDevice(user, input.deviceId);
        return sync(user, input);
      }),
  };
}

function forAccounts(user: UserContext): Accounts {
  return {
    assertAvailable: () => done(() => assertAvailable(user)),
    register: (input) => reply(() => settling(user, () => register(user, input))),
    loginWithPassword: (input) => reply(() => loginWithPassword(user, input)),
    checkPassword: (password) => done(() => checkPassword(user, password)),
    authenticate: (input) => reply(() => authenticate(user, input)),
    refresh: (refreshToken) => reply(() => refresh(user, refreshToken)),
    logout: (deviceId) => done(() => deleteDevices(user, [deviceId])),
    logoutAll: () => done(() => logoutAll(user)),
    changePassword: (input) => done(() => changePassword(user, input)),
    deactivate: (erase) => done(() => settling(user, () => deactivate(user, erase))),
  };
}

function forRooms(user: UserContext): UserForRooms {
  return {
    roomAdvanced: (wake) => reply(() => roomAdvanced(user, wake)),
    getMemberProfile: (occasion, roomId) =>
      reply(() => {
        if (occasion === "own") return giveMemberProfile(user, roomId);
        assertTakesInvites(user);
        user.memory.limiter.count("rc_invites.per_user");
        return getMemberProfile(user);
      }),
    roomForgotten: (roomId, through) => done(() => roomForgotten(user, roomId, through)),
    exists: () => reply(() => exists(user)),
  };
}

function forUsers(user: UserContext): UserForUsers {
  return { depositToDevice: (deposit) => done(() => depositToDevice(user, deposit)) };
}

function forAdmins(user: UserContext): UserForAdmins {
  return { rebuildDirectory: () => done(() => writeDirectoryRow(user)) };
}

/** Answers with nothing but success. */
function done(body: () => void | Promise<void>): Promise<Reply<null>> {
  return reply(async () => {
    await body();
    return null;
  });
}

/** Runs `body`; what it came to owe is then settled behind the reply, also when it was refused halfway. */
async function settling<T>(user: UserContext, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } finally {
    if (user.store.obligations.isAny()) user.background(() => settleObligations(user));
  }
}
