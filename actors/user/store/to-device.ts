import type { Sql } from "../../../schema/sql.ts";
import type { DeviceId, ServerName, UserId } from "../../../shared/ids.ts";
import { type JsonObject, parseStoredObject } from "../../../shared/json.ts";

/** A message in a device's inbox. `position` is in the receiving user's stream. */
export interface InboxMessage {
  position: number;
  sender: UserId;
  type: string;
  content: JsonObject;
}

/** What an inbox holds: messages, and the length of their contents together. */
export interface InboxSize {
  count: number;
  size: number;
}

/** Whom a message goes to: a user of this server, or another server for its users. */
export type OutboxTarget = UserId | ServerName;

/** A message on its way to others. */
export interface OutboxMessage {
  outboxNid: number;
  target: OutboxTarget;
  messageId: string;
  type: string;
  /** As JSON: device id or `*` → content and, for a server, that by user id. */
  messages: string;
}

type OutboxRow = { outbox_nid: number; target: OutboxTarget; message_id: string; type: string; messages: string };

/** SQL of the `to_device_*` tables. */
export class ToDeviceReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  inbox(deviceId: DeviceId, after: number, limit: number): InboxMessage[] {
    return this.sql
      .all<{ position: number; sender: UserId; type: string; content: string }>(
        `SELECT position, sender, type, content FROM to_device_inbox
         WHERE device_id = ? AND position > ? ORDER BY position LIMIT +?`,
        deviceId,
        after,
        limit,
      )
      .map((row) => ({ ...row, content: parseStoredObject(row.content) }));
  }

  hasInboxAfter(deviceId: DeviceId, after: number): boolean {
    return this.#exists("SELECT 1 FROM to_device_inbox WHERE device_id = ? AND position > ?", deviceId, after);
  }

  hasInboxUpTo(deviceId: DeviceId, through: number): boolean {
    return this.#exists("SELECT 1 FROM to_device_inbox WHERE device_id = ? AND position <= ?", deviceId, through);
  }

  /** Reads as many rows as there are messages. */
  inboxSize(deviceId: DeviceId): InboxSize {
    const query = "SELECT COUNT(*) AS count, COALESCE(SUM(size), 0) AS size FROM to_device_inbox WHERE device_id = ?";
    return this.sql.one<{ count: number; size: number }>(query, deviceId) ?? { count: 0, size: 0 };
  }

  isReceived(sender: UserId, messageId: string): boolean {
    return this.#exists("SELECT 1 FROM to_device_received WHERE sender = ? AND message_id = ?", sender, messageId);
  }

  isTransactionKnown(deviceId: DeviceId, txnId: string): boolean {
    return this.#exists("SELECT 1 FROM to_device_transactions WHERE device_id = ? AND txn_id = ?", deviceId, txnId);
  }

  outboxTargets(limit: number): OutboxTarget[] {
    return this.sql
      .all<{ target: OutboxTarget }>("SELECT DISTINCT target FROM to_device_outbox LIMIT +?", limit)
      .map((row) => row.target);
  }

  /** The oldest message to a target that is still to be delivered. */
  findOldestOutbox(target: OutboxTarget): OutboxMessage | null {
    const row = this.sql.one<OutboxRow>(
      `SELECT outbox_nid, target, message_id, type, messages FROM to_device_outbox
       WHERE target = ? ORDER BY outbox_nid LIMIT 1`,
      target,
    );
    if (row === null) return null;
    const { outbox_nid: outboxNid, message_id: messageId, type, messages } = row;
    return { outboxNid, target, messageId, type, messages };
  }

  /** When the oldest remembered transaction or deposit was made, ms since epoch; null when there is none. */
  findOldestTs(): number | null {
    return (
      this.sql.one<{ oldest: number | null }>(
        `SELECT MIN(ts) AS oldest FROM (
           SELECT MIN(received_ts) AS ts FROM to_device_received
           UNION ALL SELECT MIN(created_ts) FROM to_device_transactions)`,
      )?.oldest ?? null
    );
  }

  #exists(query: string, ...bindings: (string | number)[]): boolean {
    return this.sql.one<{ found: number }>(`SELECT EXISTS (${query}) AS found`, ...bindings)?.found === 1;
  }
}

/** Exists only inside a transaction. */
export class ToDeviceWriter extends ToDeviceReader {
  /** @returns the length of the stored content. */
  insertInbox(deviceId: DeviceId, message: InboxMessage): number {
    const content = JSON.stringify(message.content);
    this.sql.run(
      "INSERT INTO to_device_inbox (device_id, position, sender, type, size, content) VALUES (?, ?, ?, ?, ?, ?)",
      deviceId,
      message.position,
      message.sender,
      message.type,
      content.length,
      content,
    );
    return content.length;
  }

  deleteInboxUpTo(deviceId: DeviceId, through: number): void {
    this.sql.run("DELETE FROM to_device_inbox WHERE device_id = ? AND position <= ?", deviceId, through);
  }

  /** Deletes the oldest message of a device. @returns the length of its content; null when there is none. */
  deleteOldestInbox(deviceId: DeviceId): number | null {
    const query = `DELETE FROM to_device_inbox WHERE device_id = ?1 AND position = (
      SELECT MIN(position) FROM to_device_inbox WHERE device_id = ?1) RETURNING size`;
    return this.sql.one<{ size: number }>(query, deviceId)?.size ?? null;
  }

  markReceived(sender: UserId, messageId: string, now: number): void {
    const query = "INSERT INTO to_device_received (sender, message_id, received_ts) VALUES (?, ?, ?)";
    this.sql.run(query, sender, messageId, now);
  }

  markTransaction(deviceId: DeviceId, txnId: string, now: number): void {
    const query = "INSERT INTO to_device_transactions (device_id, txn_id, created_ts) VALUES (?, ?, ?)";
    this.sql.run(query, deviceId, txnId, now);
  }

  insertOutbox(message: Omit<OutboxMessage, "outboxNid">): void {
    this.sql.run(
      "INSERT INTO to_device_outbox (target, message_id, type, messages) VALUES (?, ?, ?, ?)",
      message.target,
      message.messageId,
      message.type,
      message.messages,
    );
  }

  deleteOutbox(outboxNid: number): void {
    this.sql.run("DELETE FROM to_device_outbox WHERE outbox_nid = ?", outboxNid);
  }

  /** Forgets transactions and deposits from before `horizon`, ms since epoch. */
  trim(horizon: number): void {
    this.sql.run("DELETE FROM to_device_received WHERE received_ts < ?", horizon);
    this.sql.run("DELETE FROM to_device_transactions WHERE created_ts < ?", horizon);
  }
}
