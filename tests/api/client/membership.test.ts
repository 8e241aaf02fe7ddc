import { describe, expect, it } from "vitest";
import { makeRoom, type TestUser } from "../../support/client.ts";
import { expectError, expectOk, path, roomOf, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

const memberOf = async (reader: TestUser, roomId: string, user: TestUser) =>
  (await reader.get(path`v3/rooms/${roomId}/state/m.room.member/${user.userId}`)).body;
const act = (user: TestUser, roomId: string, action: string, target?: TestUser, reason?: string) =>
  user.post(path`v3/rooms/${roomId}/${action}`, {
    ...(target === undefined ? {} : { user_id: target.userId }),
    ...(reason === undefined ? {} : { reason }),
  });

describe("joinRoomById and joinRoom", () => {
  it("join a public room by id or alias, with a reason, with or without a body", async () => {
    const [alice, bob, carol] = [await server.user("alice"), await server.user("bob"), await server.user("carol")];
    const roomId = await makeRoom(alice, { preset: "public_chat", room_alias_name: "public" });
    expectOk(await act(bob, roomId, "join", undefined, "because"), { room_id: roomId });
    expect(await memberOf(alice, roomId, bob)).toMatchObject({
      membership: "join",
      reason: "because",
      displayname: "bob",
    });
    expectOk(await carol.post(path`v3/join/${"#public:localhost"}`), { room_id: roomId });
    expectOk(await carol.post(path`v3/join/${roomId}?via=localhost&via=elsewhere.org`), { room_id: roomId });
    expectOk(await carol.get("v3/joined_rooms"), { joined_rooms: [roomId] });
  });

  it("put what else the body says into the member event, but for what the server decides", async () => {
    const [olga, pete] = [await server.user(), await server.user()];
    const roomId = await makeRoom(olga, { preset: "public_chat" });
    const own = { "org.example.mood": { is: ["good"] }, displayname: "Pete, here" };
    const forged = { membership: "ban", join_authorised_via_users_server: olga.userId };
    expectOk(await pete.post(path`v3/join/${roomId}`, { ...own, ...forged, reason: "hi" }), { room_id: roomId });
    expect(await memberOf(olga, roomId, pete)).toEqual({ ...own, membership: "join", reason: "hi" });
    const refuse = async (body: object) =>
      expectError(await pete.post(path`v3/rooms/${roomId}/join`, { ...body }), 400, "M_BAD_JSON");
    await refuse({ mood: 1.5 });
    await refuse({ mood: "\ud800" });
    await refuse({ reason: "\ud800" });
    await refuse({ displayname: "x".repeat(257) });
    expectError(await pete.post(path`v3/rooms/${roomId}/join`, { mood: "x".repeat(70_000) }), 413, "M_TOO_LARGE");
    expectOk(await pete.post(path`v3/rooms/${roomId}/join`, own));
    expect(await memberOf(olga, roomId, pete)).toEqual({ ...own, membership: "join" });
  });

  it("refuse rooms that one may not join, does not know, or that are none", async () => {
    const [dora, erin] = [await server.user("dora"), await server.user("erin")];
    const roomId = await makeRoom(dora);
    expectError(await act(erin, roomId, "join"), 403, "M_FORBIDDEN");
    const unknown = `!${"A".repeat(43)}`;
    expect((await act(erin, unknown, "join")).status).toBeGreaterThanOrEqual(403);
    expectError(await erin.post(path`v3/join/${"#nothing:localhost"}`, {}), 404, "M_NOT_FOUND");
    expectError(await erin.post(path`v3/join/${"#a:elsewhere.invalid"}`, {}), 502, "M_UNKNOWN");
    expectError(await erin.post("v3/join/nonsense", {}), 400, "M_INVALID_PARAM");
    expectError(await erin.post("v3/rooms/nonsense/join", {}), 400, "M_INVALID_PARAM");
    expectError(await erin.post(path`v3/rooms/${roomId}/join`, { reason: 1 }), 400, "M_BAD_JSON");
    expectOk(await erin.get("v3/joined_rooms"), { joined_rooms: [] });
  });
});

describe("inviteUser", () => {
  it("invites; the invited may join", async () => {
    const [frank, gina] = [await server.user("frank"), await server.user("gina")];
    const roomId = await makeRoom(frank, { name: "Secret" });
    expectOk(await act(frank, roomId, "invite", gina, "come"), {});
    const { rooms } = (await gina.get("v3/sync")).body;
    const { events } = Object(rooms).invite[roomId].invite_state;
    expect(events).toContainEqual(expect.objectContaining({ type: "m.room.name", content: { name: "Secret" } }));
    expect(events).toContainEqual(expect.objectContaining({ type: "m.room.create" }));
    expectOk(await act(gina, roomId, "join"));
    expectError(await act(frank, roomId, "invite", gina), 403, "M_FORBIDDEN");
  });

  it("is for members with the power, and about users", async () => {
    const [hal, ida, jon] = [await server.user("hal"), await server.user("ida"), await server.user("jon")];
    const roomId = await roomOf(hal);
    expectError(await act(ida, roomId, "invite", jon), 403, "M_FORBIDDEN");
    expectError(await act(hal, roomId, "invite"), 400, "M_MISSING_PARAM");
    expectError(await hal.post(path`v3/rooms/${roomId}/invite`, { user_id: "jon" }), 400, "M_INVALID_PARAM");
    expectError(
      await hal.post(path`v3/rooms/${roomId}/invite`, { medium: "email", address: "a@b.c" }),
      400,
      "M_UNKNOWN",
    );
  });
});

describe("leaveRoom and forgetRoom", () => {
  it("leave, then forget", async () => {
    const [kim, leo] = [await server.user("kim"), await server.user("leo")];
    const roomId = await roomOf(kim, leo);
    expect((await act(leo, roomId, "forget")).status).toBe(400);
    expectOk(await act(leo, roomId, "leave", undefined, "bye"), {});
    expect(await memberOf(kim, roomId, leo)).toMatchObject({ membership: "leave", reason: "bye" });
    expectOk(await leo.get("v3/joined_rooms"), { joined_rooms: [] });
    expectOk(await leo.get(path`v3/rooms/${roomId}/messages?dir=b`));
    expectOk(await leo.post(path`v3/rooms/${roomId}/forget`), {});
    expectError(await leo.get(path`v3/rooms/${roomId}/messages?dir=b`), 403, "M_FORBIDDEN");
  });

  it("reject an invite", async () => {
    const [mia, ned] = [await server.user("mia"), await server.user("ned")];
    const roomId = await makeRoom(mia, { invite: [ned.userId] });
    expectOk(await act(ned, roomId, "leave"), {});
    expect(await memberOf(mia, roomId, ned)).toMatchObject({ membership: "leave" });
    expectError(await act(ned, roomId, "join"), 403, "M_FORBIDDEN");
  });
});

describe("kick, ban and unban", () => {
  it("do what they say, with a reason", async () => {
    const [olga, paul] = [await server.user("olga"), await server.user("paul")];
    const roomId = await roomOf(olga, paul);
    expectOk(await act(olga, roomId, "kick", paul, "noise"), {});
    expect(await memberOf(olga, roomId, paul)).toMatchObject({ membership: "leave", reason: "noise" });
    expectError(await act(olga, roomId, "kick", paul), 403, "M_FORBIDDEN");
    expectOk(await act(olga, roomId, "ban", paul, "more noise"), {});
    expect(await memberOf(olga, roomId, paul)).toMatchObject({ membership: "ban", reason: "more noise" });
    expectError(await act(paul, roomId, "join"), 403, "M_FORBIDDEN");
    expectOk(await act(olga, roomId, "unban", paul), {});
    expectOk(await act(paul, roomId, "join"));
  });

  it("need the power, and a user", async () => {
    const [quin, rosa, sam] = [await server.user("quin"), await server.user("rosa"), await server.user("sam")];
    const roomId = await roomOf(quin, rosa, sam);
    for (const action of ["kick", "ban", "unban"]) {
      // Nobody is banned, so nobody may be unbanned, power or not.
      const errcode = action === "unban" ? "M_BAD_STATE" : "M_FORBIDDEN";
      expectError(await act(rosa, roomId, action, sam), 403, errcode);
      expectError(await act(quin, roomId, action), 400, "M_MISSING_PARAM");
      expectError(await quin.post(path`v3/rooms/${roomId}/${action}`, { user_id: 1 }), 400, "M_BAD_JSON");
    }
  });
});

describe("knockRoom", () => {
  it("knocks; a member may let one in", async () => {
    const [tina, uwe] = [await server.user("tina"), await server.user("uwe")];
    const initialState = [{ type: "m.room.join_rules", content: { join_rule: "knock" } }];
    const roomId = await makeRoom(tina, { initial_state: initialState, room_alias_name: "knock", name: "Door" });
    expectOk(await uwe.post(path`v3/knock/${"#knock:localhost"}`, { reason: "hello?" }), { room_id: roomId });
    expect(await memberOf(tina, roomId, uwe)).toMatchObject({ membership: "knock", reason: "hello?" });
    const { rooms } = (await uwe.get("v3/sync")).body;
    expect(Object(rooms).knock[roomId].knock_state.events.length).toBeGreaterThan(0);
    expectOk(await act(tina, roomId, "invite", uwe));
    expectOk(await act(uwe, roomId, "join"));
  });

  it("is refused where the room takes no knocks", async () => {
    const [vera, will] = [await server.user("vera"), await server.user("will")];
    const roomId = await makeRoom(vera);
    expectError(await will.post(path`v3/knock/${roomId}`), 403, "M_FORBIDDEN");
  });
});
