import { defineConfig } from 'vitest/config';

export default defineConfig({
  define: { PDFLOW_VIEWS_VERSION: JSON.stringify('test') },
  test: {
    environment: 'jsdom',
    testTimeout: 30_000,
    setupFiles: ['tests/setup.ts'],
    include: ['tests/**/*.test.ts']
  }
});
