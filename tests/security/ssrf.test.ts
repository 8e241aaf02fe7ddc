/** SECURITY.md R44 and R46: no request of ours is led to where it must not go, on any hop. */
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../shared/env.ts";
import { refusalOf } from "../../workers/egress/address-policy.ts";
import { isPublicAddress } from "../../workers/egress/addresses.ts";
import { delegation, EgressWorld, wellKnownPath } from "../unit/egress/world.ts";

/** Addresses that are not on the open internet, as a URL or a server name would have them. */
const notPublic = [
  ...[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
  ],
  ...["169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1"],
  ...["192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"],
  ...["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
  ...[
    "[::]",
    "[::1]",
    "[::2]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[feff::1]",
    "[fc00::1]",
    "[fdff::1]",
    "[ff02::1]",
  ],
  ...[
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:93.184.216.34]",
    "[::127.0.0.1]",
    "[::7f00:1]",
  ],
  ...["[2002:7f00:1::]", "[2002:a00:1::1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2001::1]"],
  ...[
    "[2001:0:7f00:1::]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[4000::1]",
  ],
  ...["[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::ffff:0:127.0.0.1]", "[5f00::1]"],
];

/** Other ways to write an address, all of them 127.0.0.1 to somebody. */
const disguised = [
  ...[
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.01",
  ],
  ...["127.0.0.1.", "0", "0x", "127.0.0.0x1", "256.0.0.1", "1.2.3.4.5", "00000177.1"],
];

const privateNames = [
  "localhost",
  "LOCALHOST",
  "localhost.",
  "a.localhost",
  "printer.local",
  "metadata.google.internal",
  "nas.home.arpa",
];

const open = [
  ...[
    "1.1.1.1",
    "93.184.216.34",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
  ],
  ...["169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0"],
  ...[
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2001:4860:4860::8888",
    "2a00::1",
    "2001:200::1",
  ],
];

const unbracketed = (host: string) => host.replace(/^\[(.*)\]$/, "$1");
const everywhere = [...notPublic, ...disguised, ...privateNames];

/** Every host answers everything: what is not asked was refused. */
const gullible = () => {
  const world = new EgressWorld();
  const answer = () => Response.json({});
  world.network = { hosts: new Proxy({}, { get: () => ({ "*": answer }) }) };
  return world;
};

const hostsAsked = (world: EgressWorld) => world.attempts.map(({ host }) => host);

describe("isPublicAddress", () => {
  it.each(notPublic.map(unbracketed))("is false for %s", (address) => expect(isPublicAddress(address)).toBe(false));
  it.each(open)("is true for %s", (address) => expect(isPublicAddress(address)).toBe(true));
  it.each([
    "",
    "a.test",
    "1.2.3",
    "::1::",
    "1::2::3",
    ":::",
    "12345::",
    "1:2:3:4:5:6:7:8:9",
    "1.2.3.4::",
    "::1.2.3.4:1",
    "fe80::1%eth0",
  ])("is false for what is no address: %s", (text) => expect(isPublicAddress(text)).toBe(false));
});

describe("a request of ours", () => {
  it.each(everywhere)("does not go to %s, with or without a port", async (host) => {
    const world = gullible();
    expect(await world.request(`${host}:8448`)).toMatchObject({ kind: "unreachable" });
    expect(await world.request(host)).toMatchObject({ kind: "unreachable" });
    expect(hostsAsked(world)).toEqual([]);
  });

  it.each(everywhere)("is not delegated to %s", async (host) => {
    for (const name of [host, `${host}:8448`]) {
      const world = gullible();
      world.network = {
        hosts: new Proxy({}, { get: () => ({ "*": () => Response.json({}), [wellKnownPath]: delegation(name) }) }),
      };
      await world.request("a.test");
      expect(hostsAsked(world).filter((asked) => asked !== "a.test")).toEqual([]);
    }
  });

  it.each(everywhere)("is not redirected to %s", async (host) => {
    const world = gullible();
    const redirect = () => new Response(null, { status: 302, headers: { Location: `https://${host}/w` } });
    const hosts = { "a.test:443": { [wellKnownPath]: redirect }, "a.test:8448": { "*": () => Response.json({}) } };
    world.network = {
      hosts: new Proxy(hosts, { get: (known, at) => Reflect.get(known, at) ?? { "*": () => Response.json({}) } }),
    };
    await world.request("a.test");
    expect(hostsAsked(world).filter((asked) => asked !== "a.test")).toEqual([]);
  });

  it.each(everywhere)("is not led to %s by a SRV record", async (host) => {
    const world = gullible();
    const hosts = new Proxy(
      {},
      { get: (_target, at) => (at === "a.test:443" ? {} : { "*": () => Response.json({}) }) },
    );
    world.network = { hosts, srv: { "_matrix-fed._tcp.a.test": [{ host: unbracketed(host), port: 8448 }] } };
    expect(await world.request("a.test")).toMatchObject({ kind: "unreachable" });
    expect(hostsAsked(world)).toEqual(["a.test"]);
  });

  it.each(["own.test", "own.test:8448"])("does not come back to this server by the way of %s", async (name) => {
    for (const delegated of [name, `${name.split(":")[0]}:443`, "OWN.test:443", "own.test.:8448"]) {
      const world = gullible();
      world.network = {
        hosts: new Proxy({}, { get: () => ({ "*": () => Response.json({}), [wellKnownPath]: delegation(delegated) }) }),
      };
      await world.request("a.test");
      expect(hostsAsked(world).filter((asked) => asked.toLowerCase().startsWith("own"))).toEqual([]);
    }
  });

  it("goes to private addresses when that is allowed, but never to disguised ones", async () => {
    const config = parseConfig({ SERVER_NAME: "own.test", FEDERATION_ALLOW_PRIVATE_NETWORK: "true" });
    for (const host of [...notPublic.map(unbracketed), ...privateNames])
      expect(refusalOf(config, { host, port: 1 })).toBeNull();
    for (const host of disguised) expect(refusalOf(config, { host, port: 1 })).not.toBeNull();
  });
});

describe("whom we talk to", () => {
  const ask = async (variables: Record<string, string>, name: string) => {
    const world = new EgressWorld({ hosts: { [`${name}:8448`]: { "*": () => Response.json({}) } } }, variables);
    const answer = await world.request(name);
    return { kind: answer.kind, attempts: world.attempts.length };
  };
  const refused = { kind: "unreachable", attempts: 0 };

  it("is nobody when federation is off", async () => {
    expect(await ask({ FEDERATION: "off" }, "a.test")).toEqual(refused);
  });
  it("is who is on the list of those allowed, where there is one", async () => {
    expect(await ask({ FEDERATION_DOMAIN_ALLOW: "b.test" }, "a.test")).toEqual(refused);
    expect(await ask({ FEDERATION_DOMAIN_ALLOW: "b.test, a.test" }, "a.test")).toMatchObject({ kind: "answered" });
  });
  it("is nobody on the list of those denied", async () => {
    expect(await ask({ FEDERATION_DOMAIN_DENY: "a.test" }, "a.test")).toEqual(refused);
    expect(await ask({ FEDERATION_DOMAIN_DENY: "b.test" }, "a.test")).toMatchObject({ kind: "answered" });
  });
});
