/** Invites by third-party id: whether the identity server's key is still good, and joining by its word. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import { type JsonObject, type JsonValue, withFields } from "../../shared/json.ts";
import { publicKeyOf, signJson } from "../../shared/matrix/signing.ts";
import { type FederatedReply, type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { testKeyOf } from "../support/room-builder.ts";

const identityServer = trusted.serverName("id.test");
const identityKey = testKeyOf(identityServer);
const publicKey = publicKeyOf(identityKey);
const validityUrl = "https://id.test/_matrix/identity/v2/pubkey/isvalid?by=us";
const encode = encodeURIComponent;

let federation: Federation;
let one: FederatedServer;
let alice: FederatedUser;
let bob: FederatedUser;
let roomId: string;
/** Paths that the identity server was asked. */
let asked: string[];

beforeEach(async () => {
  federation = new Federation();
  one = federation.server("one.test");
  alice = await one.user("alice");
  bob = await one.user("bob");
  roomId = String((await alice.post("v3/createRoom", { preset: "private_chat" })).body.room_id);
  await offer({ public_key: publicKey, key_validity_url: validityUrl });
  asked = [];
});
afterEach(() => federation.close());

async function offer(keys: JsonObject, token = "token1"): Promise<void> {
  const path = `v3/rooms/${encode(roomId)}/state/m.room.third_party_invite/${token}`;
  const offered = await alice.put(path, { display_name: "b...@e...", ...keys });
  expect(offered.status, offered.text).toBe(200);
}

/** Plays the identity server. */
function answer(with_: () => Response): void {
  federation.foreign.set(identityServer, (request) => {
    const { pathname, search } = new URL(request.url);
    asked.push(`${request.method} ${pathname}${search}`);
    expect(request.headers.get("Authorization")).toBeNull();
    return with_();
  });
}

const isValid = (valid: JsonValue) => () => Response.json({ valid });

/** What the identity server gives whom it has asked to prove their address. */
function word(person: FederatedUser, changes: JsonObject = {}, key = identityKey): JsonObject {
  return signJson({ mxid: person.userId, sender: alice.userId, token: "token1", ...changes }, identityServer, key);
}

function onBind(person: FederatedUser): Promise<FederatedReply> {
  const invite = { mxid: person.userId, room_id: roomId, sender: alice.userId, signed: word(person) };
  const body = { medium: "email", address: "b@example.org", mxid: person.userId, invites: [invite] };
  return person.server.request("PUT", "/_matrix/federation/v1/3pid/onbind", { body });
}

const join = (person: FederatedUser, signed: JsonValue): Promise<FederatedReply> =>
  person.post(`v3/join/${encode(roomId)}?via=one.test`, { third_party_signed: signed });

async function membershipOf(person: FederatedUser): Promise<JsonValue> {
  const path = `v3/rooms/${encode(roomId)}/state/m.room.member/${encode(person.userId)}`;
  return (await alice.get(path)).body.membership ?? null;
}

