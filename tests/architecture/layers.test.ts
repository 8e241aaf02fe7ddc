import { describe, expect, it } from "vitest";
import { cycles, fileLength, forbiddenCode, layers, type Rule } from "./rules.ts";
import { importsOf, readSources } from "./sources.ts";

const project = readSources(["workers", "actors", "shared", "schema"]);
const tests = readSources(["tests"]);

/** What a rule says of made-up files, by path. */
const check = (rule: Rule, files: Record<string, string>) =>
  rule(Object.entries(files).map(([path, text]) => ({ path, text })));

describe("the project", () => {
  it("has files to look at", () => {
    expect(project.length).toBeGreaterThan(20);
  });
  it("imports only downwards", () => expect(layers(project)).toEqual([]));
  it("has no cycle of imports", () => expect(cycles(project)).toEqual([]));
  it("does nothing that is forbidden where it stands", () => expect(forbiddenCode(project)).toEqual([]));
  it("has no file too long to be about one thing", () => expect(fileLength([...project, ...tests])).toEqual([]));
});

it("draws what is random in a test by tests/support/property.ts, the same in each run", () => {
  const drawing = tests.filter((file) => importsOf(file).some(({ specifier }) => specifier === "fast-check"));
  expect(drawing.map(({ path }) => path)).toEqual(["tests/support/property.ts"]);
});

describe("layers", () => {
  const refused: readonly [path: string, text: string][] = [
    ["schema/migrate.ts", 'import { a } from "../shared/json.ts";'],
    ["schema/migrate.ts", 'import { a } from "valibot";'],
    ["shared/errors.ts", 'import { a } from "../actors/actor.ts";'],
    ["shared/rpc/room.ts", 'import type { A } from "../../workers/gateway/env.ts";'],
    ["shared/matrix/event.ts", 'import { a } from "../rpc/room.ts";'],
    ["shared/matrix/event.ts", 'import { a } from "../validate.ts";'],
    ["shared/matrix/state-res/v2.ts", 'import { a } from "../../rpc/room.ts";'],
    ["shared/matrix/event.ts", 'import * as v from "valibot";'],
    ["shared/matrix/event.ts", 'import { readFileSync } from "node:fs";'],
    ["actors/room/send.ts", 'import { a } from "../../workers/gateway/env.ts";'],
    ["actors/room/send.ts", 'import { a } from "../user/account.ts";'],
    ["actors/user/rooms.ts", 'import type { A } from "../room/context.ts";'],
    ["actors/server/inbox.ts", 'export * from "../room/receive.ts";'],
    ["actors/room/send.ts", 'const a = await import("../user/account.ts");'],
    ["workers/gateway/router.ts", 'import { RoomActor } from "../../actors/room/actor.ts";'],
    ["workers/gateway/router.ts", 'import {\n  a,\n  b,\n} from "../../schema/sql.ts";'],
    ["workers/selfhost/server.ts", 'export { RoomActor } from "../../actors/room/actor.ts";'],
  ];
  it.each(refused)("refuses in %s: %s", (path, text) => {
    expect(check(layers, { [path]: text })).toHaveLength(1);
  });

  const allowed: readonly [path: string, text: string][] = [
    ["schema/room/index.ts", 'import events from "./0001-events.sql";'],
    ["shared/matrix/event-auth/member.ts", 'import { a } from "../event.ts"; import { b } from "../../json.ts";'],
    ["shared/matrix/hashes.ts", 'import { createHash } from "node:crypto";'],
    ["actors/room/actor.ts", 'import { Actor } from "../actor.ts";\nimport { m } from "../../schema/room/index.ts";'],
    ["workers/gateway/index.ts", 'export { RoomActor } from "../../actors/room/actor.ts";'],
    ["workers/gateway/client/sync.ts", 'import { a } from "../../../shared/rpc/user.ts";'],
  ];
  it.each(allowed)("allows in %s: %s", (path, text) => {
    expect(check(layers, { [path]: text })).toEqual([]);
  });
});

