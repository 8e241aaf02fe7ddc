import { createHash } from "node:crypto";
import { encodeBase64 } from "../../shared/base64.ts";
import {
  type EventId,
  parseUserId,
  type RoomId,
  type ServerName,
  serverNameOf,
  trusted,
  type UserId,
} from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { eventWithId, type MatrixEvent, type StateLookup } from "../../shared/matrix/event.ts";
import { authTypesForEvent } from "../../shared/matrix/event-auth/auth-types.ts";
import { buildPdu, depthAfter, type EventFields, signDraft } from "../../shared/matrix/event-draft.ts";
import { referenceHash } from "../../shared/matrix/hashes.ts";
import { createContent } from "../../shared/matrix/room-presets.ts";
import { type RoomVersionRules, rulesFor } from "../../shared/matrix/room-version.ts";
import { countersignEvent, publicKeyOf, type SigningKey } from "../../shared/matrix/signing.ts";

/** A user id, checked. */
export function user(text: string): UserId {
  const userId = parseUserId(text);
  if (userId === null) throw new Error(`${text} is not a user id`);
  return userId;
}

/** The rules of a version, which must be known. */
export function rulesOf(version: string): RoomVersionRules {
  const rules = rulesFor(version);
  if (rules === null) throw new Error(`room version ${version} is not known`);
  return rules;
}

/** Every test server signs with a key made of its name. */
export function testKeyOf(server: ServerName): SigningKey {
  return { keyId: "ed25519:test", seed: encodeBase64(createHash("sha256").update(server).digest()) };
}

/** A test server's verify keys, as a key server would give them. */
export function testVerifyKeysOf(server: ServerName): Map<string, string> {
  return new Map([["ed25519:test", publicKeyOf(testKeyOf(server))]]);
}

export interface RoomOptions {
  version?: string;
  creator?: UserId;
  /** Added to the create event's content. */
  creationContent?: JsonObject;
  /** Milliseconds; each event is one second later. */
  startTs?: number;
}

/** A new event of the room; whatever is not given follows from the room's state. */
export interface NewEvent {
  sender: UserId;
  type: string;
  stateKey?: string | null;
  content?: JsonObject;
  redacts?: EventId;
  prevEvents?: readonly EventId[];
  authEvents?: readonly EventId[];
  originServerTs?: number;
  /** Further servers that sign, beside the sender's. */
  signedBy?: readonly ServerName[];
}

/** What all branches of one room have in common. */
interface RoomLog {
  readonly byId: Map<EventId, MatrixEvent>;
  ts: number;
}

/**
 * Builds valid, signed rooms of any version for tests. Nothing is authorized here: a test builds a valid room, breaks one
 * thing, and asserts which rule refuses it.
 */
export class RoomBuilder {
  readonly rules: RoomVersionRules;
  readonly creator: UserId;
  readonly create: MatrixEvent;
  readonly #log: RoomLog;
  #state: Map<string, MatrixEvent>;
  #heads: readonly MatrixEvent[];

  private constructor(rules: RoomVersionRules, create: MatrixEvent, log: RoomLog, branch: Branch) {
    this.rules = rules;
    this.create = create;
    this.creator = create.sender;
    this.#log = log;
    this.#state = branch.state;
    this.#heads = branch.heads;
  }

  /** A room with nothing but its create event. */
  static empty(options: RoomOptions = {}): RoomBuilder {
    const rules = rulesOf(options.version ?? "12");
    const creator = options.creator ?? user("@alice:example.org");
    const log: RoomLog = { byId: new Map(), ts: options.startTs ?? 1_700_000_000_000 };
    const content = createContent({
      rules,
      creator,
      preset: "private_chat",
      invite: [],
      creationContent: options.creationContent ?? {},
    });
    const create = signFields(
      {
        roomId: rules.roomIdIsCreateHash ? null : trusted.roomId(`!room:${serverNameOf(creator)}`),
        sender: creator,
        type: "m.room.create",
        stateKey: "",
        content,
        originServerTs: log.ts,
        depth: 1,
        prevEvents: [],
        authEvents: [],
      },
      rules,
      log,
    );
    return new RoomBuilder(rules, create, log, {
      state: new Map([[keyOf("m.room.create", ""), create]]),
      heads: [create],
    });
  }

  /** A room whose creator is in, with power levels (creator and `@mod` where given) and a join rule. */
  static open(options: RoomOptions & { joinRule?: string; powerLevels?: JsonObject } = {}): RoomBuilder {
    const room = RoomBuilder.empty(options);
    room.join(room.creator);
    const users = room.rules.creatorsHaveInfinitePower ? {} : { [room.creator]: 100 };
    room.setPowerLevels(room.creator, { users, ...options.powerLevels });
    room.setJoinRule(room.creator, options.joinRule ?? "public");
    return room;
  }

  /**
   * A room that somebody else has begun, from here on.
   * @param state the state after `heads`, of which it need not hold all
   */
  static continuing(version: string, state: readonly MatrixEvent[], heads: readonly MatrixEvent[]): RoomBuilder {
    const create = state.find((event) => event.type === "m.room.create");
    if (create === undefined) throw new Error("the state has no create event");
    const byId = new Map([...state, ...heads].map((event) => [event.eventId, event]));
    const log: RoomLog = { byId, ts: Math.max(...heads.map((event) => event.originServerTs)) };
    const entries = state.map((event): [string, MatrixEvent] => [keyOf(event.type, event.stateKey ?? ""), event]);
    return new RoomBuilder(rulesOf(version), create, log, { state: new Map(entries), heads });
  }

