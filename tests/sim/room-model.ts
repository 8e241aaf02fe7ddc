/** What a client knows of one room from `/sync`, kept as clients keep it. */
import { field, isObject, type JsonObject, type JsonValue, objectField, stringField } from "../../shared/json.ts";

/** A place in the timeline: an event, or a gap that can be filled by reading back from a token. */
export type TimelineItem =
  | { readonly kind: "event"; readonly eventId: string; readonly event: JsonObject }
  | { readonly kind: "gap"; readonly from: string };

/** A gap, and the events before it: what is read back is new until it meets one of them. */
export interface Gap {
  readonly index: number;
  readonly from: string;
  readonly before: ReadonlySet<string>;
}

export type Place = "join" | "invite" | "knock" | "leave";

export class RoomModel {
  place: Place = "leave";
  /** Oldest first. */
  items: TimelineItem[] = [];
  /** `type|state_key` → event id */
  readonly state = new Map<string, string>();
  /** `receipt type|user|thread` → event id */
  readonly receipts = new Map<string, string>();
  readonly accountData = new Map<string, JsonValue>();
  typing: string[] = [];
  unread = 0;
  /** Whether the client may not ask for something that its timeline lacks. */
  hasHole = false;

  /** Whether the client has been given anything of the room's timeline. */
  get isKnown(): boolean {
    return this.items.length > 0;
  }

  /** Takes in a section of `rooms` in a sync answer. */
  apply(place: Place, section: JsonObject): void {
    const wasJoined = this.place === "join";
    this.place = place;
    // Who is out hears nothing more of who types.
    if (place !== "join") this.typing = [];
    if (place === "invite" || place === "knock") return;
    // Whoever has thrown away what belonged to a room that they left is given it when they come back.
    if (place === "join" && !wasJoined) this.accountData.clear();
    const timeline = objectField(section, "timeline") ?? {};
    const events = eventsIn(timeline);
    const previous = stringField(timeline, "prev_batch");
    const isLimited = field(timeline, "limited") === true;
    // Who has joined anew may see what happened meanwhile, so that clients begin anew as well.
    if (isLimited && !wasJoined) {
      this.items = [];
      this.hasHole = false;
    }
    // Where the client has not noticed that its user was away, the timeline may begin with what it has already.
    const overlap = isLimited ? events.findLastIndex((event) => this.#has(event)) : -1;
    const hasGap = overlap === -1 && (isLimited || (!this.isKnown && events.length > 0));
    if (hasGap && previous !== null) this.items.push({ kind: "gap", from: previous });
    for (const event of events.slice(overlap + 1)) this.items.push(itemOf(event));
    this.#applyState(section, events);
    for (const event of eventsIn(objectField(section, "ephemeral") ?? {})) this.#applyEphemeral(event);
    for (const event of eventsIn(objectField(section, "account_data") ?? {})) {
      this.accountData.set(stringField(event, "type") ?? "", field(event, "content") ?? null);
    }
    const unread = field(objectField(section, "unread_notifications") ?? {}, "notification_count");
    if (typeof unread === "number") this.unread = unread;
  }

  /** The newest gap; null when there is none. */
  newestGap(): Gap | null {
    const index = this.items.findLastIndex((item) => item.kind === "gap");
    const gap = this.items[index];
    if (gap?.kind !== "gap") return null;
    const before = this.items.slice(0, index).flatMap((item) => (item.kind === "event" ? [item.eventId] : []));
    return { index, from: gap.from, before: new Set(before) };
  }

  /** Puts events, oldest first, in the place of a gap; `rest` is what is still missing before them. */
  fill(index: number, events: readonly JsonObject[], rest: string | null): void {
    const items: TimelineItem[] = events.map(itemOf);
    if (rest !== null) items.unshift({ kind: "gap", from: rest });
    this.items.splice(index, 1, ...items);
  }

  /** What is missing in a gap is not given to this client. */
  giveUp(index: number): void {
    this.items.splice(index, 1);
    this.hasHole = true;
  }

  #has(event: JsonObject): boolean {
    const eventId = stringField(event, "event_id");
    return this.items.some((item) => item.kind === "event" && item.eventId === eventId);
  }

  #applyState(section: JsonObject, timeline: readonly JsonObject[]): void {
    const after = objectField(section, "state_after");
    const events = after === null ? [...eventsIn(objectField(section, "state") ?? {}), ...timeline] : eventsIn(after);
    for (const event of events) {
      const stateKey = stringField(event, "state_key");
      if (stateKey === null) continue;
      this.state.set(`${stringField(event, "type")}|${stateKey}`, stringField(event, "event_id") ?? "");
    }
  }

  #applyEphemeral(event: JsonObject): void {
    const content = objectField(event, "content") ?? {};
    if (event.type === "m.typing") {
      const users = field(content, "user_ids");
      this.typing = Array.isArray(users) ? users.map(String).sort() : [];
    }
    if (event.type === "m.receipt") this.#applyReceipts(content);
  }

  #applyReceipts(content: JsonObject): void {
    for (const [eventId, types] of Object.entries(content)) {
      if (!isObject(types)) continue;
      for (const [type, users] of Object.entries(types)) {
        if (!isObject(users)) continue;
        for (const [userId, receipt] of Object.entries(users)) {
          const thread = isObject(receipt) ? (stringField(receipt, "thread_id") ?? "") : "";
          this.receipts.set(`${type}|${userId}|${thread}`, eventId);
        }
      }
    }
  }
}

function itemOf(event: JsonObject): TimelineItem {
  return { kind: "event", eventId: stringField(event, "event_id") ?? "", event };
}

/** The objects in a list of events. */
export function eventsIn(container: JsonObject): JsonObject[] {
  const events = field(container, "events");
  return Array.isArray(events) ? events.filter(isObject) : [];
}
