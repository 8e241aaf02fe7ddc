/** What a server's actor does by itself, later: the alarm's work. */
import { describeError } from "../../shared/log.ts";
import type { ServerContext } from "./context.ts";
import { settleWaiting } from "./fetch-missing.ts";
import { pumpOutbox } from "./outbox.ts";
import { settleReceipts } from "./receipts.ts";

/** Everything that may be due, for another server; nothing ever is for our own. */
const works: readonly ((server: ServerContext) => void | Promise<void>)[] = [settleWaiting, settleReceipts, pumpOutbox];

/** Runs what is due. Each piece of work fails alone. @throws Error when one did: the alarm is set again. */
export async function onServerAlarm(server: ServerContext): Promise<void> {
  if (server.serverName === server.config.serverName) return;
  const failed: string[] = [];
  for (const work of works) {
    try {
      await work(server);
    } catch (thrown) {
      failed.push(`${work.name}: ${describeError(thrown)}`);
    }
  }
  if (failed.length > 0) throw new Error(failed.join("; "));
}
