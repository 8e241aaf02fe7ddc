/** Rooms of any size for measuring, written straight into the store: valid in everything but signatures. */
import { indexAuthChain } from "../../actors/room/auth-chains.ts";
import type { RoomContext } from "../../actors/room/context.ts";
import { findStateAt } from "../../actors/room/state.ts";
import { type StateRoot, setEntries } from "../../actors/room/state-tree.ts";
import type { EventRecord } from "../../actors/room/store/events.ts";
import type { RoomTransaction } from "../../actors/room/store/index.ts";
import { oweWakes } from "../../actors/room/wakes.ts";
import { type EventId, type RoomId, serverNameOf, trusted, type UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { storedEvent } from "../../shared/matrix/event.ts";
import { buildPdu } from "../../shared/matrix/event-draft.ts";
import { rulesOf } from "../support/room-builder.ts";

/** The server under measurement, its one user, and what room ids and rules are made of. */
export const serverName = trusted.serverName("tessera.test");
export const alice = trusted.userId(`@alice:${serverName}`);
export const roomIdOf = (name: string): RoomId => trusted.roomId(`!${name}:${serverName}`);
export const version = "11";
const rules = rulesOf(version);
const batch = 2_000;

/** A state event to be stored. */
export interface StateInput {
  readonly sender: UserId;
  readonly type: string;
  readonly stateKey: string;
  readonly content: JsonObject;
  readonly auth: readonly EventRecord[];
  readonly prev: readonly EventId[];
  readonly before: StateRoot;
}

/** A room with its beginning and its members. */
export interface LargeRoom {
  readonly room: RoomContext;
  readonly create: EventRecord;
  readonly creatorMember: EventRecord;
  readonly levels: EventRecord;
  readonly joinRules: EventRecord;
  readonly members: readonly UserId[];
  /** Its current state. */
  readonly root: StateRoot;
}

let counter = 0;

/** Stores a state event and the state after it; it is no end of the graph. */
export function addState(room: RoomContext, tx: RoomTransaction, input: StateInput): EventRecord {
  counter += 1;
  const eventId = trusted.eventId(`$${counter.toString(36).padStart(43, "0")}`);
  const pdu = buildPdu(
    {
      roomId: room.roomId,
      sender: input.sender,
      type: input.type,
      stateKey: input.stateKey,
      content: input.content,
      originServerTs: 1_750_000_000_000 + counter,
      depth: counter,
      prevEvents: input.prev,
      authEvents: input.auth.map((record) => record.eventId),
    },
    rules,
  );
  const json = canonicalJson({ ...pdu, hashes: { sha256: "x" }, signatures: {} });
  const eventNid = tx.room.get().eventNid + 1;
  tx.room.setEventNid(eventNid);
  const stateKeyNid = tx.stateKeys.intern(input.type, input.stateKey);
  const record: EventRecord = {
    eventNid,
    eventId,
    streamPosition: null,
    status: "accepted",
    depth: counter,
    originServerTs: 1_750_000_000_000 + counter,
    sender: input.sender,
    type: input.type,
    stateKey: input.stateKey,
    stateRootBefore: input.before,
    stateRootAfter: setEntries(tx.stateNodes, input.before, new Map([[stateKeyNid, eventNid]])),
    currentRoot: null,
    authPosition: indexAuthChain(tx, eventNid, input.auth),
    redactedBy: null,
    deviceId: null,
    txnId: null,
    jsonLength: json.length,
    event: storedEvent(eventId, json, rules),
  };
  tx.events.insert({ ...record, json });
  return record;
}

const memberOf = (index: number): UserId => trusted.userId(`@member-${index}:example.org`);

/** A room that was made here, also when its actor was evicted since. */
export function findLargeRoom(room: RoomContext): LargeRoom {
  const { joinedMembers, stateRoot: root } = room.store.room.get();
  const at = (type: string, stateKey = ""): EventRecord => {
    const record = findStateAt(room.store, root, type, stateKey);
    if (record === null) throw new Error("the room was not built");
    return record;
  };
  return {
    room,
    create: at("m.room.create"),
    creatorMember: at("m.room.member", alice),
    levels: at("m.room.power_levels"),
    joinRules: at("m.room.join_rules"),
    members: Array.from({ length: joinedMembers - 1 }, (_, index) => memberOf(index)),
    root,
  };
}

/**
 * Makes of an empty room one with its creator, a user of this server, and members of another.
 * @returns ms that giving numbers to the keys and storing the state has taken.
 */
export function makeLargeRoom(room: RoomContext, size: number): number {
  const { store } = room;
  const start = store.transaction((tx) => {
    tx.room.insert(version);
    return begin(room, tx);
  });
  const members: UserId[] = [];
  const nids = new Map<UserId, number>();
  while (members.length < size) {
    store.transaction((tx) => {
      for (let count = 0; count < batch && members.length < size; count += 1) {
        const userId = memberOf(members.length);
        const auth = [start.create, start.levels, start.joinRules];
        const content = { membership: "join", displayname: `Member ${members.length}` };
        const member = memberWithoutState(room, tx, { userId, content, auth, prev: start.joinRules.eventId });
        members.push(userId);
        nids.set(userId, member);
      }
    });
  }
  const { root, stateMs } = storeState(room, start.joinRules.stateRootAfter, nids);
  finish(room, root, members, start);
  return stateMs;
}

function begin(room: RoomContext, tx: RoomTransaction) {
  const add = (type: string, stateKey: string, content: JsonObject, auth: EventRecord[], after: EventRecord | null) =>
    addState(room, tx, {
      sender: alice,
      type,
      stateKey,
      content,
      auth,
      prev: after === null ? [] : [after.eventId],
      before: after?.stateRootAfter ?? null,
    });
  const create = add("m.room.create", "", { room_version: version }, [], null);
  const creatorMember = add("m.room.member", alice, { membership: "join" }, [create], create);
  const content = { users: { [alice]: 100 }, state_default: 0 };
  const levels = add("m.room.power_levels", "", content, [create, creatorMember], creatorMember);
  const auth = [create, levels, creatorMember];
  const joinRules = add("m.room.join_rules", "", { join_rule: "public" }, auth, levels);
  return { create, creatorMember, levels, joinRules };
}

/** A member whose state is stored with all the others', at once. */
function memberWithoutState(
  room: RoomContext,
  tx: RoomTransaction,
  input: { userId: UserId; content: JsonObject; auth: EventRecord[]; prev: EventId },
): number {
  counter += 1;
  const eventId = trusted.eventId(`$${counter.toString(36).padStart(43, "0")}`);
  const { userId, content, auth, prev } = input;
  const pdu = buildPdu(
    {
      roomId: room.roomId,
      sender: userId,
      type: "m.room.member",
      stateKey: userId,
      content,
      originServerTs: 1_750_000_000_000 + counter,
      depth: counter,
      prevEvents: [prev],
      authEvents: auth.map((record) => record.eventId),
    },
    rules,
  );
  const json = canonicalJson({ ...pdu, hashes: { sha256: "x" }, signatures: {} });
  const eventNid = tx.room.get().eventNid + 1;
  tx.room.setEventNid(eventNid);
  tx.events.insert({
    eventNid,
    eventId,
    streamPosition: null,
    status: "outlier",
    depth: counter,
    originServerTs: 1_750_000_000_000 + counter,
    sender: userId,
    type: "m.room.member",
    stateKey: userId,
    stateRootBefore: null,
    stateRootAfter: null,
    currentRoot: null,
    authPosition: indexAuthChain(tx, eventNid, auth),
    deviceId: null,
    txnId: null,
    event: storedEvent(eventId, json, rules),
    json,
  });
  return eventNid;
}

function storeState(
  room: RoomContext,
  before: StateRoot,
  nids: ReadonlyMap<UserId, number>,
): { root: StateRoot; stateMs: number } {
  const startedAt = performance.now();
  const root = room.store.transaction((tx) => {
    const keys = tx.stateKeys.internAll([...nids.keys()].map((userId) => ["m.room.member", userId]));
    const values = [...nids.values()];
    return setEntries(tx.stateNodes, before, new Map(keys.map((key, index) => [key, values[index] ?? 0])));
  });
  return { root, stateMs: performance.now() - startedAt };
}

/** Makes the state the current one, after one more event that is the graph's end. */
function finish(
  room: RoomContext,
  root: StateRoot,
  members: readonly UserId[],
  start: { create: EventRecord; creatorMember: EventRecord; levels: EventRecord },
): void {
  room.store.transaction((tx) => {
    const auth = [start.create, start.levels, start.creatorMember];
    const content = { topic: "t" };
    const topic = addState(room, tx, {
      sender: alice,
      type: "m.room.topic",
      stateKey: "",
      content,
      auth,
      prev: [start.levels.eventId],
      before: root,
    });
    tx.extremities.replace(topic.eventNid, []);
    for (const [index, userId] of [alice, ...members].entries()) {
      const isLocal = serverNameOf(userId) === serverName;
      tx.memberships.put({ userId, membership: "join", eventNid: index + 1, streamPosition: index, isLocal });
    }
    tx.room.advance({
      streamPosition: 1,
      eventNid: topic.eventNid,
      stateRoot: topic.stateRootAfter,
      joinedMembers: members.length + 1,
      invitedMembers: 0,
      directoryOwed: 0,
    });
    oweWakes(room, { membershipChanges: [alice] });
  });
}
