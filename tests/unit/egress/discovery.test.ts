import { describe, expect, it } from "vitest";
import { orderSrv } from "../../../workers/egress/discovery.ts";
import { delegation, EgressWorld, type Network, wellKnownPath } from "./world.ts";

const good = { "*": () => Response.json({}) };
const to = (host: string, port: number, hostHeader: string, tlsName: string) => ({ host, port, hostHeader, tlsName });
const wellKnown = (name: string, headers?: Record<string, string>) => ({ [wellKnownPath]: delegation(name, headers) });

interface Case {
  readonly step: string;
  readonly name: string;
  readonly network: Network;
  readonly reached: ReturnType<typeof to>;
  /** SRV names that are looked up. */
  readonly asked?: readonly string[];
  readonly discoveries?: number;
}

const fed = (host: string) => `_matrix-fed._tcp.${host}`;
const old = (host: string) => `_matrix._tcp.${host}`;

const cases: readonly Case[] = [
  {
    step: "1: an IPv4 literal",
    name: "93.184.216.34",
    network: { hosts: { "93.184.216.34:8448": good } },
    reached: to("93.184.216.34", 8448, "93.184.216.34", "93.184.216.34"),
  },
  {
    step: "1: an IPv4 literal with a port",
    name: "93.184.216.34:1234",
    network: { hosts: { "93.184.216.34:1234": good } },
    reached: to("93.184.216.34", 1234, "93.184.216.34:1234", "93.184.216.34"),
  },
  {
    step: "1: an IPv6 literal",
    name: "[2606:2800:220:1::1]",
    network: { hosts: { "2606:2800:220:1::1:8448": good } },
    reached: to("2606:2800:220:1::1", 8448, "[2606:2800:220:1::1]", "2606:2800:220:1::1"),
  },
  {
    step: "1: an IPv6 literal with a port",
    name: "[2606:2800:220:1::1]:1234",
    network: { hosts: { "2606:2800:220:1::1:1234": good } },
    reached: to("2606:2800:220:1::1", 1234, "[2606:2800:220:1::1]:1234", "2606:2800:220:1::1"),
  },
  {
    step: "2: a host with a port",
    name: "a.test:1234",
    network: {
      hosts: { "a.test:1234": good, "a.test:443": wellKnown("b.test:1") },
      srv: { [fed("a.test")]: [{ host: "c.test", port: 2 }] },
    },
    reached: to("a.test", 1234, "a.test:1234", "a.test"),
  },
  {
    step: "3.1: delegated to an IP literal",
    name: "a.test",
    network: { hosts: { "a.test:443": wellKnown("93.184.216.34"), "93.184.216.34:8448": good } },
    reached: to("93.184.216.34", 8448, "93.184.216.34", "93.184.216.34"),
    discoveries: 1,
  },
  {
    step: "3.1: delegated to an IPv6 literal with a port",
    name: "a.test",
    network: { hosts: { "a.test:443": wellKnown("[2606:2800:220:1::1]:5"), "2606:2800:220:1::1:5": good } },
    reached: to("2606:2800:220:1::1", 5, "[2606:2800:220:1::1]:5", "2606:2800:220:1::1"),
    discoveries: 1,
  },
  {
    step: "3.2: delegated to a host with a port",
    name: "a.test",
    network: {
      hosts: { "a.test:443": wellKnown("b.test:443"), "b.test:443": good },
      srv: { [fed("b.test")]: [{ host: "c.test", port: 2 }] },
    },
    reached: to("b.test", 443, "b.test:443", "b.test"),
    discoveries: 1,
  },
  {
    step: "3.3: delegated to a host with a SRV record",
    name: "a.test",
    network: {
      hosts: { "a.test:443": wellKnown("b.test"), "c.test:2": good },
      srv: { [fed("b.test")]: [{ host: "c.test", port: 2 }], [old("b.test")]: [{ host: "d.test", port: 3 }] },
    },
    reached: to("c.test", 2, "b.test", "b.test"),
    asked: [fed("b.test")],
    discoveries: 1,
  },
  {
    step: "3.4: delegated to a host with a SRV record by the old name",
    name: "a.test",
    network: {
      hosts: { "a.test:443": wellKnown("b.test"), "d.test:3": good },
      srv: { [old("b.test")]: [{ host: "d.test", port: 3 }] },
    },
    reached: to("d.test", 3, "b.test", "b.test"),
    asked: [fed("b.test"), old("b.test")],
    discoveries: 1,
  },
  {
    step: "3.5: delegated to a host without SRV records, whose own .well-known does not count",
    name: "a.test",
    network: { hosts: { "a.test:443": wellKnown("b.test"), "b.test:443": wellKnown("e.test:9"), "b.test:8448": good } },
    reached: to("b.test", 8448, "b.test", "b.test"),
    asked: [fed("b.test"), old("b.test")],
    discoveries: 1,
  },
  {
    step: "4: no .well-known, a SRV record",
    name: "a.test",
    network: {
      hosts: { "a.test:443": {}, "c.test:2": good },
      srv: { [fed("a.test")]: [{ host: "c.test", port: 2 }], [old("a.test")]: [{ host: "d.test", port: 3 }] },
    },
    reached: to("c.test", 2, "a.test", "a.test"),
    asked: [fed("a.test")],
    discoveries: 1,
  },
  {
    step: "5: no .well-known, a SRV record by the old name",
    name: "a.test",
    network: { hosts: { "d.test:3": good }, srv: { [old("a.test")]: [{ host: "d.test", port: 3 }] } },
    reached: to("d.test", 3, "a.test", "a.test"),
    asked: [fed("a.test"), old("a.test")],
    discoveries: 1,
  },
  {
    step: "6: neither .well-known nor SRV records",
    name: "a.test",
    network: { hosts: { "a.test:8448": good } },
    reached: to("a.test", 8448, "a.test", "a.test"),
    asked: [fed("a.test"), old("a.test")],
    discoveries: 1,
  },
  {
    step: "6: SRV records that could not be looked up",
    name: "a.test",
    network: { hosts: { "a.test:443": {}, "a.test:8448": good }, srv: { [fed("a.test")]: "fails" } },
    reached: to("a.test", 8448, "a.test", "a.test"),
    asked: [fed("a.test")],
    discoveries: 1,
  },
  {
    step: "6: a service that is said not to exist",
    name: "a.test",
    network: { hosts: { "a.test:443": {}, "a.test:8448": good }, srv: { [fed("a.test")]: [{ host: ".", port: 0 }] } },
    reached: to("a.test", 8448, "a.test", "a.test"),
    asked: [fed("a.test"), old("a.test")],
    discoveries: 1,
  },
];

