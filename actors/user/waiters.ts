import type { DeviceId } from "../../shared/ids.ts";
import { describeError } from "../../shared/log.ts";
import type { UserContext } from "./context.ts";

/**
 * Tells held `/sync` requests that there is news. To be called after the commit of whatever changed the user's stream;
 * a wake too many costs one question.
 *
 * @param devices whom it concerns; null: all devices.
 */
export function wakeWaiters(user: UserContext, devices: ReadonlySet<DeviceId> | null = null): void {
  for (const waiter of user.waiters.list()) {
    if (devices !== null && !devices.has(waiter.deviceId)) continue;
    try {
      waiter.send("news");
    } catch (thrown) {
      // The request is gone; its socket will be collected.
      user.log.info("waiter not reached", { user_id: user.userId, error: describeError(thrown) });
    }
  }
}

/** Ends the held requests of a device: a newer one takes their place. */
export function closeWaiters(user: UserContext, deviceId: DeviceId): void {
  for (const waiter of user.waiters.list()) if (waiter.deviceId === deviceId) waiter.close();
}
