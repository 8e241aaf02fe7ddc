/** Messages to devices that this user's clients send: kept here until each receiver's actor has stored them. */
import { encodeBase64Url } from "../../shared/base64.ts";
import { errors, MatrixError } from "../../shared/errors.ts";
import { type DeviceId, parseUserId, serverNameOf, type UserId } from "../../shared/ids.ts";
import { isObject, type JsonObject, parseStoredObject } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import type { UserContext } from "./context.ts";
import type { OutboxMessage } from "./store/to-device.ts";
import { assertAcceptableContents, memoryMs } from "./to-device.ts";

/** When the alarm looks whether messages were delivered. */
const repeatAfterMs = 10_000;
/** Receivers that are delivered to at the same time, at most. */
const maxParallelTargets = 32;
const maxTypeBytes = 255;
/** Messages to one user in one request, in bytes of their JSON: they wait in one row, which may have 2 MB. */
const maxMessagesBytes = 1_048_576;
const messageIdBytes = 16;

export interface SendToDevice {
  deviceId: DeviceId;
  txnId: string;
  type: string;
  /** user id → device id or `*` → content */
  messages: Record<string, Record<string, JsonObject>>;
}

/**
 * Takes messages for delivery. Once per (device, txnId). Users of other servers cannot be reached yet: their messages
 * are counted in the log and not kept.
 *
 * @throws MatrixError M_INVALID_PARAM, M_TOO_LARGE
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid
 */
export function sendToDevice(user: UserContext, input: SendToDevice): void {
  const { deviceId, txnId, type } = input;
  if (type === "" || new TextEncoder().encode(type).length > maxTypeBytes) {
    throw errors.invalidParam(`The event type must have 1 to ${maxTypeBytes} bytes`);
  }
  const targets = Object.entries(input.messages).map(([name, messages]) => {
    assertAcceptableContents(messages);
    const json = JSON.stringify(messages);
    if (new TextEncoder().encode(json).length > maxMessagesBytes) {
      throw errors.tooLarge(`The messages to one user may have at most ${maxMessagesBytes} bytes together`);
    }
    return { target: parseTarget(name), json };
  });
  const local = targets.filter(({ target }) => serverNameOf(target) === user.config.serverName);
  user.store.transaction((tx) => {
    if (tx.toDevice.isTransactionKnown(deviceId, txnId)) return;
    tx.toDevice.markTransaction(deviceId, txnId, user.clock.now());
    for (const { target, json } of local) {
      const messageId = encodeBase64Url(user.random.bytes(messageIdBytes));
      tx.toDevice.insertOutbox({ target, messageId, type, messages: json });
    }
    user.alarm.ensure(user.clock.now() + (local.length > 0 ? repeatAfterMs : memoryMs));
  });
  const remote = targets.length - local.length;
  if (remote > 0) user.log.info("to-device messages for other servers not sent", { user_id: user.userId, remote });
}

function parseTarget(name: string): UserId {
  const target = parseUserId(name);
  if (target === null) throw errors.invalidParam("messages: not a user id");
  return target;
}

/** Delivers what waits, each receiver's messages in their order. What fails stays, and the alarm comes back to it. */
export async function deliverOutbox(user: UserContext): Promise<void> {
  const failed = new Set<UserId>();
  for (;;) {
    const skipped = failed.size + user.memory.deliveringTo.size;
    const targets = user.store.toDevice
      .outboxTargets(maxParallelTargets + skipped)
      .filter((target) => !failed.has(target) && !user.memory.deliveringTo.has(target))
      .slice(0, maxParallelTargets);
    if (targets.length === 0) break;
    await Promise.all(
      targets.map(async (target) => {
        if (!(await deliverTo(user, target))) failed.add(target);
      }),
    );
  }
  if (user.store.toDevice.outboxTargets(1).length > 0) user.alarm.ensure(user.clock.now() + repeatAfterMs);
}

/** @returns false when a message could not be delivered. */
async function deliverTo(user: UserContext, target: UserId): Promise<boolean> {
  user.memory.deliveringTo.add(target);
  try {
    for (;;) {
      const message = user.store.toDevice.findOldestOutbox(target);
      if (message === null) return true;
      await deposit(user, message);
      user.store.transaction((tx) => tx.toDevice.deleteOutbox(message.outboxNid));
    }
  } catch (thrown) {
    const fields = { user_id: user.userId, target, error: describeError(thrown) };
    user.log.warn("to-device message not delivered", fields);
    return false;
  } finally {
    user.memory.deliveringTo.delete(target);
  }
}

async function deposit(user: UserContext, message: OutboxMessage): Promise<void> {
  const { target, messageId, type } = message;
  const messages: Record<string, JsonObject> = {};
  for (const [deviceId, content] of Object.entries(parseStoredObject(message.messages))) {
    if (isObject(content)) Object.defineProperty(messages, deviceId, { value: content, enumerable: true });
  }
  try {
    await user.actors.user(target).depositToDevice({ sender: user.userId, messageId, type, messages });
  } catch (thrown) {
    // Refused for what it is: it would be refused for ever, and nothing behind it would arrive.
    if (!(thrown instanceof MatrixError) || thrown.status >= 500 || thrown.status === 429) throw thrown;
    user.log.warn("to-device message refused", { user_id: user.userId, target, errcode: thrown.errcode });
  }
}
