/**
 * A client of one device, and the gateway in front of it: syncs, waits, loses answers and repeats old tokens, fills the
 * gaps of its timelines, and keeps what it was told for the invariants to look at.
 */
import type { Services } from "../../shared/endpoint.ts";
import { MatrixError } from "../../shared/errors.ts";
import { type DeviceId, type RoomId, trusted, type UserId } from "../../shared/ids.ts";
import { field, isObject, type JsonObject, type JsonValue, objectField, stringField } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import { parseRoomToken } from "../../shared/matrix/stream-token.ts";
import { syncWhenNews } from "../../workers/gateway/wait.ts";
import { noEgress } from "../support/no-egress.ts";
import { isSimulated } from "./faults.ts";
import type { Random } from "./random.ts";
import { eventsIn, type Gap, type Place, RoomModel } from "./room-model.ts";
import type { World } from "./world.ts";

const places: readonly Place[] = ["join", "invite", "knock", "leave"];
/** So long that no request times out before the run is over: a lost wake is never repaired by a time-out. */
export const foreverMs = 1_000_000_000;

/** What kind of client it is. */
export interface Habits {
  timelineLimit: number;
  lazyLoadsMembers: boolean;
  usesStateAfter: boolean;
  /** How long the client lets a request be held. */
  timeoutMs: number;
  /** How often an answer is lost on its way to the client. */
  losesAnswers: number;
  /** How often the client forgets everything and begins anew. */
  restarts: number;
}

export function habitsOf(random: Random): Habits {
  return {
    timelineLimit: random.pick([1, 2, 3, 5, 10, 20]),
    lazyLoadsMembers: random.chance(0.2),
    usesStateAfter: random.chance(0.3),
    timeoutMs: random.chance(0.2) ? 30_000 : foreverMs,
    losesAnswers: random.chance(0.6) ? 0.15 * random.next() : 0,
    restarts: random.chance(0.2) ? 0.02 : 0,
  };
}

export class SimClient {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly label: string;
  readonly habits: Habits;
  readonly world: World;
  readonly rooms = new Map<RoomId, RoomModel>();
  readonly accountData = new Map<string, JsonValue>();
  /** Id of a to-device message → how often it was received. */
  readonly toDevice = new Map<string, number>();
  /** Message → how often the client began anew when the token of its answer may not have reached the server. */
  readonly doubtful = new Map<string, number>();
  token: string | null = null;
  hasRestarted = false;
  isStopped = false;
  /** Messages of the newest answer: unacknowledged until its token is used. */
  #newest: string[] = [];
  readonly #random: Random;
  readonly #services: Services;

  constructor(world: World, who: { userId: UserId; deviceId: DeviceId }, random: Random) {
    this.world = world;
    this.userId = who.userId;
    this.deviceId = who.deviceId;
    this.label = who.deviceId;
    this.habits = habitsOf(random);
    this.#random = random;
    this.#services = this.#gateway();
  }