describe("resolving server names", () => {
  it.each(cases)("follows step $step", async ({ name, network, reached, asked, discoveries }) => {
    const world = new EgressWorld(network);
    expect(await world.request(name)).toEqual({ kind: "answered", status: 200, text: "{}" });
    expect(world.reached).toEqual(reached);
    expect(world.asked).toEqual(asked ?? []);
    expect(world.discoveries).toBe(discoveries ?? 0);
  });

  it("gives up asking for SRV records after three seconds", { timeout: 8000 }, async () => {
    const network = { hosts: { "a.test:8448": good }, srv: { [fed("a.test")]: "hangs" } } as const;
    const world = new EgressWorld(network);
    expect(await world.request("a.test", { timeoutMs: 6000 })).toMatchObject({ kind: "answered" });
  });

  it.each([
    "a.test:0",
    "a.test:65536",
    "a.test:99999",
    "1.2.3",
    "127.1:8448",
    "0x7f000001",
    "2130706433:1",
    "256.1.1.1",
    "[1.2.3.4]",
    "[::g]",
    "a.1",
  ])("reaches nobody by the name %s", async (name) => {
    const world = new EgressWorld({}, { FEDERATION_ALLOW_PRIVATE_NETWORK: "true" });
    expect(await world.request(name)).toMatchObject({ kind: "unreachable" });
    expect(world.attempts).toEqual([]);
  });

  it("tries all targets of a service in their order", async () => {
    const records = [
      { priority: 20, host: "third.test", port: 3 },
      { priority: 10, weight: 1, host: "first.test", port: 1 },
      { priority: 15, host: "second.test", port: 2 },
    ];
    const world = new EgressWorld({
      hosts: { "a.test:443": {}, "third.test:3": good },
      srv: { [fed("a.test")]: records },
    });
    expect(await world.request("a.test")).toMatchObject({ kind: "answered" });
    expect(world.attempts.slice(1).map(({ host }) => host)).toEqual(["first.test", "second.test", "third.test"]);
    expect(world.attempts.slice(1).every(({ tlsName }) => tlsName === "a.test")).toBe(true);
  });
});