describe("the key of an identity server", () => {
  it("is asked about at the address that the invite names, and the invite taken up where it is good", async () => {
    answer(isValid(true));
    expect((await onBind(bob)).status).toBe(200);
    expect(asked).toEqual([`GET /_matrix/identity/v2/pubkey/isvalid?by=us&public_key=${encode(publicKey)}`]);
    expect(await membershipOf(bob)).toBe("invite");
  });

  it("that was given up invites nobody", async () => {
    answer(isValid(false));
    const refused = await onBind(bob);
    expect([refused.status, refused.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    expect(await membershipOf(bob)).toBeNull();
  });

  it.each<[what: string, response: () => Response]>([
    ["answers with an error", () => Response.json({ valid: true }, { status: 404 })],
    ["sends us elsewhere", () => new Response(null, { status: 302, headers: { Location: "https://id.test/yes" } })],
    ["says something else", isValid("true")],
    ["says nothing", () => new Response("")],
    ["says no JSON", () => new Response("{")],
    ["says a list", () => Response.json([true])],
    ["says too much", () => Response.json({ valid: true, padding: "x".repeat(5_000) })],
    ["nests without end", () => new Response("[".repeat(4_000))],
  ])("invites nobody where the identity server %s", async (_what, response) => {
    answer(response);
    const refused = await onBind(bob);
    expect([refused.status, refused.body.errcode], refused.text).toEqual([502, "M_UNKNOWN"]);
    expect(asked).toHaveLength(1);
    expect(await membershipOf(bob)).toBeNull();
  });

  it.each([
    ["http://id.test/valid"],
    ["https://user:secret@id.test/valid"],
    ["https://127.0.0.1/valid"],
    ["https://[::1]/valid"],
    ["https://10.0.0.1:8448/valid"],
    ["https://localhost/valid"],
    ["https://one.test/_matrix/federation/v1/version"],
    ["file:///etc/passwd"],
    ["id.test/valid"],
    [`https://id.test/${"x".repeat(2_000)}`],
  ])("is not asked about at %s", async (url) => {
    const gone: string[] = [];
    federation.beforeExchange = (_from, to) => void gone.push(to);
    answer(isValid(true));
    await offer({ public_key: publicKey, key_validity_url: url });
    expect((await onBind(bob)).status).toBe(502);
    expect(gone).toEqual([]);
  });

  it("is asked about only where it has signed, and good for ever where nobody is to be asked", async () => {
    answer(isValid(true));
    const other = publicKeyOf(testKeyOf(trusted.serverName("evil.test")));
    await offer({ public_key: other, key_validity_url: validityUrl });
    expect((await onBind(bob)).status).toBe(403);
    await offer({ public_key: other, key_validity_url: validityUrl, public_keys: [{ public_key: publicKey }] });
    expect((await onBind(bob)).status).toBe(200);
    expect(asked).toEqual([]);
  });

  it("is asked about for a user of another server, too", async () => {
    const dora = await federation.server("two.test").user("dora");
    answer(isValid(false));
    expect((await onBind(dora)).status).toBe(403);
    expect(await membershipOf(dora)).toBeNull();
    answer(isValid(true));
    expect((await onBind(dora)).status).toBe(200);
    expect(await membershipOf(dora)).toBe("invite");
  });
});

describe("joining with third_party_signed", () => {
  it("takes up the invite, and joins: here, and from another server", async () => {
    answer(isValid(true));
    const dora = await federation.server("two.test").user("dora");
    for (const person of [bob, dora]) {
      expect((await person.post(`v3/join/${encode(roomId)}?via=one.test`)).status).toBe(403);
      const joined = await join(person, word(person));
      expect([joined.status, joined.json], joined.text).toEqual([200, { room_id: roomId }]);
      await federation.advance(1_000);
      expect(await membershipOf(person)).toBe("join");
    }
  });

  it("is for who takes no invites from others, too", async () => {
    answer(isValid(true));
    const path = `v3/user/${encode(bob.userId)}/account_data/m.invite_permission_config`;
    await bob.put(path, { default_action: "block" });
    expect((await join(bob, word(bob))).status).toBe(200);
  });

  it.each<[what: string, signed: () => JsonValue]>([
    ["that is for somebody else", () => word(alice)],
    ["that another key has signed", () => word(bob, {}, testKeyOf(trusted.serverName("evil.test")))],
    ["that nobody has signed", () => withFields(word(bob), { signatures: {} })],
    ["that was changed", () => withFields(word(alice), { mxid: bob.userId })],
    ["of a token that nobody was invited with", () => word(bob, { token: "token2" })],
    ["without a token", () => word(bob, { token: null })],
    ["in the name of who did not invite", () => word(bob, { sender: bob.userId })],
    ["without a sender", () => word(bob, { sender: 1 })],
    ["that is empty", () => ({})],
    ["that is no object", () => "x"],
  ])("refuses a word %s", async (_what, signed) => {
    answer(isValid(true));
    const refused = await join(bob, signed());
    expect([400, 403], refused.text).toContain(refused.status);
    expect(await membershipOf(bob)).toBeNull();
  });
});
