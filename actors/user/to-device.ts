/** Messages to devices: the inbox of this user's devices. What they send leaves through `outbox.ts`. */
import { errors } from "../../shared/errors.ts";
import type { DeviceId, UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { UserContext } from "./context.ts";
import type { UserWriter } from "./store/index.ts";
import type { InboxSize } from "./store/to-device.ts";
import { wakeWaiters } from "./waiters.ts";

/** Messages that wait for one device, at most; beyond, the oldest are dropped. */
const maxInbox = 10_000;
/** Length of all that waits for one device, at most. */
const maxInboxSize = 64 * 1024 * 1024;
/** Largest content of one message, in bytes. */
const maxContentBytes = 65_536;
/** How long deposits and transaction ids are remembered. */
export const memoryMs = 24 * 60 * 60 * 1000;

/** One deposit: what one message of a sender says to this user's devices. */
export interface Deposit {
  sender: UserId;
  messageId: string;
  type: string;
  /** device id or `*` → content */
  messages: Record<string, JsonObject>;
}

/** A page of a device's inbox. */
export interface InboxPage {
  /** As clients get them, in order of arrival. */
  events: JsonObject[];
  /** Position of the newest message in the page; `after` when it is empty. */
  through: number;
  /** Whether no further message waits behind the page. */
  isComplete: boolean;
}

/**
 * Puts a message into the inboxes of the devices that it names and that exist. Safe to repeat.
 *
 * @throws MatrixError M_TOO_LARGE
 * @see https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
 */
export function depositToDevice(user: UserContext, deposit: Deposit): void {
  assertAcceptableContents(deposit.messages);
  // A name that nobody has, or a user who is nowhere logged in: other servers must not fill databases with what reaches nobody.
  if (user.store.devices.ids().length === 0) return;
  const received = user.store.transaction((tx) => {
    if (tx.toDevice.isReceived(deposit.sender, deposit.messageId)) return [];
    tx.toDevice.markReceived(deposit.sender, deposit.messageId, user.clock.now());
    const contents = contentsByDevice(tx.devices.ids(), deposit.messages);
    if (contents.size === 0) return [];
    const { sender, type } = deposit;
    const position = tx.streams.next();
    return [...contents].map(([deviceId, content]) => {
      const added = tx.toDevice.insertInbox(deviceId, { position, sender, type, content });
      return { deviceId, size: trimInbox(user, tx, deviceId, added) };
    });
  });
  user.alarm.ensure(user.clock.now() + memoryMs);
  // Remembered only now: sizes of a transaction that was rolled back would be wrong.
  for (const { deviceId, size } of received) user.memory.inboxSizes.set(deviceId, size);
  if (received.length > 0) wakeWaiters(user, new Set(received.map(({ deviceId }) => deviceId)));
}

/** @throws MatrixError M_TOO_LARGE */
export function assertAcceptableContents(messages: Readonly<Record<string, JsonObject>>): void {
  for (const content of Object.values(messages)) {
    if (new TextEncoder().encode(JSON.stringify(content)).length > maxContentBytes) {
      throw errors.tooLarge(`The content of a message may have at most ${maxContentBytes} bytes`);
    }
  }
}

/** "The device ID may also be `*`, meaning all known devices for the user." What names a device goes before. */
function contentsByDevice(
  devices: readonly DeviceId[],
  messages: Record<string, JsonObject>,
): Map<DeviceId, JsonObject> {
  const contents = new Map<DeviceId, JsonObject>();
  for (const deviceId of devices) {
    const content = own(messages, deviceId) ?? own(messages, "*");
    if (content !== undefined) contents.set(deviceId, content);
  }
  return contents;
}

function own(messages: Record<string, JsonObject>, name: string): JsonObject | undefined {
  return Object.hasOwn(messages, name) ? messages[name] : undefined;
}

/** Drops the oldest messages until the inbox is within its bounds. @returns what it holds then. */
function trimInbox(user: UserContext, tx: UserWriter, deviceId: DeviceId, added: number): InboxSize {
  const known = user.memory.inboxSizes.get(deviceId);
  let { count, size } =
    known === undefined ? tx.toDevice.inboxSize(deviceId) : { count: known.count + 1, size: known.size + added };
  const before = count;
  while (count > maxInbox || size > maxInboxSize) {
    const dropped = tx.toDevice.deleteOldestInbox(deviceId);
    if (dropped === null) break;
    count -= 1;
    size -= dropped;
  }
  if (count < before) {
    const fields = { user_id: user.userId, device_id: deviceId, dropped: before - count };
    user.log.warn("to-device messages dropped: inbox is full", fields);
  }
  return { count, size };
}

/** The messages that wait for a device behind a position of the user's stream, oldest first. */
export function readInbox(user: UserContext, deviceId: DeviceId, after: number, limit: number): InboxPage {
  const rows = user.store.toDevice.inbox(deviceId, after, limit + 1);
  const page = rows.slice(0, limit);
  return {
    events: page.map(({ sender, type, content }) => ({ sender, type, content })),
    through: page.at(-1)?.position ?? after,
    isComplete: rows.length <= limit,
  };
}

/**
 * The client has the messages up to a position: they are deleted, and never delivered again.
 *
 * "When the client calls `/sync` again with the `next_batch` token from the first response, the server should infer that
 * any send-to-device messages in that response have been delivered successfully, and delete them from the store."
 */
export function acknowledgeInbox(user: UserContext, deviceId: DeviceId, through: number): void {
  if (!user.store.toDevice.hasInboxUpTo(deviceId, through)) return;
  user.store.transaction((tx) => tx.toDevice.deleteInboxUpTo(deviceId, through));
  user.memory.inboxSizes.delete(deviceId);
}

/** Whether a message waits for the device behind a position of the user's stream. */
export function hasInboxAfter(user: UserContext, deviceId: DeviceId, after: number): boolean {
  return user.store.toDevice.hasInboxAfter(deviceId, after);
}

/** Forgets transactions and deposits that are too old to be repeated, and comes back for the next. */
export function trimToDevice(user: UserContext): void {
  const now = user.clock.now();
  user.store.transaction((tx) => tx.toDevice.trim(now - memoryMs));
  const oldest = user.store.toDevice.findOldestTs();
  if (oldest !== null) user.alarm.ensure(oldest + memoryMs + 1);
}
