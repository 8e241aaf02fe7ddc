/** Having other servers asked for what is missing of a room's past. */
import type { Services } from "../../../shared/endpoint.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import type { RoomId } from "../../../shared/ids.ts";
import type { Gap } from "../../../shared/rpc/room-history.ts";

/** How long a client waits at most for what other servers have to give. */
export const maxWaitMs = 10_000;

/** Has servers asked in turn for what is missing. @returns whether there is more now; false also when it is too late */
export async function fetchGap(services: Services, roomId: RoomId, gap: Gap, deadline: number): Promise<boolean> {
  const { actors, clock, config } = services;
  const { after, from } = gap;
  for (const server of gap.servers) {
    const leftMs = deadline - clock.now();
    if (leftMs <= 0) return false;
    if (!mayTalkTo(config, server)) continue;
    // What comes too late is there for the next time.
    const taken = await inTime(services, leftMs, actors.server(server).fetchHistory({ roomId, after, from }));
    if (taken === null) return false;
    if (taken > 0) return true;
  }
  return false;
}

/** What is promised, or null when it takes too long. */
export async function inTime<T>(services: Services, ms: number, promised: Promise<T>): Promise<T | null> {
  const done = new AbortController();
  const tooLate = services.pause(ms, done.signal).then(() => null);
  try {
    return await Promise.race([promised, tooLate]);
  } finally {
    done.abort();
  }
}
