import js from "@eslint/js";
import tseslint from "typescript-eslint";

// Time, randomness and process state enter only through `runtime`; everything else receives them.
const ambient = [
  { name: "Date", message: "pass a Clock in (runtime)" },
  { name: "setTimeout", message: "use Clock.sleep / Clock.schedule (runtime)" },
  { name: "setInterval", message: "use Clock.schedule (runtime)" },
];

export default tseslint.config(
  { ignores: ["**/dist/", "**/gen/", "coverage/", "node_modules/", "eslint.config.js", ".*.cjs"] },
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        project: ["./packages/*/tsconfig.json", "./tsconfig.test.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/consistent-type-definitions": "off",
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", varsIgnorePattern: "^_" },
      ],
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "no-restricted-syntax": [
        "error",
        { selector: "TSEnumDeclaration", message: "use an `as const` object and a union" },
        { selector: "TSModuleDeclaration", message: "no namespaces" },
        { selector: "TSParameterProperty", message: "no parameter properties" },
      ],
      "no-restricted-properties": [
        "error",
        { object: "Math", property: "random", message: "pass a Random in (runtime)" },
        { object: "process", property: "exit", message: "return an exit status from main" },
      ],
      "no-console": "error",
      eqeqeq: "error",
    },
  },
  {
    files: ["packages/*/src/**/*.ts"],
    ignores: ["packages/runtime/**", "packages/testkit/**", "**/*.test.ts"],
    rules: { "no-restricted-globals": ["error", ...ambient] },
  },
  {
    // Bytes are indexed and checked by length at the top of the function in these two packages.
    files: ["packages/crypto/src/**/*.ts", "packages/zone/src/mapping/**/*.ts"],
    rules: { "@typescript-eslint/no-non-null-assertion": "off" },
  },
  {
    // Our closed sets of numbers meet the generated enums here, and only here.
    files: ["packages/wire/src/**/*.ts"],
    rules: { "@typescript-eslint/no-unsafe-enum-assignment": "off" },
  },
  {
    // chai's assertions are expressions; tests index into what they have just built.
    files: ["**/*.test.ts", "test/**/*.ts"],
    rules: {
      "@typescript-eslint/no-unused-expressions": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "no-console": "off",
    },
  },
  {
    files: ["scripts/**/*.ts", "scripts/**/*.mjs", "test/bench/**/*.ts"],
    rules: { "no-console": "off" },
  },
  { files: ["**/*.mjs", "**/*.cjs"], ...tseslint.configs.disableTypeChecked },
  {
    // Mocha loads its reporter with require.
    files: ["**/*.cjs"],
    languageOptions: {
      sourceType: "commonjs",
      globals: { require: "readonly", module: "writable", process: "readonly" },
    },
    rules: { "@typescript-eslint/no-require-imports": "off" },
  },
);
