/** What must be true when everything has come to rest. Each function says in words what is not. */
import type { RoomId } from "../../shared/ids.ts";
import { objectField, stringField } from "../../shared/json.ts";
import type { SimClient } from "./clients.ts";
import type { Host } from "./host.ts";
import type { Ledger } from "./ledger.ts";
import type { RoomModel } from "./room-model.ts";
import { type RecordedEvent, RoomRecord } from "./room-record.ts";
import type { World } from "./world.ts";

/** The rooms as they are stored; those that were never finished are left out. */
export function recordRooms(world: World): Map<string, RoomRecord> {
  const hosts = world.hosts("room").filter((host) => host.hasSchema);
  const records = hosts.map((host) => new RoomRecord(host));
  return new Map(records.filter((record) => record.events.length > 0).map((record) => [record.roomId, record]));
}

/** Acknowledged events are stored, once; a repeated request has one effect and one answer. */
export function checkAcknowledged(rooms: ReadonlyMap<string, RoomRecord>, ledger: Ledger): string[] {
  const wrong: string[] = [];
  const stored = new Map([...rooms].map(([roomId, room]) => [roomId, new Set(room.events.map((e) => e.eventId))]));
  for (const { roomId, eventId } of ledger.events) {
    if (stored.get(roomId)?.has(eventId) !== true) wrong.push(`acknowledged event ${eventId} is not in ${roomId}`);
  }
  for (const message of ledger.messages) {
    const found = (rooms.get(message.roomId)?.events ?? []).filter((event) => event.content.body === message.marker);
    const ids = new Set([...message.eventIds, ...found.map((event) => event.eventId)]);
    const expected = message.isRefused && message.eventIds.length === 0 ? 0 : 1;
    if (found.length !== expected || ids.size !== expected) {
      wrong.push(
        `message ${message.marker}: stored ${found.length} times, answered ${message.eventIds.join(", ") || "never"}` +
          `${message.isRefused ? ", last refused" : ""}`,
      );
    }
  }
  return wrong;
}

/** Nothing is owed any more, and what others copy from a room agrees with it. */
export function checkServer(world: World, rooms: ReadonlyMap<string, RoomRecord>): string[] {
  return [
    ...[...rooms.values()].flatMap((room) => checkRoom(world, room)),
    ...[...rooms.values()].flatMap((room) => checkUpgrade(world, room, rooms)),
    ...world
      .hosts("user")
      .filter((host) => host.hasSchema)
      .flatMap((host) => checkUser(host, rooms)),
  ];
}

type Facts = {
  joined_members: number;
  invited_members: number;
  directory_owed: number;
  directory_position: number;
  is_noted: number;
};

function checkRoom(world: World, room: RoomRecord): string[] {
  const { sql } = room.host.storage;
  const wrong: string[] = [];
  const facts = sql.one<Facts>(
    "SELECT joined_members, invited_members, directory_owed, directory_position, is_noted FROM room",
  );
  const count = (membership: string): number => [...room.members.values()].filter((each) => each === membership).length;
  if (facts?.joined_members !== count("join")) wrong.push(`${facts?.joined_members} joined, ${count("join")} counted`);
  if (facts?.invited_members !== count("invite")) wrong.push("the count of invited members is wrong");
  if (facts !== null && facts.directory_position < facts.directory_owed) wrong.push("the directory is behind");
  if (facts?.is_noted !== 1) wrong.push("the server has not noted the room");
  const positions = room.events.map((event) => event.position);
  if (new Set(positions).size !== positions.length) wrong.push("two events have one position");
  for (const row of sql.all<{ owed: Uint8Array }>("SELECT owed FROM wake_pages")) {
    if (row.owed.some((byte) => byte !== 0)) wrong.push("a wake is owed");
  }
  const flat = sql.all<{ user_id: string; membership: string }>("SELECT user_id, membership FROM room_memberships");
  compareMaps(new Map(flat.map((row) => [row.user_id, row.membership])), room.members, "stored membership of", wrong);
  const state = sql.all<{ key: string; event_id: string }>(
    `SELECT type || '|' || state_key AS key, event_id FROM (
       SELECT state_keys.type, state_keys.state_key, event_id FROM current_state_events
       JOIN state_keys USING (state_key_nid) JOIN events USING (event_nid))`,
  );
  compareMaps(new Map(state.map((row) => [row.key, row.event_id])), room.state, "current state of", wrong);
  return wrong.map((what) => `${room.host.label}: ${what}`).concat(checkDirectory(world, room));
}

/** The room's copy in the directory says what the room says. */
function checkDirectory(world: World, room: RoomRecord): string[] {
  const wrong: string[] = [];
  const joined = [...room.members].flatMap(([userId, membership]) => (membership === "join" ? [userId] : []));
  const { database } = world.directory;
  const row = database.prepare("SELECT joined_members FROM room_summary WHERE room_id = ?").get(room.roomId);
  if (row?.joined_members !== joined.length) wrong.push(`the directory counts ${row?.joined_members} joined`);
  const members = database
    .prepare("SELECT user_id FROM directory_members WHERE room_id = ? AND is_joined = 1 ORDER BY user_id")
    .all(room.roomId)
    .map((member) => String(member.user_id));
  if (members.join() !== joined.sort().join())
    wrong.push(`the directory has ${members.join()}, joined are ${joined.join()}`);
  return wrong.map((what) => `${room.host.label}: ${what}`);
}