  get roomId(): RoomId {
    return this.create.roomId;
  }

  /** The state after the events sent so far on this branch. */
  get lookup(): StateLookup {
    const state = this.#state;
    return (type, stateKey) => state.get(keyOf(type, stateKey)) ?? null;
  }

  /** `[type, state_key]` as JSON → event. */
  get state(): ReadonlyMap<string, MatrixEvent> {
    return this.#state;
  }

  get heads(): readonly EventId[] {
    return this.#heads.map((event) => event.eventId);
  }

  /** Every event of the room, on any branch, in the order in which they were sent. */
  get events(): readonly MatrixEvent[] {
    return [...this.#log.byId.values()];
  }

  byId(eventId: EventId): MatrixEvent {
    const event = this.#log.byId.get(eventId);
    if (event === undefined) throw new Error(`${eventId} is not in the room`);
    return event;
  }

  /** A branch that goes on from here by itself. */
  fork(): RoomBuilder {
    return new RoomBuilder(this.rules, this.create, this.#log, { state: new Map(this.#state), heads: this.#heads });
  }

  /** A branch on top of several, in a state that the caller has resolved from theirs. */
  merged(others: readonly RoomBuilder[], state: Iterable<MatrixEvent>): RoomBuilder {
    // By id: two branches may have made the very same event.
    const heads = new Map([this, ...others].flatMap((branch) => branch.#heads.map((head) => [head.eventId, head])));
    const entries = [...state].map((event): [string, MatrixEvent] => [keyOf(event.type, event.stateKey ?? ""), event]);
    return new RoomBuilder(this.rules, this.create, this.#log, { state: new Map(entries), heads: [...heads.values()] });
  }

  /** A signed event on top of this branch, not yet part of its state. */
  make(input: NewEvent): MatrixEvent {
    const stateKey = input.stateKey === undefined ? null : input.stateKey;
    const content = input.content ?? {};
    const subject = { type: input.type, sender: input.sender, stateKey, content };
    this.#log.ts += 1_000;
    return signFields(
      {
        ...subject,
        roomId: this.roomId,
        originServerTs: input.originServerTs ?? this.#log.ts,
        depth: depthAfter(this.#heads.map((head) => head.depth)),
        prevEvents: input.prevEvents ?? this.heads,
        authEvents: input.authEvents ?? this.authEventsFor(subject),
        redacts: input.redacts ?? null,
      },
      this.rules,
      this.#log,
      input.signedBy,
    );
  }

  /** The auth events that the selection algorithm finds in this branch's state. */
  authEventsFor(subject: Pick<MatrixEvent, "type" | "sender" | "stateKey" | "content">): EventId[] {
    return authTypesForEvent(subject, this.rules)
      .map(([type, stateKey]) => this.lookup(type, stateKey)?.eventId)
      .filter((eventId) => eventId !== undefined);
  }

  /** Makes an event and appends it. */
  send(input: NewEvent): MatrixEvent {
    return this.append(this.make(input));
  }

  /** Appends an event made before. */
  append(event: MatrixEvent): MatrixEvent {
    this.#log.byId.set(event.eventId, event);
    this.#heads = [event];
    if (event.stateKey !== null) this.#state.set(keyOf(event.type, event.stateKey), event);
    return event;
  }

  sendState(sender: UserId, type: string, content: JsonObject, stateKey = ""): MatrixEvent {
    return this.send({ sender, type, stateKey, content });
  }

  /** A member event: of the sender's own doing, or on `target`. */
  member(sender: UserId, membership: string, target: string = sender, content: JsonObject = {}): MatrixEvent {
    return this.sendState(sender, "m.room.member", { membership, ...content }, target);
  }

  join(joiner: UserId): MatrixEvent {
    return this.member(joiner, "join");
  }

  setPowerLevels(sender: UserId, content: JsonObject): MatrixEvent {
    return this.sendState(sender, "m.room.power_levels", content);
  }

  setJoinRule(sender: UserId, joinRule: string): MatrixEvent {
    return this.sendState(sender, "m.room.join_rules", { join_rule: joinRule });
  }

  message(sender: UserId, body: string): MatrixEvent {
    return this.send({ sender, type: "m.room.message", content: { msgtype: "m.text", body } });
  }
}

interface Branch {
  state: Map<string, MatrixEvent>;
  heads: readonly MatrixEvent[];
}

/** How states are keyed in tests. */
export function keyOf(type: string, stateKey: string): string {
  return JSON.stringify([type, stateKey]);
}

function signFields(
  fields: EventFields,
  rules: RoomVersionRules,
  log: RoomLog,
  signedBy: readonly ServerName[] = [],
): MatrixEvent {
  const server = serverNameOf(fields.sender);
  const hashOf = (eventId: EventId): string => {
    const event = log.byId.get(eventId);
    return event === undefined ? "unknown" : referenceHash(event.pdu, rules);
  };
  const eventId = trusted.eventId(`$${log.byId.size + 1}-${fields.originServerTs}:${server}`);
  const pdu = buildPdu({ ...fields, eventId, hashOf }, rules);
  const signed = signDraft(pdu, rules, server, testKeyOf(server));
  const event = signedBy.reduce((made, other) => countersign(made, rules, other), signed);
  log.byId.set(event.eventId, event);
  return event;
}

function countersign(event: MatrixEvent, rules: RoomVersionRules, server: ServerName): MatrixEvent {
  return eventWithId(event.eventId, countersignEvent(event.pdu, rules, server, testKeyOf(server)), rules);
}
