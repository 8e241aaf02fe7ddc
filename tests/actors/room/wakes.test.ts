import { describe, expect, it } from "vitest";
import {
  caughtUp,
  deliverWakes,
  newWakeMemory,
  oweWakes,
  repeatWakes,
  type WakeMemory,
  type WakingRoom,
} from "../../../actors/room/wakes.ts";
import { migrate } from "../../../schema/migrate.ts";
import { roomMigrations } from "../../../schema/room/index.ts";
import { parseConfig } from "../../../shared/env.ts";
import { trusted, type UserId } from "../../../shared/ids.ts";
import { actorsOf } from "../../../shared/rpc/actors.ts";
import type { RoomWake } from "../../../shared/rpc/user.ts";
import { noEgress } from "../../support/no-egress.ts";
import { openNodeSql } from "../../support/node-sql.ts";
import { fc } from "../../support/property.ts";

const roomId = trusted.roomId("!room:test");
const user = (n: number): UserId => trusted.userId(`@u${n}:test`);

/** A user as far as wakes concern it, with the two positions that a UserActor stores. */
interface ModelUser {
  headHint: number;
  headKnown: number;
  wakes: number;
}

/** A room with nothing but a stream, members and wakes; users are models; every wake's delivery is decided by hand. */
function testRoom() {
  const sql = openNodeSql();
  migrate(sql, roomMigrations);
  sql.run("INSERT INTO room (id, room_version, stream_position, event_nid) VALUES (1, '12', 0, 0)");
  const users = new Map<string, ModelUser>();
  let alarmAt: number | null = null;
  /** Set to decide what happens to the next wakes: lost before or after they are stored, or held back. */
  let fate: () => Promise<"arrive" | "lose" | "loseReply"> = async () => "arrive";
  const userStub = (name: string) => ({
    roomAdvanced: async (wake: RoomWake) => {
      const outcome = await fate();
      if (outcome === "lose") throw new Error("lost");
      const model = users.get(name) ?? { headHint: 0, headKnown: 0, wakes: 0 };
      users.set(name, model);
      model.headHint = Math.max(model.headHint, wake.head);
      model.wakes += 1;
      if (outcome === "loseReply") throw new Error("reply lost");
      return { ok: true, value: { knownPosition: model.headKnown } };
    },
  });
  const none = { getByName: (): object => ({}) };
  const context = (wakes: WakeMemory): WakingRoom => ({
    sql,
    roomId,
    wakes,
    actors: actorsOf({ room: none, user: { getByName: userStub }, server: none }),
    egress: noEgress,
    clock: { now: () => 0 },
    random: { bytes: (length) => new Uint8Array(length) },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    config: parseConfig({ SERVER_NAME: "test", REGISTRATION: "open", RATE_LIMITS: "off" }),
    directory: { batch: async () => undefined, all: async () => [] },
    alarm: {
      ensure: (atMs) => {
        alarmAt = atMs;
      },
    },
    background: () => undefined,
  });
  let room = context(newWakeMemory());
  const item = (changes: readonly UserId[] = []): number =>
    sql.transaction(() => {
      sql.run("UPDATE room SET stream_position = stream_position + 1");
      oweWakes(room, { membershipChanges: changes });
      return head();
    });
  const head = (): number =>
    sql.one<{ stream_position: number }>("SELECT stream_position FROM room")?.stream_position ?? 0;
  const setMembership = (userId: UserId, membership: string): void =>
    sql.run(
      `INSERT OR REPLACE INTO room_memberships (user_id, membership, event_nid, stream_position, is_local)
       VALUES (?, ?, 1, ?, 1)`,
      userId,
      membership,
      head() + 1,
    );
  return {
    sql,
    users,
    head,
    get room() {
      return room;
    },
    get alarmAt() {
      return alarmAt;
    },
    setFate: (next: typeof fate) => {
      fate = next;
    },
    evict: () => {
      room = context(newWakeMemory());
    },
    message: () => item(),
    change: (userId: UserId, membership: string) => {
      setMembership(userId, membership);
      return item([userId]);
    },
    /** The user reads everything: first the room is asked, then the answer is stored, unless the user dies between. */
    read: (userId: UserId, options: { dies: boolean } = { dies: false }) => {
      const position = head();
      caughtUp(room, userId);
      const model = users.get(userId);
      if (model !== undefined && !options.dies) model.headKnown = Math.max(model.headKnown, position);
    },
  };
}