/** Upgrades are finished or undone: a room that claims to replace another is named by its tombstone, or empty and unlisted. */
function checkUpgrade(world: World, room: RoomRecord, rooms: ReadonlyMap<string, RoomRecord>): string[] {
  const wrong: string[] = [];
  const { sql } = room.host.storage;
  const unfinished = sql.one<{ step: string }>("SELECT step FROM upgrade WHERE step <> 'done'");
  if (unfinished !== null) wrong.push(`its upgrade is left at the step ${unfinished.step}`);
  const create = room.events.find((event) => event.type === "m.room.create");
  const predecessor = rooms.get(stringField(objectField(create?.content ?? {}, "predecessor") ?? {}, "room_id") ?? "");
  if (predecessor !== undefined) {
    const tombstones = predecessor.events.filter((event) => event.type === "m.room.tombstone");
    const isNamed = tombstones.some((event) => event.content.replacement_room === room.roomId);
    const listed = sql.one<{ is_published: number }>("SELECT is_published FROM room")?.is_published === 1;
    const isEmpty = [...room.members.values()].every((membership) => membership === "leave");
    if (!isNamed && (listed || !isEmpty)) wrong.push("it is what an upgrade has left over");
  }
  for (const row of world.hosts("server").flatMap(aliasesOf)) {
    if (row.room_id !== room.roomId) continue;
    const next = sql.one<{ replacement_room: string }>("SELECT replacement_room FROM upgrade WHERE step = 'done'");
    if (next !== null) wrong.push(`its alias ${row.alias} did not go to ${next.replacement_room}`);
  }
  return wrong.map((what) => `${room.host.label}: ${what}`);
}

function aliasesOf(host: Host): { alias: string; room_id: string }[] {
  return host.hasSchema ? host.storage.sql.all("SELECT alias, room_id FROM aliases") : [];
}

function checkUser(host: Host, rooms: ReadonlyMap<string, RoomRecord>): string[] {
  const { sql } = host.storage;
  const wrong: string[] = [];
  const copies = sql.all<{ room_id: string; membership: string }>("SELECT room_id, membership FROM rooms");
  const expected = [...rooms].flatMap(([roomId, room]): [string, string][] => {
    const membership = room.membership(host.name);
    return membership === null || room.isForgottenBy(host.name) ? [] : [[roomId, membership]];
  });
  compareMaps(new Map(copies.map((row) => [row.room_id, row.membership])), new Map(expected), "membership in", wrong);
  for (const table of ["to_device_outbox", "obligations"]) {
    const left = sql.one<{ count: number }>(`SELECT COUNT(*) AS count FROM ${table}`)?.count;
    if (left !== 0) wrong.push(`${left} rows are left in ${table}`);
  }
  return wrong.map((what) => `${host.label}: ${what}`);
}

/** What a client was told, in order and with its gaps filled, is what its user may see. */
export function checkClient(client: SimClient, rooms: ReadonlyMap<string, RoomRecord>, ledger: Ledger): string[] {
  const wrong: string[] = [];
  for (const [roomId, record] of rooms) {
    const membership = record.membership(client.userId);
    const model = client.rooms.get(roomId as RoomId) ?? null;
    const before = wrong.length;
    if (membership === null && model !== null) wrong.push("was told of a room that is none of its business");
    const mayHaveHole = ledger.forgotten.has(`${client.userId} ${roomId}`);
    if (membership !== null) checkTimeline(client, { record, model, membership, mayHaveHole }, wrong);
    if (membership === "join" && model !== null) checkJoined(client, record, model, wrong);
    for (let i = before; i < wrong.length; i += 1) wrong[i] = `${record.host.label}: ${wrong[i]}`;
  }
  compareMaps(textOf(client.accountData, ["m.push_rules"]), storedAccountData(client, ""), "account data", wrong);
  return wrong.map((what) => `${client.label}: ${what}`);
}

const placeOf = (membership: string): string => (membership === "ban" ? "leave" : membership);