describe("the .well-known of a host", () => {
  const routeTo = async (answers: Network["hosts"], name = "a.test") => {
    const fallback = { "a.test:8448": good, "b.test:1": good };
    const world = new EgressWorld({ hosts: { ...fallback, ...answers } });
    await world.request(name);
    return world.reached?.host;
  };
  const at = (answer: () => Response) => ({ "a.test:443": { [wellKnownPath]: answer } });
  const redirect =
    (location: string, status = 302) =>
    () =>
      new Response(null, { status, headers: { Location: location } });

  it.each([
    ["is not JSON", () => new Response("<html>")],
    ["is no object", () => Response.json(["b.test:1"])],
    ["does not name a server", () => Response.json({ server: "b.test:1" })],
    ["names something else", () => Response.json({ "m.server": 5 })],
    ["names no server name", () => Response.json({ "m.server": "https://b.test:1" })],
    ["names a port that is none", () => Response.json({ "m.server": "b.test:70000" })],
    ["names a number in disguise", () => Response.json({ "m.server": "0x5db8d822:1" })],
    ["is an error with a good body", () => Response.json({ "m.server": "b.test:1" }, { status: 404 })],
    ["is longer than 50 KiB", () => new Response(`{"m.server":"b.test:1","x":"${"x".repeat(51 * 1024)}"}`)],
  ])("is passed over when it %s", async (_what, answer) => {
    expect(await routeTo(at(answer))).toBe("a.test");
  });

  it("may be of any content type", async () => {
    expect(
      await routeTo(at(() => new Response('{"m.server":"b.test:1"}', { headers: { "Content-Type": "text/plain" } }))),
    ).toBe("b.test");
  });

  it.each([301, 302, 303, 307, 308])("is followed over a redirect with status %i", async (status) => {
    const hosts = {
      ...at(redirect("//b.test/elsewhere?x=1", status)),
      "b.test:443": { "/elsewhere?x=1": delegation("b.test:1") },
    };
    expect(await routeTo(hosts)).toBe("b.test");
  });

  it("is followed over five redirects, not over six", async () => {
    const chain = (length: number) => {
      const paths = Array.from(
        { length },
        (_, index) => [index === 0 ? wellKnownPath : `/${index}`, redirect(`/${index + 1}`)] as const,
      );
      return { "a.test:443": { ...Object.fromEntries(paths), [`/${length}`]: delegation("b.test:1") } };
    };
    expect(await routeTo(chain(5))).toBe("b.test");
    expect(await routeTo(chain(6))).toBe("a.test");
  });

  it.each([
    "http://b.test/w",
    "ftp://b.test/w",
    "https://user@b.test/w",
    "https://user:pw@b.test/w",
    "https://[::1]/w",
    "javascript:1",
    "https://127.0.0.1/w",
  ])("is not followed to %s", async (location) => {
    const hosts = {
      ...at(redirect(location)),
      "b.test:443": { "/w": delegation("b.test:1") },
      "b.test:80": { "/w": delegation("b.test:1") },
    };
    expect(await routeTo(hosts)).toBe("a.test");
  });
});

