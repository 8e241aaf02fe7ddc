/** A room of so many members that they are stored many at a time: each as if it had come by itself. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { membershipOf } from "../../shared/matrix/content/member.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { Resident } from "../support/resident.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

let federation: Federation;
let two: FederatedServer;
let bob: FederatedUser;
let built: RoomBuilder;

const servers = ["example.org", "far.test", "gone.test"];

beforeEach(async () => {
  federation = new Federation();
  two = federation.server("two.test", { PARTIAL_STATE_JOINS: "off" });
  bob = await two.user("bob");
  built = RoomBuilder.open();
  for (let index = 0; index < 1_100; index += 1) {
    const name = user(`@user${index}:${servers[index % 2]}`);
    if (index % 50 === 0) built.member(built.creator, "invite", name);
    else if (index % 50 === 1) built.member(built.creator, "ban", name);
    else built.join(name);
    if (index % 50 === 2) built.member(name, "leave", name);
  }
  built.member(built.creator, "ban", "@mallory:two.test");
  built.member(built.creator, "invite", "@carol:two.test");
  const resident = new Resident(federation, "example.org", built);
  for (const name of ["far.test", "gone.test"]) new Resident(federation, name, built);
  const reply = await bob.post(`v3/join/${encodeURIComponent(built.roomId)}?via=example.org`);
  expect(reply.status, reply.text).toBe(200);
  const [taken] = resident.taken;
  if (taken === undefined) throw new Error("nobody was asked");
  built.append(taken);
  await federation.settle();
});
afterEach(() => federation.close());

describe("joining a room of more than a thousand members", () => {
  it("stores the state, the members and their servers", () => {
    const sql = two.sql("room", built.roomId);
    const members = [...built.state.values()].filter(({ type }) => type === "m.room.member");
    const told = members.map(({ stateKey, content }) => `${stateKey} ${membershipOf(content)}`).sort();
    const stored = sql
      .all<{ user_id: string; membership: string }>("SELECT user_id, membership FROM room_memberships")
      .map(({ user_id, membership }) => `${user_id} ${membership}`);
    expect(stored.sort()).toEqual(told);
    const local = sql.all("SELECT user_id FROM room_memberships WHERE is_local = 1 ORDER BY user_id");
    expect(local).toEqual(["@bob", "@carol", "@mallory"].map((name) => ({ user_id: `${name}:two.test` })));
    const state = sql
      .all<{ event_id: string }>("SELECT event_id FROM current_state_events JOIN events USING (event_nid)")
      .map(({ event_id }) => event_id);
    expect(state.sort()).toEqual([...built.state.values()].map(({ eventId }) => eventId).sort());
    const count = (membership: string): number => told.filter((line) => line.endsWith(` ${membership}`)).length;
    expect(sql.one("SELECT joined_members, invited_members FROM room")).toEqual({
      joined_members: count("join"),
      invited_members: count("invite"),
    });
    const stays = sql.all(
      "SELECT server_name, joined_members FROM room_servers WHERE until_position IS NULL ORDER BY 1",
    );
    const joinedAt = (server: string): number => told.filter((line) => line.endsWith(`:${server} join`)).length;
    expect(stays).toEqual(
      ["example.org", "far.test"].map((name) => ({ server_name: name, joined_members: joinedAt(name) })),
    );
  });
});
