/** Loaded before the first of several test files: they share one OpenCode, which ends with the last of them. */
import { afterAll } from "bun:test";
import { endOpencode, keepOpencode } from "./shared-opencode.ts";

keepOpencode();
afterAll(endOpencode);
