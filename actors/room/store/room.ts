import type { Sql } from "../../../schema/sql.ts";
import { isObject, type JsonObject, parseStored } from "../../../shared/json.ts";
import { type RoomVersionRules, rulesFor } from "../../../shared/matrix/room-version.ts";
import type { StateRoot } from "../state-tree.ts";
import type { RoomCaches } from "./cache.ts";

/** What the room knows about itself. */
export interface RoomFacts {
  readonly roomVersion: string;
  /** Newest position of the room's stream. */
  readonly streamPosition: number;
  /** Newest event number that was given out. */
  readonly eventNid: number;
  /** Root of the current state. */
  readonly stateRoot: StateRoot;
  readonly joinedMembers: number;
  readonly invitedMembers: number;
  /** User id → ms since epoch when the user ceases to type. */
  readonly typing: JsonObject;
  /** Stream position of the last change of `typing`. */
  readonly typingPosition: number;
  /** Listed in the public room directory. */
  readonly isPublished: boolean;
  /** Stream position up to which D1 has the room's summary. */
  readonly directoryPosition: number;
  /** Stream position that D1 is to have the room's summary of. */
  readonly directoryOwed: number;
  /** The server's register of rooms has this room. */
  readonly isNoted: boolean;
}

type RoomRow = {
  room_version: string;
  stream_position: number;
  event_nid: number;
  state_root: number | null;
  joined_members: number;
  invited_members: number;
  typing: string;
  typing_position: number;
  is_published: number;
  directory_position: number;
  directory_owed: number;
  is_noted: number;
};

const columns = `room_version, stream_position, event_nid, state_root, joined_members, invited_members, typing,
  typing_position, is_published, directory_position, directory_owed, is_noted`;

/** SQL of the table `room`. */
export class RoomReader {
  protected readonly sql: Sql;
  protected readonly caches: RoomCaches;

  constructor(sql: Sql, caches: RoomCaches) {
    this.sql = sql;
    this.caches = caches;
  }

  /** Null: no room of this id is known here. */
  find(): RoomFacts | null {
    const row = this.sql.one<RoomRow>(`SELECT ${columns} FROM room WHERE id = 1`);
    return row === null ? null : factsOf(row);
  }

  /** @throws Error when the room does not exist: callers have checked that somebody is in it. */
  get(): RoomFacts {
    const facts = this.find();
    if (facts === null) throw new Error("the room does not exist");
    return facts;
  }

  /** The rules of the room's version. @throws Error when the room does not exist. */
  rules(): RoomVersionRules {
    this.caches.rules ??= rulesFor(this.get().roomVersion);
    if (this.caches.rules === null) throw new Error("the room has a version that this server does not know");
    return this.caches.rules;
  }
}

/** Exists only inside a transaction. */
export class RoomWriter extends RoomReader {
  /** @param streamPosition newest position that was given out before the room was known */
  insert(roomVersion: string, streamPosition = 0): void {
    this.caches.writes += 1;
    this.sql.run(
      "INSERT INTO room (id, room_version, stream_position, event_nid) VALUES (1, ?, ?, 0)",
      roomVersion,
      streamPosition,
    );
  }

  /** Forgets all that is in memory: to be called when the rows are deleted that it is of. */
  forgetAll(): void {
    this.caches.writes += 1;
    this.caches.clear();
  }

  /** Gives out the next position of the stream. */
  takePosition(): number {
    const row = this.sql.one<{ stream_position: number }>(
      "UPDATE room SET stream_position = stream_position + 1 WHERE id = 1 RETURNING stream_position",
    );
    if (row === null) throw new Error("the room does not exist");
    return row.stream_position;
  }

  /** Leaves a number of positions of the stream free. */
  skipPositions(count: number): void {
    this.sql.run("UPDATE room SET stream_position = stream_position + ? WHERE id = 1", count);
  }

  /** What an event of the live room changes. */
  advance(
    facts: Pick<
      RoomFacts,
      "streamPosition" | "eventNid" | "stateRoot" | "joinedMembers" | "invitedMembers" | "directoryOwed"
    >,
  ): void {
    this.sql.run(
      `UPDATE room SET stream_position = ?, event_nid = ?, state_root = ?, joined_members = ?, invited_members = ?,
         directory_owed = ? WHERE id = 1`,
      facts.streamPosition,
      facts.eventNid,
      facts.stateRoot,
      facts.joinedMembers,
      facts.invitedMembers,
      facts.directoryOwed,
    );
  }

  /** Notes that an event number is taken by an event that changes nothing else. */
  setEventNid(eventNid: number): void {
    this.sql.run("UPDATE room SET event_nid = MAX(event_nid, ?) WHERE id = 1", eventNid);
  }

  setTyping(typing: JsonObject, position: number): void {
    this.sql.run("UPDATE room SET typing = ?, typing_position = ? WHERE id = 1", JSON.stringify(typing), position);
  }

  setPublished(isPublished: boolean): void {
    this.sql.run("UPDATE room SET is_published = ? WHERE id = 1", isPublished ? 1 : 0);
  }

  /** D1 is to have the room's summary as of this position. */
  oweDirectory(position: number): void {
    this.sql.run("UPDATE room SET directory_owed = MAX(directory_owed, ?) WHERE id = 1", position);
  }

  /** D1 has the room's summary as of this position. */
  setDirectoryPosition(position: number): void {
    this.sql.run("UPDATE room SET directory_position = MAX(directory_position, ?) WHERE id = 1", position);
  }

  setNoted(): void {
    this.sql.run("UPDATE room SET is_noted = 1 WHERE id = 1");
  }
}

function factsOf(row: RoomRow): RoomFacts {
  const typing = row.typing === "{}" ? {} : parseStored(row.typing);
  return {
    roomVersion: row.room_version,
    streamPosition: row.stream_position,
    eventNid: row.event_nid,
    stateRoot: row.state_root,
    joinedMembers: row.joined_members,
    invitedMembers: row.invited_members,
    typing: isObject(typing) ? typing : {},
    typingPosition: row.typing_position,
    isPublished: row.is_published === 1,
    directoryPosition: row.directory_position,
    directoryOwed: row.directory_owed,
    isNoted: row.is_noted === 1,
  };
}