describe("cycles", () => {
  const back = 'import { a } from "./a.ts";';
  it("finds two files that import each other, and longer ways round", () => {
    expect(check(cycles, { "shared/a.ts": 'import { b } from "./b.ts";', "shared/b.ts": back })).toHaveLength(1);
    const longer = {
      "shared/a.ts": 'import "./b.ts";',
      "shared/b.ts": 'export { c } from "./c.ts";',
      "shared/c.ts": back,
    };
    expect(check(cycles, longer)).toEqual([
      "shared/a.ts → shared/b.ts → shared/c.ts → shared/a.ts: a cycle of imports",
    ]);
  });

  it("does not count what is gone at run time, nor two ways to the same file", () => {
    for (const text of ['import type { B } from "./b.ts";', 'import { type B, type C } from "./b.ts";']) {
      expect(check(cycles, { "shared/a.ts": text, "shared/b.ts": back })).toEqual([]);
    }
    const diamond = {
      "shared/a.ts": 'import "./b.ts";\nimport "./c.ts";',
      "shared/b.ts": 'import "./d.ts";',
      "shared/c.ts": 'import "./d.ts";',
      "shared/d.ts": "export const d = 1;",
    };
    expect(check(cycles, diamond)).toEqual([]);
  });
});

describe("forbiddenCode", () => {
  const refused: readonly [path: string, text: string][] = [
    ["actors/room/typing.ts", "setTimeout(() => stop(), 1000);"],
    ["actors/room/typing.ts", "const timer = setInterval(stop, 1000);"],
    ["actors/server/request.ts", 'const answer = await fetch("https://example.org");'],
    ["actors/server/request.ts", "function ask(url: string) { return fetch(url); }"],
    ["workers/gateway/client/directory.ts", "return fetch(url);"],
    ["workers/egress/request.ts", "const answer = await fetch(url);"],
    ["actors/server/request.ts", "const all = urls.map((url) => fetch(url));"],
    ["actors/user/account.ts", "const now = Date.now();"],
    ["actors/user/account.ts", "const now = new Date();"],
    ["shared/matrix/event.ts", "const id = Math.random();"],
    ["actors/user/sessions.ts", "const bytes = crypto.getRandomValues(new Uint8Array(16));"],
    ["actors/user/sessions.ts", 'import { randomBytes } from "node:crypto"; export const secret = randomBytes(32);'],
    ["shared/errors.ts", 'console.log("oops");'],
    ["workers/gateway/handle.ts", "console.error(thrown);"],
    ["actors/room/persist.ts", 'sql.run("INSERT INTO events (event_id) VALUES (?)", id);'],
    ["actors/directory/users.ts", 'sql.all("SELECT name FROM users WHERE name LIKE ?", term);'],
    ["actors/directory/users.ts", "sql.all(`SELECT name FROM users WHERE name glob '*' || ?`, term);"],
    ["actors/room/persist.ts", "sql.run(`insert or ignore into\n events (event_id) values (?)`, id);"],
  ];
  it.each(refused)("refuses in %s: %s", (path, text) => {
    expect(check(forbiddenCode, { [path]: text })).toHaveLength(1);
  });

  const allowed: readonly [path: string, text: string][] = [
    ["workers/egress/workerd-transport.ts", "const response = await fetch(url, init);"],
    ["actors/user/actor.ts", "class A { async fetch(request: Request) { return this.upgrade(request); } }"],
    ["actors/user/actor.ts", "class A { fetch(request: Request): Response { return this.upgrade(request); } }"],
    ["actors/room/send.ts", "const now = room.clock.now(); // not Date.now()"],
    ["actors/room/send.ts", "const event = stub.fetch(id);"],
    ["actors/room/store/events.ts", 'sql.run("INSERT INTO events (event_id) VALUES (?)", id);'],
    ["actors/directory/users.ts", 'sql.all("SELECT name FROM users WHERE instr(name, ?) > 0", term); // like it'],
    ["actors/room/store/edges.ts", 'sql.run("INSERT INTO events_edges (event_id) VALUES (?)", id);'],
    ["shared/log.ts", "console.log(line);"],
    ["workers/gateway/wait.ts", "setTimeout(done, 1000);"],
  ];
  it.each(allowed)("allows in %s: %s", (path, text) => {
    expect(check(forbiddenCode, { [path]: text })).toEqual([]);
  });
});

describe("fileLength", () => {
  it("refuses the 501st line", () => {
    const lines = (count: number) => ({ "shared/long.ts": "x;\n".repeat(count) });
    expect(check(fileLength, lines(500))).toEqual([]);
    expect(check(fileLength, lines(501))).toHaveLength(1);
  });
});
