import type { Sql } from "../../../schema/sql.ts";
import type { DeviceId } from "../../../shared/ids.ts";

/** A client of the user. @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices */
export interface Device {
  deviceId: DeviceId;
  displayName: string | null;
  lastSeenTs: number;
  lastSeenIp: string | null;
}

type DeviceRow = {
  device_id: DeviceId;
  display_name: string | null;
  last_seen_ts: number;
  last_seen_ip: string | null;
};

const columns = "device_id, display_name, last_seen_ts, last_seen_ip";

/** SQL of the table `devices`. */
export class DevicesReader {
  protected readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  find(deviceId: DeviceId): Device | null {
    const row = this.sql.one<DeviceRow>(`SELECT ${columns} FROM devices WHERE device_id = ?`, deviceId);
    return row === null ? null : deviceOf(row);
  }

  all(): Device[] {
    return this.sql.all<DeviceRow>(`SELECT ${columns} FROM devices ORDER BY created_ts, device_id`).map(deviceOf);
  }

  ids(): DeviceId[] {
    return this.sql.all<{ device_id: DeviceId }>("SELECT device_id FROM devices").map((row) => row.device_id);
  }
}

/** Exists only inside a transaction. */
export class DevicesWriter extends DevicesReader {
  insert(deviceId: DeviceId, displayName: string | null, now: number): void {
    const query = "INSERT INTO devices (device_id, display_name, last_seen_ts, created_ts) VALUES (?, ?, ?, ?)";
    this.sql.run(query, deviceId, displayName, now, now);
  }

  setDisplayName(deviceId: DeviceId, displayName: string): void {
    this.sql.run("UPDATE devices SET display_name = ? WHERE device_id = ?", displayName, deviceId);
  }

  setLastSeen(deviceId: DeviceId, ts: number, ip: string | null): void {
    const query = "UPDATE devices SET last_seen_ts = ?, last_seen_ip = COALESCE(?, last_seen_ip) WHERE device_id = ?";
    this.sql.run(query, ts, ip, deviceId);
  }

  /** Removes a device with all that belongs to it alone: tokens, waiting messages, transaction ids. */
  delete(deviceId: DeviceId): void {
    const tables = ["access_tokens", "refresh_tokens", "to_device_inbox", "to_device_transactions", "devices"];
    for (const table of tables) {
      this.sql.run(`DELETE FROM ${table} WHERE device_id = ?`, deviceId);
    }
  }
}

function deviceOf(row: DeviceRow): Device {
  return {
    deviceId: row.device_id,
    displayName: row.display_name,
    lastSeenTs: row.last_seen_ts,
    lastSeenIp: row.last_seen_ip,
  };
}
