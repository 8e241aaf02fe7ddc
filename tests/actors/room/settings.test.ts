import { describe, expect, it } from "vitest";
import { trusted } from "../../../shared/ids.ts";
import { alice, bob, carol, createWorld, membership, message, refusalOf, serverName, state } from "./world.ts";

const forbidden = [403, "M_FORBIDDEN"];

describe("directory and aliases", () => {
  it("lets those list the room who may set its alias", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    await room.rpc.changeMembership(membership("join", bob));
    expect(await room.rpc.getDirectoryVisibility()).toBe("private");
    expect(await refusalOf(room.rpc.setDirectoryVisibility(bob, "public"))).toEqual(forbidden);
    await room.rpc.setDirectoryVisibility(alice, "public");
    expect(await room.rpc.getDirectoryVisibility()).toBe("public");
    const facts = room.context.store.room.get();
    expect(facts.directoryOwed).toBe(facts.streamPosition);
    await room.rpc.setDirectoryVisibility(alice, "public");
    expect(room.context.store.room.get().streamPosition).toBe(facts.streamPosition);
    const nowhere = world.room(trusted.roomId(`!nowhere:${serverName}`));
    expect(await refusalOf(nowhere.rpc.getDirectoryVisibility())).toEqual([404, "M_NOT_FOUND"]);
    expect(await refusalOf(nowhere.rpc.setDirectoryVisibility(alice, "public"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("shows aliases to members, and to all where history is world readable", async () => {
    const room = await createWorld().create({ preset: "public_chat" });
    await room.rpc.changeMembership(membership("join", bob));
    expect(await refusalOf(room.rpc.assertMayReadAliases(bob))).toBeNull();
    expect(await refusalOf(room.rpc.assertMayReadAliases(carol))).toEqual(forbidden);
    await room.rpc.sendEvent(state(alice, "m.room.history_visibility", { history_visibility: "world_readable" }));
    expect(await refusalOf(room.rpc.assertMayReadAliases(carol))).toBeNull();
    expect(await room.rpc.mayManageAliases(alice)).toBe(true);
    expect(await room.rpc.mayManageAliases(bob)).toBe(false);
    expect(await room.rpc.mayManageAliases(carol)).toBe(false);
  });

  it("owes the directory nothing for a message", async () => {
    const room = await createWorld().create();
    const owed = room.context.store.room.get().directoryOwed;
    await room.rpc.sendEvent(message(alice, "hi"));
    expect(room.context.store.room.get().directoryOwed).toBe(owed);
  });
});