  /** Syncs until it is stopped. */
  async run(): Promise<void> {
    while (!this.isStopped) {
      if (this.#random.chance(this.habits.restarts) && this.world.faults.isOn) this.#restart();
      await this.#attempt(() => this.syncOnce(this.habits.timeoutMs));
      if (!this.world.faults.isOn || this.#random.chance(0.5)) await this.#attempt(() => this.fillGaps());
      if (this.#random.chance(0.1)) await this.#pause(this.#random.int(1, 5_000));
    }
  }

  /** One `/sync` request through the gateway's own code. @returns whether anything came of it. */
  async syncOnce(timeoutMs: number): Promise<boolean> {
    const filter = {
      room: {
        timeline: { limit: this.habits.timelineLimit },
        state: { lazy_load_members: this.habits.lazyLoadsMembers },
      },
    };
    const auth = { userId: this.userId, deviceId: this.deviceId, isAdmin: false, isGuest: false };
    const input = {
      deviceId: this.deviceId,
      since: this.token,
      filter: JSON.stringify(filter),
      fullState: false,
      useStateAfter: this.habits.usesStateAfter,
    };
    const result = await syncWhenNews(this.#services, auth, input, timeoutMs);
    if (this.world.faults.isOn && this.#random.chance(this.habits.losesAnswers)) {
      this.world.scheduler.note(`${this.label} loses the answer ${result.nextBatch}`);
      return false;
    }
    this.#apply(result.response);
    this.token = result.nextBatch;
    return !result.isEmpty;
  }

  /** Reads back whatever is missing in the timelines. */
  async fillGaps(): Promise<void> {
    for (const [roomId, room] of this.rooms) {
      for (let gap = room.newestGap(); gap !== null; gap = room.newestGap()) await this.#fillGap(roomId, room, gap);
    }
  }

  async #fillGap(roomId: RoomId, room: RoomModel, gap: Gap): Promise<void> {
    const from = parseRoomToken(gap.from);
    if (from === null) throw new Error(`not a room token: ${gap.from}`);
    const page = await this.#readBack(roomId, from);
    if (page === null) {
      room.giveUp(gap.index);
      return;
    }
    const chunk = field(page, "chunk");
    const newestFirst = Array.isArray(chunk) ? chunk.filter(isObject) : [];
    const known = newestFirst.findIndex((event) => gap.before.has(stringField(event, "event_id") ?? ""));
    const events = (known === -1 ? newestFirst : newestFirst.slice(0, known)).reverse();
    const end = known === -1 ? stringField(page, "end") : null;
    // Where only other servers have more, the token stays the same.
    room.fill(gap.index, events, end === gap.from ? null : end);
  }

  /** A page of history; null when the room is closed to the user, as it is to those who only declined an invite. */
  async #readBack(roomId: RoomId, from: number): Promise<JsonObject | null> {
    const { userId: requester, deviceId } = this;
    const limit = this.#random.int(1, 12);
    const input = { requester, deviceId, from, to: null, dir: "b" as const, limit, filter: null, ignoredUsers: [] };
    try {
      return await this.#services.actors.room(roomId).getMessages(input);
    } catch (thrown) {
      // Whether that is right shows when the timeline is compared.
      if (thrown instanceof MatrixError && thrown.errcode === "M_FORBIDDEN") return null;
      throw thrown;
    }
  }

  #apply(response: JsonObject): void {
    this.#newest = [];
    const rooms = objectField(response, "rooms") ?? {};
    for (const place of places) {
      for (const [roomId, section] of Object.entries(objectField(rooms, place) ?? {})) {
        if (isObject(section)) this.#roomOf(trusted.roomId(roomId)).apply(place, section);
      }
    }
    for (const event of eventsIn(objectField(response, "account_data") ?? {})) {
      this.accountData.set(stringField(event, "type") ?? "", field(event, "content") ?? null);
    }
    for (const event of eventsIn(objectField(response, "to_device") ?? {})) {
      const id = stringField(objectField(event, "content") ?? {}, "id") ?? "";
      this.toDevice.set(id, (this.toDevice.get(id) ?? 0) + 1);
      this.#newest.push(id);
    }
  }

  #roomOf(roomId: RoomId): RoomModel {
    const known = this.rooms.get(roomId);
    if (known !== undefined) return known;
    const fresh = new RoomModel();
    this.rooms.set(roomId, fresh);
    return fresh;
  }

  #restart(): void {
    this.world.scheduler.note(`${this.label} begins anew`);
    for (const id of this.#newest) this.doubtful.set(id, (this.doubtful.get(id) ?? 0) + 1);
    this.rooms.clear();
    this.accountData.clear();
    this.token = null;
    this.hasRestarted = true;
  }

  async #attempt(action: () => Promise<unknown>): Promise<void> {
    try {
      await action();
    } catch (thrown) {
      if (!isSimulated(thrown)) this.#complain(thrown);
      await this.#pause(this.#random.int(100, 3_000));
    }
  }

  #complain(thrown: unknown): void {
    const kind = thrown instanceof MatrixError ? thrown.errcode : "";
    const stack = thrown instanceof Error ? `\n${thrown.stack ?? ""}` : "";
    this.world.violations.push(`${this.label} (${this.userId}) was answered ${kind} ${describeError(thrown)}${stack}`);
  }

  #pause(milliseconds: number): Promise<void> {
    return this.world.scheduler.sleep(`${this.label} goes on`, milliseconds);
  }

  /** The gateway that serves this client. */
  #gateway(): Services {
    const { world } = this;
    return {
      actors: world.outside(this.label),
      egress: noEgress,
      config: world.config,
      support: { contact: null, page: null },
      clock: world.clock,
      random: { bytes: (length) => this.#random.bytes(length) },
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      clientAddress: null,
      signal: new AbortController().signal,
      openWaiter: (userId, deviceId, since) => world.openWaiter(userId, deviceId, since),
      pause: (milliseconds, until) => this.#gatewayPause(milliseconds, until),
    };
  }

  #gatewayPause(milliseconds: number, until?: AbortSignal): Promise<void> {
    if (milliseconds <= 0) return Promise.resolve();
    // The time-out of a held request: where it is for ever, it is no step at all.
    const isForever = until !== undefined && this.habits.timeoutMs === foreverMs;
    return new Promise((resolve) => {
      until?.addEventListener("abort", () => resolve());
      if (!isForever) this.world.scheduler.post(`${this.label}'s gateway goes on`, milliseconds, resolve);
    });
  }
}
