/** How the console becomes files: one script, one style sheet, nothing fetched from elsewhere at run time. */
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  // What needs no program is served as it stands, built or not.
  publicDir: "../static",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../web",
    emptyOutDir: true,
    // light-dark() stays as written: compiled away, it would no longer follow the theme that a person chose.
    target: ["chrome123", "firefox120", "safari17.5"],
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: { polyfill: false },
    sourcemap: false,
    chunkSizeWarningLimit: 900,
  },
});
