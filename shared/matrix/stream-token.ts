/**
 * The tokens that clients hand back. Opaque to them.
 *
 * - `s<position>_<toDevicePosition>`: a sync token, a position in the user's own stream and, beside it, the newest
 *   to-device message that was delivered with it.
 * - `p<position>`: a boundary in a room's stream: events at or before the position lie before it.
 */
export interface SyncToken {
  position: number;
  toDevicePosition: number;
}

/** `next_batch` of `/sync`. @see https://spec.matrix.org/v1.19/client-server-api/#syncing */
export function formatSyncToken(token: SyncToken): string {
  return `s${token.position}_${token.toDevicePosition}`;
}

/** The token, or null when `text` is not one. */
export function parseSyncToken(text: string): SyncToken | null {
  const match = /^s(\d{1,15})_(\d{1,15})$/.exec(text);
  if (match === null) return null;
  return { position: Number(match[1]), toDevicePosition: Number(match[2]) };
}

/** `start`, `end` and `prev_batch`. @see https://spec.matrix.org/v1.19/client-server-api/#pagination */
export function formatRoomToken(position: number): string {
  return `p${position}`;
}

/** The room position, or null when `text` is not a room token. Positions of history fetched later are negative. */
export function parseRoomToken(text: string): number | null {
  const match = /^p(-?\d{1,15})$/.exec(text);
  return match === null ? null : Number(match[1]);
}
