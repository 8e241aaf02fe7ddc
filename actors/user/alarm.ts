import type { UserContext } from "./context.ts";
import { deliverOutbox } from "./outbox.ts";
import { settleObligations } from "./settle.ts";
import { trimToDevice } from "./to-device.ts";

/** What is due. Each part sets the alarm again while something of it is left. */
export async function onAlarm(user: UserContext): Promise<void> {
  trimToDevice(user);
  await Promise.all([deliverOutbox(user), settleObligations(user)]);
}
