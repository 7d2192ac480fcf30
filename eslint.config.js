import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

export default defineConfig(
  globalIgnores(['node_modules/', 'coverage/', 'backups/', '.securyflex/']),
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      // An entry file sets process.exitCode and lets what is open be closed.
      'no-restricted-properties': ['error', { object: 'process', property: 'exit' }],
      // `for (;;)` waits, and says so better than `while (true)`; numbers belong in messages.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // The name says it: a file of the field's words, exported by name.
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Export by name (configuration files excepted).' },
      ],
    },
  },
  {
    // Only the configuration reads the environment.
    files: ['apps/**/*.ts', 'packages/**/*.ts'],
    ignores: ['packages/shared/src/config/**', '**/*.test.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'exit', message: 'Set process.exitCode in an entry file.' },
        {
          object: 'process',
          property: 'env',
          message: 'Only @securyflex/shared/config reads the environment.',
        },
      ],
    },
  },
  {
    // Commands print, and scripts are small programs in plain JavaScript.
    files: ['scripts/**', 'test/**', '**/*.test.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['*.config.{js,ts}', 'test/run/*.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    files: ['**/*.mjs', '**/*.cjs', '*.config.js'],
    extends: [tseslint.configs.disableTypeChecked],
  },
)
