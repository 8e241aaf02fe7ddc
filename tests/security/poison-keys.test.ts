import { beforeAll, describe, expect, it } from "vitest";
import { field, isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { expectError, expectOk, path, roomOf, useHomeserver } from "../api/homeserver.ts";
import { loginUser, type Reply, type TestUser, text } from "../support/client.ts";
import { expectCleanLogs, type Scene, serverOptions, setScene } from "./requests.ts";

const server = useHomeserver(serverOptions);
let scene: Scene;
beforeAll(async () => {
  scene = await setScene(server, "");
});

/** Names that every object has from its prototype, or that would replace it. */
const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "__defineGetter__", "prototype"];

/** An object with just this key. Computed, `__proto__` is a key like any other. */
const of = (name: string, value: JsonValue): JsonObject => ({ [name]: value });
/** What pollutes whatever takes it for a prototype. */
const poison = (name: string): JsonObject => of(name, { polluted: true });

/** Every own key that an answer has anywhere, with what lies under it. */
function findAll(value: JsonValue, name: string): JsonValue[] {
  if (Array.isArray(value)) return value.flatMap((entry) => findAll(entry, name));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, entry]) => [...(key === name ? [entry] : []), ...findAll(entry, name)]);
}

const eventsOf = (reply: Reply): JsonObject[] => {
  const events = field(objectField(reply.body, "to_device") ?? {}, "events");
  return Array.isArray(events) ? events.filter(isObject) : [];
};

