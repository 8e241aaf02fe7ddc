import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { freePort, type HomeserverProcess, spawnScript, startProcess, temporaryFolder } from "../support/homeserver.ts";

const clean = { code: 0, signal: null };

describe("npm start", () => {
  const started: HomeserverProcess[] = [];
  const folders: string[] = [];
  const start = async (env: Record<string, string> = {}, dataDir = temporaryFolder()) => {
    folders.push(dataDir);
    const server = await startProcess({ env, dataDir });
    started.push(server);
    return server;
  };
  const startThroughNpm = async () => {
    const dataDir = temporaryFolder();
    folders.push(dataDir);
    const server = await startProcess({ dataDir, throughNpm: true });
    started.push(server);
    return server;
  };
  afterEach(async () => {
    for (const server of started.splice(0)) await server.kill9();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  it("prints where it listens, its name, its data and how to make the first user", async () => {
    const server = await start({ SERVER_NAME: "example.org", REGISTRATION: "token" });
    expect(server.stdout).toContain(server.baseUrl);
    expect(server.stdout).toContain("example.org");
    expect(server.stdout).toContain(server.dataDir);
    expect(server.stdout).toContain("token");
    expect(server.stdout).toContain("npm run register -- --user alice --admin");
    expect((await fetch(`${server.baseUrl}/_matrix/client/versions`)).status).toBe(200);
  });

  it("makes a registration secret that only its own user may read, and keeps it", async () => {
    const server = await start();
    const path = join(server.dataDir, "registration_shared_secret");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const secret = readFileSync(path, "utf8");
    expect(secret.trim()).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(server.stdout + server.stderr).not.toContain(secret.trim());
    server.signal("SIGTERM");
    await server.ended(5000);
    await start({}, server.dataDir);
    expect(readFileSync(path, "utf8")).toBe(secret);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("stops with status 0 within two seconds on %s", async (signal) => {
    const server = await start();
    const begun = performance.now();
    server.signal(signal);
    expect(await server.ended(5000)).toEqual(clean);
    expect(performance.now() - begun).toBeLessThan(2000);
    await expect(fetch(server.baseUrl)).rejects.toThrow();
    expect(existsSync(join(server.dataDir, "workerd.pid"))).toBe(false);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("stops when npm is sent %s", async (signal) => {
    const server = await startThroughNpm();
    const workerd = Number(readFileSync(join(server.dataDir, "workerd.pid"), "utf8"));
    server.signal(signal);
    await server.ended(5000);
    expect(server.stdout).toContain("Stopping.");
    expect(isRunning(workerd)).toBe(false);
  });

  it("takes a signal that arrives twice, as Ctrl-C does under npm, for one", async () => {
    const server = await start();
    server.signal("SIGINT");
    server.signal("SIGINT");
    await sleep(5);
    server.signal("SIGINT");
    expect(await server.ended(5000)).toEqual(clean);
  });

  it("does not outlive npm, and can be started again at once when npm was killed", async () => {
    const server = await startThroughNpm();
    await server.kill9();
    await start({ PORT: server.env.PORT ?? "" }, server.dataDir);
  });

  it("refuses a data folder that another process has, and takes it when that one is gone", async () => {
    const first = await start();
    const { PORT: _port, ...env } = first.env;
    const second = spawnScript("start", { ...env, PORT: String(await freePort()) });
    expect(await second.ended(10_000)).toEqual({ code: 1, signal: null });
    expect(second.stderr).toMatch(/^DATA_DIR: .* is in use by another Tessera process \(pid [0-9]+\)\n$/);
    await first.kill9();
    await start({ PORT: first.env.PORT ?? "" }, first.dataDir);
  });

  it.each(["kept", "removed at the same moment"])(
    "leaves no workerd behind when it is killed, its data %s",
    async (data) => {
      const server = await start();
      const pid = Number(readFileSync(join(server.dataDir, "workerd.pid"), "utf8"));
      expect(isRunning(pid)).toBe(true);
      const killed = server.kill9();
      if (data !== "kept") rmSync(server.dataDir, { recursive: true });
      await killed;
      for (let tries = 0; tries < 40 && isRunning(pid); tries += 1) await sleep(50);
      expect(isRunning(pid)).toBe(false);
    },
  );
});

/** Whether a process runs: one that has ended but whose parent has not asked for its status does not. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== "linux" || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
