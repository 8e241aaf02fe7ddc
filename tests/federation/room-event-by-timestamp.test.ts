/** The event at a time, in a room that several servers know parts of. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FederatedServer, FederatedUser, Federation } from "../support/federation.ts";
import { bodiesOf, listOf } from "../support/read-history.ts";
import { createRoom, joinByBob, refusalIn, type TwoServers, twoServers } from "../support/two-servers.ts";

let scene: TwoServers;
let federation: Federation;
let one: FederatedServer;
let alice: FederatedUser;
let bob: FederatedUser;

beforeEach(async () => {
  scene = await twoServers();
  ({ federation, one, alice, bob } = scene);
});
afterEach(() => federation.close());

const encoded = encodeURIComponent;

describe("the event at a time", () => {
  it("is found here, in both directions", async () => {
    const roomId = await createRoom(scene, alice);
    const times: number[] = [];
    const ids: unknown[] = [];
    for (let index = 0; index < 6; index += 1) {
      await federation.advance(60_000);
      const reply = await alice.put(`v3/rooms/${encoded(roomId)}/send/m.room.message/t${index}`, { body: "x" });
      times.push(federation.clock.now());
      ids.push(reply.body.event_id);
    }
    const at = (person: FederatedUser, ts: number, dir: string) =>
      person.get(`v1/rooms/${encoded(roomId)}/timestamp_to_event?ts=${ts}&dir=${dir}`);
    expect((await at(alice, (times[2] ?? 0) - 1, "f")).body).toEqual({ event_id: ids[2], origin_server_ts: times[2] });
    expect((await at(alice, (times[2] ?? 0) + 1, "b")).body).toEqual({ event_id: ids[2], origin_server_ts: times[2] });
    expect(refusalIn(await at(alice, (times[5] ?? 0) + 1, "f"))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusalIn(await at(await one.user("carol"), 1, "f"))).toEqual([403, "M_FORBIDDEN"]);
    expect(refusalIn(await alice.get(`v1/rooms/${encoded(roomId)}/timestamp_to_event?ts=1`))).toEqual([
      400,
      "M_MISSING_PARAM",
    ]);
  });

  it("is fetched with what lies between, where another server knows a nearer one", async () => {
    const roomId = await createRoom(scene, alice);
    const ids: unknown[] = [];
    const times: number[] = [];
    for (let index = 0; index < 150; index += 1) {
      await federation.advance(1_000);
      const reply = await alice.put(`v3/rooms/${encoded(roomId)}/send/m.room.message/t${index}`, {
        body: `m ${index}`,
      });
      ids.push(reply.body.event_id);
      times.push(federation.clock.now());
    }
    await federation.advance(1_000);
    await joinByBob(scene, roomId);
    const at = (ts: number, dir: string) =>
      bob.get(`v1/rooms/${encoded(roomId)}/timestamp_to_event?ts=${ts}&dir=${dir}`);
    const found = await at(times[20] ?? 0, "f");
    expect(found.body).toEqual({ event_id: ids[20], origin_server_ts: times[20] });
    const context = await bob.get(`v3/rooms/${encoded(roomId)}/context/${encoded(String(ids[20]))}?limit=4`);
    expect(bodiesOf(listOf(context.body.events_after))).toEqual(["m 21", "m 22"]);
    const requests = federation.exchanges.length;
    // Nobody knows of anything later: one question, and no history is fetched for it.
    await at(federation.clock.now() + 1_000, "f");
    expect(federation.exchanges.length).toBe(requests);
  });
});
