/**
 * `GET /sync`: what is new for one client since its token.
 *
 * A token is a position in the user's own stream. For each room, the newest row of `room_reads` at or below that
 * position says how far the token has read the room. So one rule gives every answer: a room is asked for what lies
 * behind the token's read position, and the new token records how far the answer has read.
 */
import { errors } from "../../../shared/errors.ts";
import type { DeviceId } from "../../../shared/ids.ts";
import { formatSyncToken, parseSyncToken, type SyncToken } from "../../../shared/matrix/stream-token.ts";
import type { SyncInput, SyncResult } from "../../../shared/rpc/user.ts";
import type { UserContext } from "../context.ts";
import { acknowledgeInbox, hasInboxAfter } from "../to-device.ts";
import { resolveFilter } from "./filter.ts";
import { finishSync } from "./finish.ts";
import { asAnswered, askRooms, planRooms } from "./rooms.ts";

/** @throws MatrixError M_INVALID_PARAM for a token that this server did not make, or a filter that does not exist. */
export async function sync(user: UserContext, input: SyncInput): Promise<SyncResult> {
  const filter = resolveFilter(user, input.filter);
  const since = parseSince(input.since);
  if (since !== null) acknowledgeInbox(user, input.deviceId, since.toDevicePosition);
  if (since !== null && !input.fullState && !isBehind(user, input.deviceId, since)) return nothingNew(since);

  const request = { ...input, since, filter };
  const plannedAt = user.store.streams.head();
  const plan = planRooms(user, request);
  const answers = await askRooms(user, request, plan);
  return finishSync(user, request, { plan: asAnswered(request, plan, answers), plannedAt, answers });
}

/**
 * Whether a client that holds `syncToken` should ask again at once. Costs a few rows, however many rooms there are.
 * @throws MatrixError M_INVALID_PARAM
 */
export function hasNews(user: UserContext, deviceId: DeviceId, syncToken: string): boolean {
  const since = parseSince(syncToken);
  return since === null || isBehind(user, deviceId, since);
}

function isBehind(user: UserContext, deviceId: DeviceId, since: SyncToken): boolean {
  return (
    user.store.streams.head() > since.position ||
    user.store.rooms.isAnyBehind() ||
    hasInboxAfter(user, deviceId, since.toDevicePosition)
  );
}

function parseSince(text: string | null): SyncToken | null {
  if (text === null) return null;
  const token = parseSyncToken(text);
  if (token === null) throw errors.invalidParam("since is not a token of this server");
  return token;
}

function nothingNew(since: SyncToken): SyncResult {
  const nextBatch = formatSyncToken(since);
  return { response: { next_batch: nextBatch, device_one_time_keys_count: {} }, nextBatch, isEmpty: true };
}
