/** What a person sees who opens the homeserver's address in a browser. */
import { createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf, registerUser, text as textOf } from "../support/client.ts";
import { type HomeserverProcess, startHomeserverProcess } from "./homeserver-process.ts";

const browserPath = "/usr/bin/chromium";
const hasBrowser = existsSync(browserPath);
const screenshotDir = join(import.meta.dirname, "../../test-results");

let server: HomeserverProcess;
let browser: Browser;
let page: Page;
/** What went wrong in the page: its errors, and what it asked for in vain. */
const complaints: string[] = [];

describe.skipIf(!hasBrowser)(`the page at / (needs ${browserPath})`, () => {
  beforeAll(async () => {
    server = await startHomeserverProcess({ env: { REGISTRATION: "open" } });
    browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
    page = await browser.newPage({ viewport: { width: 1024, height: 768 } });
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()}`));
    page.on("response", (response) => {
      if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
    });
  }, 90_000);

  afterAll(async () => {
    await browser?.close();
    await server?.dispose();
  });

  it("says what this is, its name, and whether one may register", async () => {
    await page.goto(server.baseUrl);
    expect(await page.title()).toMatch(/Tessera|localhost/);
    const text = ((await page.locator("body").textContent()) ?? "").replaceAll(/\s+/g, " ");
    expect(text).toContain("Matrix");
    expect(text).toContain("localhost");
    expect(text).toMatch(/registration is open|open|anybody/i);
    expect(text).toContain(server.baseUrl);
  });

  it("looks right on a desk and on a phone", async () => {
    await mkdir(screenshotDir, { recursive: true });
    await page.screenshot({ path: join(screenshotDir, "page-desk.png") });
    await page.setViewportSize({ width: 360, height: 640 });
    await page.screenshot({ path: join(screenshotDir, "page-phone.png") });
    const overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    expect(overflow).toBe(0);
  });

  it("has a language, one heading of the first order, and no error in the console", async () => {
    expect(await page.locator("html").getAttribute("lang")).toMatch(/^[a-z]{2}/);
    expect(await page.locator("h1").count()).toBe(1);
    expect(complaints).toEqual([]);
  });

  it("says so when registration is closed", async () => {
    const closed = await startHomeserverProcess({ env: { REGISTRATION: "closed" } });
    try {
      await page.goto(closed.baseUrl);
      expect(await page.locator("body").textContent()).toMatch(/closed/i);
    } finally {
      await closed.dispose();
    }
  }, 60_000);

  it("logs a person in whose client cannot, and tells the client", async () => {
    const limited = await startHomeserverProcess({ env: { REGISTRATION: "open", RATE_LIMITS: "on" } });
    try {
      const alice = await registerUser(limited.baseUrl, "alice");
      const complained = complaints.length;
      const asked = "device_id=GHTYAJCE&initial_device_display_name=Old+phone&refresh_token=true";
      await page.goto(`${limited.baseUrl}/_matrix/static/client/login/?${asked}`);
      const logIn = async (password: string, answer: string): Promise<void> => {
        await page.fill("#user", "alice");
        await page.fill("#password", password);
        await page.click("button");
        await page.locator("output", { hasText: answer }).waitFor();
      };
      await logIn(alice.password, "no app is waiting");
      // As apps do that show the page within themselves.
      await page.evaluate(`
        window.blocked = [];
        document.addEventListener("securitypolicyviolation", (event) => window.blocked.push(event.blockedURI));
        window.matrixLogin.onLogin = (response) => {
          window.told = response;
          const frame = document.createElement("iframe");
          frame.setAttribute("src", "js:" + JSON.stringify(response));
          document.documentElement.appendChild(frame);
        };
      `);
      await logIn("wrong", "Invalid username or password");
      expect(await page.evaluate("window.told")).toBeUndefined();
      await logIn(alice.password, "You are logged in as @alice:localhost");
      const told = JSON.parse(String(await page.evaluate("JSON.stringify(window.told)")));
      expect(told).toMatchObject({ user_id: alice.userId, device_id: "GHTYAJCE", refresh_token: expect.any(String) });
      const devices = await clientOf(limited.baseUrl, told.access_token).get("v3/devices/GHTYAJCE");
      expect(devices.body.display_name).toBe("Old phone");
      expect(await page.evaluate("window.blocked")).toEqual([]);
      const unexpected = complaints.slice(complained).filter((text) => !/403|js:/.test(text));
      expect(unexpected).toEqual([]);

      // Here as well, nobody may guess for long.
      await page.goto(`${limited.baseUrl}/_matrix/static/client/login/`);
      await page.evaluate("window.matrixLogin.onLogin = () => { window.told = true; }");
      for (let guess = 0; guess < 8; guess += 1) {
        await logIn(`guess ${guess}`, "");
        await page.waitForFunction("!document.querySelector('button').disabled");
        if ((await page.textContent("output"))?.includes("Too many")) break;
      }
      await logIn(alice.password, "Too many");
      expect(await page.evaluate("window.told")).toBeUndefined();
    } finally {
      await limited.dispose();
    }
  }, 90_000);

  it("takes a registration token for a client that cannot, and tells the client", async () => {
    const byToken = await startHomeserverProcess({
      env: { REGISTRATION: "token", REGISTRATION_SHARED_SECRET: "hush" },
    });
    try {
      const root = clientOf(byToken.baseUrl, await makeAdmin(byToken.baseUrl));
      await root.post("/_synapse/admin/v1/registration_tokens/new", { token: "welcome" });
      const request = { username: "newcomer", password: "long and secret" };
      const session = textOf(await clientOf(byToken.baseUrl).post("v3/register", request), "session");
      const stage = "m.login.registration_token";
      const complained = complaints.length;
      await page.goto(`${byToken.baseUrl}/_matrix/client/v3/auth/${stage}/fallback/web?session=${session}`);
      await page.evaluate("window.onAuthDone = () => { window.isDone = true; }");
      await page.fill("input", "unwelcome");
      await page.click("button");
      await page.locator("output", { hasText: "Invalid" }).waitFor();
      expect(await page.evaluate("window.isDone")).toBeUndefined();
      await page.fill("input", "welcome");
      await page.click("button");
      await page.locator("output", { hasText: "Thank you" }).waitFor();
      expect(await page.evaluate("window.isDone")).toBe(true);
      // Of the first try, the refusal; and nothing that the page was kept from doing.
      expect(complaints.slice(complained).filter((text) => !text.includes("401"))).toEqual([]);
      const made = await clientOf(byToken.baseUrl).post("v3/register", { ...request, auth: { session } });
      expect(made.body.user_id).toBe("@newcomer:localhost");
    } finally {
      await byToken.dispose();
    }
  }, 60_000);
});

/** @returns the access token of a new administrator */
async function makeAdmin(baseUrl: string): Promise<string> {
  const path = "/_synapse/admin/v1/register";
  const nonce = textOf(await clientOf(baseUrl).get(path), "nonce");
  const [username, password] = ["usher", "long and secret"];
  const mac = createHmac("sha1", "hush").update([nonce, username, password, "admin"].join("\0")).digest("hex");
  return textOf(await clientOf(baseUrl).post(path, { nonce, username, password, admin: true, mac }), "access_token");
}
