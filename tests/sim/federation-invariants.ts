/** What must be true of several servers when everything has come to rest. */
import { trusted } from "../../shared/ids.ts";
import type { SimClient } from "./clients.ts";
import type { FederationLedger } from "./federation-ledger.ts";
import type { Resident } from "./federation-people.ts";
import type { SimServer } from "./federation-server.ts";
import type { Host } from "./host.ts";

interface StoredEvent {
  readonly eventId: string;
  readonly type: string;
  readonly stateKey: string | null;
  readonly sender: string;
  readonly status: string;
  readonly position: number | null;
  readonly membership: string | null;
}

type Row = {
  event_id: string;
  type: string;
  state_key: string | null;
  sender: string;
  status: string;
  stream_position: number | null;
  membership: string | null;
};

/** One server's copy of a room, read straight from its tables. */
export class RoomCopy {
  readonly server: SimServer;
  readonly roomId: string;
  readonly host: Host;
  readonly events: ReadonlyMap<string, StoredEvent>;
  /** `type|state_key` → event id */
  readonly state: ReadonlyMap<string, string>;
  readonly members: ReadonlyMap<string, string>;
  /** User → up to which event they have read, by the public receipt that is of no thread. */
  readonly receipts: ReadonlyMap<string, { eventId: string; position: number }>;

  constructor(server: SimServer, host: Host) {
    this.server = server;
    this.host = host;
    this.roomId = host.name;
    const { sql } = host.storage;
    const rows = sql.all<Row>(
      `SELECT event_id, type, state_key, sender, status, stream_position,
         CASE type WHEN 'm.room.member' THEN json_extract(json, '$.content.membership') END AS membership
       FROM events ORDER BY stream_position`,
    );
    this.events = new Map(rows.map((row) => [row.event_id, eventOf(row)]));
    const state = sql.all<{ key: string; event_id: string }>(
      `SELECT type || '|' || state_key AS key, event_id FROM current_state_events JOIN events USING (event_nid)`,
    );
    this.state = new Map(state.map((row) => [row.key, row.event_id]));
    const receipts = sql.all<{ user_id: string; event_id: string; event_position: number }>(
      "SELECT user_id, event_id, event_position FROM receipts WHERE receipt_type = 'm.read' AND thread_id = ''",
    );
    this.receipts = new Map(
      receipts.map(({ user_id, event_id, event_position }) => [
        user_id,
        { eventId: event_id, position: event_position },
      ]),
    );
    this.members = new Map(
      [...this.state].flatMap(([key, eventId]): [string, string][] => {
        const membership = this.events.get(eventId)?.membership;
        return key.startsWith("m.room.member|") && membership ? [[key.slice("m.room.member|".length), membership]] : [];
      }),
    );
  }

  /** Servers that have a joined user. */
  get servers(): ReadonlySet<string> {
    const joined = [...this.members].filter(([, membership]) => membership === "join");
    return new Set(joined.map(([userId]) => userId.slice(userId.indexOf(":") + 1)));
  }

  get isIn(): boolean {
    return this.servers.has(this.server.name);
  }
}

function eventOf(row: Row): StoredEvent {
  const { event_id: eventId, type, state_key: stateKey, sender, status, stream_position: position, membership } = row;
  return { eventId, type, stateKey, sender, status, position, membership };
}

/** All servers' copies of a room, of those that are in it as they see it. */
export function copiesOf(servers: Iterable<SimServer>, roomId: string): RoomCopy[] {
  return [...servers]
    .flatMap((server) => {
      const host = server.world.hosts("room").find(({ name }) => name === roomId);
      return host?.hasSchema === true ? [new RoomCopy(server, host)] : [];
    })
    .filter((copy) => copy.isIn);
}

