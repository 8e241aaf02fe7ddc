/**
 * What clients may read of rooms (R72): every endpoint by which they do × what the reader is to the room × history
 * visibility, which may change × time. What each may know is worked out by `history-model.ts`, from the specification alone.
 */
import { afterEach, describe, expect, it } from "vitest";
import { clientEndpoints } from "../../workers/gateway/client/index.ts";
import { type FederatedUser, Federation } from "../support/federation.ts";
import { type Action, expectWithin, openRoom, type Reader, Scene, type Setting, tokensIn } from "./reading-scene.ts";

const encode = encodeURIComponent;

const relations: Readonly<Record<string, readonly (readonly Action[])[]>> = {
  "joined from the beginning": [["join"]],
  "never in": [],
  invited: [[], ["invite"]],
  "invited early, then uninvited": [["invite"], [], ["kick"]],
  knocked: [[], ["knock"]],
  "knocked, then turned down": [[], ["knock"], ["kick"]],
  "knocked, then let in": [["knock"], ["invite"], ["join"]],
  "banned, never in": [[], ["ban"]],
  joined: [[], [], ["join"]],
  "invited, then joined": [[], ["invite"], ["join"]],
  left: [[], ["join"], [], ["leave"]],
  kicked: [["join"], [], ["kick"]],
  banned: [[], ["invite", "join"], [], ["ban"]],
  "left, then banned": [["join"], [], ["leave"], [], ["ban"]],
  "left, then invited": [["join"], ["leave"], [], ["invite"]],
  "left, then invited, then uninvited": [["join"], ["leave"], ["invite"], ["kick"]],
  "left, then came back": [["join"], ["leave"], [], ["join"]],
  "came and went twice": [["join"], ["leave"], ["invite", "join"], ["leave"]],
  "banned, then pardoned": [["join"], ["ban"], [], ["unban"]],
  forgot: [["join"], [], ["leave"], ["forget"]],
  "forgot, then came back": [["join"], ["leave", "forget"], [], ["join"]],
};
const phases = 5;

const settings: readonly Setting[] = [
  { first: "world_readable", second: "world_readable", changesAt: 0 },
  { first: "shared", second: "shared", changesAt: 0 },
  { first: "invited", second: "invited", changesAt: 0 },
  { first: "joined", second: "joined", changesAt: 0 },
  { first: "world_readable", second: "joined", changesAt: 2 },
  { first: "joined", second: "world_readable", changesAt: 3 },
  { first: "shared", second: "invited", changesAt: 3 },
  { first: "invited", second: "world_readable", changesAt: 4 },
  { first: "joined", second: "shared", changesAt: 2 },
];

/** All that an endpoint tells a reader of the room. */
type Read = (scene: Scene, reader: Reader, eventIds: ReadonlyMap<string, string>) => Promise<void>;

let federation: Federation | null = null;

afterEach(() => {
  federation?.close();
  federation = null;
});

/** A path's answer, which holds nothing but what the reader may know; null where it refuses. */
async function readAt(scene: Scene, reader: Reader, path: string): Promise<string | null> {
  const reply = await reader.person.get(path);
  const tokens = tokensIn(reply.text);
  if (reply.status !== 200) {
    expect([403, 404], reply.text).toContain(reply.status);
    expect([...tokens]).toEqual([]);
    return null;
  }
  expectWithin(tokens, scene.knowledgeOf(reader).may, `${reader.relation}: ${path}`);
  return reply.text;
}

async function tokensAt(scene: Scene, reader: Reader, path: string): Promise<Set<string> | null> {
  const text = await readAt(scene, reader, path);
  return text === null ? null : tokensIn(text);
}

function expectHolds(seen: ReadonlySet<string> | null, wanted: Iterable<string>, where: string): void {
  expect(
    [...wanted].filter((token) => seen?.has(token) !== true),
    where,
  ).toEqual([]);
}

/** Reads something of the room's state: that of now, or that in which the reader left. */
async function readState(scene: Scene, reader: Reader, path: string): Promise<ReadonlySet<string>> {
  const text = await readAt(scene, reader, path);
  const { state } = scene.knowledgeOf(reader);
  const where = `${reader.relation}: ${path}`;
  expect(text === null, where).toBe(state === null);
  // What was before is no part of it.
  const withoutHistory = (key: string, value: unknown): unknown => (key === "unsigned" ? undefined : value);
  const seen = tokensIn(JSON.stringify(JSON.parse(text ?? "{}", withoutHistory)));
  expectWithin(seen, state ?? new Set(), where);
  return seen;
}

