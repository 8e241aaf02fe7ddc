/** What is done to members of a room that are not known yet, because it was joined without being told all of it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FederatedReply, FederatedUser } from "../support/federation.ts";
import { PartialScene } from "../support/partial-scene.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

const carol = user("@carol:example.org");
const dave = user("@dave:far.test");

let scene: PartialScene;
let built: RoomBuilder;
let bob: FederatedUser;

beforeEach(async () => {
  built = RoomBuilder.open({ powerLevels: { users: { "@bob:two.test": 75 } } });
  for (const member of [carol, dave]) built.join(member);
  built.member(built.creator, "ban", dave);
  scene = new PartialScene(built, { omitsMembers: true });
  scene.resident.serversInRoom = ["example.org"];
  bob = await scene.two.user("bob");
  await scene.join(bob);
});
afterEach(() => scene.federation.close());

const act = (action: string, target: string) => bob.post(`v3/rooms/${scene.path}/${action}`, { user_id: target });
const memberOf = (target: string) =>
  scene.stateHere().find((line) => line.startsWith(`m.room.member|${target} = `)) ?? null;

/** What is asked for before, and answered after, all members are known. */
async function acrossCompletion(asked: Promise<FederatedReply>): Promise<FederatedReply> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(scene.rows("partial_state")).toHaveLength(1);
  scene.tellsState = true;
  for (const host of scene.two.hosts()) {
    if (host.alarmAt === null || host.alarmAt > scene.federation.clock.now()) continue;
    host.alarmAt = null;
    await host.actor.onAlarm();
  }
  return await asked;
}

describe("somebody who is not known yet", () => {
  it("is put out of the room once they are known to be in it", async () => {
    const reply = await acrossCompletion(act("kick", carol));
    expect(reply.status, reply.text).toBe(200);
    expect(memberOf(carol)).not.toBe(`m.room.member|${carol} = ${built.lookup("m.room.member", carol)?.eventId}`);
  });

  it("is not invited who turns out to be in the room, or banned from it", async () => {
    const replies = await acrossCompletion(
      Promise.all([act("invite", carol), act("invite", dave)]).then(([first, second]) => {
        expect([first.status, second.status]).toEqual([403, 403]);
        return first;
      }),
    );
    expect(replies.body.errcode).toBe("M_FORBIDDEN");
    expect([carol, dave].map(memberOf)).toEqual(
      [carol, dave].map((target) => `m.room.member|${target} = ${built.lookup("m.room.member", target)?.eventId}`),
    );
  });

  it("is let in again once they are known to be banned, also by setting the state", async () => {
    const path = `v3/rooms/${scene.path}/state/m.room.member/${encodeURIComponent(dave)}`;
    const reply = await acrossCompletion(bob.put(path, { membership: "leave" }));
    expect(reply.status, reply.text).toBe(200);
    expect(memberOf(dave)).toContain(String(reply.body.event_id));
  });

  it("is banned at once", async () => {
    const late = async (): Promise<never> => {
      for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      throw new Error("there is no answer yet");
    };
    const reply = await Promise.race([act("ban", carol), late()]);
    expect([reply.status, scene.rows("partial_state").length]).toEqual([200, 1]);
  });
});