describe.each(names)("the name %s", (name) => {
  it("is a type of events, a state key and a key of content", async () => {
    const { alice, roomId } = scene;
    const sent = await alice.put(path`v3/rooms/${roomId}/send/${name}/${name}`, poison(name));
    const event = await alice.get(path`v3/rooms/${roomId}/event/${text(sent, "event_id")}`);
    expect(event.body).toMatchObject({ type: name, unsigned: { transaction_id: name } });
    expect(event.text).toContain(`"content":${JSON.stringify(poison(name))}`);
    const at = path`v3/rooms/${roomId}/state/${name}/${name}`;
    expectError(await alice.get(at), 404, "M_NOT_FOUND");
    expectOk(await alice.put(at, poison(name)));
    expect((await alice.get(at)).text).toBe(JSON.stringify(poison(name)));
    expectError(await alice.get(path`v3/rooms/${roomId}/state/never.set/${name}`), 404, "M_NOT_FOUND");
    expect(findAll((await alice.get("v3/sync")).json, name).length).toBeGreaterThan(0);
  });

  it("is a key of power levels where it is an event's type, and never a user", async () => {
    const { alice, bob, roomId } = scene;
    const at = path`v3/rooms/${roomId}/state/m.room.power_levels`;
    const levels = (await alice.get(at)).body;
    expectError(await alice.put(at, { ...levels, users: of(name, 50) }), 400, "M_BAD_JSON");
    expectOk(await alice.put(at, { ...levels, events: of(name, 100) }));
    expectError(await bob.put(path`v3/rooms/${roomId}/send/${name}/1-${name}`, {}), 403, "M_FORBIDDEN");
    expectOk(await bob.put(path`v3/rooms/${roomId}/send/not.${name}/2-${name}`, {}));
    expectOk(await alice.put(at, levels));
    expectOk(await bob.put(path`v3/rooms/${roomId}/send/${name}/3-${name}`, {}));
  });

  it("is a type of account data and a tag", async () => {
    const { alice, roomId } = scene;
    for (const at of [
      path`v3/user/${alice.userId}/account_data/${name}`,
      path`v3/user/${alice.userId}/rooms/${roomId}/account_data/${name}`,
    ]) {
      expectError(await alice.get(at), 404, "M_NOT_FOUND");
      expectOk(await alice.put(at, poison(name)));
      expect((await alice.get(at)).text).toBe(JSON.stringify(poison(name)));
    }
    const tags = path`v3/user/${alice.userId}/rooms/${roomId}/tags`;
    expectOk(await alice.put(`${tags}/${encodeURIComponent(name)}`, { ...poison(name), order: 0.5 }));
    expect(field(objectField((await alice.get(tags)).body, "tags") ?? {}, name)).toEqual({
      ...poison(name),
      order: 0.5,
    });
  });

  it("is a device, whose messages reach it", async () => {
    const { alice, bob } = scene;
    expectError(await alice.get(path`v3/devices/${name}`), 404, "M_NOT_FOUND");
    const device = await loginUser(alice.baseUrl, alice.userId, alice.password, name);
    expect(device.deviceId).toBe(name);
    expect((await alice.get(path`v3/devices/${name}`)).body.device_id).toBe(name);
    const messages = of(alice.userId, of(name, poison(name)));
    expectOk(await bob.put(path`v3/sendToDevice/${name}/${name}`, { messages }));
    await expect.poll(async () => eventsOf(await device.get("v3/sync"))).toHaveLength(1);
    const [message] = eventsOf(await device.get("v3/sync"));
    expect(JSON.stringify(message?.content)).toBe(JSON.stringify(poison(name)));
    expect(message?.type).toBe(name);
    expectError(await bob.put(`v3/sendToDevice/a.b/1${name}`, { messages: of(name, {}) }), 400, "M_INVALID_PARAM");
    expectOk(await device.post("v3/logout"));
    expectError(await alice.get(path`v3/devices/${name}`), 404, "M_NOT_FOUND");
  });

  it("is an alias", async () => {
    const at = path`v3/directory/room/${`#${name}:localhost`}`;
    expectError(await scene.alice.get(at), 404, "M_NOT_FOUND");
    expectOk(await scene.alice.put(at, { room_id: scene.roomId }));
    expect((await scene.alice.get(at)).body.room_id).toBe(scene.roomId);
  });

  it("is nothing else that there is", async () => {
    const { alice, roomId, eventId } = scene;
    const refused = async (reply: Promise<Reply>, status: number, errcode: string) =>
      expectError(await reply, status, errcode);
    const member = path`v3/rooms/${roomId}/state/m.room.member/${alice.userId}`;
    await refused(alice.put(member, { membership: name }), 400, "M_BAD_JSON");
    await refused(alice.put(path`v3/profile/${alice.userId}/${name}`, poison(name)), 400, "M_INVALID_PARAM");
    await refused(alice.get(path`v3/profile/${alice.userId}/${name}`), 404, "M_NOT_FOUND");
    await refused(alice.get(path`v3/profile/${name}`), 400, "M_INVALID_PARAM");
    await refused(alice.get(path`v3/pushrules/global/${name}/${name}`), 404, "M_NOT_FOUND");
    await refused(alice.get(path`v3/pushrules/global/override/${name}`), 404, "M_NOT_FOUND");
    await refused(alice.get(path`v3/user/${alice.userId}/filter/${name}`), 404, "M_NOT_FOUND");
    await refused(alice.get(`v3/sync?filter=${name}`), 400, "M_INVALID_PARAM");
    await refused(alice.get(`v3/sync?since=${name}`), 400, "M_INVALID_PARAM");
    await refused(alice.get(`${path`v3/rooms/${roomId}/messages`}?dir=${name}`), 400, "M_INVALID_PARAM");
    await refused(alice.post(path`v3/rooms/${roomId}/receipt/${name}/${eventId}`, {}), 400, "M_INVALID_PARAM");
    await refused(
      alice.post(path`v3/rooms/${roomId}/receipt/m.read/${eventId}`, { thread_id: name }),
      400,
      "M_INVALID_PARAM",
    );
    await refused(alice.post("v3/createRoom", { preset: name }), 400, "M_BAD_JSON");
    await refused(alice.post("v3/createRoom", { room_version: name }), 400, "M_UNSUPPORTED_ROOM_VERSION");
    await refused(alice.post(path`v3/join/${name}`, {}), 400, "M_INVALID_PARAM");
    const { type, user, password } = { type: "m.login.password", user: name, password: "password" };
    await refused(server.anybody().post("v3/login", { type, user, password }), 403, "M_FORBIDDEN");
    await refused(server.anybody().post("v3/login", { type: name, user, password }), 400, "M_UNKNOWN");
    await refused(server.anybody().post("v3/register", { password, auth: { type: name } }), 401, "M_UNRECOGNIZED");
    const stage = { type: "m.login.dummy", session: name };
    await refused(server.anybody().post("v3/register", { password, auth: stage }), 400, "M_UNKNOWN");
    await refused(server.anybody().get(`v3/register?kind=${name}`), 405, "M_UNRECOGNIZED");
  });

  it("is no parameter of a query, and no field of a body that asks for none", async () => {
    expectOk(await scene.alice.get(`v3/sync?${name}=1&${name}=2`));
    expectOk(await scene.alice.post("v3/user_directory/search", { search_term: "x", ...poison(name) }));
    const made = await scene.alice.post("v3/createRoom", { ...poison(name), creation_content: poison(name) });
    const create = await scene.alice.get(path`v3/rooms/${text(made, "room_id")}/state/m.room.create`);
    expect(field(create.body, name)).toEqual({ polluted: true });
  });
});

// After all of the above: nothing of it has become part of what was never sent.
describe("later requests", () => {
  const fresh = async (): Promise<{ user: TestUser; roomId: string }> => {
    const user = await server.user();
    return { user, roomId: await roomOf(user) };
  };

  it("find every object as it was made", async () => {
    const { user, roomId } = await fresh();
    const eventId = text(await user.put(path`v3/rooms/${roomId}/send/a.b/1`, {}), "event_id");
    expect((await user.get(path`v3/rooms/${roomId}/event/${eventId}`)).text).toContain('"content":{}');
    expect((await user.get(path`v3/user/${user.userId}/rooms/${roomId}/tags`)).text).toBe('{"tags":{}}');
    expect(Object.keys((await user.get(path`v3/profile/${user.userId}`)).body)).toEqual(["displayname"]);
    const refusal = await user.get(path`v3/rooms/${roomId}/state/a.b`);
    expect(Object.keys(refusal.body).sort()).toEqual(["errcode", "error"]);
    const sync = await user.get("v3/sync");
    expectOk(sync);
    expect(sync.text).not.toContain("polluted");
  });

  it("find no error in the log", () => {
    expectCleanLogs(server.logs, "polluted");
  });
});
