import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../shared/json.ts";
import { expectError, expectOk, path, roomOf, say, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

/** "Once ignored, the client will no longer receive events sent by that user, with the exception of state events." */
describe("events of an ignored user", () => {
  it("are not in history, nor around an event, nor there by themselves, until they are ignored no more", async () => {
    const [alice, bob] = [await server.user("alice"), await server.user("bob")];
    const roomId = await roomOf(alice, bob);
    const before = await say(alice, roomId, "before");
    const unwanted = await say(bob, roomId, "unwanted");
    const after = await say(alice, roomId, "after");
    const history = async (dir: string) => {
      const { body } = await alice.get(path`v3/rooms/${roomId}/messages?dir=${dir}&limit=50`);
      return Object(body).chunk.map((event: { event_id: string }) => event.event_id);
    };
    const around = async () => {
      const { body } = await alice.get(path`v3/rooms/${roomId}/context/${before}`);
      return Object(body).events_after.map((event: { event_id: string }) => event.event_id);
    };
    const ignore = async (users: JsonObject) =>
      expectOk(
        await alice.put(path`v3/user/${alice.userId}/account_data/m.ignored_user_list`, { ignored_users: users }),
      );

    await ignore({ [bob.userId]: {} });
    for (const dir of ["b", "f"]) {
      const shown = await history(dir);
      expect(shown).toEqual(expect.arrayContaining([before, after]));
      expect(shown).not.toContain(unwanted);
    }
    expect(await around()).toEqual([after]);
    expectError(await alice.get(path`v3/rooms/${roomId}/event/${unwanted}`), 404, "M_NOT_FOUND");
    expectOk(await alice.get(path`v3/rooms/${roomId}/event/${after}`));
    const all = Object((await alice.get(path`v3/rooms/${roomId}/messages?dir=b&limit=50`)).body).chunk;
    const bobJoins = all.find((event: { state_key?: string }) => event.state_key === bob.userId);
    expectOk(await alice.get(path`v3/rooms/${roomId}/event/${bobJoins.event_id}`));

    await ignore({});
    expect(await history("b")).toContain(unwanted);
    expect(await around()).toEqual([unwanted, after]);
    expectOk(await alice.get(path`v3/rooms/${roomId}/event/${unwanted}`));
  });
});
