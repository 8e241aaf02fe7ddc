/** What a first sync may read of a large room: no more than of a small one, but for what it tells. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isObject, objectField } from "../../shared/json.ts";
import { type Api, apiOf, textField } from "../bench/http.ts";
import { perOperation, settledCosts } from "../bench/measure.ts";
import { joinRoom, makeOneUser, type User } from "../bench/world.ts";
import { type HomeserverProcess, startHomeserverProcess } from "../e2e/homeserver-process.ts";

const crowdSize = 2_000;
/** The reader's own row is passed over in the index, and five are told instead of one. */
const rowsOfHeroes = 2 * 5;

let server: HomeserverProcess;
let api: Api;
let alice: User;
let roomId: string;

beforeAll(async () => {
  server = await startHomeserverProcess({ env: { METER: "on" } });
  api = apiOf(server.baseUrl);
  alice = await makeOneUser(api, "alice");
  roomId = textField(
    await alice.api.call("POST", "/_matrix/client/v3/createRoom", { preset: "public_chat" }),
    "room_id",
  );
  await joinRoom(await makeOneUser(api, "bob"), roomId);
}, 120_000);

afterAll(async () => {
  api?.close();
  await server?.dispose();
});

/** Changes the room's database while the server is down: two thousand people would take minutes to join. */
async function changeRoom(query: string): Promise<void> {
  await server.stop();
  const folder = join(server.dataDir, "do", "tessera-RoomActor");
  for (const file of readdirSync(folder).filter((entry) => entry.endsWith(".sqlite"))) {
    const database = new DatabaseSync(join(folder, file));
    const hasMembers = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'room_memberships'").get();
    if (hasMembers !== undefined) database.exec(query);
    database.close();
  }
  await server.start();
}

/** Who the room is called by in a first sync, and the rows that it reads: the fewest of three, where maintenance came between. */
async function firstSync(): Promise<{ heroes: string[]; rowsRead: number }> {
  const reads = [await measuredSync(), await measuredSync(), await measuredSync()];
  const [fewest] = reads.toSorted((one, other) => one.rowsRead - other.rowsRead);
  if (fewest === undefined) throw new Error("nothing was read");
  return fewest;
}

async function measuredSync(): Promise<{ heroes: string[]; rowsRead: number }> {
  const read = () => alice.api.call("GET", "/_matrix/client/v3/sync");
  // What instances keep in memory is there.
  await read();
  const before = await settledCosts(api);
  const answer = await read();
  const after = await settledCosts(api);
  if (before === null || after === null) throw new Error("the homeserver has no meter");
  const section = objectField(objectField(objectField(answer, "rooms") ?? {}, "join") ?? {}, roomId) ?? {};
  const heroes = objectField(section, "summary")?.["m.heroes"];
  expect(isObject(section.summary)).toBe(true);
  return { heroes: Array.isArray(heroes) ? heroes.map(String) : [], rowsRead: perOperation(before, after, 1).rowsRead };
}

describe("the heroes of a room without a name", () => {
  it(`cost no more among ${crowdSize} members, or ${crowdSize} who left, than between two`, {
    timeout: 120_000,
  }, async () => {
    const small = await firstSync();
    expect(small.heroes).toHaveLength(1);
    await changeRoom(`
      INSERT INTO room_memberships (user_id, membership, event_nid, stream_position, is_local)
      WITH RECURSIVE crowd (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM crowd WHERE number < ${crowdSize})
      SELECT printf('@user%04d:remote.test', number), iif(number % 2, 'join', 'invite'), 1, 1000 + number, 0 FROM crowd`);
    const large = await firstSync();
    expect(large.heroes).toEqual([...small.heroes, ...[1, 2, 3, 4].map((number) => `@user000${number}:remote.test`)]);
    expect(large.rowsRead).toBeLessThanOrEqual(small.rowsRead + rowsOfHeroes);
    await changeRoom(`UPDATE room_memberships SET membership = iif(rank % 2, 'leave', 'ban')
      FROM (SELECT user_id AS other, row_number() OVER () AS rank FROM room_memberships)
      WHERE other = user_id AND user_id <> '${alice.userId}'`);
    const left = await firstSync();
    expect(left.heroes).toEqual(large.heroes);
    expect(left.rowsRead).toBeLessThanOrEqual(small.rowsRead + rowsOfHeroes);
    console.log(
      `first sync of a room of 2: ${small.rowsRead} rows read, of ${crowdSize}: ${large.rowsRead}, ${left.rowsRead}`,
    );
  });
});
