import type { EventId } from "../../../shared/ids.ts";
import type { RoomVersionRules } from "../../../shared/matrix/room-version.ts";
import type { StateNode } from "../state-tree.ts";
import type { EventRecord } from "./events.ts";

/** 4,096 nodes are about 1.5 MB of memory. */
const maxNodes = 4_096;
const maxEvents = 500;
const maxStateKeys = 4_096;

/**
 * What the stores keep in memory of rows that do not change. A transaction that wrote such rows and was undone may have
 * left some that are not stored: whoever undoes it calls {@link clear}.
 */
export class RoomCaches {
  readonly nodes = new Cache<number, StateNode>(maxNodes);
  readonly events = new Cache<number, EventRecord>(maxEvents);
  /** `type "\0" state_key` → state_key_nid; a type and a state key that hold NUL are not cached. */
  /** event id → event_nid, of events that are cached, or have been. */
  readonly eventNids = new Cache<EventId, number>(maxEvents);
  readonly stateKeys = new Cache<string, number>(maxStateKeys);
  rules: RoomVersionRules | null = null;
  /** Whether any other server is in the room; null: not known. */
  isAnyServerIn: boolean | null = null;
  /** Whether members of the room are not known; null: not looked up. */
  isPartial: boolean | null = null;
  /** How often a row of those kept here was written: when none was, nothing need be forgotten. */
  writes = 0;

  clear(): void {
    this.nodes.clear();
    this.events.clear();
    this.eventNids.clear();
    this.stateKeys.clear();
    this.rules = null;
    this.isAnyServerIn = null;
    this.isPartial = null;
  }
}

/** A map that keeps at most `limit` entries and drops the one that was not used for longest. */
export class Cache<Key, Value> {
  readonly #entries = new Map<Key, Value>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: Key): Value | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  set(key: Key, value: Value): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#limit) return;
    const oldest = this.#entries.keys().next();
    if (oldest.done !== true) this.#entries.delete(oldest.value);
  }

  delete(key: Key): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}
