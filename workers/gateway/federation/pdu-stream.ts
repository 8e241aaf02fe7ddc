/** Long answers that consist of events: read from the room a page at a time, and written as JSON text on the way. */
import type { EventId } from "../../../shared/ids.ts";
import type { PduPage } from "../../../shared/rpc/room-serving.ts";

/** Events asked of the room at a time: an answer of 100,000 members is never in memory as a whole. */
const eventsPerPage = 200;

/** Events with commas between them. */
export async function* pagesOf(
  eventIds: readonly EventId[],
  get: (page: EventId[]) => Promise<PduPage>,
): AsyncIterable<string> {
  let comma = "";
  for (let start = 0; start < eventIds.length; ) {
    const { pdus, taken } = await get(eventIds.slice(start, start + eventsPerPage));
    if (taken < 1) throw new Error("a room gave a page without end");
    start += taken;
    if (pdus.length === 0) continue;
    yield comma + pdus.join(",");
    comma = ",";
  }
}

/** A short answer with events in it. They are text, and stay it: parsing them could change a number. */
export async function* inOnePart(text: string): AsyncIterable<string> {
  yield text;
}

export async function* concatenated(parts: readonly AsyncIterable<string>[]): AsyncIterable<string> {
  for (const part of parts) yield* part;
}
