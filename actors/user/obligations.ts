/**
 * What the user owes to others. An obligation is stored with the change that brings it about, settled right after
 * (`settle.ts`), and again by the alarm until it is settled: a crash or a lost call loses nothing.
 */
import type { UserContext } from "./context.ts";
import type { UserWriter } from "./store/index.ts";
import type { ObligationKind } from "./store/obligations.ts";

/** When the alarm looks whether what is owed was settled. */
export const settleAgainAfterMs = 30_000;

/** Stores an obligation. To be called inside the transaction of the change that brings it about. */
export function owe(user: UserContext, tx: UserWriter, kind: ObligationKind, subject = ""): void {
  tx.obligations.owe(kind, subject);
  user.alarm.ensure(user.clock.now() + settleAgainAfterMs);
}