describe("a route that was found", () => {
  const hours = 60;
  const delegating = (headers: Record<string, string> = {}) =>
    new EgressWorld({ hosts: { "a.test:443": wellKnown("b.test:1", headers), "b.test:1": good, "a.test:8448": good } });

  it.each([
    ["24 hours without a word about it", {}, 24 * hours],
    ["as long as Cache-Control says", { "Cache-Control": "public, max-age=7200" }, 2 * hours],
    ["as long as Cache-Control says, less the age", { "Cache-Control": "max-age=7200", Age: "3600" }, hours],
    ["as long as Expires says", { Expires: new Date(Date.UTC(2026, 10, 1, 3)).toUTCString() }, 3 * hours],
    ["at most 48 hours", { "Cache-Control": "max-age=9999999" }, 48 * hours],
    ["at least five minutes", { "Cache-Control": "no-store" }, 5],
    ["at least five minutes, whatever Expires says", { Expires: "0" }, 5],
    ["24 hours when Cache-Control makes no sense", { "Cache-Control": "max-age=soon" }, 24 * hours],
  ])("is used for %s", async (_what, headers: Record<string, string>, minutes) => {
    const world = delegating(headers);
    await world.request("a.test");
    await world.later(minutes - 1);
    await world.request("a.test");
    expect(world.discoveries).toBe(1);
    await world.later(2);
    await world.request("a.test");
    expect(world.discoveries).toBe(2);
  });

  it("is used for an hour where a host does not delegate", async () => {
    const world = new EgressWorld({ hosts: { "a.test:443": {}, "a.test:8448": good } });
    await world.request("a.test");
    await world.later(59);
    await world.request("a.test");
    expect(world.discoveries).toBe(1);
    await world.later(2);
    await world.request("a.test");
    expect(world.discoveries).toBe(2);
  });

  it("is looked for less and less often where the .well-known is away", async () => {
    const world = new EgressWorld({ hosts: { "a.test:8448": good } });
    const found: number[] = [];
    for (let minute = 0; minute < 300; minute += 1) {
      const before = world.discoveries;
      await world.request("a.test");
      if (world.discoveries > before) found.push(minute);
      await world.later(1);
    }
    expect(found).toEqual([0, 2, 6, 14, 30, 62, 122, 182, 242]);
  });

  it("is kept for two days when the .well-known is away for a while", async () => {
    const world = delegating({ "Cache-Control": "max-age=3600" });
    await world.request("a.test");
    world.network = { hosts: { "b.test:1": good, "a.test:8448": good } };
    await world.later(2 * hours);
    await world.request("a.test");
    expect(world.reached?.host).toBe("b.test");
    await world.later(45 * hours);
    await world.request("a.test");
    expect(world.reached?.host).toBe("b.test");
    await world.later(2 * hours);
    await world.request("a.test");
    expect(world.reached?.host).toBe("a.test");
  });

  it("is given up at once when the host says that it does not delegate any more", async () => {
    const world = delegating({ "Cache-Control": "max-age=3600" });
    await world.request("a.test");
    world.network = { hosts: { "a.test:443": {}, "b.test:1": good, "a.test:8448": good } };
    await world.later(2 * hours);
    await world.request("a.test");
    expect(world.reached?.host).toBe("a.test");
  });

  it("is used as long as the SRV record says, and shortly when nobody could look", async () => {
    const network = (srv: Network["srv"] & object) => ({
      hosts: { "a.test:443": {}, "c.test:2": good, "a.test:8448": good },
      srv,
    });
    const world = new EgressWorld(network({ [fed("a.test")]: [{ host: "c.test", port: 2, ttlMs: 10 * 60_000 }] }));
    await world.request("a.test");
    await world.later(9);
    await world.request("a.test");
    expect(world.discoveries).toBe(1);
    world.network = network({ [fed("a.test")]: "fails" });
    await world.later(2);
    await world.request("a.test");
    expect([world.discoveries, world.reached?.host]).toEqual([2, "a.test"]);
    world.network = network({ [fed("a.test")]: [{ host: "c.test", port: 2 }] });
    await world.later(6);
    await world.request("a.test");
    expect([world.discoveries, world.reached?.host]).toEqual([3, "c.test"]);
  });

  it("survives the end of the actor's instance", async () => {
    const world = delegating();
    await world.request("a.test");
    world.server.evict();
    await world.request("a.test");
    expect(world.discoveries).toBe(1);
  });

  it("is not stored of a server that never answered", async () => {
    const world = new EgressWorld({ hosts: { "a.test:443": wellKnown("b.test:1") } });
    expect(await world.request("a.test")).toMatchObject({ kind: "unreachable" });
    expect(world.routeRow("a.test")).toEqual({});
  });
});

describe("orderSrv", () => {
  const record = (host: string, priority: number, weight: number) => ({ host, priority, weight, port: 1, ttlMs: 1 });
  const random = (value: number) => ({ bytes: () => Uint8Array.of(value >> 8, value & 255) });

  it("puts lower priorities first, whatever their weight", () => {
    const records = [record("b", 2, 100), record("a", 1, 0), record("c", 3, 0)];
    expect(orderSrv(records, random(65_535)).map(({ host }) => host)).toEqual(["a", "b", "c"]);
  });

  it("chooses among equals in proportion to their weight", () => {
    const records = [record("light", 1, 1), record("heavy", 1, 9)];
    const first = { light: 0, heavy: 0 };
    for (let value = 0; value < 65_536; value += 16) {
      const [chosen] = orderSrv(records, random(value));
      if (chosen?.host === "light") first.light += 1;
      else first.heavy += 1;
    }
    expect(first.heavy / (first.light + first.heavy)).toBeGreaterThan(0.75);
    expect(first.light).toBeGreaterThan(0);
  });
});
