/** Receipts of members who are not known yet, because the room was joined without being told all of it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FederatedUser } from "../support/federation.ts";
import { PartialScene, second } from "../support/partial-scene.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

const carol = user("@carol:example.org");
const stranger = user("@stranger:example.org");

let scene: PartialScene;
let built: RoomBuilder;
let bob: FederatedUser;

beforeEach(async () => {
  built = RoomBuilder.open();
  built.join(carol);
  scene = new PartialScene(built, { omitsMembers: true });
  bob = await scene.two.user("bob");
  await scene.join(bob);
});
afterEach(() => scene.federation.close());

/** Has the resident say that users have read the last event. */
async function read(...readers: string[]): Promise<void> {
  const receipt = { data: { ts: 1 }, event_ids: [...built.heads] };
  const content = { [built.roomId]: { "m.read": Object.fromEntries(readers.map((reader) => [reader, receipt])) } };
  const body = { origin: "example.org", origin_server_ts: 1, pdus: [], edus: [{ edu_type: "m.receipt", content }] };
  const reply = await scene.resident.peer.request(scene.two, "PUT", "/_matrix/federation/v1/send/receipts", body);
  expect(reply.status).toBe(200);
  await scene.federation.settle();
}

const readers = (): unknown[] => scene.rows("receipts").map(({ user_id }) => user_id);

describe("a receipt of a user who is not known yet", () => {
  it("counts once they are known to be a member", async () => {
    const eve = user("@eve:example.org");
    await scene.give([built.join(eve)]);
    await read(carol, eve, stranger);
    expect(readers()).toEqual([eve]);
    scene.tellsState = true;
    await scene.federation.advance(300 * second);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(readers().sort()).toEqual([carol, eve]);
    expect(JSON.stringify(await bob.sync())).toContain(carol);
  });

  it("counts also if nothing else is told", async () => {
    await read(carol);
    scene.tellsState = true;
    await scene.federation.advance(300 * second);
    expect(readers()).toEqual([carol]);
  });

  it("is not kept where all members are known", async () => {
    scene.tellsState = true;
    await scene.federation.advance(300 * second);
    await read(stranger);
    const waiting = scene.two.sql("server", "example.org").all("SELECT user_id FROM inbox_receipts");
    expect(waiting).toEqual([]);
  });
});
