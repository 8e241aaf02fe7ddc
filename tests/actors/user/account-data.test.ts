import { describe, expect, it } from "vitest";
import { getIgnoredUsers, getPushRules } from "../../../actors/user/account-data.ts";
import { trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { alice, bob, device, errcodeOf, register, room, World } from "./world.ts";

async function withAlice(): Promise<World> {
  const world = new World();
  await register(world, alice);
  return world;
}

describe("account data", () => {
  it("is kept by type, globally and for each room, and wakes the user's devices", async () => {
    const world = await withAlice();
    const { rpc } = world.user(alice);
    const held = world.user(alice).hold(device("FIRST"));
    await rpc.setAccountData(null, "m.direct", { [bob]: ["!a:b"] });
    await rpc.setAccountData(room("one"), "m.tag", { tags: {} });
    expect(held.told).toHaveLength(2);
    await expect(rpc.getAccountData(null, "m.direct")).resolves.toEqual({ [bob]: ["!a:b"] });
    await expect(rpc.getAccountData(room("one"), "m.tag")).resolves.toEqual({ tags: {} });
    expect(await errcodeOf(rpc.getAccountData(null, "m.tag"))).toBe("M_NOT_FOUND");
    expect(await errcodeOf(rpc.getAccountData(room("two"), "m.tag"))).toBe("M_NOT_FOUND");
  });

  it("takes a new position of the user's stream with each change", async () => {
    const world = await withAlice();
    const { context, rpc } = world.user(alice);
    await rpc.setAccountData(null, "a", { n: 1 });
    const between = context.store.streams.head();
    await rpc.setAccountData(null, "b", { n: 2 });
    await rpc.setAccountData(null, "a", { n: 3 });
    const changes = context.store.accountData.since("", between);
    expect(changes).toEqual([
      { type: "b", content: { n: 2 } },
      { type: "a", content: { n: 3 } },
    ]);
  });

  it.each(["m.fully_read", "m.push_rules"])("refuses to set %s through the general endpoint", async (type) => {
    const world = await withAlice();
    for (const roomId of [null, room("one")]) {
      const attempt = world.user(alice).rpc.setAccountData(roomId, type, {});
      await expect(attempt).rejects.toMatchObject({ status: 405, errcode: "M_BAD_JSON" });
    }
  });

  it("moves the fully read marker, and not back, whoever says at the same time how far they have read", async () => {
    const world = await withAlice();
    const { rpc } = world.user(alice);
    const move = (...eventIds: string[]) =>
      Promise.all(eventIds.map((eventId) => rpc.moveFullyRead(room("one"), trusted.eventId(eventId))));
    const stored = () => rpc.getAccountData(room("one"), "m.fully_read");
    await move("$2");
    expect(await stored()).toEqual({ event_id: "$2" });
    await move("$1");
    expect(await stored()).toEqual({ event_id: "$2" });
    await move("$3", "$5", "$4");
    expect(await stored()).toEqual({ event_id: "$5" });
  });

  it("serves the default push rules until the user has some", async () => {
    const world = await withAlice();
    const rules = await world.user(alice).rpc.getAccountData(null, "m.push_rules");
    expect(rules).toEqual(getPushRules(world.user(alice).context));
    expect(JSON.stringify(rules)).toContain(".m.rule.is_user_mention");
  });

  it("reads ignored users, however the content looks", async () => {
    const world = await withAlice();
    const { context, rpc } = world.user(alice);
    expect(getIgnoredUsers(context)).toEqual([]);
    for (const content of [{}, { ignored_users: 1 }, { ignored_users: ["x"] }] as JsonObject[]) {
      await rpc.setAccountData(null, "m.ignored_user_list", content);
      expect(getIgnoredUsers(context)).toEqual([]);
    }
    await rpc.setAccountData(null, "m.ignored_user_list", { ignored_users: { [bob]: {}, [alice]: {}, nonsense: {} } });
    expect(getIgnoredUsers(context)).toEqual([bob]);
  });

  it("accepts types of 255 bytes and not of 256", async () => {
    const world = await withAlice();
    const attempt = (type: string) => errcodeOf(world.user(alice).rpc.setAccountData(null, type, {}));
    expect(await attempt("t".repeat(254))).toBe("none");
    expect(await attempt("t".repeat(255))).toBe("none");
    expect(await attempt("t".repeat(256))).toBe("M_INVALID_PARAM");
    expect(await attempt("")).toBe("M_INVALID_PARAM");
  });
});

describe("filters", () => {
  it("are given back as they were, under one id for one filter", async () => {
    const world = await withAlice();
    const { rpc } = world.user(alice);
    const filter = { room: { timeline: { limit: 5 }, state: { lazy_load_members: true } } };
    const { filterId } = await rpc.createFilter(filter);
    expect(filterId).not.toMatch(/^\{/);
    await expect(rpc.getFilter(filterId)).resolves.toEqual(filter);
    const reordered = { room: { state: { lazy_load_members: true }, timeline: { limit: 5 } } };
    await expect(rpc.createFilter(reordered)).resolves.toEqual({ filterId });
    expect((await rpc.createFilter({})).filterId).not.toBe(filterId);
  });

  it("are refused when they are none, or unknown", async () => {
    const world = await withAlice();
    const { rpc } = world.user(alice);
    expect(await errcodeOf(rpc.createFilter({ room: 1 }))).toBe("M_BAD_JSON");
    for (const id of ["99", "x", "", "1e3", "-1"]) expect(await errcodeOf(rpc.getFilter(id))).toBe("M_NOT_FOUND");
  });

  it("have at most 64 KiB", async () => {
    const world = await withAlice();
    const attempt = (bytes: number) => {
      const event_fields = ["x".repeat(bytes - '{"event_fields":[""]}'.length)];
      return errcodeOf(world.user(alice).rpc.createFilter({ event_fields }));
    };
    expect(await attempt(65_535)).toBe("none");
    expect(await attempt(65_536)).toBe("none");
    expect(await attempt(65_537)).toBe("M_TOO_LARGE");
  });
});