/** All who are in the room have the same state, and nothing that was promised is lost. */
export function checkRoom(
  copies: readonly RoomCopy[],
  ledger: FederationLedger,
  residents: ReadonlySet<string>,
): string[] {
  const wrong: string[] = [];
  const [first] = copies;
  if (first === undefined) return [];
  for (const copy of copies) {
    if (copy !== first) compareCopies(first, copy, wrong);
    checkCopy(copy, wrong);
    // What was promised while the server was in the room.
    for (const { roomId, eventId, server, what } of ledger.events) {
      if (
        roomId !== first.roomId ||
        ledger.old.has(eventId) ||
        !(residents.has(copy.server.name) || server === copy.server.name)
      )
        continue;
      const status = copy.events.get(eventId)?.status;
      if (status !== "accepted" && status !== "soft_failed") {
        wrong.push(`${copy.server.name} has not ${what} ${eventId} of ${server} (${status})`);
      }
      if (server === copy.server.name && status !== "accepted") wrong.push(`${server} has dropped its own ${eventId}`);
    }
  }
  return wrong.map((what) => `${first.host.name.slice(0, 8)}: ${what}`);
}

function compareCopies(first: RoomCopy, copy: RoomCopy, wrong: string[]): void {
  const names = `${first.server.name} and ${copy.server.name}`;
  for (const key of new Set([...first.state.keys(), ...copy.state.keys()])) {
    const [here, there] = [first.state.get(key), copy.state.get(key)];
    if (here === there) continue;
    wrong.push(
      `${names} differ in ${key}: ${here} (there ${copy.events.get(here ?? "")?.status}), ` +
        `${there} (here ${first.events.get(there ?? "")?.status})`,
    );
  }
}

/** What a copy of the room says of itself. */
function checkCopy(copy: RoomCopy, wrong: string[]): void {
  const { sql } = copy.host.storage;
  for (const row of sql.all<{ owed: Uint8Array }>("SELECT owed FROM wake_pages")) {
    if (row.owed.some((byte) => byte !== 0)) wrong.push(`${copy.server.name} owes a wake`);
  }
  const stored = sql.all<{ user_id: string; membership: string }>("SELECT user_id, membership FROM room_memberships");
  for (const { user_id: userId, membership } of stored) {
    // Who was undone by how forks were resolved counts as one who has left.
    if ((copy.members.get(userId) ?? "leave") !== membership) {
      wrong.push(`${copy.server.name} stores ${membership} of ${userId}, who is ${copy.members.get(userId)}`);
    }
  }
}

/** Nothing waits any more to go out, or to be taken in. */
export function checkQueues(server: SimServer, isAway: (name: string) => boolean): string[] {
  const wrong: string[] = [];
  for (const host of server.world.hosts("server")) {
    if (!host.hasSchema || isAway(host.name)) continue;
    const count = (query: string): number => host.storage.sql.one<{ count: number }>(query)?.count ?? 0;
    const behind = count("SELECT COUNT(*) AS count FROM outbound_rooms WHERE head > position");
    const edus = count("SELECT COUNT(*) AS count FROM outbound_edus");
    const pending = count("SELECT COUNT(*) AS count FROM outbox WHERE txn_id IS NOT NULL");
    // Receipts may wait for a day, of events that never come here; checkReceipts looks for those that are lost.
    const waiting = count("SELECT COUNT(*) AS count FROM inbox_events");
    if (behind + edus + pending + waiting > 0) {
      wrong.push(
        `${host.label}: ${behind} rooms behind, ${edus} EDUs, ${pending} transactions, ${waiting} events wait`,
      );
    }
  }
  return wrong;
}

/** Each message to a device arrives there once, and nowhere else. */
export function checkToDevice(client: SimClient, ledger: FederationLedger): string[] {
  const wrong: string[] = [];
  for (const [id, { deviceId, isPromised }] of ledger.toDevice) {
    const times = client.toDevice.get(id) ?? 0;
    const isRight = deviceId !== client.deviceId ? times === 0 : times === 1 || (times === 0 && !isPromised);
    if (!isRight) wrong.push(`${client.label}: to-device message ${id} was received ${times} times`);
  }
  return wrong;
}

