import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { fileSize } from '../../src/core/file-size';
import { fileLink } from '../../src/core/files-view';
import { RunView } from '../../src/core/run-view';
import { FakeHost, makeRun } from './fake-host';
import { buttonOf, makeRoot, settle, shownText } from './helpers';

const PATH = '/home/ada/pdflow/files/r1/models/best.bin';

function hostWithFiles(count: number): FakeHost {
  const started_at = '2026-11-22T11:00:00Z';
  const exports = { $return_value: PATH, other: '/home/ada/r1', n: { deep: PATH } };
  const steps = [{ name: 'fit', status: 'succeeded' as const, runs: 1, started_at, exports }];
  const host = new FakeHost(makeRun('r1', { status: 'succeeded', steps }));
  const files = Array.from({ length: count }, (_, number) => ({
    path: `models/${number}`,
    size: 1_234_567,
    modified_at: started_at
  }));
  host.filesBy.set('r1', files);
  return host;
}

function withUrls(host: FakeHost): FakeHost {
  host.fileUrl = (id, path) => `/api/${id}/${path}`;
  return host;
}

async function showRun(host: FakeHost): Promise<HTMLElement> {
  const root = makeRoot();
  new RunView(root, host, 'r1');
  await settle();
  return root;
}

function links(root: HTMLElement): [string, string | null][] {
  return [...root.querySelectorAll('a')].map(a => [a.textContent, a.getAttribute('href')]);
}

describe('the files of a run', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it('are links with sizes, and exports of their paths are links too', async () => {
    const root = await showRun(withUrls(hostWithFiles(2)));
    expect(shownText(root)).toContain('Files models/0 1.2 MB models/1 1.2 MB');
    expect(links(root)).toEqual([
      [JSON.stringify(PATH), '/api/r1/models/best.bin'],
      ['models/0', '/api/r1/models/0'],
      ['models/1', '/api/r1/models/1']
    ]);
    expect([...root.querySelectorAll('a')].every(a => a.hasAttribute('download'))).toBe(true);
  });

  it('are not links if the host has no URLs', async () => {
    const root = await showRun(hostWithFiles(1));
    expect(shownText(root)).toContain('Files models/0 1.2 MB');
    expect(links(root)).toEqual([]);
  });

  it('have no heading if there are none', async () => {
    expect(shownText(await showRun(withUrls(hostWithFiles(0))))).not.toContain('Files');
  });

  it('are followed by a note if there may be more', async () => {
    const root = await showRun(hostWithFiles(1000));
    expect(shownText(root)).toContain('These are the first 1,000 files; there may be more.');
  });

  it('show an error if they can not be listed, and are read again on request', async () => {
    const host = hostWithFiles(1);
    host.errors.files = new Error('Odd.');
    const root = await showRun(host);
    expect(shownText(root)).toContain("The files can't be listed. Odd.");
    delete host.errors.files;
    buttonOf(root, 'Try again').click();
    await settle();
    expect(shownText(root)).toContain('Files models/0 1.2 MB');
    expect(shownText(root)).not.toContain('Odd.');
  });
});

describe('fileLink', () => {
  const host = withUrls(new FakeHost());

  it.each([
    [PATH, '/api/r1/models/best.bin'],
    ['C:\\pdflow\\files\\r1\\a b.txt', '/api/r1/a b.txt'],
    ['\\\\server\\share\\r1\\x', '/api/r1/x']
  ])('returns the URL for %s', (text, url) => {
    expect(fileLink(host, 'r1', text)).toBe(url);
  });

  it.each([
    '',
    'r1',
    '/files/r1',
    '/files/r1/',
    '/files/r2/x',
    'files/r1/x',
    '/r1/r1/x/r1/y',
    'http://h/files/r1/x',
    '/user/ada/pdflow/api/runs/r1/notebook'
  ])('returns null for %s', text => {
    expect(fileLink(host, 'r1', text)).toBeNull();
  });
});

describe('fileSize', () => {
  it.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [999, '999 bytes'],
    [1000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_999, '1.0 MB'],
    [12_345_678, '12.3 MB'],
    [5e15, '5000.0 TB']
  ])('formats %d as %s', (bytes, text) => {
    expect(fileSize(bytes)).toBe(text);
  });
});
