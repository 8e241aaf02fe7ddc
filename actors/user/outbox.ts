/**
 * Messages to devices that this user's clients send: kept here until each receiver's actor has stored them. The receiver is
 * a user of this server, or another server with all of its users who are named.
 */
import { encodeBase64Url } from "../../shared/base64.ts";
import { errors, MatrixError } from "../../shared/errors.ts";
import { mayTalkTo } from "../../shared/federation-api/peers.ts";
import { type DeviceId, parseUserId, type ServerName, serverNameOf, type UserId } from "../../shared/ids.ts";
import { define, isObject, type JsonObject, objectField, parseStoredObject } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import type { UserContext } from "./context.ts";
import type { OutboxMessage, OutboxTarget } from "./store/to-device.ts";
import { assertAcceptableContents, memoryMs } from "./to-device.ts";

/** When the alarm looks whether messages were delivered. */
const repeatAfterMs = 10_000;
/** Receivers that are delivered to at the same time, at most. */
const maxParallelTargets = 32;
const maxTypeBytes = 255;
/** Messages to one user in one request, in bytes of their JSON: they wait in one row, which may have 2 MB. */
const maxMessagesBytes = 1_048_576;
/** Messages to users of another server in one EDU, in bytes of their JSON; more only where one alone has more. */
const maxEduBytes = 60_000;
const messageIdBytes = 16;

export interface SendToDevice {
  deviceId: DeviceId;
  txnId: string;
  type: string;
  messages: Messages;
}

/** User id → device id or `*` → content. */
type Messages = Record<string, Record<string, JsonObject>>;

/**
 * Takes messages for delivery. Once per (device, type, txnId). What is for a server that this one does not talk to is counted in
 * the log and not kept.
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
  const waiting: { target: OutboxTarget; json: string }[] = [...local, ...forOtherServers(user, input.messages)];
  // A retransmission has the same path, which names the type, too.
  const path = JSON.stringify([type, txnId]);
  user.store.transaction((tx) => {
    if (tx.toDevice.isTransactionKnown(deviceId, path)) return;
    tx.toDevice.markTransaction(deviceId, path, user.clock.now());
    for (const { target, json } of waiting) {
      const messageId = encodeBase64Url(user.random.bytes(messageIdBytes));
      tx.toDevice.insertOutbox({ target, messageId, type, messages: json });
    }
    user.alarm.ensure(user.clock.now() + (waiting.length > 0 ? repeatAfterMs : memoryMs));
  });
}

/** What goes to each of the other servers, in as many parts as it takes to keep each small. */
function forOtherServers(user: UserContext, messages: Messages): { target: ServerName; json: string }[] {
  const byServer = Map.groupBy(Object.entries(messages), ([name]) => serverNameOf(parseTarget(name)));
  const parts: { target: ServerName; json: string }[] = [];
  for (const [target, ofServer] of byServer) {
    if (target === user.config.serverName) continue;
    if (mayTalkTo(user.config, target)) {
      for (const part of inParts(ofServer)) parts.push({ target, json: JSON.stringify(part) });
    } else {
      const fields = { user_id: user.userId, destination: target, users: ofServer.length };
      user.log.info("to-device messages not sent: the server is not talked to", fields);
    }
  }
  return parts;
}

function inParts(messages: readonly [string, Record<string, JsonObject>][]): JsonObject[] {
  const parts: JsonObject[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const [userId, byDevice] of messages) {
    for (const [deviceId, content] of Object.entries(byDevice)) {
      const added = new TextEncoder().encode(JSON.stringify([userId, deviceId, content])).length;
      if (bytes + added > maxEduBytes) {
        parts.push({});
        bytes = 0;
      }
      bytes += added;
      const part = parts.at(-1) ?? {};
      const devices = objectField(part, userId) ?? {};
      define(devices, deviceId, content);
      define(part, userId, devices);
    }
  }
  return parts;
}

function parseTarget(name: string): UserId {
  const target = parseUserId(name);
  if (target === null) throw errors.invalidParam("messages: not a user id");
  return target;
}

/** Delivers what waits, each receiver's messages in their order. What fails stays, and the alarm comes back to it. */
export async function deliverOutbox(user: UserContext): Promise<void> {
  const failed = new Set<OutboxTarget>();
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
async function deliverTo(user: UserContext, target: OutboxTarget): Promise<boolean> {
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
  const { target, type } = message;
  try {
    if (isUser(target)) await depositLocally(user, target, message);
    else await sendToServer(user, target, message);
  } catch (thrown) {
    // Refused for what it is: it would be refused for ever, and nothing behind it would arrive.
    if (!(thrown instanceof MatrixError) || thrown.status >= 500 || thrown.status === 429) throw thrown;
    user.log.warn("to-device message refused", { user_id: user.userId, target, type, errcode: thrown.errcode });
  }
}

/** No server name begins like this. */
function isUser(target: OutboxTarget): target is UserId {
  return target.startsWith("@");
}

async function depositLocally(user: UserContext, target: UserId, message: OutboxMessage): Promise<void> {
  const { messageId, type } = message;
  const messages: Record<string, JsonObject> = {};
  for (const [deviceId, content] of Object.entries(parseStoredObject(message.messages))) {
    if (isObject(content)) Object.defineProperty(messages, deviceId, { value: content, enumerable: true });
  }
  await user.actors.user(target).depositToDevice({ sender: user.userId, messageId, type, messages });
}

/** @see https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging */
async function sendToServer(user: UserContext, target: ServerName, message: OutboxMessage): Promise<void> {
  const { messageId, type } = message;
  const messages = parseStoredObject(message.messages);
  const content = { sender: user.userId, type, message_id: messageId, messages };
  const edu = { edu_type: "m.direct_to_device", content };
  await user.actors.server(target).sendEdu({ id: `${user.userId} ${messageId}`, edu });
}