/** The events of the reader's own membership, and a quarter of the others: another one for each reader. */
function someOf({ facts, readers }: Scene, reader: Reader, eventIds: ReadonlyMap<string, string>): [string, string][] {
  const own = new Set(facts.filter(({ member }) => member?.userId === reader.person.userId).map(({ token }) => token));
  const first = readers.indexOf(reader);
  return [...eventIds].filter(([token], index) => own.has(token) || (index + first) % 4 === 0);
}

async function readEvent(
  scene: Scene,
  reader: Reader,
  { token, path }: { token: string; path: string },
): Promise<void> {
  const { must, mayAsEvent } = scene.knowledgeOf(reader);
  const seen = await tokensAt(scene, reader, path);
  if (must.has(token)) expectHolds(seen, [token], `${reader.relation}: ${path}`);
  if (!mayAsEvent.has(token)) expect(seen, `${reader.relation}: ${token} ${path}`).toBeNull();
}

const reads: Readonly<Record<string, Read>> = {
  getRoomEvents: async (scene, reader) => {
    const { must, mayAsEvent } = scene.knowledgeOf(reader);
    for (const dir of ["b", "f"]) {
      const seen = await tokensAt(scene, reader, scene.path(`messages?dir=${dir}&limit=1000`));
      expectHolds(seen, must, `${reader.relation}: messages ${dir}`);
      const lazy = encode(JSON.stringify({ lazy_load_members: true }));
      await tokensAt(scene, reader, scene.path(`messages?dir=${dir}&limit=1000&filter=${lazy}`));
    }
    for (const position of scene.positions.slice(-2)) {
      const seen = await tokensAt(scene, reader, scene.path(`messages?dir=b&limit=3&from=${position}`));
      if (mayAsEvent.size === 0) expect(seen).toBeNull();
    }
  },
  getOneRoomEvent: async (scene, reader, eventIds) => {
    for (const [token, eventId] of someOf(scene, reader, eventIds)) {
      await readEvent(scene, reader, { token, path: scene.path(`event/${encode(eventId)}`) });
    }
  },
  getEventContext: async (scene, reader, eventIds) => {
    for (const [token, eventId] of someOf(scene, reader, eventIds)) {
      // What is told to whom may be the state after the event itself.
      for (const limit of [0, 5]) {
        await readEvent(scene, reader, { token, path: scene.path(`context/${encode(eventId)}?limit=${limit}`) });
      }
    }
  },
  getRoomState: async (scene, reader) => {
    const seen = await readState(scene, reader, scene.path("state"));
    const { state } = scene.knowledgeOf(reader);
    expectHolds(seen, state ?? [], `${reader.relation}: state`);
  },
  getRoomStateWithKey: async (scene, reader) => {
    for (const format of ["content", "event"]) {
      const seen = await readState(scene, reader, scene.path(`state/org.example.secret?format=${format}`));
      expect(seen.size).toBe(scene.knowledgeOf(reader).state === null ? 0 : 1);
    }
  },
  getMembersByRoom: async (scene, reader) => {
    await readState(scene, reader, scene.path("members"));
    for (const position of scene.positions) await tokensAt(scene, reader, scene.path(`members?at=${position}`));
  },
  getJoinedMembersByRoom: async (scene, reader) => {
    const { status } = await reader.person.get(scene.path("joined_members"));
    expect(status, `${reader.relation}: joined_members`).toBe(scene.isJoined(reader) ? 200 : 403);
  },
  getEventByTimestamp: async (scene, reader, eventIds) => {
    const { must, mayAsEvent } = scene.knowledgeOf(reader);
    const tokens = new Map([...eventIds].map(([token, eventId]) => [eventId, token]));
    const last = scene.times.at(-1) ?? 0;
    for (const ts of [...scene.times, last + 60_000]) {
      const dir = ts > last ? "b" : "f";
      const path = `v1/rooms/${encode(scene.roomId)}/timestamp_to_event?ts=${ts}&dir=${dir}`;
      const { status, body } = await reader.person.get(path);
      const token = tokens.get(String(body.event_id));
      const where = `${reader.relation}: timestamp_to_event ${token}`;
      if (token !== undefined) expect(mayAsEvent, where).toContain(token);
      if (must.size > 0 && dir === "b") expect(status, where).toBe(200);
    }
  },
  getLocalAliases: async (scene, reader) => {
    const { status } = await reader.person.get(scene.path("aliases"));
    expect(status, `${reader.relation}: aliases`).toBe(scene.isJoined(reader) || scene.isWorldReadable() ? 200 : 403);
  },
  getSpaceHierarchy: async (scene, reader) => {
    const { status } = await reader.person.get(`v1/rooms/${encode(scene.roomId)}/hierarchy`);
    const isOpen = scene.isWorldReadable() || scene.isJoined(reader) || scene.membershipOf(reader) === "invite";
    expect(status, `${reader.relation}: hierarchy`).toBe(isOpen ? 200 : 403);
  },
  getRoomSummary: async (scene, reader) => {
    const { status, body } = await reader.person.get(`v1/room_summary/${encode(scene.roomId)}`);
    const isOpen = scene.isWorldReadable() || scene.isJoined(reader) || scene.membershipOf(reader) === "invite";
    expect(status, `${reader.relation}: summary`).toBe(isOpen ? 200 : 404);
    if (isOpen) expect(body.membership ?? "leave").toBe(scene.membershipOf(reader));
  },
};

