/** What a person sees who opens the homeserver's address in a browser. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
});