function checkTimeline(
  client: SimClient,
  known: { record: RoomRecord; model: RoomModel | null; membership: string; mayHaveHole: boolean },
  wrong: string[],
): void {
  const { record, model, membership, mayHaveHole } = known;
  const marginal = record.marginalTo(client.userId);
  const expected = record.visibleTo(client.userId).filter((event) => !marginal.has(event.eventId));
  const items = model?.items ?? [];
  const actual = items.flatMap((item) =>
    item.kind === "gap" ? ["a gap"] : marginal.has(item.eventId) ? [] : [item.eventId],
  );
  // A client that began anew after its user had left is not given the room.
  if (membership !== "join" && client.hasRestarted && actual.length === 0) return;
  // A forgotten room is nothing to a client that never had it.
  if (model === null && record.isForgottenBy(client.userId)) return;
  if (model === null) {
    if (expected.length > 0 || membership === "invite") wrong.push(`was never told of the room (${membership})`);
    return;
  }
  if (model.place !== placeOf(membership)) wrong.push(`thinks ${model.place}, is ${membership}`);
  const wanted = expected.map((event) => event.eventId);
  // Who has forgotten a room is told that they left, and no more of what was before.
  // Asking for that is refused, or answered as to any stranger where everybody may read.
  const isForAll = record.events.some((event) => event.after.visibility === "world_readable");
  const isPart = mayHaveHole && (model.hasHole || isForAll) && membership !== "join";
  const difference = firstDifference(actual, isPart ? wanted.filter((id) => actual.includes(id)) : wanted);
  // Of a room to which the user is invited again, clients are told no more than that.
  const isInvited = membership === "invite" || membership === "knock";
  if (difference === null || (isInvited && difference === actual.length)) return;
  const positions = new Map(record.events.map((event) => [event.eventId, event.position]));
  const spell = (ids: readonly string[]): string => ids.map((id) => positions.get(id) ?? id).join(" ");
  wrong.push(
    `timeline differs at ${difference} (now ${membership}, token ${client.token}, limit ${client.habits.timelineLimit}):`,
    `  has       ${spell(actual)}`,
    `  should be ${spell(wanted)}`,
    `  of        ${record.events.map((event) => describeEvent(event, client.userId)).join(" ")}`,
  );
}

/** Position, kind and what it changes for the user. */
function describeEvent(event: RecordedEvent, userId: string): string {
  const membership = event.after.members.get(userId);
  if (membership !== event.before.members.get(userId)) return `${event.position}:${membership}`;
  if (event.type === "m.room.history_visibility") return `${event.position}:${event.after.visibility}`;
  return String(event.position);
}

function checkJoined(client: SimClient, record: RoomRecord, model: RoomModel, wrong: string[]): void {
  const isKept = (key: string): boolean => !client.habits.lazyLoadsMembers || !key.startsWith("m.room.member|");
  const kept = (state: ReadonlyMap<string, string>) => new Map([...state].filter(([key]) => isKept(key)));
  compareMaps(kept(model.state), kept(record.state), "state of", wrong);
  compareMaps(model.receipts, record.receiptsFor(client.userId), "receipt of", wrong);
  compareMaps(textOf(model.accountData, []), storedAccountData(client, record.roomId), "room account data", wrong);
  if (model.typing.length > 0) wrong.push(`thinks that ${model.typing.join(", ")} still type`);
  const unread = record.unreadOf(client.userId);
  if (model.unread !== unread) wrong.push(`thinks ${model.unread} are unread, ${unread} counted`);
}

/** Each message to a device arrives there once, and no message that was not sent. */
export function checkToDevice(clients: readonly SimClient[], ledger: Ledger): string[] {
  const wrong: string[] = [];
  for (const client of clients) {
    const name = `${client.userId} ${client.deviceId}`;
    const expected = new Set(ledger.toDevice.filter((sent) => sent.targets.includes(name)).map((sent) => sent.id));
    for (const id of new Set([...expected, ...client.toDevice.keys()])) {
      const times = client.toDevice.get(id) ?? 0;
      const isRight = expected.has(id) ? times >= 1 && times <= 1 + (client.doubtful.get(id) ?? 0) : times === 0;
      if (!isRight) wrong.push(`${client.label}: to-device message ${id} was received ${times} times`);
    }
  }
  return wrong;
}

function storedAccountData(client: SimClient, roomId: string): Map<string, string> {
  const rows = client.world
    .host("user", client.userId)
    .storage.sql.all<{ type: string; content: string }>(
      "SELECT type, content FROM account_data WHERE room_id = ?",
      roomId,
    );
  return new Map(rows.map((row) => [row.type, JSON.stringify(JSON.parse(row.content))]));
}

function textOf(values: ReadonlyMap<string, unknown>, except: readonly string[]): Map<string, string> {
  return new Map(
    [...values].filter(([key]) => !except.includes(key)).map(([key, value]) => [key, JSON.stringify(value)]),
  );
}

function compareMaps(
  actual: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
  what: string,
  wrong: string[],
): void {
  for (const key of new Set([...actual.keys(), ...expected.keys()])) {
    if (actual.get(key) !== expected.get(key)) {
      wrong.push(`${what} ${key}: is ${actual.get(key)}, should be ${expected.get(key)}`);
    }
  }
}

function firstDifference(actual: readonly string[], expected: readonly string[]): number | null {
  const length = Math.max(actual.length, expected.length);
  for (let i = 0; i < length; i += 1) if (actual[i] !== expected[i]) return i;
  return null;
}
