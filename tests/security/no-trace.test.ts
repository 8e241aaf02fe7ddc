import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf, registerUser } from "../support/client.ts";
import { type Homeserver, startHomeserver } from "../support/homeserver.ts";

/** An opened database without tables: SQLite's header page, and a log to which each call adds that page. A schema takes several times that. */
const emptyDatabaseBytes = 32_768;

let server: Homeserver | null = null;
beforeAll(async () => {
  server = await startHomeserver();
});
afterAll(() => server?.stop());

describe("asking for names that nobody has", () => {
  it("stores nothing, or anybody could fill the disk without an account", async () => {
    if (server === null) throw new Error("no server");
    const anybody = clientOf(server.baseUrl);
    const alice = await registerUser(server.baseUrl, "alice");
    const folders = ["tessera-UserActor", "tessera-RoomActor"].map((name) => join(server?.dataDir ?? "", "do", name));
    const stored = (): number =>
      folders
        .flatMap((folder) =>
          readdirSync(folder)
            .filter((name) => name.endsWith(".sqlite") || name.endsWith("-wal"))
            .map((name) => statSync(join(folder, name)).size),
        )
        .filter((size) => size > emptyDatabaseBytes).length;
    await alice.get("v3/rooms/!none:localhost/state");
    const before = stored();
    for (let index = 0; index < 10; index += 1) {
      await anybody.get(`v3/profile/@nobody${index}:${server.serverName}`);
      await anybody.get(`v3/register/available?username=free${index}`);
      await anybody.get(`v3/directory/list/room/!none${index}:${server.serverName}`);
      await anybody.post("v3/login", { type: "m.login.password", user: `guess${index}`, password: "wrong" });
      await alice.get(`v3/rooms/!none${index}:${server.serverName}/messages?dir=b`);
      await alice.post(`v3/join/!none${index}:${server.serverName}`, {});
    }
    expect(stored()).toBe(before);
  });
});
