import { describe, expect, it } from "vitest";
import type { RoomWake } from "../../../shared/rpc/user.ts";
import { alice, device, register, room, type TestUser, World } from "./world.ts";

const attic = room("attic");
const wake = (membership: RoomWake["membership"], position: number): RoomWake => ({
  roomId: attic,
  head: position,
  membership,
  membershipPosition: position,
});

async function joined(): Promise<TestUser> {
  const world = new World();
  await register(world, alice);
  const user = world.user(alice);
  await user.rpc.roomAdvanced(wake("join", 5));
  return user;
}

const listed = (user: TestUser) =>
  user.sql.all<{ room_nid: number; membership: string }>("SELECT room_nid, membership FROM rooms");

describe("roomForgotten", () => {
  it("tells waiting devices, also where the wake that the user has left was lost", async () => {
    const user = await joined();
    const { told } = user.hold(device("FIRST"));
    await user.rpc.roomForgotten(attic, 9);
    expect(told).toEqual(["news"]);
    expect(listed(user)).toEqual([]);
    expect(await user.rpc.getJoinedRooms()).toEqual([]);
    // The lost one, repeated.
    expect(await user.rpc.roomAdvanced(wake("leave", 9))).toEqual({ knownPosition: 9 });
    expect(listed(user)).toEqual([]);
  });

  it("takes off the list what comes onto it later", async () => {
    const user = await joined();
    await user.rpc.roomForgotten(room("cellar"), 9);
    await user.rpc.roomAdvanced({ ...wake("leave", 9), roomId: room("cellar") });
    expect(listed(user)).toEqual([{ room_nid: 1, membership: "join" }]);
    await user.rpc.roomAdvanced({ ...wake("join", 1), roomId: room("loft") });
    expect(listed(user).map(({ room_nid }) => room_nid)).toEqual([1, 3]);
  });

  it("ends when the user comes back, by the number that tokens know the room by", async () => {
    const user = await joined();
    const before = listed(user)[0]?.room_nid;
    await user.rpc.roomForgotten(attic, 9);
    await user.rpc.roomForgotten(attic, 9);
    await user.rpc.roomAdvanced(wake("invite", 12));
    expect(listed(user)).toEqual([{ room_nid: before, membership: "invite" }]);
    await user.rpc.roomForgotten(attic, 9);
    expect(listed(user)).toEqual([{ room_nid: before, membership: "invite" }]);
    expect(user.sql.all("SELECT * FROM forgotten_rooms")).toEqual([]);
  });
});
