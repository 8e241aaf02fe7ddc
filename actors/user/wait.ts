import { errors, MatrixError } from "../../shared/errors.ts";
import type { DeviceId } from "../../shared/ids.ts";
import type { UserContext } from "./context.ts";
import { hasNews } from "./sync/sync.ts";

/** A request must not outlive the session that it was let in with. @throws MatrixError M_UNKNOWN_TOKEN */
export function assertDevice(user: UserContext, deviceId: DeviceId): void {
  if (user.store.devices.find(deviceId) === null) throw errors.unknownToken("This session has ended");
}

/**
 * Whether a `/sync` request that is about to be held should ask again instead: there is news after its token already, or
 * the question would now be refused, which is for the answer to say.
 */
export function shouldAskAgain(user: UserContext, deviceId: DeviceId, since: string): boolean {
  try {
    assertDevice(user, deviceId);
    return hasNews(user, deviceId, since);
  } catch (thrown) {
    if (thrown instanceof MatrixError) return true;
    throw thrown;
  }
}