/** Who is in the room all the time has, at all servers that are, read as much as their own server knows. */
export function checkReceipts(
  copies: readonly RoomCopy[],
  people: readonly Resident[],
  residents: ReadonlySet<string>,
): string[] {
  const wrong: string[] = [];
  for (const { userId, isAnchor, server } of people) {
    const home = copies.find((copy) => copy.server === server);
    const read = home?.receipts.get(userId);
    if (!isAnchor || !residents.has(server.name) || read === undefined) continue;
    for (const copy of copies) {
      if (!residents.has(copy.server.name)) continue;
      const there = copy.receipts.get(userId);
      const wanted = copy.events.get(read.eventId)?.position ?? null;
      if (wanted === null || (there !== undefined && there.position >= wanted)) continue;
      wrong.push(`${copy.server.name} thinks that ${userId} has read ${there?.eventId}, not ${read.eventId}`);
    }
  }
  return wrong;
}

/** What is kept of a server that is gone: a row a room, and one each for what is on its way, its route and its account. */
export function checkDead(server: SimServer, name: string, rooms: number): string[] {
  const host = server.world.hosts("server").find((each) => each.name === name);
  if (host?.hasSchema !== true) return [];
  const allowed = {
    outbound_rooms: rooms,
    outbox: 1,
    routes: 1,
    contact: 1,
    inbox_events: 0,
    inbox_receipts: 0,
    outbound_edus: 0,
  };
  return Object.entries(allowed).flatMap(([table, most]) => {
    const count = host.storage.sql.one<{ count: number }>(`SELECT COUNT(*) AS count FROM ${table}`)?.count ?? 0;
    return count > most ? [`${server.name} keeps ${count} rows in ${table} of a dead server`] : [];
  });
}

/**
 * From their joining on, a member was told every event, once, in the order of their server.
 * @param isLarge servers join the room without being told all of it.
 */
export function checkTimeline(client: SimClient, copy: RoomCopy, isLarge: boolean): string[] {
  const model = client.rooms.get(trusted.roomId(copy.roomId));
  const isMember = copy.members.get(client.userId) === "join";
  if ((model?.place === "join") !== isMember) {
    return [`${client.label}: thinks ${model?.place}, is ${copy.members.get(client.userId)}`];
  }
  if (!isMember) return [];
  const inOrder = [...copy.events.values()].filter(({ position }) => position !== null && position >= 0);
  const own = (event: StoredEvent): boolean => event.type === "m.room.member" && event.stateKey === client.userId;
  const changes = inOrder.filter(own);
  const lastOut = changes.findLastIndex(({ membership }) => membership !== "join");
  const joined = changes[lastOut + 1];
  // Who is in because of how forks were resolved did not see it in the timeline.
  if (joined === undefined) return [];
  const expected = inOrder.slice(inOrder.indexOf(joined)).map(({ eventId }) => eventId);
  const items = model?.items ?? [];
  const actual = items.map((item) => (item.kind === "gap" ? "a gap" : item.eventId));
  const from = actual.lastIndexOf(joined.eventId);
  if (from === -1) return [`${client.label}: was never told of joining`];
  // What was shown while not all of the room was known, and turned out to be none of it, stays with those who have seen it.
  const isRefused = (eventId: string): boolean => copy.events.get(eventId)?.position === null;
  const told = actual.slice(from).filter((eventId) => !(isLarge && isRefused(eventId)));
  const difference = expected.findIndex((eventId, index) => told[index] !== eventId);
  if (difference === -1 && told.length === expected.length) return [];
  const spell = (ids: readonly string[]): string => ids.map((id) => copy.events.get(id)?.position ?? id).join(" ");
  return [`${client.label}: timeline differs\n  has       ${spell(told)}\n  should be ${spell(expected)}`];
}
