/** Who is in a room, across the two servers: each way in, and each way out. */
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../shared/json.ts";
import type { TestUser } from "../support/client.ts";
import { pairForFile } from "./lifecycle.ts";
import {
  act,
  at,
  eventually,
  inRoom,
  joinBy,
  makeOpenRoom,
  membershipOf,
  messages,
  ok,
  type Roles,
  say,
  setState,
  sync,
  untilSameState,
  ways,
} from "./scene.ts";

const pair = pairForFile();

/** A private room of Alice, who is at home in it, and Bob, who is not in it. */
async function privateRoom({ host, guest }: Roles) {
  const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
  const roomId = await makeOpenRoom(alice, "12", { preset: "private_chat", name: "Cellar" });
  return { alice, bob, roomId };
}

/** An open room with both in it; Bob may kick. */
async function sharedRoom({ host, guest }: Roles) {
  const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
  const levels = { users: { [bob.userId]: 50 } };
  const roomId = await makeOpenRoom(alice, "12", { power_level_content_override: levels });
  await joinBy(bob, roomId, host);
  await eventually(() => membershipOf(alice, roomId, bob.userId), isIt("join"));
  await eventually(() => sectionOf(bob, roomId), isIt("join"));
  return { alice, bob, roomId };
}

function isIt(expected: JsonValue) {
  return (value: JsonValue) => value === expected;
}

/** In which part of a person's sync a room is. */
async function sectionOf(person: TestUser, roomId: string): Promise<string> {
  const rooms = (await sync(person)).rooms;
  return ["join", "invite", "knock", "leave"].find((section) => at(rooms, section, roomId) !== undefined) ?? "none";
}

const refusedJoin = (person: TestUser, roomId: string, via: string) =>
  person.post(
    `v3/join/${encodeURIComponent(roomId)}?via=${encodeURIComponent(via)}&server_name=${encodeURIComponent(via)}`,
  );

