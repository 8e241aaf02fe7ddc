/** What the tables `partial_state…` hold, and how their rows are read. */
import type { ServerName } from "../../../shared/ids.ts";
import type { BegunAnswer } from "../../../shared/rpc/room-joining.ts";
import type { PlaceInPast } from "../gaps.ts";
import type { StateRoot } from "../state-tree.ts";
import type { EventStatus } from "./events.ts";

/** A room not all of which is known. */
export interface PartialState {
  /** Stream position of the join. */
  readonly since: number;
  /** The state before the join, as it was told. */
  readonly toldRoot: StateRoot;
  /** Members were left out, and are to be fetched. */
  readonly lacksMembers: boolean;
  /** Until when it is tried to verify the rest, ms since epoch; null: that is not begun. */
  readonly unverifiedUntilTs: number | null;
  /** The states here are what follows from all that is known. */
  readonly isApplied: boolean;
  /** Who told it. */
  readonly server: ServerName;
  readonly workerId: string | null;
  /** When the alarm finds another worker, where there is none, ms since epoch. */
  readonly retryTs: number;
  readonly attempts: number;
  /** The state that is being fetched, as far as it is here; null: none is. */
  readonly fetchedRoot: StateRoot;
  /** The answer that it is of, as far as it was taken; null: none was begun. */
  readonly begun: BegunAnswer | null;
  /** The last event whose states are found. */
  readonly replayed: number;
  /** The current state after it, and the events that were ends of the graph. */
  readonly currentRoot: StateRoot;
  readonly ends: number[];
}

/** A state that another server told. */
export interface ToldState {
  readonly root: StateRoot;
  /** Event numbers of what of it is to be looked at anew, also of what was left out of it because it is rejected. */
  readonly doubtful: readonly number[];
}

/** An event that took its place in the graph while members were not known. */
export interface PartialEvent {
  readonly sequence: number;
  readonly eventNid: number;
  readonly told: ToldState[];
  /** A state without all members was told. */
  readonly isPartial: boolean;
  /** It was fetched as part of the past, and changed nothing of the present: where it belongs there. */
  readonly past: PlaceInPast | null;
}

/** An event that is not what it was found to be. */
export interface Changed {
  readonly eventNid: number;
  readonly was: EventStatus;
  readonly past: PlaceInPast | null;
}

/** What an event is found to be once all members are known. */
export interface Found {
  readonly status: EventStatus;
  readonly before: StateRoot;
  readonly after: StateRoot;
  readonly current: StateRoot;
}

export type PartialRow = {
  since_position: number;
  told_root: number;
  lacks_members: number;
  unverified_until: number | null;
  is_applied: number;
  server_name: ServerName;
  worker_id: string | null;
  retry_ts: number;
  attempts: number;
  fetched_root: number | null;
  fetched_from: ServerName | null;
  fetched_events: number;
  fetched_digest: string;
  replayed: number;
  current_root: number | null;
  ends: string;
};

export type PastColumns = { past_position: number | null; past_after: number | null };
export type EventRow = PastColumns & {
  sequence: number;
  event_nid: number;
  told: string;
  told_doubtful: string;
  is_partial: number;
};
export type FoundRow = {
  status: EventStatus;
  root_before: number | null;
  root_after: number | null;
  current_root: number | null;
};

export const columns = `since_position, told_root, lacks_members, unverified_until, is_applied, server_name, worker_id, retry_ts, attempts, fetched_root, fetched_from,
  fetched_events, fetched_digest, replayed, current_root, ends`;
export const eventColumns = "sequence, event_nid, told, told_doubtful, is_partial, past_position, past_after";

/** What is known of a room that is not whole. */
export function partialStateOf(row: PartialRow): PartialState {
  return {
    since: row.since_position,
    toldRoot: row.told_root,
    lacksMembers: row.lacks_members === 1,
    unverifiedUntilTs: row.unverified_until,
    isApplied: row.is_applied === 1,
    server: row.server_name,
    workerId: row.worker_id,
    retryTs: row.retry_ts,
    attempts: row.attempts,
    fetchedRoot: row.fetched_root,
    begun:
      row.fetched_from === null
        ? null
        : { server: row.fetched_from, events: row.fetched_events, digest: row.fetched_digest },
    replayed: row.replayed,
    currentRoot: row.current_root,
    ends: numbersOf(row.ends),
  };
}

/** An event that is to be looked at anew. */
export function partialEventOf(row: EventRow): PartialEvent {
  const doubtful = listsOf(row.told_doubtful);
  return {
    sequence: row.sequence,
    eventNid: row.event_nid,
    told: numbersOf(row.told).map((root, index) => ({ root, doubtful: doubtful[index] ?? [] })),
    isPartial: row.is_partial === 1,
    past: pastOf(row),
  };
}

/** Where an event of the past belongs; null for one of the live room. */
export function pastOf(row: PastColumns): PlaceInPast | null {
  return row.past_position === null ? null : { position: row.past_position, after: row.past_after };
}

/** Written by this server itself. */
function numbersOf(text: string): number[] {
  return JSON.parse(text);
}

/** The same, of lists of numbers. */
function listsOf(text: string): number[][] {
  return JSON.parse(text);
}