/** What is answered of a room to anybody, or only of what the requester has put there. */
const noReads: readonly string[] = ["getAccountDataPerRoom", "getRoomTags", "getRoomVisibilityOnDirectory"];

describe("the endpoints that read a room", () => {
  it("are all looked at here", () => {
    const inRooms = clientEndpoints.filter(({ method, path }) => method === "GET" && path.includes(":roomId"));
    const names = inRooms.map(({ operationId }) => operationId).sort();
    expect(names).toEqual([...Object.keys(reads), ...noReads].sort());
  });
});

const filters = [
  { room: { timeline: { limit: 1 }, include_leave: true } },
  {
    room: {
      timeline: { limit: 5, not_types: ["m.room.member"] },
      include_leave: true,
      state: { lazy_load_members: true },
    },
  },
];

/** Follows the room by `/sync`, with clients of different habits. */
class Listener {
  readonly #reader: Reader;
  readonly #since: string[] = [];

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  async listen(scene: Scene, phase: number): Promise<void> {
    for (const [index, filter] of filters.entries()) {
      const text = encode(JSON.stringify(filter));
      const since = phase === 0 ? "" : `&since=${this.#since[index]}`;
      this.#since[index] = await this.#sync(scene, `filter=${text}${since}`);
      if (phase !== phases - 1) continue;
      for (const query of ["", since]) await this.#sync(scene, `filter=${text}${query}&full_state=true`);
    }
  }

  async #sync(scene: Scene, query: string): Promise<string> {
    const reply = await this.#reader.person.get(`v3/sync?timeout=0&${query}`);
    expect(reply.status, reply.text).toBe(200);
    const { may } = scene.knowledgeOf(this.#reader);
    expectWithin(tokensIn(reply.text), may, `${this.#reader.relation}: sync ${decodeURIComponent(query)}`);
    return String(reply.body.next_batch);
  }
}

/** Plays a room of one.test, and has each reader read it at their own server. */
async function playAndRead(setting: Setting, serverName: string): Promise<void> {
  const made = new Federation();
  federation = made;
  const [home, server] = [made.server("one.test"), made.server(serverName)];
  const [alice, walter] = [await home.user("alice"), await home.user("walter")];
  const scene = new Scene(made, await openRoom(alice, walter), { alice, walter });
  const listeners: Listener[] = [];
  for (const [relation, actions] of Object.entries(relations)) {
    const person: FederatedUser = await server.user(`reader${scene.readers.length}`);
    const reader = { relation, actions, person, hasForgotten: false };
    scene.readers.push(reader);
    listeners.push(new Listener(reader));
  }
  await scene.play(setting, phases, async (phase) => {
    for (const listener of listeners) await listener.listen(scene, phase);
  });
  const eventIds = await scene.eventIds();
  expect(eventIds.size).toBeGreaterThan(phases * 3);
  for (const reader of scene.readers) for (const read of Object.values(reads)) await read(scene, reader, eventIds);
}

describe.each(settings)("history visibility $first, then $second", (setting) => {
  it("tells each reader what they may know, and no more", { timeout: 60_000 }, () => playAndRead(setting, "one.test"));
});

describe.each(settings.filter(({ changesAt, first }) => changesAt === 2 || (changesAt === 0 && first === "shared")))(
  "history visibility $first, then $second, elsewhere",
  (setting) => {
    it("tells each reader what they may know, and no more", { timeout: 60_000 }, () =>
      playAndRead(setting, "two.test"),
    );
  },
);
