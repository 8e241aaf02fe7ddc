/**
 * Which member events a lazily loading device has for certain, so that they need not be sent again.
 *
 * A member event counts as known once the device comes back with a token at or behind the answer that carried it: an
 * answer that was lost on its way proves nothing. The memory may be lost at any time; then events are sent twice.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members
 */
import type { DeviceId, UserId } from "../../shared/ids.ts";
import type { RoomContext } from "./context.ts";
import { Cache } from "./store/cache.ts";
import type { EventRecord } from "./store/events.ts";

/** Devices, and members of each, that are remembered. */
const maxDevices = 200;
const maxMembers = 500;

interface Sent {
  readonly eventNid: number;
  /** Room position that the answer had read. */
  readonly readPosition: number;
}

type SentMembers = Cache<string, Sent>;

const memories = new WeakMap<RoomContext, Cache<string, SentMembers>>();

function sentTo(room: RoomContext, userId: UserId, deviceId: DeviceId): SentMembers {
  const devices = memories.get(room) ?? new Cache<string, SentMembers>(maxDevices);
  memories.set(room, devices);
  const key = JSON.stringify([userId, deviceId]);
  const sent = devices.get(key) ?? new Cache<string, Sent>(maxMembers);
  devices.set(key, sent);
  return sent;
}

/** A device that uses lazy loading. */
export interface LazyDevice {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
}

/** Whether the device has this member event already. `since`: the room position of the token it came with. */
export function knowsMember(room: RoomContext, device: LazyDevice, record: EventRecord, since: number): boolean {
  const sent = sentTo(room, device.userId, device.deviceId).get(record.stateKey ?? "");
  return sent !== undefined && sent.eventNid === record.eventNid && sent.readPosition <= since;
}

/** Remembers the member events of an answer. */
export function rememberMembers(
  room: RoomContext,
  device: LazyDevice,
  records: readonly EventRecord[],
  readPosition: number,
): void {
  const sent = sentTo(room, device.userId, device.deviceId);
  for (const { type, stateKey, eventNid } of records) {
    if (type === "m.room.member" && stateKey !== null) sent.set(stateKey, { eventNid, readPosition });
  }
}