describe.each(ways)("in %s", (_name, rolesOf) => {
  it("an invite is seen and taken", async () => {
    const roles = rolesOf(pair());
    const { alice, bob, roomId } = await privateRoom(roles);
    expect((await refusedJoin(bob, roomId, roles.host.serverName)).status).toBe(403);
    await act(alice, roomId, "invite", bob.userId);
    await eventually(() => sectionOf(bob, roomId), isIt("invite"));
    expect(JSON.stringify(at((await sync(bob)).rooms, "invite", roomId))).toContain("Cellar");
    await ok(bob.post(inRoom(roomId, "join"), {}));
    await say(bob, roomId, "thank you");
    await eventually(
      () => messages(alice, roomId),
      (seen) => seen.includes("thank you"),
    );
    await untilSameState(alice, bob, roomId);
  });

  it("an invite is rejected, and made again", async () => {
    const { alice, bob, roomId } = await privateRoom(rolesOf(pair()));
    await act(alice, roomId, "invite", bob.userId);
    await eventually(() => sectionOf(bob, roomId), isIt("invite"));
    await ok(bob.post(inRoom(roomId, "leave"), {}));
    await eventually(() => membershipOf(alice, roomId, bob.userId), isIt("leave"));
    expect(await sectionOf(bob, roomId)).not.toBe("invite");
    await act(alice, roomId, "invite", bob.userId);
    await eventually(() => sectionOf(bob, roomId), isIt("invite"));
  });

  it("an invite is taken back", async () => {
    const { alice, bob, roomId } = await privateRoom(rolesOf(pair()));
    await act(alice, roomId, "invite", bob.userId);
    await eventually(() => sectionOf(bob, roomId), isIt("invite"));
    await act(alice, roomId, "kick", bob.userId);
    await eventually(
      () => sectionOf(bob, roomId),
      (section) => section !== "invite",
    );
  });

  it("a knock is answered with an invite, and with a refusal", async () => {
    const roles = rolesOf(pair());
    const [alice, bob, carol] = [
      await roles.host.user("alice"),
      await roles.guest.user("bob"),
      await roles.guest.user(),
    ];
    const rules = { type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } };
    const roomId = await makeOpenRoom(alice, "10", { preset: "private_chat", initial_state: [rules] });
    const via = encodeURIComponent(roles.host.serverName);
    for (const person of [bob, carol]) {
      const path = `v3/knock/${encodeURIComponent(roomId)}?via=${via}&server_name=${via}`;
      await ok(person.post(path, { reason: "let me in" }));
      await eventually(() => membershipOf(alice, roomId, person.userId), isIt("knock"));
      await eventually(() => sectionOf(person, roomId), isIt("knock"));
    }
    await act(alice, roomId, "invite", bob.userId);
    await eventually(() => sectionOf(bob, roomId), isIt("invite"));
    await ok(bob.post(inRoom(roomId, "join"), {}));
    await act(alice, roomId, "kick", carol.userId);
    await eventually(() => membershipOf(bob, roomId, carol.userId), isIt("leave"));
    await eventually(
      () => sectionOf(carol, roomId),
      (section) => section !== "knock",
    );
    await untilSameState(alice, bob, roomId);
  });

  it.each(["9", "12"])("of version %s, members of another room may join, and nobody else", async (version) => {
    const roles = rolesOf(pair());
    const [alice, bob, carol] = [
      await roles.host.user("alice"),
      await roles.guest.user("bob"),
      await roles.guest.user(),
    ];
    const club = await makeOpenRoom(alice, version);
    const allow = [{ type: "m.room_membership", room_id: club }];
    const rules = { type: "m.room.join_rules", state_key: "", content: { join_rule: "restricted", allow } };
    const roomId = await makeOpenRoom(alice, version, { preset: "private_chat", initial_state: [rules] });
    await joinBy(bob, club, roles.host);
    await joinBy(bob, roomId, roles.host);
    expect((await refusedJoin(carol, roomId, roles.host.serverName)).status).toBe(403);
    await eventually(() => membershipOf(alice, roomId, bob.userId), isIt("join"));
    await untilSameState(alice, bob, roomId);
  });

  it("a user leaves and comes back", async () => {
    const roles = rolesOf(pair());
    const { alice, bob, roomId } = await sharedRoom(roles);
    await ok(bob.post(inRoom(roomId, "leave"), {}));
    await eventually(() => membershipOf(alice, roomId, bob.userId), isIt("leave"));
    await say(alice, roomId, "alone");
    await setState(alice, roomId, { topic: "while you were away" }, ["m.room.topic"]);
    await joinBy(bob, roomId, roles.host);
    await say(bob, roomId, "back");
    await eventually(
      () => messages(alice, roomId),
      (seen) => seen.includes("back"),
    );
    await untilSameState(alice, bob, roomId);
  });

  it("the guest is kicked, banned and forgiven", async () => {
    const roles = rolesOf(pair());
    const { alice, bob, roomId } = await sharedRoom(roles);
    await act(alice, roomId, "kick", bob.userId);
    await eventually(
      () => sectionOf(bob, roomId),
      (section) => section !== "join",
    );
    await joinBy(bob, roomId, roles.host);
    // Synapse shows a room only once it has all members.
    await eventually(() => sectionOf(bob, roomId), isIt("join"));
    await act(alice, roomId, "ban", bob.userId);
    await eventually(
      () => sectionOf(bob, roomId),
      (section) => section !== "join",
    );
    expect((await refusedJoin(bob, roomId, roles.host.serverName)).status).toBe(403);
    await act(alice, roomId, "unban", bob.userId);
    await joinBy(bob, roomId, roles.host);
    await untilSameState(alice, bob, roomId);
  });

  it("the guest kicks, bans and forgives a user of the host", async () => {
    const roles = rolesOf(pair());
    const { alice, bob, roomId } = await sharedRoom(roles);
    const carol = await roles.host.user("carol");
    await joinBy(carol, roomId, roles.host);
    await eventually(() => membershipOf(bob, roomId, carol.userId), isIt("join"));
    await act(bob, roomId, "kick", carol.userId);
    await eventually(() => membershipOf(alice, roomId, carol.userId), isIt("leave"));
    await act(bob, roomId, "ban", carol.userId);
    await eventually(() => membershipOf(alice, roomId, carol.userId), isIt("ban"));
    expect((await refusedJoin(carol, roomId, roles.host.serverName)).status).toBe(403);
    await act(bob, roomId, "unban", carol.userId);
    await eventually(() => membershipOf(alice, roomId, carol.userId), isIt("leave"));
    await untilSameState(alice, bob, roomId);
  });

  it("the guest invites a user of the host, and one of their own server", async () => {
    const roles = rolesOf(pair());
    const { alice, bob, roomId } = await privateRoom(roles);
    const [carol, dave] = [await roles.host.user("carol"), await roles.guest.user("dave")];
    await act(alice, roomId, "invite", bob.userId);
    await eventually(() => sectionOf(bob, roomId), isIt("invite"));
    await ok(bob.post(inRoom(roomId, "join"), {}));
    for (const person of [carol, dave]) {
      await act(bob, roomId, "invite", person.userId);
      await eventually(() => sectionOf(person, roomId), isIt("invite"));
      await ok(person.post(inRoom(roomId, "join"), {}));
      await eventually(() => membershipOf(alice, roomId, person.userId), isIt("join"));
    }
    await untilSameState(alice, dave, roomId);
  });
});
