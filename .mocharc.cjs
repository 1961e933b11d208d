module.exports = {
  spec: [
    "packages/*/src/**/*.test.ts",
    "test/{e2e,scenarios,cli,requirements,interop,sim,support}/**/*.test.ts",
  ],
  reporter: "./scripts/mocha-reporter.cjs",
  timeout: 20000,
  "forbid-only": true,
};
