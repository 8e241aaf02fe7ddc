import { beforeEach, describe, expect, it } from "vitest";
import type { RoomContext } from "../../../actors/room/context.ts";
import { maxConflictedJson } from "../../../actors/room/resolution-events.ts";
import { type RootResolution, resolveRoots } from "../../../actors/room/resolve.ts";
import type { StateRoot } from "../../../actors/room/state-tree.ts";
import type { EventRecord } from "../../../actors/room/store/events.ts";
import type { JsonObject } from "../../../shared/json.ts";
import {
  addState,
  alice,
  findLargeRoom,
  type LargeRoom,
  makeLargeRoom,
  roomIdOf,
  type StateInput,
} from "../../bench/core-room.ts";
import { createWorld } from "./world.ts";

/** Adds a state event after those of its fork. */
type Add = (input: Pick<StateInput, "type" | "stateKey" | "content"> & Partial<StateInput>) => EventRecord;

describe("resolveRoots, of what is crafted to cost much", () => {
  let context: RoomContext;
  let room: LargeRoom;
  beforeEach(() => {
    context = createWorld().room(roomIdOf("bounds")).context;
    makeLargeRoom(context, 200);
    room = findLargeRoom(context);
  });

  /** Resolves two forks that both are made by `make`. */
  function resolveForks(make: (add: Add, fork: number) => void, base: StateRoot = room.root): RootResolution {
    return context.store.transaction((tx) => {
      const roots = [0, 1].map((fork) => {
        let before = base;
        make((input) => {
          const auth = [room.create, room.levels, room.creatorMember];
          const record = addState(context, tx, {
            sender: alice,
            auth,
            prev: [room.joinRules.eventId],
            before,
            ...input,
          });
          before = record.stateRootAfter;
          return record;
        }, fork);
        return before;
      });
      return resolveRoots(tx, roots);
    });
  }

  const levelsWith = (users: JsonObject, fork: number): JsonObject => ({
    users: { [alice]: 100, ...users },
    state_default: 0,
    fork,
  });

  /** A chain of power levels, each after the one before: all of them are in the auth difference. */
  function addLevels(add: Add, fork: number, input: { count: number; users: JsonObject }): void {
    let last = room.levels;
    for (let index = 0; index < input.count; index += 1) {
      const content = { ...levelsWith(input.users, fork), index };
      const auth = [room.create, last, room.creatorMember];
      last = add({ type: "m.room.power_levels", stateKey: "", content, auth });
    }
  }

  it("resolves what a busy room comes to", () => {
    const resolution = resolveForks((add, fork) => {
      addLevels(add, fork, { count: 20, users: {} });
      for (const member of room.members) {
        const content = { membership: "leave", reason: `kicked in fork ${fork}` };
        add({ type: "m.room.member", stateKey: member, content });
      }
    });
    expect(resolution.ok).toBe(true);
  });

  it("gives up events that together take more memory than an actor has", () => {
    const users = Object.fromEntries(Array.from({ length: 1_500 }, (_, index) => [`@user-${index}:example.org`, 1]));
    const bytes = JSON.stringify(users).length;
    const count = Math.ceil(maxConflictedJson / bytes / 2);
    const resolution = resolveForks((add, fork) => addLevels(add, fork, { count, users }));
    expect(resolution).toEqual({ ok: false, reason: "tooManyConflicts" });
  });

  it("gives up more power levels than could be compared in time", () => {
    const resolution = resolveForks((add, fork) => addLevels(add, fork, { count: 700, users: {} }));
    expect(resolution).toEqual({ ok: false, reason: "tooMuchWork" });
  });

  it("gives up third-party invites with more signatures than could be verified in time", () => {
    const signatures = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`server-${index}`, { key: "x" }]));
    const resolution = resolveForks((add, fork) => {
      for (const [index, member] of room.members.slice(0, 20).entries()) {
        const signed = { mxid: member, token: "token", signatures };
        const content = { membership: "invite", third_party_invite: { display_name: `${index} ${fork}`, signed } };
        add({ type: "m.room.member", stateKey: member, content });
      }
    });
    expect(resolution).toEqual({ ok: false, reason: "tooMuchWork" });
  });

  it("gives up third-party invites of a room that names more keys than could be tried in time", () => {
    const keys = Array.from({ length: 1_000 }, (_, index) => ({ public_key: String(index).padStart(43, "0") }));
    const content = { display_name: "x", public_key: "", public_keys: keys };
    const invite = context.store.transaction((tx) =>
      addState(context, tx, {
        sender: alice,
        type: "m.room.third_party_invite",
        stateKey: "token",
        content,
        auth: [room.create, room.levels, room.creatorMember],
        prev: [room.joinRules.eventId],
        before: room.root,
      }),
    );
    const resolution = resolveForks((add, fork) => {
      for (const [index, member] of room.members.slice(0, 40).entries()) {
        add({ type: "m.room.member", stateKey: member, content: { membership: "leave", reason: `${index} ${fork}` } });
        const signed = { mxid: member, token: "token", signatures: { server: { key: "x" } } };
        const content = { membership: "invite", third_party_invite: { display_name: `${index} ${fork}`, signed } };
        add({ type: "m.room.member", stateKey: member, content });
      }
    }, invite.stateRootAfter);
    expect(resolution).toEqual({ ok: false, reason: "tooMuchWork" });
  });

  it("resolves along a mainline that is larger than what may be in conflict", () => {
    const users = Object.fromEntries(Array.from({ length: 1_500 }, (_, index) => [`@user-${index}:example.org`, 1]));
    let root: StateRoot = room.root;
    context.store.transaction((tx) => {
      let last = room.levels;
      for (let index = 0; index < 400; index += 1) {
        last = addState(context, tx, {
          sender: alice,
          type: "m.room.power_levels",
          stateKey: "",
          content: { ...levelsWith(users, 0), index },
          auth: [room.create, last, room.creatorMember],
          prev: [room.joinRules.eventId],
          before: root,
        });
        root = last.stateRootAfter;
      }
    });
    const resolution = resolveForks((add, fork) => {
      add({ type: "m.room.topic", stateKey: "", content: { topic: `of fork ${fork}` } });
    }, root);
    expect(resolution.ok).toBe(true);
  });
});
