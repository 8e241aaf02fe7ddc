/**
 * What a room really holds, read straight from its tables and understood by the plainest rules: a second opinion that
 * shares no code with the server. Works on rooms of one server, whose events form a line.
 */
import { field, isObject, type JsonObject, parseStoredObject, stringField } from "../../shared/json.ts";
import type { Host } from "./host.ts";

export interface RecordedEvent {
  readonly position: number;
  readonly eventId: string;
  readonly type: string;
  readonly stateKey: string | null;
  readonly sender: string;
  readonly content: JsonObject;
  readonly isRedacted: boolean;
  /** User → membership, and history visibility: before and after the event. */
  readonly before: Snapshot;
  readonly after: Snapshot;
}

interface Snapshot {
  readonly members: ReadonlyMap<string, string>;
  readonly visibility: string;
}

type EventRow = {
  stream_position: number;
  event_id: string;
  type: string;
  state_key: string | null;
  sender: string;
  redacted_by: string | null;
  json: string;
};

export class RoomRecord {
  readonly roomId: string;
  readonly host: Host;
  readonly events: RecordedEvent[] = [];
  /** `type|state_key` → event id */
  readonly state = new Map<string, string>();
  /** User → membership. */
  members: ReadonlyMap<string, string> = new Map();

  constructor(host: Host) {
    this.host = host;
    this.roomId = host.name;
    let snapshot: Snapshot = { members: this.members, visibility: "shared" };
    const rows = host.storage.sql.all<EventRow>(
      `SELECT stream_position, event_id, type, state_key, sender, redacted_by, json FROM events
       WHERE stream_position IS NOT NULL ORDER BY stream_position`,
    );
    for (const row of rows) {
      const content = contentOf(row);
      const before = snapshot;
      snapshot = row.state_key === null ? before : follow(before, row, content);
      if (row.state_key !== null) this.state.set(`${row.type}|${row.state_key}`, row.event_id);
      this.events.push({
        position: row.stream_position,
        eventId: row.event_id,
        type: row.type,
        stateKey: row.state_key,
        sender: row.sender,
        content,
        isRedacted: row.redacted_by !== null,
        before,
        after: snapshot,
      });
    }
    this.members = snapshot.members;
  }

  /** Whether the user has left, and has the room forgotten now. */
  isForgottenBy(userId: string): boolean {
    const query = "SELECT 1 AS found FROM room_memberships WHERE user_id = ? AND is_forgotten = 1";
    return this.host.storage.sql.one<{ found: number }>(query, userId) !== null;
  }

  membership(userId: string): string | null {
    return this.members.get(userId) ?? null;
  }

  /** Position of the newest event at which the user was joined still; infinite for a member, null for who never was. */
  joinedThrough(userId: string): number | null {
    if (this.membership(userId) === "join") return Number.POSITIVE_INFINITY;
    const exit = this.events.findLast((event) => event.before.members.get(userId) === "join");
    return exit?.position ?? null;
  }

  /** The events that the spec's rules let the user see: none from after they left. */
  visibleTo(userId: string): RecordedEvent[] {
    const through = this.joinedThrough(userId);
    if (through === null) return [];
    return this.events.filter((event) => event.position <= through && isVisible(event, userId));
  }

  /**
   * Events that a client may or may not be told of: those about the user that do not let them see anything, such as an
   * invite, and what everybody may read though the user is no member.
   */
  marginalTo(userId: string): Set<string> {
    const through = this.joinedThrough(userId) ?? 0;
    const marginal = this.events.filter((event) => {
      const at = [event.before, event.after];
      if (event.position > through && at.some(({ visibility }) => visibility === "world_readable")) return true;
      const isOwn = event.type === "m.room.member" && event.stateKey === userId;
      return isOwn && !at.some(({ members }) => members.get(userId) === "join");
    });
    return new Set(marginal.map((event) => event.eventId));
  }

  /** Unread messages of a member, counted from nothing. */
  unreadOf(userId: string): number {
    const read = this.#readThrough(userId);
    const joined = this.events.findLast((event) => event.before.members.get(userId) !== "join")?.position ?? 0;
    const written = this.events.findLast((event) => event.sender === userId && event.stateKey === null)?.position ?? 0;
    const from = Math.max(read, joined, written);
    return this.visibleTo(userId).filter(
      (event) => event.position > from && isNotified(event, userId) && !event.isRedacted,
    ).length;
  }

  /** `receipt type|user|thread` → event id, as far as the user may know of it. */
  receiptsFor(userId: string): Map<string, string> {
    const query = "SELECT user_id, receipt_type, thread_id, event_id FROM receipts";
    const rows =
      this.host.storage.sql.all<Record<"user_id" | "receipt_type" | "thread_id" | "event_id", string>>(query);
    const known = rows.filter((row) => row.receipt_type === "m.read" || row.user_id === userId);
    return new Map(known.map((row) => [`${row.receipt_type}|${row.user_id}|${row.thread_id}`, row.event_id]));
  }

  #readThrough(userId: string): number {
    const query = "SELECT COALESCE(MAX(event_position), 0) AS position FROM receipts WHERE user_id = ?";
    return this.host.storage.sql.one<{ position: number }>(query, userId)?.position ?? 0;
  }
}

function contentOf(row: EventRow): JsonObject {
  const content = field(parseStoredObject(row.json), "content");
  if (content === undefined || !isObject(content)) throw new Error(`event ${row.event_id} has no content`);
  return content;
}

function follow(before: Snapshot, row: EventRow, content: JsonObject): Snapshot {
  if (row.type === "m.room.member" && row.state_key !== null) {
    const members = new Map(before.members);
    return { ...before, members: members.set(row.state_key, stringField(content, "membership") ?? "") };
  }
  if (row.type === "m.room.history_visibility" && row.state_key === "") {
    return { ...before, visibility: stringField(content, "history_visibility") ?? "shared" };
  }
  return before;
}

/**
 * For a user who was joined at some time after the event.
 * @see https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-10
 */
function isVisible(event: RecordedEvent, userId: string): boolean {
  const isOwn = event.type === "m.room.member" && event.stateKey === userId;
  const memberships = isOwn ? [event.before, event.after] : [event.before];
  return [event.before, event.after].some(({ visibility }) =>
    memberships.some(({ members }) => {
      const membership = members.get(userId);
      if (membership === "join" || visibility === "world_readable" || visibility === "shared") return true;
      return visibility === "invited" && membership === "invite";
    }),
  );
}

/** Of the default push rules, what matters here: messages and tombstones of others; invites to oneself do not occur. */
function isNotified(event: RecordedEvent, userId: string): boolean {
  return (event.type === "m.room.message" || event.type === "m.room.tombstone") && event.sender !== userId;
}
