import { describe, expect, it } from 'vitest';

import { mount } from '../../../src/core/component';
import { fileSize } from '../../../src/core/values/file-size';
import { fileLink, filesView } from '../../../src/core/values/files-view';
import { FakeHost } from '../fake-host';
import { makeRoot, shownText } from '../helpers';

const PATH = '/home/ada/pdflow/files/r1/models/best.bin';

function withUrls(host: FakeHost): FakeHost {
  host.fileUrl = (id, path) => `/api/${id}/${path}`;
  return host;
}

function show(count: number, host = new FakeHost()): HTMLElement {
  const files = Array.from({ length: count }, (_, number) => ({
    path: `models/${number}`,
    size: 1_234_567,
    modified_at: '2026-11-22T11:00:00Z'
  }));
  const root = makeRoot();
  mount(root, filesView(host, 'r1', files));
  return root;
}

describe('filesView', () => {
  it('shows links with sizes', () => {
    const root = show(2, withUrls(new FakeHost()));
    expect(shownText(root)).toContain('Files models/0 1.2 MB models/1 1.2 MB');
    const links = [...root.querySelectorAll('a')];
    expect(links.map(a => [a.textContent, a.getAttribute('href')])).toEqual([
      ['models/0', '/api/r1/models/0'],
      ['models/1', '/api/r1/models/1']
    ]);
    expect(links.every(a => a.hasAttribute('download'))).toBe(true);
  });

  it('shows no links if the host has no URLs', () => {
    const root = show(1);
    expect(shownText(root)).toContain('Files models/0 1.2 MB');
    expect(root.querySelector('a')).toBeNull();
  });

  it('is empty if there are no files', () => {
    expect(shownText(show(0))).toBe('');
  });

  it('says if there may be more', () => {
    expect(shownText(show(1000))).toContain('the first 1,000 files; there may be more.');
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
