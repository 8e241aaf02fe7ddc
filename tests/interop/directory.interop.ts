/** How rooms are found from the other server, and how a server is kept out of them. */
import { describe, expect, it } from "vitest";
import { pairForFile } from "./lifecycle.ts";
import {
  eventually,
  joinBy,
  makeOpenRoom,
  messages,
  objects,
  ok,
  say,
  setState,
  stateOf,
  untilSameState,
  ways,
} from "./scene.ts";

const pair = pairForFile();
let made = 0;

function uniqueAlias(prefix: string): string {
  made += 1;
  return `${prefix}${made}`;
}

describe.each(ways)("%s", (_name, rolesOf) => {
  it("is found by its alias, and joined by it", async () => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
    const localpart = uniqueAlias("attic");
    const roomId = await makeOpenRoom(alice, "12", { room_alias_name: localpart });
    const alias = `#${localpart}:${host.serverName}`;
    const found = await ok(bob.get(`v3/directory/room/${encodeURIComponent(alias)}`));
    expect(found.room_id).toBe(roomId);
    expect(found.servers).toContain(host.serverName);
    const joined = await ok(bob.post(`v3/join/${encodeURIComponent(alias)}`, {}));
    expect(joined.room_id).toBe(roomId);
    await untilSameState(alice, bob, roomId);
    const absent = `v3/directory/room/${encodeURIComponent(`#nothing:${host.serverName}`)}`;
    expect((await bob.get(absent)).status).toBe(404);
  });

  it("is listed in the public directory, and found there by a search", async () => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
    const name = uniqueAlias("Conservatory");
    const roomId = await makeOpenRoom(alice, "12", { visibility: "public", name, topic: "plants" });
    const list = `v3/publicRooms?server=${encodeURIComponent(host.serverName)}`;
    const isListed = (rooms: ReturnType<typeof objects>) => rooms.some((room) => room.room_id === roomId);
    const rooms = await eventually(async () => objects((await ok(bob.get(list))).chunk), isListed);
    expect(rooms.find((room) => room.room_id === roomId)).toMatchObject({ name, topic: "plants" });
    const search = (term: string) => bob.post(list, { filter: { generic_search_term: term } });
    expect(objects((await ok(search(name))).chunk).map((room) => room.room_id)).toEqual([roomId]);
    expect(objects((await ok(search("nowhere to be found"))).chunk)).toEqual([]);
  });

  it("is seen as a part of its space", async () => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
    const space = await makeOpenRoom(alice, "12", { creation_content: { type: "m.space" }, name: "House" });
    const roomId = await makeOpenRoom(alice, "12", { name: "Attic" });
    await setState(alice, space, { via: [host.serverName] }, ["m.space.child", roomId]);
    await joinBy(bob, space, host);
    const path = `v1/rooms/${encodeURIComponent(space)}/hierarchy`;
    const look = async () => objects((await ok(bob.get(path))).rooms).map((room) => room.name);
    const names = await eventually(look, (all) => all.length === 2);
    expect(names).toEqual(["House", "Attic"]);
  });

  it("keeps a server out that its access list denies", async () => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob, carol] = [await host.user("alice"), await guest.user("bob"), await guest.user("carol")];
    const [roomId, control] = [await makeOpenRoom(alice), await makeOpenRoom(alice)];
    for (const room of [roomId, control]) {
      await joinBy(bob, room, host);
      await say(bob, room, "before");
      await eventually(
        () => messages(alice, room),
        (seen) => seen.includes("before"),
      );
    }
    // Without ports: a list does not look at them.
    const list = { allow: ["*"], deny: [guest.serverName.replace(/:[0-9]+$/, "")], allow_ip_literals: true };
    await setState(alice, roomId, list, ["m.room.server_acl"]);
    await eventually(
      async () => (await stateOf(bob, roomId)).join(),
      (state) => state.includes("m.room.server_acl"),
    );
    await say(bob, roomId, "let me speak");
    await say(bob, control, "here I may");
    await eventually(
      () => messages(alice, control),
      (seen) => seen.includes("here I may"),
    );
    expect(await messages(alice, roomId)).toEqual(["before"]);
    const initial = [{ type: "m.room.server_acl", state_key: "", content: list }];
    const closed = await makeOpenRoom(alice, "12", { initial_state: initial });
    const via = encodeURIComponent(host.serverName);
    const refused = await carol.post(`v3/join/${encodeURIComponent(closed)}?via=${via}&server_name=${via}`, {});
    expect(refused.status, refused.text).toBe(403);
  });
});
