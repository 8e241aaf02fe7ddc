import { errors } from "../../shared/errors.ts";
import type { DeviceId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { UserContext } from "./context.ts";
import type { Device } from "./store/devices.ts";
import { wakeWaiters } from "./waiters.ts";

/** Longest display name of a device, in characters. */
export const maxDeviceNameLength = 100;

/** @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices */
export function getDevices(user: UserContext): JsonObject[] {
  return user.store.devices.all().map(wireDevice);
}

/**
 * @throws MatrixError M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid
 */
export function getDevice(user: UserContext, deviceId: DeviceId): JsonObject {
  const device = user.store.devices.find(deviceId);
  if (device === null) throw errors.notFound("No such device");
  return wireDevice(device);
}

/**
 * Renames a device.
 *
 * @param displayName null: unchanged.
 * @throws MatrixError M_NOT_FOUND, M_INVALID_PARAM
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid
 */
export function updateDevice(user: UserContext, deviceId: DeviceId, displayName: string | null): void {
  if (displayName !== null && displayName.length > maxDeviceNameLength) {
    throw errors.invalidParam(`A device's name may have at most ${maxDeviceNameLength} characters`);
  }
  user.store.transaction((tx) => {
    if (tx.devices.find(deviceId) === null) throw errors.notFound("No such device");
    if (displayName !== null) tx.devices.setDisplayName(deviceId, displayName);
  });
}

/**
 * Deletes devices with their tokens and waiting messages. Devices that do not exist are no error.
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices
 */
export function deleteDevices(user: UserContext, deviceIds: readonly DeviceId[]): void {
  user.store.transaction((tx) => {
    for (const deviceId of deviceIds) tx.devices.delete(deviceId);
  });
  for (const deviceId of deviceIds) user.memory.inboxSizes.delete(deviceId);
  // Their held requests ask again, and learn that the token is gone.
  wakeWaiters(user, new Set(deviceIds));
}

/** @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall */
export function logoutAll(user: UserContext): void {
  deleteDevices(user, user.store.devices.ids());
}

function wireDevice(device: Device): JsonObject {
  const wire: JsonObject = { device_id: device.deviceId, last_seen_ts: device.lastSeenTs };
  if (device.displayName !== null) wire.display_name = device.displayName;
  if (device.lastSeenIp !== null) wire.last_seen_ip = device.lastSeenIp;
  return wire;
}