describe("wakes", () => {
  it("sends an idle user one wake, however many messages follow", async () => {
    const room = testRoom();
    room.change(user(1), "join");
    await deliverWakes(room.room);
    for (let i = 0; i < 100; i += 1) {
      room.message();
      await deliverWakes(room.room);
    }
    expect(room.users.get(user(1))?.wakes).toBe(1);
  });

  it("keeps the idle user's one wake across evictions, but for one repeat", async () => {
    const room = testRoom();
    room.change(user(1), "join");
    await deliverWakes(room.room);
    for (let i = 0; i < 20; i += 1) {
      room.evict();
      room.message();
      await deliverWakes(room.room);
      room.message();
    }
    expect(room.users.get(user(1))?.wakes).toBeLessThanOrEqual(2);
  });

  it("wakes again once the user has read", async () => {
    const room = testRoom();
    room.change(user(1), "join");
    await deliverWakes(room.room);
    room.read(user(1));
    room.message();
    await deliverWakes(room.room);
    expect(room.users.get(user(1))?.wakes).toBe(2);
  });

  it("repeats a lost wake from the alarm, also after an eviction", async () => {
    const room = testRoom();
    room.setFate(async () => "lose");
    room.change(user(1), "join");
    await deliverWakes(room.room);
    expect(room.alarmAt).not.toBeNull();
    room.evict();
    room.setFate(async () => "arrive");
    await repeatWakes(room.room);
    expect(room.users.get(user(1))?.headHint).toBe(1);
    // At rest: nothing is owed any more.
    let isToldAgain = false;
    room.setFate(async () => {
      isToldAgain = true;
      return "arrive";
    });
    await deliverWakes(room.room);
    expect(isToldAgain).toBe(false);
  });

  it("tells a user who left of the leaving, and of nothing after it", async () => {
    const room = testRoom();
    room.change(user(1), "join");
    await deliverWakes(room.room);
    room.read(user(1));
    const leftAt = room.change(user(1), "leave");
    await deliverWakes(room.room);
    room.read(user(1));
    room.message();
    await deliverWakes(room.room);
    expect(room.users.get(user(1))?.headHint).toBe(leftAt);
  });

  it("writes one row for a message, whether two or two thousand users listen", () => {
    const room = testRoom();
    for (let i = 0; i < 2000; i += 1) room.change(user(i), "join");
    room.sql.run("DELETE FROM wake_pages WHERE page > 0");
    const before = room.sql.usage.rowsWritten;
    room.message();
    expect(room.sql.usage.rowsWritten - before).toBeLessThanOrEqual(2);
  });

  it("does not forget an owed wake when the transaction that folded memory is rolled back", async () => {
    const room = testRoom();
    room.change(user(1), "join");
    await deliverWakes(room.room);
    room.read(user(1));
    room.message();
    expect(() =>
      room.sql.transaction(() => {
        oweWakes(room.room, { membershipChanges: [] });
        throw new Error("rolled back");
      }),
    ).toThrow("rolled back");
    await deliverWakes(room.room);
    expect(room.users.get(user(1))?.headHint).toBe(2);
  });

  it("never leaves a user asleep who has something to read", async () => {
    const step = fc.oneof(
      fc.constant({ kind: "message" as const }),
      fc.constant({ kind: "evict" as const }),
      fc.record({
        kind: fc.constant("deliver" as const),
        fate: fc.constantFrom("arrive", "lose", "loseReply" as const),
      }),
      fc.record({ kind: fc.constant("read" as const), who: fc.nat(2), dies: fc.boolean() }),
      fc.record({ kind: fc.constant("during" as const), who: fc.nat(2), read: fc.boolean(), message: fc.boolean() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const room = testRoom();
        for (let i = 0; i < 3; i += 1) room.change(user(i), "join");
        for (const one of steps) {
          if (one.kind === "message") room.message();
          else if (one.kind === "evict") room.evict();
          else if (one.kind === "read") room.read(user(one.who), { dies: one.dies });
          else {
            room.setFate(async () => {
              if (one.kind === "deliver") return one.fate;
              if (one.message) room.message();
              if (one.read) room.read(user(one.who));
              return "arrive";
            });
            await deliverWakes(room.room);
          }
        }
        room.setFate(async () => "arrive");
        await repeatWakes(room.room);
        await repeatWakes(room.room);
        for (let i = 0; i < 3; i += 1) {
          const model = room.users.get(user(i));
          const knowsOrIsBehind =
            model !== undefined && (model.headKnown >= room.head() || model.headHint > model.headKnown);
          expect(knowsOrIsBehind).toBe(true);
        }
        room.sql.close();
      }),
      { numRuns: 1000 },
    );
  });
});
