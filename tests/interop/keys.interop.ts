/** The keys that each server verifies the other's events with, also after ours has a new one. */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { expect, it } from "vitest";
import { isObject, type JsonObject, type JsonValue } from "../../shared/json.ts";
import { type Client, clientOf, text } from "../support/client.ts";
import { pairForFile } from "./lifecycle.ts";
import { registrationSecret, type Side } from "./pair.ts";
import { at, eventually, joinBy, makeOpenRoom, messages, objects, ok, say, untilSameState } from "./scene.ts";

const pair = pairForFile();
const ca = readFileSync(join(import.meta.dirname, "../selfhost/tls/ca.pem"));

/** Asks where other servers ask: over TLS, by the wire. @param body makes it a POST */
function askAsServer(side: Side, path: string, body?: JsonObject): Promise<JsonObject> {
  const method = body === undefined ? "GET" : "POST";
  const headers = { "Content-Type": "application/json" };
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: side.wire.port, path, method, headers, ca, agent: false };
    const asking = request(options, (response) => {
      let answer = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        answer += chunk;
      });
      response.on("end", () => {
        const json: JsonValue = JSON.parse(answer);
        if (response.statusCode === 200 && isObject(json)) resolve(json);
        else reject(new Error(`${response.statusCode} ${answer}`));
      });
    });
    asking.on("error", reject);
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** What a server says of its keys in use. */
async function keysOf(side: Side): Promise<string[]> {
  return Object.keys(Object(at(await askAsServer(side, "/_matrix/key/v2/server"), "verify_keys")));
}

/** What a server knows of another's keys without being asked for one that it would have to fetch. */
async function keysKnownTo(side: Side, of: Side): Promise<string[]> {
  const answer = await askAsServer(side, `/_matrix/key/v2/query/${encodeURIComponent(of.serverName)}`);
  return objects(answer.server_keys).flatMap((keys) => Object.keys(Object(keys.verify_keys)));
}

async function administratorOf({ baseUrl }: Side): Promise<Client> {
  const path = "/_synapse/admin/v1/register";
  const nonce = text(await clientOf(baseUrl).get(path), "nonce");
  const account = { username: "administrator", password: "a good password" };
  const covered = [nonce, account.username, account.password, "admin"].join("\0");
  const mac = createHmac("sha1", registrationSecret).update(covered).digest("hex");
  const registered = await clientOf(baseUrl).post(path, { ...account, nonce, admin: true, mac });
  return clientOf(baseUrl, text(registered, "access_token"));
}

it("each gives the other's keys to a third, signed by both", async () => {
  const { ours, theirs } = pair();
  for (const [side, of] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    const wanted = await keysOf(of);
    const asked = {
      server_keys: {
        [of.serverName]: Object.fromEntries(wanted.map((keyId) => [keyId, { minimum_valid_until_ts: Date.now() }])),
      },
    };
    const [keys] = objects((await askAsServer(side, "/_matrix/key/v2/query", asked)).server_keys);
    expect(Object.keys(Object(keys?.verify_keys))).toEqual(wanted);
    expect(Object.keys(Object(keys?.signatures)).toSorted()).toEqual([ours.serverName, theirs.serverName].toSorted());
  }
});

it("ours has a new key, and both go on talking: at once, and after the old one is out of memory", async () => {
  const { ours, theirs } = pair();
  const [alice, bob] = [await ours.user("alice"), await theirs.user("bob")];
  const roomId = await makeOpenRoom(alice);
  await joinBy(bob, roomId, ours);
  const hears = (person: Client, room: string, body: string) =>
    eventually(
      () => messages(person, room),
      (seen) => seen.includes(body),
    );
  await say(alice, roomId, "with the old key");
  await hears(bob, roomId, "with the old key");

  const administrator = await administratorOf(ours);
  const rotated = await ok(administrator.post("/_tessera/admin/v1/signing_key/rotate"));
  const [newKey, oldKey] = [String(rotated.key_id), String(rotated.old_key_id)];
  expect((await keysOf(ours)).toSorted()).toEqual([newKey, oldKey].toSorted());
  await say(alice, roomId, "in the old room");
  await hears(bob, roomId, "in the old room");

  // No room and nobody else remembers the old one.
  await ours.stop();
  await ours.start();
  const newRoom = await makeOpenRoom(alice);
  await joinBy(bob, newRoom, ours);
  await say(alice, newRoom, "in a new room");
  await hears(bob, newRoom, "in a new room");
  await say(alice, roomId, "with the new key");
  await hears(bob, roomId, "with the new key");
  await say(bob, roomId, "I hear you");
  await hears(alice, roomId, "I hear you");
  expect(await keysKnownTo(theirs, ours)).toContain(newKey);
  const theirRoom = await makeOpenRoom(bob);
  await joinBy(alice, theirRoom, theirs);
  await say(alice, theirRoom, "and in yours");
  await hears(bob, theirRoom, "and in yours");
  await untilSameState(alice, bob, roomId);
});
